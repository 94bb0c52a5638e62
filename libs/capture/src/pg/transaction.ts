// The open transaction of a session: its finished exchanges, its context, and how it becomes envelopes.
import type {
  CaptureRecordDraft,
  DependencyReason,
  EnvelopeDraft,
  ExchangeDraft,
  PreparedStatementDraft,
  SessionContextDraft,
  SettingDraft,
  SqlStatementDraft,
} from '@mirrorstream/envelope';
import { AnswerStorage, TransactionOutcome } from '@mirrorstream/envelope';
import type { ByteLog } from '../byte-log.ts';
import type { CaptureLimits } from '../limits.ts';
import { packParts } from '../part-packer.ts';
import { costOfEntry, type PreparedEntry, type StatementTable } from './prepared.ts';
import type { SessionIdentity } from './startup.ts';

/** Bytes of the request and answer logs that an exchange is made of; views are taken when it is published. */
export interface FinishedExchange {
  readonly draft: ExchangeDraft;
  /** Monotonic clock. */
  readonly sentAtUs: number;
  readonly from: number;
  readonly to: number;
  readonly rawFrom: number;
  readonly rawTo: number;
}

/** What the session says in every envelope. */
export interface EnvelopeOrigin {
  readonly sessionId: string;
  readonly samplingDraw: number;
  readonly wallUsAtMonoZero: number;
  readonly emit: (draft: CaptureRecordDraft) => void;
}

const OBSERVATION_COST_BYTES = 200;
/** Bound of the statements a context brings; and of those it brings besides, when the transaction goes on in further parts. */
const CONTEXT_STATEMENTS_BYTES = 128 * 1024;
const NO_STATEMENTS: readonly PreparedEntry[] = [];

export class Transaction {
  /** Counts transactions of the session, published or not. */
  number = 0;
  open = false;
  startedMonoUs = 0;
  writes = false;
  /** A set of DependencyReason, as bits. */
  dependencies = 0;
  exchangeCount = 0;
  redactions = 0;
  /** Monotonic time of the last part, or of the start. */
  partAtUs = 0;
  /** session_seq of the last transaction that was published in whole or in part. */
  lastSeq = 0;
  readonly #origin: EnvelopeOrigin;
  readonly #limits: CaptureLimits;
  #identity: SessionIdentity;
  readonly #requests: ByteLog;
  readonly #answers: ByteLog;
  readonly #statements: StatementTable;
  #settings: readonly SettingDraft[] = [];
  #finished: FinishedExchange[] = [];
  #used: PreparedEntry[] = [];
  #usedBytes = 0;
  #part = 0;
  #observations = 0;
  #context: SessionContextDraft | null = null;
  #contextUsed: readonly PreparedEntry[] = NO_STATEMENTS;
  #contextBytes = 0;

  constructor(
    origin: EnvelopeOrigin,
    limits: CaptureLimits,
    identity: SessionIdentity,
    logs: { readonly requests: ByteLog; readonly answers: ByteLog },
    statements: StatementTable,
  ) {
    this.#origin = origin;
    this.#limits = limits;
    this.#identity = identity;
    this.#requests = logs.requests;
    this.#answers = logs.answers;
    this.#statements = statements;
  }

  begin(startedMonoUs: number, settings: readonly SettingDraft[], dependencies: number): void {
    this.number += 1;
    this.open = true;
    this.startedMonoUs = startedMonoUs;
    this.partAtUs = startedMonoUs;
    this.writes = false;
    this.dependencies = dependencies;
    this.exchangeCount = 0;
    this.#settings = settings;
    this.#part = 0;
    if (this.#used.length > 0) this.#used = [];
    this.#usedBytes = 0;
  }

  /** A prepared statement is used: it goes into the context unless this transaction prepared it. False: it cannot. */
  uses(entry: PreparedEntry): boolean {
    if (entry.bornIn === this.number || entry.usedIn === this.number) return true;
    const sizeBytes = isKept(entry) ? costOfEntry(entry) : Number.POSITIVE_INFINITY;
    if (this.#part > 0 || this.#usedBytes + sizeBytes > CONTEXT_STATEMENTS_BYTES) return false;
    entry.usedIn = this.number;
    this.#used.push(entry);
    this.#usedBytes += sizeBytes;
    return true;
  }

  add(exchange: FinishedExchange): void {
    this.#finished.push(exchange);
    this.#observations += exchange.draft.answer?.observations.length ?? 0;
  }

  /** A cancel went by while an exchange ran that is still held: it gets the note. */
  noteCancel(atUs: number): boolean {
    const sinceUs = atUs - this.startedMonoUs;
    const meant = this.#finished.find(
      ({ draft, sentAtUs }) => sentAtUs <= atUs && draft.doneUs > 0 && sinceUs <= draft.doneUs,
    );
    if (meant === undefined) return false;
    meant.draft.cancelledAfterUs = Math.max(1, atUs - meant.sentAtUs);
    return true;
  }

  get hasFinished(): boolean {
    return this.#finished.length > 0;
  }

  /** Whether part of it is published already. */
  get started(): boolean {
    return this.open && this.#part > 0;
  }

  /** The first exchange that was answered and waits to be published. Pieces of one that goes on may come before it. */
  get oldestHeld(): { readonly doneUs: number; readonly doneSeq: number } | null {
    const first = this.#finished.find(({ draft }) => draft.doneSeq > 0)?.draft;
    return first === undefined ? null : { doneUs: this.startedMonoUs + first.doneUs, doneSeq: first.doneSeq };
  }

  /** Cost of what waits to be published, beside the bytes in the logs. */
  get costBytes(): number {
    return (this.#finished.length + this.#observations) * OBSERVATION_COST_BYTES;
  }

  /** Publishes what is finished while the transaction goes on. */
  publishPart(atUs: number): void {
    this.partAtUs = atUs;
    this.#publish(false, TransactionOutcome.UNSPECIFIED);
  }

  /** Publishes the rest. */
  end(outcome: TransactionOutcome): void {
    this.#publish(true, outcome);
    this.open = false;
  }

  /** Gives up what is not published. */
  abandon(): void {
    this.open = false;
    this.#finished = [];
    this.#observations = 0;
    this.redactions = 0;
  }

  servedBy(backendPid: number): void {
    this.#identity = { ...this.#identity, backendPid };
  }

  /** The context a session begins with. */
  initialContext(settings: readonly SettingDraft[]): SessionContextDraft {
    return { ...this.#identity, settings, statements: [] };
  }

  #publish(ends: boolean, outcome: TransactionOutcome): void {
    const first = this.#part === 0;
    if (first) this.lastSeq += 1;
    const context = first ? this.#contextFor(ends) : null;
    const exchanges = this.#finished.map((it) => this.#draftOf(it));
    this.#finished = [];
    this.#observations = 0;
    packParts(exchanges, this.#limits.partBytes, first ? this.#contextBytes : 0, (part, isLast) => {
      this.#emit(part, this.#part === 0 ? context : null, ends && isLast, outcome);
    });
  }

  #emit(
    exchanges: readonly ExchangeDraft[],
    context: SessionContextDraft | null,
    lastPart: boolean,
    outcome: TransactionOutcome,
  ): void {
    const { sessionId, samplingDraw, wallUsAtMonoZero } = this.#origin;
    const draft: EnvelopeDraft = {
      kind: 'envelope',
      sessionId,
      sessionSeq: this.lastSeq,
      part: this.#part,
      lastPart,
      startedAtUs: wallUsAtMonoZero + this.startedMonoUs,
      startedMonoUs: this.startedMonoUs,
      samplingDraw,
      context,
      exchanges,
      outcome: lastPart ? outcome : TransactionOutcome.UNSPECIFIED,
      writes: this.writes,
      dependsOnSession: dependencyList(this.dependencies),
      redactions: this.redactions,
    };
    this.#part += 1;
    this.redactions = 0;
    this.#origin.emit(draft);
  }

  #draftOf({ draft, from, to, rawFrom, rawTo }: FinishedExchange): ExchangeDraft {
    draft.request = this.#requests.view(from, to);
    const answer = draft.answer;
    if (answer !== null && answer.storage === AnswerStorage.FULL) answer.raw = this.#answers.view(rawFrom, rawTo);
    return draft;
  }

  /** The same object as last time when nothing changed: encoders keep its encoding. */
  #contextFor(ends: boolean): SessionContextDraft {
    const used = ends ? this.#used : this.#withOtherStatements();
    const last = this.#context;
    if (last !== null && last.settings === this.#settings && sameEntries(this.#contextUsed, used)) return last;
    const context = { ...this.#identity, settings: this.#settings, ...statementsOf(used) };
    this.#context = context;
    this.#contextUsed = used.length === 0 ? NO_STATEMENTS : [...used];
    this.#contextBytes = contextBytesAtMost(context);
    return context;
  }

  /** Later parts bring no context: the first takes along every statement they could use, within a bound. */
  #withOtherStatements(): readonly PreparedEntry[] {
    const all = [...this.#used];
    let sizeBytes = 0;
    for (const entry of this.#statements.named()) {
      if (!isKept(entry) || entry.bornIn === this.number || entry.usedIn === this.number) continue;
      sizeBytes += costOfEntry(entry) + entry.name.length;
      if (sizeBytes > CONTEXT_STATEMENTS_BYTES) break;
      entry.usedIn = this.number;
      all.push(entry);
    }
    return all;
  }
}

const isKept = (entry: PreparedEntry): boolean => entry.frame !== null || entry.sql !== null;

function statementsOf(used: readonly PreparedEntry[]): Pick<SessionContextDraft, 'statements' | 'sqlStatements'> {
  const statements: PreparedStatementDraft[] = [];
  const sqlStatements: SqlStatementDraft[] = [];
  for (const { name, frame, sql } of used) {
    if (frame !== null) statements.push({ name, parseFrame: frame });
    else if (sql !== null) sqlStatements.push({ name, sql });
  }
  return { statements, sqlStatements };
}

const NO_DEPENDENCIES: readonly DependencyReason[] = [];

function dependencyList(bits: number): readonly DependencyReason[] {
  if (bits === 0) return NO_DEPENDENCIES;
  const reasons: DependencyReason[] = [];
  for (let reason = 1; reason < 31; reason++)
    if ((bits & (1 << reason)) !== 0) reasons.push(reason as DependencyReason);
  return reasons;
}

function sameEntries(a: readonly PreparedEntry[], b: readonly PreparedEntry[]): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}

function contextBytesAtMost(context: SessionContextDraft): number {
  let sizeBytes = 64 + (context.database.length + context.user.length) * 3;
  for (const { name, value } of context.startupParameters) sizeBytes += 16 + (name.length + value.length) * 3;
  for (const { name, sql } of context.settings) sizeBytes += 16 + (name.length + sql.length) * 3;
  for (const { name, parseFrame } of context.statements) sizeBytes += 16 + name.length * 3 + parseFrame.length;
  for (const { name, sql } of context.sqlStatements ?? []) sizeBytes += 16 + (name.length + sql.length) * 3;
  return sizeBytes;
}
