// One captured exchange on a time line that several capture workers share, and which of two came first in production.
import type { Envelope, Exchange } from './gen/mirrorstream/v1/envelope_pb.ts';

export interface OrderedExchange {
  /** The worker that captured it: `incarnation/worker`. */
  readonly source: string;
  /** The monotonic clock of its times. */
  readonly clock: string;
  readonly partition: number;
  readonly envelope: Envelope;
  /** Or a piece of one that goes on (`continues`). */
  readonly exchange: Exchange;
  /** µs since the epoch: the clock's monotonic time, moved by one and the same offset for all of that clock. */
  readonly sentUs: number;
  /** Null: a piece, or an exchange that was never answered. Nothing comes after those. */
  readonly doneUs: number | null;
  readonly afterSeq: bigint;
  readonly doneSeq: bigint;
  /** False: it came too late for its place, or memory ran out. What should have come after it may have come before it. */
  readonly inOrder: boolean;
}

/**
 * Whether `a` had been answered in full before the first byte of `b` was sent, as far as can be known. The same worker: its own
 * numbers say so, exactly. Two workers on one clock: their times do. Two clocks: their times do when they are more than
 * `clockUncertaintyUs` apart. Neither before the other: they overlapped, or nobody can tell; production gave them no order.
 */
export function answeredBefore(a: OrderedExchange, b: OrderedExchange, clockUncertaintyUs: number): boolean {
  if (a.doneUs === null) return false;
  if (a.source === b.source) return a.doneSeq <= b.afterSeq;
  return a.doneUs + (a.clock === b.clock ? 0 : clockUncertaintyUs) < b.sentUs;
}
