// Builds the results of a lane, and says which Kafka offsets each of them settles.
//
// A transaction in parts must be delivered again as a whole should this process die in its midst: its first part keeps its offset
// open until the last part is settled. Later parts lie behind it and need not.
import type { OrderMark } from '@mirrorstream/domain';
import { TransactionOutcome } from '@mirrorstream/envelope';
import type { LaneResult, RecordPlace, ResultEffect } from './lane-types.ts';
import type { EndWork, EnvelopeFacts, PartWork } from './lane-work.ts';
import type { Skip } from './skip.ts';

/** What became of an envelope part, beside what the envelope itself says. */
type PartFacts = Pick<
  LaneResult,
  | 'outcome'
  | 'reason'
  | 'scheduledAtUs'
  | 'sentAtUs'
  | 'doneAtUs'
  | 'statements'
  | 'replayedOutcome'
  | 'order'
  | 'raced'
>;

const unordered = { order: '', raced: false } as const;

export class LaneResults {
  readonly #sessionId: string;
  #pinned: { readonly seq: number; readonly offset: bigint } | null = null;

  constructor(sessionId: string) {
    this.#sessionId = sessionId;
  }

  ofPart(work: PartWork, replayedOutcome: TransactionOutcome, order: OrderMark): ResultEffect {
    const { failed, envelope } = work;
    const facts: PartFacts = {
      outcome: failed === null ? 'replayed' : 'failed',
      reason: failed ?? '',
      scheduledAtUs: BigInt(Math.trunc(work.scheduledAtUs)),
      sentAtUs: BigInt(Math.trunc(work.sentAtUs)),
      doneAtUs: BigInt(Math.trunc(work.doneAtUs)),
      statements: failed === null ? work.statements : [],
      replayedOutcome: failed === null && envelope.lastPart ? replayedOutcome : TransactionOutcome.UNSPECIFIED,
      order,
      raced: failed === null && work.raced,
    };
    return this.#part(work.place, envelope, work.sizeBytes, facts);
  }

  /** An envelope that is not for this mirror, or not now. */
  ofSkipped(
    place: RecordPlace,
    envelope: EnvelopeFacts,
    { outcome, reason }: Pick<Skip, 'outcome' | 'reason'>,
    releasedBytes = 0,
  ): ResultEffect {
    const never = { scheduledAtUs: 0n, sentAtUs: 0n, doneAtUs: 0n, statements: [], ...unordered };
    const replayedOutcome = TransactionOutcome.UNSPECIFIED;
    return this.#part(place, envelope, releasedBytes, { outcome, reason, ...never, replayedOutcome });
  }

  #part(place: RecordPlace, envelope: EnvelopeFacts, releasedBytes: number, facts: PartFacts): ResultEffect {
    const { lastPart, part, sessionSeq } = envelope;
    const result: LaneResult = {
      ...facts,
      ref: { ...place, sessionId: this.#sessionId, sessionSeq, part, lastPart },
      capturedAtUs: envelope.startedAtUs,
      capturedOutcome: envelope.outcome,
      transactions: lastPart ? 1 : 0,
      sessionEnd: false,
    };
    const seq = Number(sessionSeq);
    const goesOn = part === 0 && !lastPart;
    const resolves = this.release(lastPart ? null : seq);
    if (goesOn) this.#pinned = { seq, offset: place.offset };
    else resolves.push(place.offset);
    return { kind: 'result', result, resolves, holds: goesOn ? place.offset : null, releasedBytes };
  }

  ofSessionEnd(work: Pick<EndWork, 'place' | 'atUs' | 'sizeBytes'>): ResultEffect {
    const result: LaneResult = {
      ref: { ...work.place, sessionId: this.#sessionId, sessionSeq: 0n, part: 0, lastPart: false },
      outcome: 'replayed',
      reason: '',
      capturedAtUs: BigInt(Math.trunc(work.atUs)),
      scheduledAtUs: 0n,
      sentAtUs: 0n,
      doneAtUs: 0n,
      statements: [],
      capturedOutcome: TransactionOutcome.UNSPECIFIED,
      replayedOutcome: TransactionOutcome.UNSPECIFIED,
      transactions: 0,
      sessionEnd: true,
      ...unordered,
    };
    const resolves = [...this.release(null), work.place.offset];
    return { kind: 'result', result, resolves, holds: null, releasedBytes: work.sizeBytes };
  }

  /** The pinned offset is free when its transaction is over, or another one came without its last part ever having come. */
  release(openSeq: number | null): bigint[] {
    if (this.#pinned === null || this.#pinned.seq === openSeq) return [];
    const { offset } = this.#pinned;
    this.#pinned = null;
    return [offset];
  }
}
