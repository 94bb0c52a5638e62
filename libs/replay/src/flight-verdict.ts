// Turns a finished flight into the statement comparisons of its exchange, and keeps what they say of its transaction.
import { AnswerDigester } from '@mirrorstream/compare';
import { AnswerStorage, type Exchange } from '@mirrorstream/envelope';
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
      raws: () => rawsOf(flight, exchange, this.#rawCapBytes),
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

function rawsOf(flight: Flight, exchange: Exchange, capBytes: number): KeptRaws {
  const answer = exchange.answer;
  const captured = answer?.storage === AnswerStorage.FULL ? answer.raw.subarray(0, capBytes) : new Uint8Array(0);
  const capturedWhole = answer?.storage === AnswerStorage.FULL && answer.raw.length <= capBytes;
  return { captured, replayed: Buffer.concat(flight.raw), truncated: flight.rawTruncated || !capturedWhole };
}
