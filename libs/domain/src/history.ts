// History: the record of a run over a window of the past, and of a window that was imported from a file.
//
// Both lie in the status topic beside the snapshots. The plan of a run (its window and, per partition, the offsets that hold it) is
// written once, before anything is played; replayers of the run read it there.
import { z } from 'zod';
import { filtersSchema } from './filters.ts';
import { transactionOutcomes } from './outcomes.ts';

const count = z.number().int().nonnegative();
const atMs = z.number().nonnegative();
const offset = z.string().regex(/^\d{1,19}$/);
const micros = z.string().regex(/^\d{1,16}$/);

/** running: a process plays it; stopped: can be resumed; finished: every transaction is accounted for; failed: it ended otherwise. */
export const runStates = ['running', 'stopped', 'finished', 'failed'] as const;
export type RunState = (typeof runStates)[number];

/** Whose knowledge of ids is used; the words of the replayer's --map-ids. */
export const mapIdsSchema = z.enum(['off', 'session', 'mirror']);

/** How a run is played; the words of the replayer's flags. */
export const runSettingsSchema = z.object({
  pacing: z.string(),
  speed: z.number().positive(),
  exposure: z.number().min(0).max(1),
  filters: filtersSchema,
  /** Absent: off. */
  mapIds: mapIdsSchema.optional(),
  mapIdsReferences: z.array(z.string()).optional(),
});
export type RunSettings = z.infer<typeof runSettingsSchema>;

/** Envelope offsets [from, to) of one partition, and the transactions of the window in them. from = to: none. */
const runRangeSchema = z.object({ from: offset, to: offset, transactions: count });

/** A capture worker that has transactions in the window, and when the first of them began: on the wall clock and on its own. */
const runCaptureSchema = z.object({
  captureNode: z.string(),
  incarnation: z.string(),
  worker: count,
  beginsAtUs: micros,
  beginsAtMonoUs: micros,
});

/** One run of one mirror. Key: `run/<environment>/<mirror>/<run>`. */
export const runSnapshotSchema = z.object({
  kind: z.literal('run'),
  environment: z.string(),
  mirror: z.string(),
  run: z.string(),
  source: z.string(),
  atMs,
  state: z.enum(runStates),
  /** Why it failed. */
  detail: z.string().optional(),
  /** Transactions that started in [fromMs, toMs). */
  window: z.object({ fromMs: atMs, toMs: atMs }),
  settings: runSettingsSchema,
  plannedAtMs: atMs,
  /** Of the last start, and how often it was started. */
  startedAtMs: atMs,
  starts: count,
  endedAtMs: atMs.nullable(),
  /** Transactions in the window, counted before anything was played. */
  captured: count,
  /** What capture itself had left out of the window: a lower bound. */
  captureGaps: count,
  /** Per envelopes partition. */
  ranges: z.record(z.string(), runRangeSchema),
  /** Captured time (µs since the epoch, decimal) at which the last start began: pacing counts from there. */
  beginsAtUs: micros,
  /** Whom ordered pacing waits for. */
  captures: z.array(runCaptureSchema).optional(),
  /** So far: captured = the sum of these + in flight. */
  outcomes: z.object(
    Object.fromEntries(transactionOutcomes.map((name) => [name, count])) as Record<
      (typeof transactionOutcomes)[number],
      typeof count
    >,
  ),
});
export type RunSnapshot = z.infer<typeof runSnapshotSchema>;
export type RunCapture = z.infer<typeof runCaptureSchema>;

/** A source that was made from a file. Key: `import/<source>`. While `importing`, its topic is incomplete. */
export const importSnapshotSchema = z.object({
  kind: z.literal('import'),
  source: z.string(),
  atMs,
  state: z.enum(['importing', 'complete']),
  /** Of the file. */
  importedFrom: z.object({ source: z.string(), window: z.object({ fromMs: atMs, toMs: atMs }), transactions: count }),
});
export type ImportSnapshot = z.infer<typeof importSnapshotSchema>;

export const runKey = (environment: string, mirror: string, run: string): string =>
  `run/${environment}/${mirror}/${run}`;
export const importKey = (source: string): string => `import/${source}`;

/** captured − outcomes: what the run still owes. */
export function runInFlight({ captured, outcomes }: Pick<RunSnapshot, 'captured' | 'outcomes'>): number {
  return captured - transactionOutcomes.reduce((sum, name) => sum + outcomes[name], 0);
}
