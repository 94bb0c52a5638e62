// Packs the exchanges of a transaction into parts of bounded size, cutting a request that is larger than a part.
import type { AnswerDraft, ExchangeDraft, SegmentDraft } from '@mirrorstream/envelope';

/** Upper bounds of what the encoding adds to the bytes carried. */
const EXCHANGE_BYTES = 128;
const OBSERVATION_BYTES = 120;
const SEGMENT_BYTES = 20;
/** Room for the envelope's own fields and the batch around a single one. */
export const ENVELOPE_BYTES = 1024;
const NO_BYTES = new Uint8Array(0);

/** An exchange's encoded size is never above this. */
export function exchangeBytesAtMost(exchange: ExchangeDraft): number {
  return (
    EXCHANGE_BYTES + exchange.request.length + SEGMENT_BYTES * exchange.segments.length + answerBytes(exchange.answer)
  );
}

function answerBytes(answer: AnswerDraft | null): number {
  return answer === null ? 0 : answer.raw.length + answer.observations.length * OBSERVATION_BYTES;
}

/**
 * Calls `emit` for each part, in order, the last time with `isLast`. `contextBytes` is what the first part carries besides. Requests
 * are cut where room ends, the pieces before the last marked `continues`.
 */
export function packParts(
  exchanges: readonly ExchangeDraft[],
  partBytes: number,
  contextBytes: number,
  emit: (exchanges: readonly ExchangeDraft[], isLast: boolean) => void,
): void {
  const whole = partBytes - ENVELOPE_BYTES;
  let room = whole - contextBytes;
  let group: ExchangeDraft[] = [];
  const close = (): void => {
    emit(group, false);
    group = [];
    room = whole;
  };
  for (const exchange of exchanges) {
    let rest = exchange;
    if (exchangeBytesAtMost(rest) > room && (group.length > 0 || room < whole)) close();
    while (exchangeBytesAtMost(rest) > room && rest.request.length > 0) {
      const takenBytes = Math.min(rest.request.length, room - EXCHANGE_BYTES - SEGMENT_BYTES * rest.segments.length);
      const [piece, after] = cutRequest(rest, Math.max(1, takenBytes));
      group.push(piece);
      close();
      rest = after;
    }
    group.push(rest);
    room -= exchangeBytesAtMost(rest);
  }
  emit(group, true);
}

/** The first `takenBytes` of the request as a piece that continues, and the rest with the answer. */
function cutRequest(exchange: ExchangeDraft, takenBytes: number): readonly [ExchangeDraft, ExchangeDraft] {
  const before: SegmentDraft[] = [];
  const after: SegmentDraft[] = [];
  for (const segment of exchange.segments) {
    if (segment.end <= takenBytes) before.push(segment);
    else after.push({ end: segment.end - takenBytes, sentUs: segment.sentUs });
  }
  const sentUs = before.at(-1)?.sentUs ?? exchange.sentUs;
  const piece = {
    ...exchange,
    continues: true,
    request: exchange.request.subarray(0, takenBytes),
    segments: before,
    firstReplyUs: 0,
    doneUs: 0,
    doneSeq: 0,
    answer: null,
    cancelledAfterUs: 0,
  };
  const rest = takenBytes >= exchange.request.length ? NO_BYTES : exchange.request.subarray(takenBytes);
  return [piece, { ...exchange, request: rest, segments: after, sentUs }];
}
