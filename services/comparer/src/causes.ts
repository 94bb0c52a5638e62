// Which divergences an earlier one may have made: in the same transaction, the same session, or on a table it left different.
//
// An earlier divergence is taken for a cause only where it can have made the later one:
//   transaction  a statement failed on one side only: what comes after it in the transaction runs on one side only
//   session      what failed on one side only would have stayed in the session: a setting, a prepared statement, a cursor
//   table        a write came out otherwise on the mirror, so its tables hold other rows from there on
// What data cannot explain (columns, another order) is never a consequence, and neither is the same statement failing alike again: that
// is the same finding once more. All of it is of one partition, bounded, and part of its checkpoint: what is forgotten makes a
// consequence count as a finding, never the other way round.
import type { Classification } from '@mirrorstream/compare';
import { divergenceClasses, type StatementClass } from '@mirrorstream/domain';
import { type EnvelopeRef, type Result, type StatementResult, TransactionOutcome } from '@mirrorstream/envelope';
import type { StatementFacts } from '@mirrorstream/sql';

export interface CauseLimits {
  readonly maxTables: number;
  readonly maxSessions: number;
  /** Tables remembered as written by one transaction. */
  readonly maxWritten: number;
}

/** At most about 130 KB in a checkpoint, beside the 600 KB of its session table. */
export const defaultCauseLimits: CauseLimits = { maxTables: 128, maxSessions: 128, maxWritten: 32 };

export interface Cause {
  readonly sessionId: string;
  readonly sessionSeq: string;
  readonly offset: string;
  readonly index: number;
  readonly fingerprint: string;
  readonly class: StatementClass;
}

/** As a checkpoint keeps it. */
export interface SavedCauses {
  readonly tables: readonly [table: string, cause: Cause][];
  readonly sessions: readonly [sessionId: string, session: SessionCauses][];
}

export interface SessionCauses {
  /** The transaction under way, of which parts were judged. */
  readonly seq: string;
  readonly transaction: Cause | null;
  readonly written: readonly string[];
  /** Of what would have stayed in the session. */
  readonly session: Cause | null;
  /** The last failure on one side only: it may have taken a name with it. */
  readonly failure: Cause | null;
}

export interface Suspicion {
  readonly cause: Cause;
  /** `transaction`, `session`, or the table. */
  readonly via: string;
}

/** A statement as it was judged by itself. */
export interface Judgement {
  readonly statement: StatementResult;
  readonly found: Classification;
  readonly fingerprint: string;
  readonly facts: () => StatementFacts;
}

const noSession: SessionCauses = { seq: '', transaction: null, written: [], session: null, failure: null };
const divergences: ReadonlySet<StatementClass> = new Set(divergenceClasses);
const notOfData: ReadonlySet<StatementClass> = new Set(['columns', 'orderOnly', 'collation', 'commandTag']);
const oneSided: ReadonlySet<StatementClass> = new Set(['errorNew', 'errorGone']);
/** Errors that other rows in a table can make or prevent (manual, appendix A); not those that a value makes by itself. */
const dataErrors = /^(?:0200.|21000|23001|23503|23505|23P01|40...|P000[0123])$/;
/** Errors for a name, a portal or a savepoint that is not there. */
const lostNames = /^(?:26000|34000|3B001|25P01|25P02)$/;

export class Causes {
  private readonly limits: CauseLimits;
  private readonly tables = new Map<string, Cause>();
  private readonly sessions = new Map<string, SessionCauses>();

  constructor(limits: CauseLimits, saved: SavedCauses | undefined) {
    this.limits = limits;
    for (const [table, cause] of saved?.tables ?? []) this.tables.set(table, cause);
    for (const [id, session] of saved?.sessions ?? []) this.sessions.set(id, session);
  }

  /** Of each statement of a result, in order: what may have made it; null: nothing known, or it does not diverge. */
  explain(result: Result, ref: EnvelopeRef, judged: readonly Judgement[]): readonly (Suspicion | null)[] {
    const known = this.sessions.get(ref.sessionId);
    // Nothing diverges, nothing is under way: the ordinary case.
    if (
      known === undefined &&
      !judged.some(({ found }) => divergences.has(found.class)) &&
      ref.lastPart &&
      ref.part === 0
    )
      return [];
    const seq = String(ref.sessionSeq);
    const session = known ?? noSession;
    let state = session.seq === seq ? session : { ...session, seq, transaction: null, written: [] };
    const found = judged.map((each) => {
      if (!divergences.has(each.found.class)) return null;
      const suspicion = this.suspect(each, state);
      state = this.note(each, state, suspicion?.cause ?? causeOf(each, ref));
      return suspicion;
    });
    this.finish(result, ref, judged, state);
    return found;
  }

  /** The session is over. */
  end(sessionId: string): void {
    this.sessions.delete(sessionId);
  }

  save(): SavedCauses {
    return { tables: [...this.tables], sessions: [...this.sessions] };
  }

  private suspect({ found, fingerprint, facts, statement }: Judgement, state: SessionCauses): Suspicion | null {
    const isSame = (cause: Cause): boolean => cause.fingerprint === fingerprint && cause.class === found.class;
    const { transaction, session, failure } = state;
    const ofOrderOrColumns = notOfData.has(found.class) && found.class !== 'commandTag';
    if (transaction !== null && !ofOrderOrColumns) return { cause: transaction, via: 'transaction' };
    if (session !== null && !isSame(session)) return { cause: session, via: 'session' };
    if (failure !== null && oneSided.has(found.class) && lostNames.test(oneSidedState(statement)))
      return { cause: failure, via: 'session' };
    if (!mayComeFromData(found.class, statement)) return null;
    for (const table of facts().tables) {
      const cause = this.causeOfTable(table);
      if (cause !== undefined && !isSame(cause)) return { cause, via: table };
    }
    return null;
  }

  private causeOfTable(table: string): Cause | undefined {
    const exact = this.tables.get(table);
    if (exact !== undefined) return exact;
    // One text says the schema, the other leaves it to search_path.
    const bare = unqualified(table);
    if (bare !== table) return this.tables.get(bare);
    for (const [name, cause] of this.tables) if (unqualified(name) === bare) return cause;
    return undefined;
  }

  private note({ found, facts }: Judgement, state: SessionCauses, cause: Cause): SessionCauses {
    const { kind, tables, harmless } = facts();
    if (!oneSided.has(found.class)) {
      if ((kind === 'writes' || kind === 'ddl') && !notOfData.has(found.class) && found.class !== 'errorChanged')
        this.taint(tables, cause);
      return state;
    }
    if (kind === 'ddl') this.taint(tables, cause);
    const stays = kind === 'control' || kind === 'ddl' || !harmless;
    return {
      ...state,
      transaction: state.transaction ?? cause,
      session: stays && kind !== 'unknown' ? (state.session ?? cause) : state.session,
      failure: cause,
    };
  }

  /** What a transaction wrote is different from there on when it ended otherwise on the mirror, or when what failed in it was a write. */
  private finish(result: Result, ref: EnvelopeRef, judged: readonly Judgement[], state: SessionCauses): void {
    const written = new Set(state.written);
    const cause = state.transaction;
    if (cause !== null || !ref.lastPart)
      for (const { facts } of judged) {
        const { kind, tables } = facts();
        if (kind === 'writes' || kind === 'ddl')
          for (const table of tables) if (written.size < this.limits.maxWritten) written.add(table);
      }
    if (cause !== null && ref.lastPart) {
      const failed = new Set(
        judged.filter(({ found }) => oneSided.has(found.class)).flatMap(({ facts }) => writtenBy(facts())),
      );
      this.taint(endsOtherwise(result) ? written : failed, cause);
    }
    const next = ref.lastPart
      ? { ...state, seq: '', transaction: null, written: [] }
      : { ...state, written: [...written] };
    this.sessions.delete(ref.sessionId);
    if (ref.sessionId === '' || (ref.lastPart && next.session === null && next.failure === null)) return;
    this.sessions.set(ref.sessionId, next);
    evict(this.sessions, this.limits.maxSessions);
  }

  private taint(tables: Iterable<string>, cause: Cause): void {
    for (const table of tables) {
      // The first cause stays: what comes later is its consequence, or cannot be told from one.
      const first = this.tables.get(table) ?? cause;
      this.tables.delete(table);
      this.tables.set(table, first);
    }
    evict(this.tables, this.limits.maxTables);
  }
}

function causeOf({ found, fingerprint }: Judgement, ref: EnvelopeRef): Cause {
  return {
    sessionId: ref.sessionId,
    sessionSeq: String(ref.sessionSeq),
    offset: String(ref.offset),
    index: ref.index,
    fingerprint,
    class: found.class,
  };
}

function mayComeFromData(name: StatementClass, { captured, replayed }: StatementResult): boolean {
  if (notOfData.has(name)) return false;
  if (name === 'value' || name === 'rowCount') return true;
  return [captured?.sqlState ?? '', replayed?.sqlState ?? ''].some((state) => dataErrors.test(state));
}

const oneSidedState = ({ captured, replayed }: StatementResult): string =>
  replayed?.sqlState || captured?.sqlState || '';

const writtenBy = ({ kind, tables }: StatementFacts): readonly string[] =>
  kind === 'writes' || kind === 'ddl' ? tables : [];

function endsOtherwise({ capturedOutcome, replayedOutcome }: Result): boolean {
  const committed = [capturedOutcome, replayedOutcome].map((it) => it === TransactionOutcome.COMMITTED);
  return committed[0] !== committed[1];
}

const unqualified = (table: string): string => table.slice(table.lastIndexOf('.') + 1);

function evict(map: Map<string, unknown>, limit: number): void {
  for (const oldest of map.keys()) {
    if (map.size <= limit) return;
    map.delete(oldest);
  }
}
