// The whole story of one transaction: session, statements with parameters, timings, both answers and where they differ. Pure.
import { cellText, type DecodedAnswer, decodeAnswer, describeSqlState } from '@mirrorstream/compare';
import {
  type Answer,
  AnswerStorage,
  DependencyReason,
  type Envelope,
  type Exchange,
  type Observation,
  type Result,
  ResultOutcome,
  StatementEnd,
  type StatementResult,
  TransactionOutcome,
} from '@mirrorstream/envelope';
import { type AnswerDiff, diffAnswers } from './answer-diff.ts';
import { formatEnvelopeName } from './envelope-name.ts';
import type { StoredPlan } from './plan.ts';
import type { CapturedTransaction } from './read-envelopes.ts';
import { redactDiff, type ShowValue, tellsValues } from './redaction.ts';
import { RequestReader, type SentStatement, statementOfAnswer } from './request-reading.ts';
import { harmlessLines } from './text.ts';
import { wholeRequests } from './whole-requests.ts';

/** What a comparer, or this command, made of a statement. */
export interface StatementJudgement {
  readonly class: string;
  readonly notCompared: string;
  readonly detail: string;
  readonly fingerprint: string;
  readonly columns: readonly string[];
  /** `partition:offset:index`, and the shape of the statement that this one follows from. */
  readonly cause: { readonly envelope: string; readonly fingerprint: string } | null;
}

export interface StorySide {
  readonly end: string;
  readonly commandTag: string;
  readonly rows: number;
  /** With its name: `23505 unique_violation`. */
  readonly sqlState: string;
  /** Of an error that was kept; redacted: ''. */
  readonly message: string;
  readonly latencyUs: number;
  readonly sizeBytes: number;
}

export interface StoryStatement {
  readonly statement: number;
  readonly sql: string;
  readonly parameters: readonly string[];
  readonly captured: StorySide | null;
  readonly replayed: StorySide | null;
  /** null: nobody has compared it. */
  readonly judgement: StatementJudgement | null;
  /** null: equal, or nothing was kept. */
  readonly diff: AnswerDiff | null;
  readonly plans: readonly StoredPlan[];
}

export interface StoryExchange {
  readonly index: number;
  /** µs after the transaction began. */
  readonly sentUs: number;
  readonly firstReplyUs: number | null;
  readonly doneUs: number | null;
  readonly cancelledAfterUs: number | null;
  readonly statements: readonly StoryStatement[];
}

export interface Story {
  readonly schema: 'mirrorstream.story/1';
  readonly envelope: string;
  readonly source: string;
  readonly captureNode: string;
  readonly mirror: string | null;
  readonly run: string;
  readonly session: {
    readonly id: string;
    readonly seq: string;
    readonly user: string;
    readonly database: string;
    readonly application: string;
    /** Changed since start-up: statements that set them; redacted: names alone. */
    readonly settings: readonly string[];
    readonly dependsOn: readonly string[];
  };
  readonly captured: {
    readonly startedAtUs: string;
    readonly outcome: string;
    readonly parts: number;
    readonly complete: boolean;
    readonly redactions: number;
  };
  /** null: no result was found. */
  readonly replayed: {
    readonly outcome: string;
    readonly reason: string;
    readonly transactionOutcome: string;
    readonly sentAtUs: string;
    readonly doneAtUs: string;
    readonly scheduleLagUs: number;
    readonly order: string;
  } | null;
  readonly exchanges: readonly StoryExchange[];
  readonly notes: readonly string[];
}

export interface StoryParts {
  readonly transaction: CapturedTransaction;
  readonly mirror: string | null;
  readonly run: string;
  readonly results: readonly Result[];
  readonly judgementOf: (exchange: number, statement: number) => StatementJudgement | null;
  readonly plansOf: (fingerprint: string) => readonly StoredPlan[];
  readonly notes: readonly string[];
}

export interface StoryOptions {
  readonly show: ShowValue;
  readonly redacts: boolean;
  /** The text without its constants. */
  readonly normalize: (sql: string) => string;
  /** For what a verdict does not name. */
  readonly fingerprint: (sql: string) => string;
}

const limits = { maxRows: 200, maxColumns: 50, maxCellChars: 400 };

export function tellStory(told: StoryParts, options: StoryOptions): Story {
  const { transaction, results } = told;
  const envelopes = transaction.parts.map(({ envelope }) => envelope);
  const first = envelopes[0] as Envelope;
  const last = envelopes.at(-1) as Envelope;
  const { context } = first;
  const statements = new Map<string, StatementResult>();
  for (const result of results)
    for (const one of result.statements) statements.set(`${one.exchange}/${one.statement}`, one);
  const reader = new RequestReader(context);
  const requests = new Map(wholeRequests(envelopes).map(({ exchange, request }) => [exchange, request]));
  const exchanges = endsOfExchanges(envelopes).map(({ exchange, sentUs }) => {
    const sent = reader.read(requests.get(exchange.index) ?? exchange.request);
    return tellExchange(exchange, sentUs, sent, statements, told, options);
  });
  return {
    schema: 'mirrorstream.story/1',
    envelope: formatEnvelopeName((transaction.parts[0] as CapturedTransaction['parts'][number]).name),
    source: transaction.source,
    captureNode: transaction.captureNode,
    mirror: told.mirror,
    run: told.run,
    session: {
      id: first.sessionId,
      seq: String(first.sessionSeq),
      user: context?.user ?? '',
      database: context?.database ?? '',
      application: context?.startupParameters.find(({ name }) => name === 'application_name')?.value ?? '',
      settings: (context?.settings ?? []).map(({ name, sql }) => (options.redacts ? name : sql)),
      dependsOn: first.dependsOnSession.map((reason) => nameIn(DependencyReason, reason)),
    },
    captured: {
      startedAtUs: String(first.startedAtUs),
      outcome: nameOfOutcome(last.outcome),
      parts: envelopes.length,
      complete: transaction.complete && first.part === 0,
      redactions: envelopes.reduce((sum, { redactions }) => sum + redactions, 0),
    },
    replayed: tellReplay(results),
    exchanges,
    notes: told.notes,
  };
}

/** An exchange that goes on in the next part ends there: its last piece has the answer, its first one the moment it was sent. */
function endsOfExchanges(
  envelopes: readonly Envelope[],
): readonly { readonly exchange: Exchange; readonly sentUs: bigint }[] {
  const found = new Map<number, { exchange: Exchange; sentUs: bigint }>();
  for (const { exchanges } of envelopes)
    for (const exchange of exchanges)
      found.set(exchange.index, { exchange, sentUs: found.get(exchange.index)?.sentUs ?? exchange.sentUs });
  return [...found.values()];
}

function tellReplay(results: readonly Result[]): Story['replayed'] {
  const [first] = results;
  const last = results.at(-1);
  if (first === undefined || last === undefined) return null;
  return {
    outcome: nameIn(ResultOutcome, last.outcome),
    reason: last.reason,
    transactionOutcome: nameOfOutcome(last.replayedOutcome),
    sentAtUs: String(first.sentAtUs),
    doneAtUs: String(last.doneAtUs),
    scheduleLagUs: first.scheduledAtUs === 0n ? 0 : Math.max(0, Number(first.sentAtUs - first.scheduledAtUs)),
    order: last.order,
  };
}

/** `rolled back` for ROLLED_BACK. */
function nameIn(names: Readonly<Record<string, number>>, value: number): string {
  const found = Object.entries(names).find(([, one]) => one === value)?.[0] ?? '';
  return found.toLowerCase().replaceAll('_', ' ');
}

const nameOfOutcome = (outcome: TransactionOutcome): string => nameIn(TransactionOutcome, outcome);

function tellExchange(
  exchange: Exchange,
  sentUs: bigint,
  sent: readonly SentStatement[],
  statements: ReadonlyMap<string, StatementResult>,
  told: StoryParts,
  options: StoryOptions,
): StoryExchange {
  const { answer, index } = exchange;
  const compared = [...statements.values()].filter((one) => one.exchange === index).length;
  const count = Math.max(compared, answer?.observations.length ?? 0, sent.length, capturedAnswers(answer));
  return {
    index,
    sentUs: Number(sentUs),
    firstReplyUs: exchange.firstReplyUs === 0n ? null : Number(exchange.firstReplyUs),
    doneUs: exchange.doneUs === 0n ? null : Number(exchange.doneUs),
    cancelledAfterUs: exchange.cancelledAfterUs === 0n ? null : Number(exchange.cancelledAfterUs),
    statements: Array.from({ length: count }, (_, i) => {
      const result = statements.get(`${index}/${i}`);
      return tellStatement({ answer, index, i, sent, result, raws: rawsFor(statements, index, i) }, told, options);
    }),
  };
}

/** Of a kept answer, by the statements that can be told apart in it. */
function capturedAnswers(answer: Answer | undefined): number {
  if (answer?.storage !== AnswerStorage.FULL) return 0;
  let count = 0;
  while (
    count < maxAnswers &&
    decodeAnswer({ bytes: answer.raw, statement: count, truncated: false }, { maxRows: 0 }).end !== 'cut'
  )
    count++;
  return count;
}

const maxAnswers = 1000;

/** The kept answers of an exchange come with its first difference, and serve the later ones, unless they are one statement's alone. */
function rawsFor(
  statements: ReadonlyMap<string, StatementResult>,
  exchange: number,
  statement: number,
): StatementResult | null {
  const hasRaw = (one: StatementResult): boolean => one.capturedRaw.length + one.replayedRaw.length > 0;
  const own = statements.get(`${exchange}/${statement}`);
  if (own !== undefined && hasRaw(own)) return own;
  for (let i = statement - 1; i >= 0; i--) {
    const earlier = statements.get(`${exchange}/${i}`);
    if (earlier !== undefined && hasRaw(earlier) && !earlier.rawAlone) return earlier;
  }
  return null;
}

interface Told {
  readonly answer: Answer | undefined;
  readonly index: number;
  readonly i: number;
  readonly sent: readonly SentStatement[];
  readonly result: StatementResult | undefined;
  readonly raws: StatementResult | null;
}

function tellStatement(told: Told, parts: StoryParts, options: StoryOptions): StoryStatement {
  const { answer, i, sent, result, raws, index } = told;
  const statement = statementOfAnswer(sent, i);
  const position = raws?.rawAlone === true ? 0 : i;
  const kept = (bytes: Uint8Array | undefined): DecodedAnswer | null =>
    bytes === undefined || bytes.length === 0
      ? null
      : decodeAnswer({ bytes, statement: position, truncated: raws?.rawTruncated ?? false }, limits);
  const stored = answer?.storage === AnswerStorage.FULL ? answer.raw : undefined;
  const captured =
    kept(raws?.capturedRaw) ??
    (stored === undefined ? null : decodeAnswer({ bytes: stored, statement: i, truncated: false }, limits));
  const replayed = kept(raws?.replayedRaw);
  const judgement = parts.judgementOf(index, i);
  const differs = result !== undefined && !result.equal;
  const observed = result?.captured ?? answer?.observations[i];
  const text = result?.sql || statement?.sql || '';
  return {
    statement: i,
    sql: harmlessLines(options.redacts ? options.normalize(statement?.sql || text) : statement?.sql || text),
    parameters: (statement?.parameters ?? []).map(({ value, typeOid, format }) =>
      options.show(value === null ? null : cellText(value, { typeOid, format })),
    ),
    captured: sideOf(observed, captured, options),
    replayed: sideOf(result?.replayed, replayed, options),
    judgement: judgement === null ? null : safeJudgement(judgement, options.redacts),
    diff:
      differs && (captured !== null || replayed !== null)
        ? redactDiff(diffAnswers(captured, replayed), options.show)
        : null,
    plans: text === '' ? [] : parts.plansOf(judgement?.fingerprint || options.fingerprint(text)),
  };
}

function safeJudgement(judgement: StatementJudgement, redacts: boolean): StatementJudgement {
  return redacts && tellsValues(judgement.class) ? { ...judgement, detail: '' } : judgement;
}

function sideOf(
  observation: Observation | undefined,
  kept: DecodedAnswer | null,
  { redacts }: StoryOptions,
): StorySide | null {
  if (observation === undefined && kept === null) return null;
  const sqlState = observation?.sqlState || kept?.error?.sqlState || '';
  return {
    end: observation === undefined ? (kept?.end ?? '') : nameIn(StatementEnd, observation.end),
    commandTag: observation?.commandTag ?? kept?.commandTag ?? '',
    rows: Number(observation?.rows ?? kept?.rowsKept ?? 0),
    sqlState: sqlState === '' ? '' : describeSqlState(sqlState),
    message: redacts ? '' : harmlessLines(kept?.error?.message ?? ''),
    latencyUs: Number(observation?.latencyUs ?? 0),
    sizeBytes: Number(observation?.sizeBytes ?? 0),
  };
}
