// Snapshots: the counters each service publishes to the status topic, about once a second and when it stops.
//
// A snapshot's key names who counts; the newest snapshot per key is the truth of that counter, so totals survive restarts:
// a restarted proxy counts under a new incarnation, a comparer resumes from its own snapshot (its checkpoint).
import { z } from 'zod';
import { answerPolicies } from './control.ts';
import { importKey, importSnapshotSchema, runKey, runSnapshotSchema } from './history.ts';
import {
  gapReasons,
  notComparedReasons,
  type StatementClass,
  statementClasses,
  transactionOutcomes,
} from './outcomes.ts';
import { pacingMeasuredSchema } from './pacing.ts';
import { shedStages } from './shed.ts';

const count = z.number().int().nonnegative();
const atMs = z.number().nonnegative();
const countsOf = <T extends string>(names: readonly T[]) =>
  z.object(Object.fromEntries(names.map((name) => [name, count])) as Record<T, typeof count>);

const sourceServerSchema = z.object({
  /** As configured, in order. */
  addresses: z.array(z.object({ host: z.string(), port: count })),
  /** Host name of the machine that these are seen from: there, and only there, a loopback address means the same. */
  seenFrom: z.string(),
  /** Of the cluster (pg_control_system), where it was configured. Decimal. */
  systemIdentifier: z.string().optional(),
});
export type SourceServer = z.infer<typeof sourceServerSchema>;

const leftOut = z.object({ sessions: count, bytes: count });

/** Counters of one capture proxy since it started. Key: `capture/<source>/<captureNode>/<incarnation>`. */
export const captureSnapshotSchema = z.object({
  kind: z.literal('capture'),
  source: z.string(),
  captureNode: z.string(),
  incarnation: z.string(),
  /** Wall clock, ms since the epoch. */
  atMs,
  /** The proxy has published all it had and stopped. */
  final: z.boolean(),
  sessions: z.object({ total: count, open: count }),
  /** Acknowledged by Kafka: this is what `captured` means. */
  transactions: count,
  exchanges: count,
  /** Bytes of traffic forwarded, both directions. */
  bytes: count,
  /** Left out on purpose, never part of `dropped`: sessions that began so, and the bytes that went by. */
  leftOut: z.object({ unsampled: leftOut, captureOff: leftOut }).optional(),
  /** What the proxy does now. `revision`: offset of the control record that says so (decimal); null: its flags alone. */
  control: z
    .object({
      revision: z.string().nullable(),
      capture: z.enum(['on', 'off']),
      sampling: z.number(),
      answers: z.enum(answerPolicies),
      answerCapBytes: count,
    })
    .optional(),
  dropped: z.object({
    transactions: count,
    bytes: count,
    byReason: z.partialRecord(z.enum(gapReasons), count),
  }),
  /** Seen but not acknowledged yet: open transactions, ring, publish buffer. */
  pending: z.object({ transactions: count, bytes: count }),
  /** Per envelopes partition: offset after the last acknowledged record. Lets a successor find what was published later. */
  publishedUpTo: z.record(z.string(), z.string()),
  /** Per envelopes partition: number of the last record that is acknowledged or refused for good (header `record`). */
  settledRecords: z.record(z.string(), count).optional(),
  /** Which worker process of the proxy. Default 0. */
  worker: count.optional(),
  /** Names the process beyond reuse of its pid; only its own host can tell whether it lives. */
  process: z.string().optional(),
  /** What it captures from: so that no replayer takes it for a mirror. */
  server: sourceServerSchema.optional(),
});
export type CaptureSnapshot = z.infer<typeof captureSnapshotSchema>;

/** Classes that came later: a snapshot of an earlier version lacks them. */
const laterClasses: ReadonlySet<StatementClass> = new Set(['numericEpsilon', 'maskedMatch', 'collation', 'suspect']);
const laterCount = count.default(0);
const statementCounts = z.object(
  Object.fromEntries(statementClasses.map((name) => [name, laterClasses.has(name) ? laterCount : count])) as Record<
    StatementClass,
    typeof laterCount
  >,
);

/** Absent: the live replay. */
const run = z.string().optional();

/** State of one replayer process. Key: `replayer/<environment>/<mirror>/<instance>`, of a run `replayer/<environment>/<mirror>/<run>/<instance>`. */
export const replayerSnapshotSchema = z.object({
  kind: z.literal('replayer'),
  environment: z.string(),
  mirror: z.string(),
  run,
  instance: z.string(),
  atMs,
  final: z.boolean(),
  /** Transactions taken from Kafka by this process, and what became of them so far. read = resolved + pending. */
  read: count,
  resolved: count,
  pending: count,
  lanes: count,
  /** Of sessions that share connections: those that keep theirs, and why. */
  bound: z.record(z.string(), count).optional(),
  /** Per assigned envelopes partition. */
  partitions: z.record(z.string(), z.object({ consumerLag: count, behindSourceMs: z.number().nonnegative() })),
  /** Since it started. */
  pacing: pacingMeasuredSchema.optional(),
  /** What is played now. `revision`: offset of the control record that says so (decimal); null: the flags alone. */
  admission: z
    .object({
      revision: z.string().nullable(),
      replay: z.enum(['on', 'paused']),
      exposure: z.number(),
      /** Those that are set. */
      filters: z.record(z.string(), z.array(z.string()).readonly()),
      shed: z.record(z.string(), z.number()),
      /** `share`: of the exposed sessions, those shed whole. */
      shedding: z.object({
        stage: z.enum(shedStages),
        cause: z.enum(['behindSource', 'queueBytes']),
        share: z.number(),
      }),
      /** Since this has been in force: those that said something, and those of them that are admitted. */
      sessions: z.object({ seen: count, played: count }),
      transactions: z.object({ seen: count, played: count }),
    })
    .optional(),
  /** Envelopes taken and not played: now, at most since the start, and the limit beyond which partitions pause. */
  queue: z.object({ bytes: count, peakBytes: count, limitBytes: count, pausedPartitions: count }).optional(),
});
export type ReplayerSnapshot = z.infer<typeof replayerSnapshotSchema>;

const cause = z.object({
  sessionId: z.string(),
  sessionSeq: z.string(),
  /** Of the EnvelopeBatch, and the position in it. */
  offset: z.string(),
  index: count,
  fingerprint: z.string(),
  class: z.enum(statementClasses),
});

/**
 * Counts of one partition of one mirror's results, and the place to resume. Key: `comparer/<environment>/<mirror>/<partition>`, of a
 * run `comparer/<environment>/<mirror>/<run>/<partition>`.
 */
export const comparerSnapshotSchema = z.object({
  kind: z.literal('comparer'),
  environment: z.string(),
  mirror: z.string(),
  run,
  partition: count,
  atMs,
  /** Next results offset to read (decimal). */
  nextOffset: z.string(),
  outcomes: countsOf(transactionOutcomes),
  /** `<outcome>/<reason>` → transactions. */
  reasons: z.record(z.string(), count),
  statements: statementCounts,
  notCompared: z.partialRecord(z.enum(notComparedReasons), count),
  /** Results recognised as repeated, counted nowhere else. */
  duplicates: count,
  /** Offset in the findings topic from which on records may hold results beyond `nextOffset` (decimal). Absent: from the beginning. */
  findingsFrom: z.string().optional(),
  /** Highest session_seq counted per session: what recognises a repeated result. Ended sessions leave after a while. */
  sessions: z.record(z.string(), count),
  /** Divergences that later ones may come from: by table, and by session. */
  causes: z
    .object({
      tables: z.array(z.tuple([z.string(), cause])).readonly(),
      sessions: z
        .array(
          z.tuple([
            z.string(),
            z.object({
              seq: z.string(),
              transaction: cause.nullable(),
              written: z.array(z.string()).readonly(),
              session: cause.nullable(),
              failure: cause.nullable(),
            }),
          ]),
        )
        .readonly(),
    })
    .optional(),
});
export type ComparerSnapshot = z.infer<typeof comparerSnapshotSchema>;

export const snapshotSchema = z.discriminatedUnion('kind', [
  captureSnapshotSchema,
  replayerSnapshotSchema,
  comparerSnapshotSchema,
  runSnapshotSchema,
  importSnapshotSchema,
]);
export type Snapshot = z.infer<typeof snapshotSchema>;

/** The key of a snapshot in the status topic. */
export function snapshotKey(snapshot: Snapshot): string {
  switch (snapshot.kind) {
    case 'capture':
      return `capture/${snapshot.source}/${snapshot.captureNode}/${snapshot.incarnation}`;
    case 'replayer':
      return `replayer/${placeOf(snapshot)}/${snapshot.instance}`;
    case 'comparer':
      return `comparer/${placeOf(snapshot)}/${snapshot.partition}`;
    case 'run':
      return runKey(snapshot.environment, snapshot.mirror, snapshot.run);
    case 'import':
      return importKey(snapshot.source);
    default:
      return snapshot satisfies never;
  }
}

function placeOf(of: {
  readonly environment: string;
  readonly mirror: string;
  readonly run?: string | undefined;
}): string {
  return of.run === undefined ? `${of.environment}/${of.mirror}` : `${of.environment}/${of.mirror}/${of.run}`;
}
