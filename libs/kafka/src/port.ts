// The Kafka port: all that the project asks of a Kafka client. One adapter (kafkajs) today; the contract tests fit any other.
//
// Offsets are bigint. Values are bytes; what is handed in may not be changed until the returned promise settles.
import type { MirrorstreamError } from '@mirrorstream/domain';

export interface KafkaConnectionOptions {
  readonly brokers: readonly string[];
  readonly clientId: string;
  readonly tls?: {
    readonly caFile?: string;
    readonly certFile?: string;
    readonly keyFile?: string;
    readonly serverName?: string;
  };
  /** The password is read from the environment variable or file named, never given as a value. */
  readonly sasl?: {
    readonly mechanism: 'plain' | 'scram-sha-256' | 'scram-sha-512';
    readonly username: string;
    readonly passwordEnv?: string;
    readonly passwordFile?: string;
  };
  readonly connectTimeoutMs?: number; // default 5 000
  readonly requestTimeoutMs?: number; // default 30 000
}

export interface OutgoingRecord {
  readonly topic: string;
  readonly partition: number;
  readonly key: Uint8Array | string | null;
  readonly value: Uint8Array | null;
  readonly headers?: Readonly<Record<string, string>>;
  /** Default: when it is sent. Given for what was published before, elsewhere, and then for all records sent together. */
  readonly timestampMs?: number;
}

/** Where records went: the offset of the first one of each topic-partition in the request. */
export interface Acknowledgement {
  readonly topic: string;
  readonly partition: number;
  readonly baseOffset: bigint;
}

export interface IncomingRecord {
  readonly offset: bigint;
  readonly timestampMs: number;
  readonly key: Buffer | null;
  readonly value: Buffer | null;
  readonly headers: Readonly<Record<string, string>>;
}

export interface IncomingBatch {
  readonly topic: string;
  readonly partition: number;
  readonly highWatermarkOffset: bigint;
  readonly records: readonly IncomingRecord[];
}

export type Compression = 'none' | 'gzip' | 'zstd';

export interface ProducerOptions {
  /** Of each partition's batch in a request. Default `none`. Large batches are compressed in libuv's threads, not on the event loop. */
  readonly compression?: Compression;
  /** Memory of answered requests that is kept for the next ones. Default 4 MiB. */
  readonly maxPooledBytes?: number;
}

/** Records of one partition, in order. */
export interface PartitionRecords extends TopicPartition {
  readonly records: readonly OutgoingRecord[];
}

/** What became of one partition's records in a request. */
export type PartitionOutcome =
  | { readonly kind: 'acknowledged'; readonly baseOffset: bigint }
  /** Never accepted. `record`: because of some of the records; `partition`: none would be. */
  | { readonly kind: 'refused'; readonly scope: 'record' | 'partition'; readonly error: MirrorstreamError }
  /** Their fate is unknown: try again. */
  | { readonly kind: 'unavailable'; readonly error: MirrorstreamError };

export interface Producer {
  /** One attempt: one request per leader, acks = all. Outcomes are in the order of the parts; never rejects. */
  sendEach(parts: readonly PartitionRecords[]): Promise<readonly PartitionOutcome[]>;
  /**
   * Sends in one request per leader, acks = all, in the order given within a partition, and resolves when all are
   * acknowledged. Rejects with MirrorstreamError `kafkaUnavailable` (retryable; the fate of the records is unknown) or
   * `kafkaRefused` (never accepted: too large, not authorised, unknown topic). Does not retry by itself for longer than
   * requestTimeoutMs.
   */
  send(records: readonly OutgoingRecord[]): Promise<readonly Acknowledgement[]>;
  /** Memory of answered requests that is kept now. */
  readonly pooledBytes?: number;
  close(): Promise<void>;
}

/** Where to start reading a newly assigned partition. `committed` falls back to `earliest` when nothing was committed. */
export type StartPosition =
  | { readonly kind: 'offset'; readonly offset: bigint }
  | { readonly kind: 'committed' | 'earliest' | 'latest' };

export interface GroupConsumerOptions {
  readonly group: string;
  readonly topics: readonly string[];
  readonly sessionTimeoutMs?: number; // default 10 000
  readonly maxWaitTimeMs?: number; // default 150
  readonly maxBytesPerPartition?: number; // default 1 MiB
  /** Of one answer of one broker. Default 8 MiB. */
  readonly maxBytes?: number;
  /** How long the group waits for this member to join again. Default 30 000, at least the session timeout. */
  readonly rebalanceTimeoutMs?: number;
}

export interface TopicPartition {
  readonly topic: string;
  readonly partition: number;
}

export interface CommitOffset extends TopicPartition {
  /** The next offset to read. */
  readonly offset: bigint;
  readonly metadata?: string;
}

export interface CommittedOffset extends TopicPartition {
  readonly offset: bigint | null;
  readonly metadata: string;
}

export interface GroupConsumerHandlers {
  /**
   * After each join, with what this member owns now and owned before. Returns where to start for each partition (those
   * left out: continue where this member was if it owned it before, else `committed`). Nothing is delivered until it resolves.
   */
  readonly onAssigned: (
    assigned: readonly TopicPartition[],
    previous: readonly TopicPartition[],
  ) => Promise<ReadonlyMap<string, StartPosition>>; // key: partitionKey()
  /**
   * This generation is about to end: the last moment to commit for it (about a second). Nothing is delivered meanwhile, and
   * the partitions may come back with the next assignment. A commit fails if the group has already moved on without us.
   * Not called by stop(): whoever stops commits before.
   */
  readonly onRevoking?: (assigned: readonly TopicPartition[]) => Promise<void>;
  /** Must hand over and return at once: never await work on the records here. Use pause/resume to push back. */
  readonly onBatch: (batch: IncomingBatch) => void;
  /** Where reading of a partition goes on, after each answer: also behind records that are gone from the log. */
  readonly onPosition?: (at: TopicPartition, position: bigint) => void;
  /** The consumer is dead and will not come back (non-retriable error): the process should exit. */
  readonly onCrash: (error: Error) => void;
}

export interface GroupConsumer {
  pause(partitions: readonly TopicPartition[]): void;
  resume(partitions: readonly TopicPartition[]): void;
  /** Commits for the current generation. Rejects with `kafkaUnavailable` when this member has been replaced meanwhile. */
  commit(offsets: readonly CommitOffset[]): Promise<void>;
  assigned(): readonly TopicPartition[];
  stop(): Promise<void>;
}

export interface TopicSpec {
  readonly topic: string;
  readonly partitions: number;
  readonly replicationFactor?: number; // default: the broker's
  /** Explicit settings, e.g. `cleanup.policy`, `retention.ms`, `max.message.bytes`. */
  readonly config: Readonly<Record<string, string>>;
}

export interface PartitionOffsets {
  readonly partition: number;
  readonly low: bigint;
  readonly high: bigint;
}

export interface Admin {
  /** Creates what is missing; quiet when it exists; refuses an existing topic with another partition count (`badInput`). */
  ensureTopics(specs: readonly TopicSpec[]): Promise<void>;
  /** Partition counts of those of the topics that exist. */
  partitionCounts(topics: readonly string[]): Promise<ReadonlyMap<string, number>>;
  /** The topic's settings as the broker sees them, those it was created with and the defaults. */
  topicConfig(topic: string): Promise<ReadonlyMap<string, string>>;
  /** Deletes what exists of these; quiet about the rest. */
  deleteTopics(topics: readonly string[]): Promise<void>;
  /** Deletes what lies before an offset of each partition, as retention does. */
  deleteRecords(topic: string, before: ReadonlyMap<number, bigint>): Promise<void>;
  /** Deletes what groups have committed; quiet about groups that do not exist. One that still has members is waited for. */
  deleteGroups(groups: readonly string[]): Promise<void>;
  offsets(topic: string): Promise<readonly PartitionOffsets[]>;
  /** First offset at or after the time, per partition; the end where there is none. */
  offsetsByTime(topic: string, timestampMs: number): Promise<ReadonlyMap<number, bigint>>;
  committed(group: string, topic: string): Promise<readonly CommittedOffset[]>;
  /** How many members a group has now; 0 for one that does not exist. */
  groupMembers(group: string): Promise<number>;
  /** Where a group without members goes on from. Throws `badInput` when it has members. */
  setCommitted(group: string, offsets: readonly CommitOffset[]): Promise<void>;
  close(): Promise<void>;
}

export interface KafkaClient {
  producer(options?: ProducerOptions): Promise<Producer>;
  /** Joins the group and starts. Resolves after the first assignment was handled. */
  consume(options: GroupConsumerOptions, handlers: GroupConsumerHandlers): Promise<GroupConsumer>;
  admin(): Promise<Admin>;
  /** Reads `[from, to)` of some partitions of one topic, without joining a lasting group; calls back in offset order per partition. */
  readRange(
    topic: string,
    ranges: readonly { readonly partition: number; readonly from: bigint; readonly to: bigint }[],
    onBatch: (batch: IncomingBatch) => void,
  ): Promise<void>;
  /** Follows a whole topic from its beginning (or end) for ever, in no lasting group; used for compacted topics and live views. */
  follow(
    topics: readonly string[],
    from: 'earliest' | 'latest',
    onBatch: (batch: IncomingBatch) => void,
    onCrash: (error: Error) => void,
  ): Promise<{ caughtUp(): Promise<void>; stop(): Promise<void> }>;
  close(): Promise<void>;
}

/** The map key of a topic-partition. */
export const partitionKey = (at: TopicPartition): string => `${at.topic}/${at.partition}`;
