// The counts of one results partition: what became of each transaction and each statement, each counted once.
import {
  type ComparerSnapshot,
  type NotComparedReason,
  outcomeReasons,
  type StatementClass,
  statementClasses,
  type TransactionOutcomeName,
  transactionOutcomes,
} from '@mirrorstream/domain';
import { type EnvelopeRef, type Result, type ResultAccount, ResultOutcome, settledBy } from '@mirrorstream/envelope';
import { type CauseLimits, Causes, defaultCauseLimits } from './causes.ts';
import { SessionTable, type SessionTableLimits } from './session-table.ts';

/** What a result is to the counts. */
export type Novelty = 'counted' | 'duplicate' | 'sessionEnd';

/** Stand for the index in a record, of which there is none. */
const RETRY = -1;
const MISSING = -2;

export interface StatementCount {
  readonly class: StatementClass;
  readonly notCompared: NotComparedReason | '';
}

export interface PartitionIdentity {
  readonly environment: string;
  readonly mirror: string;
  /** Absent: the live replay. */
  readonly run?: string;
  readonly partition: number;
}

export class PartitionLedger {
  /** Offset of the next results record to count. */
  nextOffset: bigint;
  readonly causes: Causes;
  private readonly identity: PartitionIdentity;
  private readonly sessions: SessionTable;
  private readonly outcomes: Record<TransactionOutcomeName, number>;
  private readonly reasons: Record<string, number>;
  private readonly statements: Record<StatementClass, number>;
  private readonly notCompared: Partial<Record<NotComparedReason, number>>;
  private duplicates: number;

  /** `saved`: the checkpoint to go on from; null for a partition that was never counted, which begins at `nextOffset`. */
  constructor(
    identity: PartitionIdentity,
    limits: SessionTableLimits & { readonly causes?: CauseLimits },
    saved: ComparerSnapshot | null,
    nextOffset = 0n,
  ) {
    this.identity = identity;
    this.nextOffset = saved === null ? nextOffset : BigInt(saved.nextOffset);
    this.sessions = new SessionTable(limits, saved?.sessions);
    this.causes = new Causes(limits.causes ?? defaultCauseLimits, saved?.causes);
    this.outcomes = { ...zeros(transactionOutcomes), ...saved?.outcomes };
    this.reasons = { ...saved?.reasons };
    this.statements = { ...zeros(statementClasses), ...saved?.statements };
    this.notCompared = { ...saved?.notCompared };
    this.duplicates = saved?.duplicates ?? 0;
  }

  /** Counts the transaction of a result and says whether its statements are to be counted too. */
  count(result: Result, ref: EnvelopeRef): Novelty {
    if (result.sessionEnd) {
      this.sessions.end(ref.sessionId);
      this.causes.end(ref.sessionId);
      return 'sessionEnd';
    }
    if (!this.isNew(ref)) {
      this.duplicates += 1;
      return 'duplicate';
    }
    if (ref.lastPart || ref.sessionId === '') this.countTransactions(result);
    return 'counted';
  }

  /** What a record settles that nobody can decode: counted as failed, and once. Returns how many were new. */
  countUndecodable({ sessions, anonymous }: Pick<ResultAccount, 'sessions' | 'anonymous'>): number {
    let counted = 0;
    for (const { offset, index, transactions } of anonymous) {
      if (this.sessions.noteAnonymous(offset, index)) counted += transactions;
      else this.duplicates += transactions;
    }
    for (const { sessionId, transactions, firstSeq, lastSeq } of sessions) {
      const highest = this.sessions.highest(sessionId);
      const known = Math.min(transactions, Math.max(0, highest - firstSeq + 1));
      const fresh = this.sessions.note(sessionId, lastSeq, 0, true) ? transactions - known : 0;
      this.duplicates += transactions - fresh;
      counted += fresh;
    }
    if (counted > 0) this.add('failed', 'undecodable', counted);
    return counted;
  }

  /** A record that was counted by `countUndecodable` can be decoded after all. False: that was said before, or is not so. */
  retryUndecodable(offset: bigint, transactions: number): boolean {
    const failed = this.reasons['failed/undecodable'] ?? 0;
    if (failed < transactions || !this.sessions.noteAnonymous(offset, RETRY)) {
      this.duplicates += transactions;
      return false;
    }
    this.add('failed', 'undecodable', -transactions);
    return true;
  }

  /**
   * Results of transactions that a record which nobody could decode was about, without saying so; `chunk` of them, from 0 on. False:
   * counted before.
   */
  isFirstOfMissing(offset: bigint, chunk: number, transactions: number): boolean {
    const isFirst = this.sessions.noteAnonymous(offset, MISSING - chunk);
    if (!isFirst) this.duplicates += transactions;
    return isFirst;
  }

  /** A result of such a record. */
  countRetried(result: Result): void {
    if (settledBy(result) > 0) this.countTransactions(result);
  }

  countStatement(statement: StatementCount): void {
    this.statements[statement.class] += 1;
    if (statement.notCompared === '') return;
    this.notCompared[statement.notCompared] = (this.notCompared[statement.notCompared] ?? 0) + 1;
  }

  /** The counts so far, to be looked at. */
  get counts(): Pick<ComparerSnapshot, 'outcomes' | 'statements' | 'duplicates'> {
    return { outcomes: this.outcomes, statements: this.statements, duplicates: this.duplicates };
  }

  /** A copy of everything: what stands in it is the result of the records before `nextOffset` and of no others. */
  snapshot(atMs: number): ComparerSnapshot {
    return {
      kind: 'comparer',
      ...this.identity,
      atMs,
      nextOffset: String(this.nextOffset),
      outcomes: { ...this.outcomes },
      reasons: { ...this.reasons },
      statements: { ...this.statements },
      notCompared: { ...this.notCompared },
      duplicates: this.duplicates,
      sessions: this.sessions.save(),
      causes: this.causes.save(),
    };
  }

  private isNew(ref: EnvelopeRef): boolean {
    if (ref.sessionId === '') return this.sessions.noteAnonymous(ref.offset, ref.index);
    return this.sessions.note(ref.sessionId, Number(ref.sessionSeq), ref.part, ref.lastPart);
  }

  private countTransactions(result: Result): void {
    const { outcome, reason } = outcomeOf(result);
    // A last part is a transaction; only records without a session can stand for another number.
    const transactions = result.ref?.sessionId === '' ? result.transactions : Math.max(1, result.transactions);
    this.add(outcome, reason, transactions);
  }

  private add(outcome: TransactionOutcomeName, reason: string, transactions: number): void {
    this.outcomes[outcome] += transactions;
    if (reason === '') return;
    const key = `${outcome}/${reason}`;
    this.reasons[key] = (this.reasons[key] ?? 0) + transactions;
  }
}

/** Outcome and reason by name. What the closed lists do not know (a newer replayer) becomes `failed/unsupported`, never nothing. */
export function outcomeOf(result: Result): { readonly outcome: TransactionOutcomeName; readonly reason: string } {
  const outcome = outcomeNames.get(result.outcome);
  if (outcome === undefined) return { outcome: 'failed', reason: 'unsupported' };
  const reasons: readonly string[] = outcomeReasons[outcome];
  return { outcome, reason: reasons.includes(result.reason) ? result.reason : 'unsupported' };
}

const outcomeNames: ReadonlyMap<ResultOutcome, TransactionOutcomeName> = new Map([
  [ResultOutcome.REPLAYED, 'replayed'],
  [ResultOutcome.FILTERED, 'filtered'],
  [ResultOutcome.UNEXPOSED, 'unexposed'],
  [ResultOutcome.SHED, 'shed'],
  [ResultOutcome.FAILED, 'failed'],
]);

function zeros<T extends string>(names: readonly T[]): Record<T, number> {
  return Object.fromEntries(names.map((name) => [name, 0])) as Record<T, number>;
}
