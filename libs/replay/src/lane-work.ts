// An envelope part as a lane works it off: its exchanges cut where the client waited, with the moments production sent them.
import type { NotComparedReason } from '@mirrorstream/domain';
import type { Envelope, Exchange } from '@mirrorstream/envelope';
import type { FailedReason, RecordPlace } from './lane-types.ts';
import { withProductionsOid } from './large-objects.ts';
import type { Skip } from './skip.ts';
import type { StatementComparison } from './stage-one.ts';
import { OutcomeTally } from './transaction-outcome.ts';

/** Bytes [from, to) of a request that went out together. */
export interface Chunk {
  readonly from: number;
  readonly to: number;
  /** Wall clock at which production's client began to send it. */
  readonly capturedAtUs: number;
}

/** One Exchange record: a whole exchange, or a piece of one that goes on in the next part. */
export interface Piece {
  readonly exchange: Exchange;
  /** What goes out: the exchange's request, or what stands for it here. */
  readonly request: Uint8Array;
  readonly chunks: readonly Chunk[];
  /** The client waited for a reply after the last byte of this piece. */
  readonly waitsAtEnd: boolean;
  /** On capture's monotonic clock. */
  readonly sentMonoUs: number;
  /** 0: production never answered. */
  readonly doneMonoUs: number;
}

export interface PartWork {
  readonly kind: 'part';
  readonly place: RecordPlace;
  readonly envelope: Envelope;
  readonly seq: number;
  readonly pieces: Piece[];
  readonly sizeBytes: number;
  /** It will not be played, or was not to its end. */
  failed: FailedReason | null;
  /** It must not reach the mirror, although its transaction has begun there. */
  withheld: boolean;
  /** Pieces that are answered, or sent if they go on elsewhere. */
  finishedPieces: number;
  scheduledAtUs: number;
  sentAtUs: number;
  doneAtUs: number;
  readonly statements: StatementComparison[];
  /** From an exchange on that differs: a write of another session overlapped it or one before it in production. */
  raced: boolean;
  /** How often it was played again from its beginning because it failed here, and because it read too early. */
  failures: number;
  rereads: number;
  /** Of what is to be played again: not before this exchange may go, nor before that moment. */
  retriedFor: Exchange | null;
  notBeforeUs: number;
  /** Its last exchange is a ROLLBACK, whatever production's client sent. */
  rolledBack: boolean;
  /** Of its transaction, shared by all parts. */
  readonly tally: OutcomeTally;
  /** Why a difference in its answers proves nothing. */
  excuse: NotComparedReason | '';
}

export interface EndWork {
  readonly kind: 'sessionEnd';
  readonly place: RecordPlace;
  readonly atUs: number;
  readonly sizeBytes: number;
}

/** What a result says of its envelope. */
export type EnvelopeFacts = Pick<Envelope, 'sessionSeq' | 'part' | 'lastPart' | 'startedAtUs' | 'outcome'>;

/** A part that is not played. It waits for its place among the session's results, without the envelope's bytes. */
export interface SkippedWork {
  readonly kind: 'skipped';
  readonly place: RecordPlace;
  readonly seq: number;
  readonly facts: EnvelopeFacts;
  readonly skip: Skip;
  readonly sizeBytes: number;
}

export type Work = PartWork | SkippedWork | EndWork;

/** A skipped part and its place in the offsets, measured with some room. */
export const SKIPPED_BYTES = 512;

export function skippedWork(place: RecordPlace, envelope: EnvelopeFacts, skip: Skip): SkippedWork {
  const { sessionSeq, part, lastPart, startedAtUs, outcome } = envelope;
  const facts = { sessionSeq, part, lastPart, startedAtUs, outcome };
  return { kind: 'skipped', place, seq: Number(sessionSeq), facts, skip, sizeBytes: SKIPPED_BYTES };
}

export function partWork(
  place: RecordPlace,
  envelope: Envelope,
  sizeBytes: number,
  tally = new OutcomeTally(),
): PartWork {
  return {
    kind: 'part',
    place,
    envelope,
    seq: Number(envelope.sessionSeq),
    pieces: envelope.exchanges.map((exchange) => pieceOf(envelope, exchange)),
    sizeBytes,
    failed: null,
    withheld: false,
    finishedPieces: 0,
    scheduledAtUs: 0,
    sentAtUs: 0,
    doneAtUs: 0,
    statements: [],
    raced: false,
    failures: 0,
    rereads: 0,
    retriedFor: null,
    notBeforeUs: 0,
    rolledBack: false,
    tally,
    excuse: '',
  };
}

/** Nothing of it has happened. */
export function beginAnew(work: PartWork): void {
  work.statements.length = 0;
  work.finishedPieces = 0;
  work.sentAtUs = 0;
  work.raced = false;
  work.tally.reset();
}

function pieceOf(envelope: Envelope, exchange: Exchange): Piece {
  const startedAtUs = Number(envelope.startedAtUs);
  const startedMonoUs = Number(envelope.startedMonoUs);
  const sizeBytes = exchange.request.length;
  const chunks: Chunk[] = [];
  let from = 0;
  let sentUs = Number(exchange.sentUs);
  for (const segment of exchange.segments) {
    const to = Math.min(Math.max(segment.end, from), sizeBytes);
    if (to > from) chunks.push({ from, to, capturedAtUs: startedAtUs + sentUs });
    from = to;
    sentUs = Number(segment.sentUs);
  }
  const waitsAtEnd = from === sizeBytes && exchange.segments.length > 0;
  if (from < sizeBytes || chunks.length === 0) chunks.push({ from, to: sizeBytes, capturedAtUs: startedAtUs + sentUs });
  return {
    exchange,
    request: withProductionsOid(exchange.request, exchange.answer),
    chunks,
    waitsAtEnd,
    sentMonoUs: startedMonoUs + Number(exchange.sentUs),
    doneMonoUs: exchange.doneUs === 0n ? 0 : startedMonoUs + Number(exchange.doneUs),
  };
}

/** Objects around the bytes, measured on envelopes of one prepared statement. */
const ENVELOPE_BYTES = 1500;
const EXCHANGE_BYTES = 900;

/** What an envelope weighs in a queue: its bytes and the objects around them. */
export function queuedBytes(envelope: Envelope): number {
  let sizeBytes = ENVELOPE_BYTES;
  for (const { request, answer } of envelope.exchanges)
    sizeBytes += EXCHANGE_BYTES + request.length + (answer?.raw.length ?? 0);
  return sizeBytes;
}

/** When production was done with an envelope, wall clock in µs since the epoch. Long in production is not late here. */
export function doneAtUs(envelope: Envelope): number {
  const last = envelope.exchanges.at(-1);
  const us = last === undefined ? 0 : Number(last.doneUs === 0n ? last.sentUs : last.doneUs);
  return Number(envelope.startedAtUs) + us;
}
