// The parts of an exchange draft that follow from the client's frames alone.
import type { ExchangeDraft, SegmentDraft } from '@mirrorstream/envelope';
import type { ClientFrame, ClientFrames } from './client-frames.ts';

const NO_SEGMENTS: readonly SegmentDraft[] = [];
const NO_BYTES = new Uint8Array(0);

/** `first`: the first frame of it that is not published; null when all is. `sentAtUs`: when the exchange was sent. */
export function exchangeDraft(
  index: number,
  first: ClientFrame | null,
  startedMonoUs: number,
  sentAtUs: number,
): ExchangeDraft {
  return {
    index,
    continues: false,
    request: NO_BYTES,
    segments: NO_SEGMENTS,
    sentUs: Math.max(0, (first === null ? sentAtUs : first.sentUs) - startedMonoUs),
    firstReplyUs: 0,
    doneUs: 0,
    afterSeq: first === null ? 0 : first.afterSeq,
    doneSeq: 0,
    answer: null,
    cancelledAfterUs: 0,
  };
}

export interface SegmentScope {
  /** Offset of the first byte that is not published. */
  readonly from: number;
  readonly startedMonoUs: number;
  /** Replies the session had seen before the first one to this exchange. */
  readonly replyBase: number;
  /** Replies seen when the last published byte was sent; infinite when none is published. */
  readonly publishedReplies: number;
}

/** Where the client waited: before a frame that was sent after a reply which the frame before it had not seen. */
export function segmentsOf(frames: ClientFrames, count: number, scope: SegmentScope): readonly SegmentDraft[] {
  let segments: SegmentDraft[] | null = null;
  let seen = scope.publishedReplies;
  for (let i = 0; i < count; i++) {
    const frame = frames.at(i);
    if (frame.start >= scope.from && frame.replies > scope.replyBase && frame.replies > seen) {
      segments ??= [];
      segments.push({ end: frame.start - scope.from, sentUs: frame.sentUs - scope.startedMonoUs });
    }
    seen = frame.replies;
  }
  return segments ?? NO_SEGMENTS;
}
