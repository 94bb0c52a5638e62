// What is missing since a session's place was lost, and where it can be followed again.
import type { GapDraft, GapReason } from '@mirrorstream/envelope';
import { QuietPoint } from './quiet-point.ts';

/** What is missing since the place was lost, or since that was last reported. */
interface Missing {
  readonly reason: GapReason;
  readonly openTransactions: number;
  /** Told as dropped before their end went by: the next time the server comes to rest is theirs. */
  readonly toldOpen: number;
  readonly atUs: number;
  readonly reported: boolean;
  sizeBytes: number;
}

/** The facts a report needs besides; `atUs`: wall clock at which the place was lost. */
export interface GapContext {
  readonly sessionId: string;
  readonly wallUsAtMonoZero: number;
  readonly afterSeq: number;
}

export class LostPlace {
  readonly quiet = new QuietPoint();
  #missing: Missing | null = null;

  /** The place is lost, or lost again: `sizeBytes` of traffic cannot be captured, `openTransactions` were given up. */
  lose(reason: GapReason, sizeBytes: number, openTransactions: number, atUs: number): void {
    if (this.#missing === null) {
      this.#missing = { reason, sizeBytes, openTransactions, toldOpen: 0, atUs, reported: false };
      this.quiet.reset();
    } else {
      this.#missing.sizeBytes += sizeBytes;
    }
  }

  /** Bytes that went by meanwhile. */
  unseen(sizeBytes: number): void {
    if (this.#missing !== null) this.#missing.sizeBytes += sizeBytes;
  }

  /** Monotonic time since which nothing was reported; null when nothing is missing. */
  get sinceUs(): number | null {
    return this.#missing?.atUs ?? null;
  }

  /** Transactions that the next report will tell of. */
  get untoldTransactions(): number {
    if (this.#missing === null) return 0;
    const { openTransactions, toldOpen } = this.#missing;
    return Math.max(openTransactions, this.quiet.idles - toldOpen);
  }

  /** The gap so far, null when there is none or nothing new. `goesOn`: the place is still lost at `atUs`. */
  report(context: GapContext, goesOn: boolean, atUs: number): GapDraft | null {
    const missing = this.#missing;
    if (missing === null) return null;
    const { reason, sizeBytes } = missing;
    const transactions = this.untoldTransactions;
    const nothingNew = missing.reported && sizeBytes === 0 && transactions === 0;
    const toldOpen = Math.max(0, missing.toldOpen + transactions - this.quiet.idles);
    this.#missing = goesOn ? { reason, sizeBytes: 0, openTransactions: 0, toldOpen, atUs, reported: true } : null;
    this.quiet.idles = 0;
    if (nothingNew) return null;
    return {
      kind: 'gap',
      sessionId: context.sessionId,
      atUs: context.wallUsAtMonoZero + missing.atUs,
      reason,
      transactions,
      sizeBytes,
      afterSeq: context.afterSeq,
      transactionsExact: false,
    };
  }
}
