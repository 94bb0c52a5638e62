// Turns a finished flight into the statement comparisons of its exchange, and keeps what they say of its transaction.
import { AnswerDigester } from '@mirrorstream/compare';
import { AnswerStorage, type Exchange } from '@mirrorstream/envelope';
import { AnswerWindow, type DifferenceWindow } from './answer-window.ts';
import type { Flight } from './flights.ts';
import type { PartWork } from './lane-work.ts';
import { capturedObservations } from './observed.ts';
import type { OrderGate } from './order/coordinator.ts';
import { textOfStatement } from './request-walk.ts';
import { compareExchange, type KeptRaws, type StatementComparison } from './stage-one.ts';

const QUERY_CANCELED = '57014';

export class FlightJudge {
  readonly #rawCapBytes: number;
  readonly #order: OrderGate | undefined;
  readonly #digester = new AnswerDigester();

  constructor(rawCapBytes: number, order: OrderGate | undefined) {
    this.#rawCapBytes = rawCapBytes;
    this.#order = order;
  }

  /** Whether a client's cancel ended it in production. */
  wasCancelled(exchange: Exchange): boolean {
    if (exchange.cancelledAfterUs === 0n) return false;
    return capturedObservations(exchange.answer, this.#digester).some(({ sqlState }) => sqlState === QUERY_CANCELED);
  }

  /** The flight that ended this part's exchange is over. */
  judge(flight: Flight, exchange: Exchange, owner: PartWork): void {
    const { tally } = owner;
    const replayed = flight.observations;
    const captured = capturedObservations(exchange.answer, this.#digester);
    const cancelled = this.wasCancelled(exchange);
    const statements = compareExchange({
      exchange: exchange.index,
      captured,
      capturedUnanswered: exchange.doneUs === 0n,
      replayed,
      sql: (statement) => textOfStatement(flight.texts, statement),
      excuse: owner.excuse || (cancelled || tally.cancelMissed ? 'cancelled' : ''),
      raws: rawsOf(flight, exchange, this.#rawCapBytes),
    });
    tally.cancelMissed ||= cancelled && statements.some(({ equal }) => !equal);
    this.#order?.answered(exchange);
    owner.raced ||= statements.some(isDifferent) && this.#hasRaced(owner, exchange);
    const excused = owner.raced && this.#order?.keeps === true;
    for (const statement of statements)
      owner.statements.push(excused && isDifferent(statement) ? { ...statement, race: true } : statement);
    tally.add(replayed, flight.status !== '');
  }

  #hasRaced({ envelope }: PartWork, exchange: Exchange): boolean {
    const order = this.#order;
    return order !== undefined && envelope.exchanges.some((it) => it.index <= exchange.index && order.raced(it));
  }
}

const isDifferent = ({ equal, notCompared }: StatementComparison): boolean => !equal && notCompared === '';

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
