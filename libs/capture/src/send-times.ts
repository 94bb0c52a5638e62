// When the client's frames were sent: a frame with its first byte, which may have come chunks ago.
import type { SendTime } from './pg/request-intake.ts';

const NONE = -1;

export class SendTimes {
  /** Of the frame in hand. One object, filled anew for each. */
  readonly now: SendTime = { sentUs: 0, afterSeq: 0, replies: 0 };
  /** Of the unfinished frame. */
  readonly #partial: SendTime = { sentUs: NONE, afterSeq: 0, replies: 0 };

  /** A chunk begins: its first frame may have begun earlier. */
  chunk(monoUs: number, afterSeq: number, replies: number): void {
    const { sentUs } = this.#partial;
    if (sentUs === NONE) this.frame(monoUs, afterSeq, replies);
    else this.frame(sentUs, this.#partial.afterSeq, this.#partial.replies);
  }

  /** A frame begins in the chunk in hand, and so was sent with it. */
  frame(monoUs: number, afterSeq: number, replies: number): void {
    this.now.sentUs = monoUs;
    this.now.afterSeq = afterSeq;
    this.now.replies = replies;
  }

  /** The chunk ended; `complete`: at a frame's end. */
  ended(complete: boolean): void {
    const partial = this.#partial;
    partial.sentUs = complete ? NONE : this.now.sentUs;
    partial.afterSeq = this.now.afterSeq;
    partial.replies = this.now.replies;
  }
}
