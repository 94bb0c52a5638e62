// Turns a finished flight into the statement comparisons of its exchange.
import type { AnswerDigester } from '@mirrorstream/compare';
import type { NotComparedReason } from '@mirrorstream/domain';
import { AnswerStorage, type Exchange } from '@mirrorstream/envelope';
import type { Flight } from './flights.ts';
import { capturedObservations, type ObservationFields, observationOf } from './observed.ts';
import { textOfStatement } from './request-walk.ts';
import { compareExchange, type KeptRaws, type StatementComparison } from './stage-one.ts';

export interface FlightVerdict {
  readonly statements: readonly StatementComparison[];
  readonly replayed: readonly ObservationFields[];
}

/** `digester` is scratch space. */
export function judgeFlight(
  flight: Flight,
  exchange: Exchange,
  excuse: NotComparedReason | '',
  digester: AnswerDigester,
  rawCapBytes: number,
): FlightVerdict {
  const replayed = flight.observations.map(observationOf);
  const statements = compareExchange({
    exchange: exchange.index,
    captured: capturedObservations(exchange.answer, digester),
    capturedUnanswered: exchange.doneUs === 0n,
    replayed,
    sql: (statement) => textOfStatement(flight.texts, statement),
    excuse,
    raws: () => rawsOf(flight, exchange, rawCapBytes),
  });
  return { statements, replayed };
}

function rawsOf(flight: Flight, exchange: Exchange, capBytes: number): KeptRaws {
  const answer = exchange.answer;
  const captured = answer?.storage === AnswerStorage.FULL ? answer.raw.subarray(0, capBytes) : new Uint8Array(0);
  const capturedWhole = answer?.storage === AnswerStorage.FULL && answer.raw.length <= capBytes;
  return { captured, replayed: Buffer.concat(flight.raw), truncated: flight.rawTruncated || !capturedWhole };
}
