// How far a worker has come: what its heartbeats promise. Everything done up to here is in a record already, or was dropped for good.
import type { Completion } from '@mirrorstream/capture';

export interface Watermark {
  /** Nothing will come that was done at or before this, on the monotonic clock. */
  readonly monoUs: number;
  /** Nothing will come with this number or a lower one. */
  readonly doneSeq: number;
}

/**
 * `seenUs`: chunks that are not handled yet were read later than this or in the same microsecond. `held`: the oldest completion of
 * each session that waits for the rest of its transaction.
 */
export function watermarkOf(seenUs: number, lastDoneSeq: number, held: Iterable<Completion>): Watermark {
  let doneUs = seenUs;
  let nextSeq = lastDoneSeq + 1;
  for (const completion of held) {
    if (completion.doneUs < doneUs) doneUs = completion.doneUs;
    if (completion.doneSeq < nextSeq) nextSeq = completion.doneSeq;
  }
  return { monoUs: doneUs - 1, doneSeq: nextSeq - 1 };
}
