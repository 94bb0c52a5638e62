// The status contract `mirrorstream.status/1`: what `up --json` and `status --json` print.
import { z } from 'zod';
import { pacingMeasuredSchema } from './pacing.ts';
import { shedStages } from './shed.ts';

const count = z.number().int().nonnegative();

export const mirrorStatusSchema = z.object({
  /** captured = replayed + filtered + unexposed + shed + failed + inFlight, in transactions. */
  transactions: z.object({
    captured: count,
    replayed: count,
    filtered: count,
    unexposed: count,
    shed: count,
    failed: count,
    inFlight: count,
  }),
  statements: z.object({
    match: count,
    numericEpsilon: count,
    maskedMatch: count,
    orderOnly: count,
    collation: count,
    rowCount: count,
    value: count,
    columns: count,
    commandTag: count,
    errorNew: count,
    errorGone: count,
    errorChanged: count,
    suspect: count,
    notCompared: count,
  }),
  /** Age of the next unresolved envelope; 0 when there is none. */
  behindSourceMs: z.number().nonnegative(),
  /** Kafka records not yet read. */
  consumerLag: count,
  /** What its replayers play now, together; absent while none runs. */
  playing: z
    .object({
      paused: z.boolean(),
      exposure: z.number(),
      /** Since the settings in force were: of the sessions that said something, those admitted. */
      sessions: z.object({ seen: count, played: count }),
      transactions: z.object({ seen: count, played: count }),
      /** The furthest of them. */
      shedding: z.enum(shedStages),
    })
    .optional(),
  /** How its running replayers keep time and order, since each of them started; quantiles are those of the latest. Absent while none runs. */
  pacing: pacingMeasuredSchema.optional(),
});
export type MirrorStatus = z.infer<typeof mirrorStatusSchema>;

export const statusSchema = z.object({
  schema: z.literal('mirrorstream.status/1'),
  source: z.object({
    name: z.string(),
    sessions: count,
    transactions: count,
    exchanges: count,
    bytes: count,
    dropped: z.object({ transactions: count, bytes: count }),
    /** On purpose: sessions outside the sample, or that began while capture was off, and bytes. */
    leftOut: z.object({ sessions: count, bytes: count }),
  }),
  mirrors: z.record(z.string(), mirrorStatusSchema),
});
export type Status = z.infer<typeof statusSchema>;
