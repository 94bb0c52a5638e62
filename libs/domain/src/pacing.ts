// How replay keeps time and order: the modes, and what a replayer, or all of a mirror together, have measured.
import { z } from 'zod';

export const pacingModes = ['timed', 'asap', 'ordered'] as const;

const count = z.number().int().nonnegative();

export const pacingMeasuredSchema = z.object({
  mode: z.enum(pacingModes),
  /** With timed: how late sends were, since the start. */
  scheduleLagMs: z.object({ sends: count, p50: z.number(), p99: z.number(), max: z.number() }),
  /** Pairs sent out of order because waiting has a bound (ordered). */
  orderGivenUp: count,
  /** Exchanges sent out of order where nobody waits (timed, asap). */
  outOfOrder: count,
  /** With ordered: transactions played again from their beginning, each time; those rolled back because production failed to commit them. */
  retried: count.optional(),
  rolledBack: count.optional(),
  /** Transactions with a difference that were replayed out of order, or overlapped by another session's write in production. */
  divergedByOrder: count,
});
