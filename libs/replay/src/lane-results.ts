// Builds the results of a lane, and says which Kafka offsets each of them settles.
//
// A transaction in parts must be delivered again as a whole should this process die in its midst: its first part keeps its offset
// open until the last part is settled. Later parts lie behind it and need not.
import { TransactionOutcome } from '@mirrorstream/envelope';
import type { LaneEffect, LaneResult } from './lane-types.ts';
import type { EndWork, PartWork } from './lane-work.ts';

type ResultEffect = Extract<LaneEffect, { kind: 'result' }>;

export class LaneResults {
  readonly #sessionId: string;
  #pinned: { readonly seq: number; readonly offset: bigint } | null = null;

  constructor(sessionId: string) {
    this.#sessionId = sessionId;
  }

  ofPart(work: PartWork, replayedOutcome: TransactionOutcome): ResultEffect {
    const { envelope, place } = work;
    const { lastPart, part } = envelope;
    const failed = work.failed !== null;
    const result: LaneResult = {
      ref: { ...place, sessionId: this.#sessionId, sessionSeq: envelope.sessionSeq, part, lastPart },
      outcome: failed ? 'failed' : 'replayed',
      reason: work.failed ?? '',
      capturedAtUs: envelope.startedAtUs,
      scheduledAtUs: BigInt(Math.trunc(work.scheduledAtUs)),
      sentAtUs: BigInt(Math.trunc(work.sentAtUs)),
      doneAtUs: BigInt(Math.trunc(work.doneAtUs)),
      statements: failed ? [] : work.statements,
      capturedOutcome: envelope.outcome,
      replayedOutcome: failed || !lastPart ? TransactionOutcome.UNSPECIFIED : replayedOutcome,
      transactions: lastPart ? 1 : 0,
      sessionEnd: false,
    };
    const goesOn = part === 0 && !lastPart;
    const resolves = this.#release(lastPart ? null : work.seq);
    if (goesOn) this.#pinned = { seq: work.seq, offset: place.offset };
    else resolves.push(place.offset);
    return { kind: 'result', result, resolves, holds: goesOn ? place.offset : null, releasedBytes: work.sizeBytes };
  }

  ofSessionEnd(work: EndWork): ResultEffect {
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
    };
    const resolves = [...this.#release(null), work.place.offset];
    return { kind: 'result', result, resolves, holds: null, releasedBytes: work.sizeBytes };
  }

  /** The pinned offset is free when its transaction is over, or another one came without its last part ever having come. */
  #release(openSeq: number | null): bigint[] {
    if (this.#pinned === null || this.#pinned.seq === openSeq) return [];
    const { offset } = this.#pinned;
    this.#pinned = null;
    return [offset];
  }
}
