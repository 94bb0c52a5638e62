// With ordered pacing: which transaction lost a race here that it won in production and is played again, and which must not be committed.
//
// Both are what an application would do, or did. Neither loses anything: of what is played again nothing was committed, and what is
// rolled back here was rolled back there.
import {
  type Envelope,
  type Exchange,
  type ObservationDraft,
  StatementEnd,
  TransactionOutcome,
} from '@mirrorstream/envelope';
import {
  closeTarget,
  encodeFrontend,
  F,
  frameEndAt,
  parseStatementName,
  TargetByte,
  WireWriter,
} from '@mirrorstream/pg-wire';
import { type Answered, isDifferent, lostRace } from './flight-verdict.ts';
import type { PartWork, Piece } from './lane-work.ts';
import type { OrderGate } from './order/coordinator.ts';

export interface RetryRules {
  /** How often a transaction that failed is played again at most, at growing distances. */
  readonly failures: number;
  /** After so many, others go on without it: what it clashes with may be open and wait for it. */
  readonly yieldAfter: number;
  /** How often at most because of what it read. */
  readonly rereads: number;
  /** Whether all its statements are known to only read: asking twice changes nothing. */
  readonly onlyReads: (envelope: Envelope) => boolean;
}

/** Of simple queries, and in it of what a transaction block cannot take back. */
const endingTags = /^(?:COMMIT|ROLLBACK|PREPARE TRANSACTION|CALL|DO)$/;
/** A procedure may commit on its own. */
const procedure = /^\s*(?:call|do)\b/i;
/** What stays in the session although its transaction is rolled back. */
const staying = /\b(?:prepare|deallocate|discard)\b|pg_(?:try_)?advisory_lock/i;

export class LaneRetries {
  readonly #order: OrderGate | undefined;
  readonly #rules: RetryRules | undefined;

  /** Without rules, or where the order is not kept: never. */
  constructor(order: OrderGate | undefined, rules: RetryRules | undefined) {
    this.#order = order;
    this.#rules = rules;
  }

  /** Whether the transaction is to be played again, all of it that was sent being answered. */
  wants(answered: Answered, nowUs: number): boolean {
    const { flight, exchange, owner } = answered;
    const rules = this.#rules;
    if (this.#order?.keeps !== true || rules === undefined) return false;
    const { part, lastPart } = owner.envelope;
    if (part > 0 || !lastPart || flight.status === '' || owner.failed !== null) return false;
    const failed = hasFailedHere(answered);
    if (failed ? owner.failures >= rules.failures : owner.rereads >= rules.rereads) return false;
    if (!failed && !hasReadEarly(answered, rules)) return false;
    const played = owner.envelope.exchanges.slice(0, owner.envelope.exchanges.indexOf(exchange) + 1);
    if (played.some(({ request }) => staysInSession(request))) return false;
    if (!failed && !this.#order.awaitsWrite(exchange, nowUs)) return false;
    if (failed) {
      owner.failures += 1;
      owner.notBeforeUs = nowUs + distanceUs(owner.failures);
    } else {
      owner.rereads += 1;
      owner.retriedFor = exchange;
    }
    this.#order.retried(exchange, failed && owner.failures >= rules.yieldAfter);
    return true;
  }

  /**
   * Whether production could not commit it at this place: because COMMIT failed for the order of transactions, or had nothing left to
   * commit after such a failure. `captured`: what production answered.
   */
  mustRollBack(
    { envelope, rolledBack }: PartWork,
    exchange: Exchange,
    captured: () => readonly ObservationDraft[],
  ): boolean {
    const { exchanges, lastPart } = envelope;
    if (this.#order?.keeps !== true || this.#rules === undefined || rolledBack || !lastPart) return false;
    if (exchanges.length < 2 || exchange !== exchanges.at(-1) || exchange.answer?.status !== 'I') return false;
    const [answer, ...more] = captured();
    if (answer === undefined || more.length > 0 || staysInSession(exchange.request)) return false;
    switch (exchanges.at(-2)?.answer?.status) {
      case 'T':
        return isError(answer) && lostRace(answer.sqlState);
      case 'E':
        return (
          answer.commandTag === 'ROLLBACK' && exchanges.some(hasLostRace) && !/rollback|abort/i.test(textOf(exchange))
        );
      default:
        return false;
    }
  }
}

export function rollbackPiece(piece: Piece): Piece {
  const [first] = piece.chunks;
  return {
    ...piece,
    request: rollback,
    chunks: [{ from: 0, to: rollback.length, capturedAtUs: first?.capturedAtUs ?? 0 }],
  };
}

const writer = new WireWriter();
encodeFrontend({ kind: 'query', query: 'ROLLBACK' }, writer);
export const rollback = writer.take();

/** At once, then 1, 2, 4 … ms, to 64 ms. */
const distanceUs = (failures: number): number => (failures === 1 ? 0 : 1000 * 2 ** Math.min(failures - 2, 6));

/** It read before a write that it overlapped, which production's may have seen. */
function hasReadEarly({ flight, exchange, owner, statements }: Answered, rules: RetryRules): boolean {
  if (!statements.some(isDifferent)) return false;
  if (flight.observations.some(isError) || statements.some(({ captured }) => isError(captured))) return false;
  const exchanges = owner.envelope.exchanges.slice(0, owner.envelope.exchanges.indexOf(exchange) + 1);
  return rules.onlyReads({ ...owner.envelope, exchanges, writes: false });
}

/** Production committed it, and the mirror rolled it back for the order of transactions alone. */
function hasFailedHere({ flight, owner, statements }: Answered): boolean {
  if (owner.envelope.outcome !== TransactionOutcome.COMMITTED) return false;
  if (!flight.observations.some((it) => isError(it) && lostRace(it.sqlState))) return false;
  if (statements.some(({ captured }) => isError(captured)) || flight.texts.executed.some((sql) => procedure.test(sql)))
    return false;
  const answers = [...owner.statements.map(({ replayed }) => replayed), ...flight.observations];
  return !answers.some(({ commandTag }) => endingTags.test(commandTag));
}

const isError = ({ end }: ObservationDraft): boolean => end === StatementEnd.ERROR;
const hasLostRace = ({ answer }: Exchange): boolean =>
  answer?.observations.some(({ sqlState }) => lostRace(sqlState)) ?? false;

const textOf = ({ request }: Pick<Exchange, 'request'>): string =>
  Buffer.from(request.buffer, request.byteOffset, request.byteLength).toString('latin1');

function staysInSession(request: Uint8Array): boolean {
  let stays = staying.test(textOf({ request }));
  for (let start = 0, end = 0; start < request.length && !stays; start = end) {
    end = frameEndAt(request, start, request.length);
    if (end < 0) return true;
    if (request[start] === F.Parse) stays = parseStatementName(request, start, end) !== '';
    if (request[start] === F.Close) stays = closeTarget(request, start, end) === TargetByte.Statement;
  }
  return stays;
}
