// The replayer's configuration: its flags and the limits they set.
import { hostname } from 'node:os';
import { checkName, type MirrorSettings } from '@mirrorstream/domain';
import type { KafkaConnectionOptions } from '@mirrorstream/kafka';
import {
  leastSpeed,
  mostSpeed,
  type OrderOptions,
  overlapRules,
  type PacingOptions,
  type RetryRules,
} from '@mirrorstream/replay';
import { type FlagTable, type FlagValues, kafkaFlags, kafkaOptionsFrom } from '@mirrorstream/service-kit';
import { z } from 'zod';
import { admissionFlags, parseAdmission } from './admission/admission-flags.ts';
import { type IdConfig, idFlags, parseIds } from './ids/id-flags.ts';
import { parseTarget, type TargetConfig, type TargetLimits, targetFlags } from './target/target-flags.ts';

export interface ReplayerConfig {
  readonly kafka: KafkaConnectionOptions;
  readonly environment: string;
  readonly mirror: string;
  readonly source: string;
  /** `live`, or the run over a window of the past that is played. */
  readonly run: string;
  readonly instance: string;
  readonly target: TargetConfig;
  readonly pacing: PacingOptions;
  readonly order: OrderOptions;
  /** What a client cancelled in production is cancelled on the mirror. */
  readonly replayCancels: boolean;
  /** What is played, as far as the control topic does not say otherwise. */
  readonly admission: MirrorSettings;
  /** Null: ids are sent as they were. */
  readonly ids: IdConfig | null;
  readonly limits: ReplayerLimits;
}

/** Every bound of this service. */
export interface ReplayerLimits extends TargetLimits {
  /** Envelopes taken from Kafka and not played yet, over all lanes; beyond it no more is taken. */
  readonly maxQueueBytes: number;
  /** The same for one session; beyond it nothing more is taken from its partition. */
  readonly maxLaneBytes: number;
  /** Results not acknowledged yet; beyond it nothing new is sent to the mirror. */
  readonly maxResultBytes: number;
  readonly rawCapBytes: number;
  readonly segmentWaitMs: number;
  readonly unansweredWaitMs: number;
  readonly exchangeTimeoutMs: number;
  readonly idleLaneMs: number;
  /** Transactions of a session that the mirror may have got without Kafka having their results: what a new owner may repeat. */
  readonly duplicateWindow: number;
  /** With ordered: how often a transaction that lost a race is played again. */
  readonly orderRetries: Omit<RetryRules, 'onlyReads'>;
  /** A replayer that is not heard of for so long loses its partitions to the others of its mirror. */
  readonly groupSessionTimeoutMs: number;
  /** When starting: for what the control topic says; then the flags hold until it can be read. */
  readonly controlWaitMs: number;
  /** How often the lag is looked at while something may be shed. */
  readonly shedLookMs: number;
  /** Texts of statements and what is known of them, while filters or shedding look at SQL. */
  readonly maxSqlBytes: number;
  /** Sessions without a lane that are still recognised when an envelope of theirs is repeated, per partition. */
  readonly maxRememberedSessions: number;
  readonly commitMs: number;
  /** Results gather for so long, or until so many bytes. */
  readonly resultLingerMs: number;
  readonly maxResultBatchBytes: number;
  /** When stopping: for transactions under way. */
  readonly drainMs: number;
  /** How long to wait at the start for the source's topic to exist. */
  readonly topicsDeadlineMs: number;
}

export const replayerFlags: FlagTable = [
  ...kafkaFlags,
  { name: 'environment', description: 'environment the mirror belongs to', default: 'default', placeholder: 'NAME' },
  { name: 'mirror', description: 'mirror to play to', placeholder: 'NAME', required: true },
  { name: 'source-name', description: 'source whose traffic is played', default: 'source', placeholder: 'NAME' },
  {
    name: 'run',
    description:
      'play this run over a window of the past, as `mirrorstream replay` planned it; default: follow production',
    default: 'live',
    placeholder: 'NAME',
  },
  { name: 'instance', description: 'name of this process; default: the host and process id', placeholder: 'NAME' },
  ...targetFlags,
  {
    name: 'pacing',
    description:
      "timed: at production's pace; asap: in each session's order only; ordered: each exchange once all is answered that production had answered before it",
    default: 'timed',
    placeholder: 'NAME',
  },
  {
    name: 'speed',
    description: 'with timed: how many times as fast as production, 0.1 to 100',
    default: '1',
    placeholder: 'FACTOR',
  },
  {
    name: 'order-wait-ms',
    description:
      "with ordered: for an answer that others wait for, beside ten times production's time; then they go without it, counted and marked",
    default: '1000',
    placeholder: 'MS',
  },
  {
    name: 'order-silence-ms',
    description: 'with ordered: for a capture proxy or another replayer that says nothing; then the same',
    default: '15000',
    placeholder: 'MS',
  },
  {
    name: 'order-overlaps',
    description:
      'with ordered: where to place what overlapped in production: free, start, completion, mixed (writes by completion, reads by the start of their answer)',
    default: 'mixed',
    placeholder: 'RULE',
  },
  { name: 'replay-delay-ms', description: 'with timed: how long after production', default: '1000', placeholder: 'MS' },
  ...admissionFlags,
  ...idFlags,
  {
    name: 'max-queue-bytes',
    description: 'envelopes taken and not played yet; fetching pauses beyond it',
    default: String(128 * 1024 * 1024),
    placeholder: 'BYTES',
  },
  {
    name: 'max-lane-bytes',
    description: 'the same for one session; fetching its partition pauses beyond it',
    default: String(16 * 1024 * 1024),
    placeholder: 'BYTES',
  },
  {
    name: 'max-result-bytes',
    description: 'results not yet acknowledged by Kafka; replay pauses beyond it',
    default: String(32 * 1024 * 1024),
    placeholder: 'BYTES',
  },
  {
    name: 'replay-cancels',
    description: 'cancel on the mirror, after the same time, what a client cancelled in production',
    boolean: true,
    default: 'on',
  },
  {
    name: 'exchange-timeout-ms',
    description: 'an answer that takes longer fails its transaction',
    default: '600000',
    placeholder: 'MS',
  },
  {
    name: 'idle-lane-ms',
    description: 'a session that says nothing for so long gives its connection back',
    default: '3600000',
    placeholder: 'MS',
  },
  {
    name: 'duplicate-window',
    description: 'transactions of one session that may run twice on the mirror, at most, when a replayer is killed',
    default: '256',
    placeholder: 'N',
  },
  {
    name: 'group-session-timeout-ms',
    description: 'a replayer not heard of for so long loses its partitions to the others (the broker has limits, too)',
    default: '10000',
    placeholder: 'MS',
  },
  { name: 'drain-ms', description: 'when stopping: for transactions under way', default: '1500', placeholder: 'MS' },
];

const whole = (least: number) => z.coerce.number().int().min(least);

const valuesSchema = z.object({
  environment: z.string(),
  mirror: z.string(),
  'source-name': z.string(),
  run: z.string(),
  instance: z.string().min(1).optional(),
  pacing: z.enum(['timed', 'asap', 'ordered']),
  'order-wait-ms': whole(1),
  'order-silence-ms': whole(1),
  'order-overlaps': z.enum(overlapRules),
  speed: z.coerce.number().min(leastSpeed).max(mostSpeed),
  'replay-delay-ms': whole(0),
  'max-queue-bytes': whole(1024 * 1024),
  'max-lane-bytes': whole(1024 * 1024),
  'max-result-bytes': whole(2 * 1024 * 1024),
  'replay-cancels': z.boolean(),
  'exchange-timeout-ms': whole(1),
  'idle-lane-ms': whole(1),
  'duplicate-window': whole(1),
  'group-session-timeout-ms': whole(500),
  'drain-ms': whole(0),
});

/** Throws `badInput` or zod errors, which the lifecycle reports by flag. */
export function parseReplayerConfig(flagValues: FlagValues): ReplayerConfig {
  const values = valuesSchema.parse(flagValues);
  const { target, limits } = parseTarget(flagValues);
  const instance = values.instance ?? `${hostname()}-${process.pid}`;
  return {
    kafka: kafkaOptionsFrom(flagValues, `replayer-${values.mirror}`),
    environment: checkName('environment', values.environment),
    mirror: checkName('mirror', values.mirror),
    source: checkName('source', values['source-name']),
    run: checkName('run', values.run),
    instance,
    target,
    replayCancels: values['replay-cancels'],
    pacing: { mode: values.pacing, speed: values.speed, replayDelayMs: values['replay-delay-ms'] },
    order: orderOf(values),
    admission: parseAdmission(flagValues),
    ids: parseIds(flagValues),
    limits: { ...limitsOf(values), ...limits },
  };
}

function orderOf(values: z.infer<typeof valuesSchema>): OrderOptions {
  return {
    keeps: values.pacing === 'ordered',
    rule: values['order-overlaps'],
    waitUs: values['order-wait-ms'] * 1000,
    silenceUs: values['order-silence-ms'] * 1000,
    overlapWaitUs: 20_000,
    headStartUs: 2_000,
    unblockedWaitUs: 5_000,
    readLeadUs: 50,
    clockUncertaintyUs: 20_000,
    maxWrites: 4_000,
  };
}

function limitsOf(values: z.infer<typeof valuesSchema>): Omit<ReplayerLimits, keyof TargetLimits> {
  return {
    maxQueueBytes: values['max-queue-bytes'],
    maxLaneBytes: values['max-lane-bytes'],
    maxResultBytes: values['max-result-bytes'],
    rawCapBytes: 64 * 1024,
    segmentWaitMs: 1_000,
    unansweredWaitMs: 5_000,
    exchangeTimeoutMs: values['exchange-timeout-ms'],
    idleLaneMs: values['idle-lane-ms'],
    orderRetries: { failures: 12, yieldAfter: 3, rereads: 8 },
    duplicateWindow: values['duplicate-window'],
    groupSessionTimeoutMs: values['group-session-timeout-ms'],
    controlWaitMs: 5_000,
    shedLookMs: 250,
    maxSqlBytes: 16 * 1024 * 1024,
    maxRememberedSessions: 10_000,
    commitMs: 1_000,
    resultLingerMs: 10,
    maxResultBatchBytes: 256 * 1024,
    drainMs: values['drain-ms'],
    topicsDeadlineMs: 30_000,
  };
}
