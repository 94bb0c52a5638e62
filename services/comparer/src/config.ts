// The comparer's configuration: its flags and the limits they set.
import { checkName, liveRun } from '@mirrorstream/domain';
import type { KafkaConnectionOptions } from '@mirrorstream/kafka';
import { type FlagTable, type FlagValues, kafkaFlags, kafkaOptionsFrom } from '@mirrorstream/service-kit';
import { z } from 'zod';
import { type CauseLimits, defaultCauseLimits } from './causes.ts';
import type { CheckpointWriterOptions } from './checkpoint-writer.ts';
import type { ExemplarLimits } from './exemplar-quota.ts';
import type { FindingsWriterOptions } from './findings-writer.ts';
import type { JudgeLimits } from './judge.ts';
import type { LagThresholds } from './lag-guard.ts';
import type { SessionTableLimits } from './session-table.ts';

export interface ComparerConfig {
  readonly kafka: KafkaConnectionOptions;
  readonly environment: string;
  readonly mirror: string;
  /** `live`, or the run whose results are compared. */
  readonly run: string;
  readonly instance: string;
  /** Longest stretch of counting without a turn of the event loop. */
  readonly sliceMs: number;
  /** Results fetched and not counted yet, over all partitions. */
  readonly maxQueueBytes: number;
  /** Verdicts made and not acknowledged yet. */
  readonly maxBufferedBytes: number;
  /** A verdict batch is cut at about this many bytes. */
  readonly maxBatchBytes: number;
  readonly checkpointMs: number;
  readonly checkpoints: CheckpointWriterOptions;
  readonly sessions: SessionTableLimits & { readonly causes: CauseLimits };
  readonly exemplars: ExemplarLimits;
  readonly judge: JudgeLimits;
  /** Aggregates in memory over all partitions; the least recent are published and forgotten beyond it. */
  readonly maxFindingsBytes: number;
  /** Read again at the start, over all partitions: shapes whose aggregates are gone on with. */
  readonly maxRestoredFindings: number;
  readonly findings: FindingsWriterOptions;
  readonly exemplarValues: 'keep' | 'redact';
  readonly lag: LagThresholds;
  readonly fingerprintCache: { readonly maxEntries: number; readonly maxBytes: number };
  /** How long to wait at the start for the topics to exist. */
  readonly topicsDeadlineMs: number;
}

export const comparerFlags: FlagTable = [
  ...kafkaFlags,
  { name: 'environment', description: 'environment the mirror belongs to', default: 'default', placeholder: 'NAME' },
  { name: 'mirror', description: 'mirror whose results are compared', placeholder: 'NAME', required: true },
  {
    name: 'run',
    description: 'the run whose results are compared, made by `mirrorstream replay`; default: the live replay',
    default: 'live',
    placeholder: 'NAME',
  },
  {
    name: 'instance',
    description: 'name of this process in logs and to Kafka',
    default: 'comparer',
    placeholder: 'NAME',
  },
  { name: 'checkpoint-ms', description: 'how often counts are published', default: '500', placeholder: 'MS' },
  {
    name: 'max-queue-bytes',
    description: 'results fetched and not counted yet; fetching pauses beyond it',
    default: '33554432',
    placeholder: 'BYTES',
  },
  {
    name: 'max-verdict-bytes',
    description: 'verdicts not yet acknowledged by Kafka; counting pauses beyond it',
    default: '16777216',
    placeholder: 'BYTES',
  },
  {
    name: 'exemplars',
    description: 'examples kept of each statement shape and class, in one life of the process',
    default: '20',
    placeholder: 'N',
  },
  {
    name: 'exemplar-values',
    description:
      'what the examples in the findings hold: keep (SQL as sent, answers) or redact (shapes and counts only); verdicts are not affected',
    default: 'keep',
    placeholder: 'keep|redact',
  },
  {
    name: 'max-findings-bytes',
    description: 'aggregates in memory; beyond it those not seen for the longest time are published and forgotten',
    default: '134217728',
    placeholder: 'BYTES',
  },
  {
    name: 'fingerprint-cache-bytes',
    description: 'texts of statements whose shape is remembered',
    default: '67108864',
    placeholder: 'BYTES',
  },
  {
    name: 'detail-behind-ms',
    description:
      'results older than this get no examples, and differences in values of shapes known to differ are not looked into; 0: never. ' +
      'Default: 60000 for the live replay, 0 for a run',
    placeholder: 'MS',
  },
  {
    name: 'work-behind-ms',
    description:
      'differences in results older than this are counted as comparerBehind and not looked into; 0: never. ' +
      'Default: 600000 for the live replay, 0 for a run',
    placeholder: 'MS',
  },
  {
    name: 'ended-sessions',
    description: 'ended sessions per partition whose repeated results are still recognised',
    default: '10000',
    placeholder: 'N',
  },
];

const whole = (least: number) => z.coerce.number().int().min(least);

/** Throws zod errors, which the lifecycle reports by flag. */
const valuesSchema = z.object({
  environment: z.string(),
  mirror: z.string(),
  run: z.string(),
  instance: z.string().min(1),
  'checkpoint-ms': whole(10),
  'max-queue-bytes': whole(65_536),
  'max-verdict-bytes': whole(2 * 1024 * 1024),
  exemplars: whole(0),
  'exemplar-values': z.enum(['keep', 'redact']),
  'max-findings-bytes': whole(1024 * 1024),
  'fingerprint-cache-bytes': whole(65_536),
  'detail-behind-ms': whole(0).optional(),
  'work-behind-ms': whole(0).optional(),
  'ended-sessions': whole(0),
});

export function parseComparerConfig(flagValues: FlagValues): ComparerConfig {
  const values = valuesSchema.parse(flagValues);
  return {
    kafka: kafkaOptionsFrom(flagValues, values.instance),
    environment: checkName('environment', values.environment),
    mirror: checkName('mirror', values.mirror),
    run: checkName('run', values.run),
    instance: values.instance,
    sliceMs: 8,
    maxQueueBytes: values['max-queue-bytes'],
    maxBufferedBytes: values['max-verdict-bytes'],
    maxBatchBytes: 512 * 1024,
    checkpointMs: values['checkpoint-ms'],
    checkpoints: { maxAgeMs: 5_000, maxRequestBytes: 768 * 1024, maxBytesPerS: 4 * 1024 * 1024 },
    sessions: {
      maxEnded: values['ended-sessions'],
      maxBytes: 600 * 1024,
      causes: defaultCauseLimits,
    },
    exemplars: { perShape: values.exemplars, maxShapes: 10_000 },
    maxFindingsBytes: values['max-findings-bytes'],
    maxRestoredFindings: 50_000,
    findings: { maxRequestBytes: 512 * 1024, maxBytesPerS: 4 * 1024 * 1024 },
    exemplarValues: values['exemplar-values'],
    lag: {
      detailBehindMs: values['detail-behind-ms'] ?? (values.run === liveRun ? 60_000 : 0),
      workBehindMs: values['work-behind-ms'] ?? (values.run === liveRun ? 600_000 : 0),
    },
    fingerprintCache: { maxEntries: 200_000, maxBytes: values['fingerprint-cache-bytes'] },
    judge: { maxExemplarBytes: 384 * 1024, maxNormalizedChars: 2_048 },
    topicsDeadlineMs: 30_000,
  };
}
