// The topics, with every setting that matters said: a broker's defaults are somebody else's decision.
import {
  controlTopic,
  deadLetterTopic,
  envelopesTopic,
  findingsTopic,
  liveRun,
  MirrorstreamError,
  progressTopic,
  resultsTopic,
  statusTopic,
  verdictsTopic,
} from '@mirrorstream/domain';
import type { Admin, TopicSpec } from '@mirrorstream/kafka';

export interface TopicOptions {
  /** Fixed for the life of the topic: sessions are bound to partitions. Default 32. */
  readonly partitions?: number;
  /** Default: the broker's. From 3 on, two replicas must have a record before it counts as written. */
  readonly replicationFactor?: number;
  /** How far back a mirror can start. Default 7 days. */
  readonly retentionMs?: number;
}

export const defaultPartitions = 32;
const dayMs = 24 * 60 * 60 * 1_000;
const defaultRetentionMs = 7 * dayMs;
/** Only the newest of each replayer counts, and those are said again and again. */
const progressRetentionMs = 10 * 60 * 1_000;
/** Of one batch: a part of a transaction is at most half of it. */
const maxMessageBytes = 1024 * 1024;
const compactedSegmentBytes = 4 * 1024 * 1024;

function streamSpec(topic: string, partitions: number, options: TopicOptions): TopicSpec {
  return {
    topic,
    partitions,
    ...replication(options),
    config: {
      'cleanup.policy': 'delete',
      'retention.ms': String(options.retentionMs ?? defaultRetentionMs),
      'retention.bytes': '-1',
      // As the producer made it: compressing at the broker would cost it the CPU once more.
      'compression.type': 'producer',
      'max.message.bytes': String(maxMessageBytes),
      'message.timestamp.type': 'CreateTime',
      'unclean.leader.election.enable': 'false',
      ...durability(options),
    },
  };
}

function compactedSpec(topic: string, options: TopicOptions, partitions = 1): TopicSpec {
  return {
    topic,
    partitions,
    ...replication(options),
    config: {
      'cleanup.policy': 'compact',
      // The active segment is never compacted, and it is read to its end by everybody who starts: keep it small.
      'segment.bytes': String(compactedSegmentBytes),
      'segment.ms': String(10 * 60 * 1_000),
      'min.cleanable.dirty.ratio': '0.1',
      'max.compaction.lag.ms': String(60 * 60 * 1_000),
      'delete.retention.ms': String(dayMs),
      'compression.type': 'producer',
      'max.message.bytes': String(maxMessageBytes),
      'unclean.leader.election.enable': 'false',
      ...durability(options),
    },
  };
}

const replication = ({ replicationFactor }: TopicOptions): { readonly replicationFactor?: number } =>
  replicationFactor === undefined ? {} : { replicationFactor };

const durability = ({ replicationFactor }: TopicOptions): Readonly<Record<string, string>> =>
  replicationFactor !== undefined && replicationFactor >= 3 ? { 'min.insync.replicas': '2' } : {};

export function sourceTopics(source: string, options: TopicOptions = {}): readonly TopicSpec[] {
  return [streamSpec(envelopesTopic(source), options.partitions ?? defaultPartitions, options)];
}

/** Results, verdicts and findings have as many partitions as the envelopes: a session keeps its partition number throughout. */
export function mirrorTopics(
  environment: string,
  mirror: string,
  options: TopicOptions = {},
  run: string = liveRun,
): readonly TopicSpec[] {
  const partitions = options.partitions ?? defaultPartitions;
  return [
    streamSpec(resultsTopic(environment, mirror, run), partitions, options),
    streamSpec(verdictsTopic(environment, mirror, run), partitions, options),
    compactedSpec(findingsTopic(environment, mirror, run), options, partitions),
    streamSpec(deadLetterTopic(environment, mirror, run), 1, options),
  ];
}

/** `<environment>.<mirror>.progress`: one partition, kept for minutes. */
export function ensureProgressTopic(
  admin: Admin,
  environment: string,
  mirror: string,
  run: string = liveRun,
  options: TopicOptions = {},
): Promise<void> {
  return admin.ensureTopics([
    streamSpec(progressTopic(environment, mirror, run), 1, { ...options, retentionMs: progressRetentionMs }),
  ]);
}

/** `mirrorstream.status`: compacted, one partition. */
export function ensureStatusTopic(admin: Admin, options: TopicOptions = {}): Promise<void> {
  return admin.ensureTopics([compactedSpec(statusTopic, options)]);
}

/** `mirrorstream.control`: compacted, one partition. */
export function ensureControlTopic(admin: Admin, options: TopicOptions = {}): Promise<void> {
  return admin.ensureTopics([compactedSpec(controlTopic, options)]);
}

/** `<source>.envelopes`. Throws `badInput` when it exists with another partition count. */
export function ensureSourceTopics(admin: Admin, source: string, options: TopicOptions = {}): Promise<void> {
  return admin.ensureTopics(sourceTopics(source, options));
}

/** Results, verdicts, findings and dead letters of a mirror, or of a run on it. Throws `badInput` when one exists with another partition count. */
export function ensureMirrorTopics(
  admin: Admin,
  environment: string,
  mirror: string,
  options: TopicOptions = {},
  run: string = liveRun,
): Promise<void> {
  return admin.ensureTopics(mirrorTopics(environment, mirror, options, run));
}

const awaitTopicEveryMs = 200;

/** What to wait for, who waits, and what the operator should do when it does not come. */
export interface TopicWait {
  readonly deadlineMs: number;
  readonly stage: string;
  readonly hint: string;
}

/** Resolves with the number of partitions once the topic exists: another service makes it. Throws `notReady` at the deadline. */
export async function waitForTopic(
  admin: Admin,
  topic: string,
  { deadlineMs, stage, hint }: TopicWait,
): Promise<number> {
  const until = Date.now() + deadlineMs;
  for (;;) {
    const partitions = (await admin.partitionCounts([topic])).get(topic);
    if (partitions !== undefined) return partitions;
    if (Date.now() >= until) throw new MirrorstreamError('notReady', `topic ${topic} does not exist`, { stage, hint });
    await new Promise((resolve) => setTimeout(resolve, awaitTopicEveryMs));
  }
}
