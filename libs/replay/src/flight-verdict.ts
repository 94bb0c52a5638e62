// Turns a finished flight into the statement comparisons of its exchange, and keeps what they say of its transaction.
import { AnswerDigester } from '@mirrorstream/compare';
import { AnswerStorage, type Exchange, type ObservationDraft } from '@mirrorstream/envelope';
import { AnswerWindow, type DifferenceWindow } from './answer-window.ts';
import type { Flight } from './flights.ts';
import { isUnexplained, type SessionIds, type WholeAnswers } from './ids/session-ids.ts';
import type { PartWork } from './lane-work.ts';
import { capturedObservations } from './observed.ts';
import type { OrderGate } from './order/coordinator.ts';
import { textOfStatement } from './request-walk.ts';
import { compareExchange, type KeptRaws, type StatementComparison } from './stage-one.ts';

const QUERY_CANCELED = '57014';

/** An exchange of a part, answered. */
export interface Answered {
  readonly flight: Flight;
  readonly exchange: Exchange;
  readonly owner: PartWork;
  readonly statements: readonly StatementComparison[];
  readonly cancelled: boolean;
}

export class FlightJudge {
  readonly #rawCapBytes: number;
  readonly #order: OrderGate | undefined;
  readonly #ids: SessionIds | null;
  readonly #digester = new AnswerDigester();

  constructor(rawCapBytes: number, order: OrderGate | undefined, ids: SessionIds | null = null) {
    this.#ids = ids;
    this.#rawCapBytes = rawCapBytes;
    this.#order = order;
  }

  /** Whether a client's cancel ended it in production. */
  wasCancelled(exchange: Exchange): boolean {
    if (exchange.cancelledAfterUs === 0n) return false;
    return capturedObservations(exchange.answer, this.#digester).some(({ sqlState }) => sqlState === QUERY_CANCELED);
  }

  /** The flight that ended this part's exchange is over. */
  compare(flight: Flight, exchange: Exchange, owner: PartWork): Answered {
    const cancelled = this.wasCancelled(exchange);
    const compared = compareExchange({
      exchange: exchange.index,
      captured: capturedObservations(exchange.answer, this.#digester),
      capturedUnanswered: exchange.doneUs === 0n,
      replayed: flight.observations,
      sql: (statement) => textOfStatement(flight.texts, statement),
      excuse: owner.excuse || (cancelled || owner.tally.cancelMissed ? 'cancelled' : ''),
      raws: rawsOf(flight, exchange, this.#rawCapBytes),
    });
    const statements =
      this.#ids === null || flight.ids === null
        ? compared
        : this.#ids.settle(flight.ids, compared, () => wholeAnswers(flight, exchange));
    return { flight, exchange, owner, statements, cancelled };
  }

  /** What production answered. */
  captured({ answer }: Exchange): readonly ObservationDraft[] {
    return capturedObservations(answer, this.#digester);
  }

  /** It stays so. */
  keep({ flight, exchange, owner, statements, cancelled }: Answered): void {
    const { tally } = owner;
    tally.cancelMissed ||= cancelled && statements.some(({ equal }) => !equal);
    this.#order?.answered(exchange);
    owner.raced ||= statements.some(isDifferent) && (owner.rolledBack || this.#hasRaced(owner, exchange, statements));
    const excused = owner.raced && this.#order?.keeps === true;
    for (const statement of statements)
      owner.statements.push(excused && isDifferent(statement) ? { ...statement, race: true } : statement);
    tally.add(flight.observations, flight.status !== '');
  }

  /**
   * Who fails for the order of transactions is decided by all that overlapped the transaction, not one statement of it; and what was
   * played again has seen what came between.
   */
  #hasRaced(
    { envelope, failures, rereads }: PartWork,
    exchange: Exchange,
    statements: readonly StatementComparison[],
  ): boolean {
    const order = this.#order;
    if (order === undefined) return false;
    const whole =
      failures + rereads > 0 ||
      statements.some(({ captured, replayed }) => lostRace(captured.sqlState) !== lostRace(replayed.sqlState));
    return envelope.exchanges.some((it) => (whole || it.index <= exchange.index) && order.raced(it));
  }
}

const lostRaces: ReadonlySet<string> = new Set(['40001', '40P01']);
/** serialization_failure, deadlock_detected: an application plays the transaction again. */
export const lostRace = (sqlState: string): boolean => lostRaces.has(sqlState);

function wholeAnswers(flight: Flight, { answer }: Exchange): WholeAnswers {
  return {
    captured: answer?.storage === AnswerStorage.FULL ? answer.raw : null,
    replayed: flight.rawTruncated ? null : Buffer.concat(flight.raw),
  };
}

/** Neither equal, nor so but for ids. */
export const isDifferent = isUnexplained;

/**
 * Both answers whole, with the first statement that asks. Where one of them is larger than the cap: of the statement whose rows differ
 * first the rows around that place; of production's answer that was not kept nothing, and the mirror's first bytes.
 */
function rawsOf(flight: Flight, exchange: Exchange, capBytes: number): (statement: number) => KeptRaws | null {
  const kept = exchange.answer?.storage === AnswerStorage.FULL ? exchange.answer.raw : none;
  let given = false;
  if (kept.length > capBytes) {
    const window = windowOf(flight, kept, capBytes);
    if (window !== null)
      return (statement) => (window.statement === statement ? { ...window, alone: true, truncated: true } : null);
  }
  const captured = kept.subarray(0, capBytes);
  const truncated = flight.rawTruncated || kept.length === 0 || kept.length > capBytes;
  return () => {
    if (given) return null;
    given = true;
    return { captured, replayed: Buffer.concat(flight.raw), truncated, alone: false, rowsBefore: 0 };
  };
}

function windowOf(flight: Flight, production: Uint8Array, capBytes: number): DifferenceWindow | null {
  if (flight.window !== null) return flight.window.difference();
  if (flight.rawTruncated) return null;
  const window = new AnswerWindow(production, capBytes);
  for (const bytes of flight.raw) window.frames(bytes);
  return window.difference();
}

const none = new Uint8Array(0);
