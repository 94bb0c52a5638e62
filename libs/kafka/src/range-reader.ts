// Reads ranges of offsets, and follows topics for ever, both without a group: positions are the reader's own.
import type { BrokerDirectory } from './broker-directory.ts';
import { asKafkaError, kafkaUnavailable } from './errors.ts';
import { FetchLoop, type FetchSettings } from './fetch-loop.ts';
import { listOffsets } from './list-offsets.ts';
import type { KafkaLogger } from './logging.ts';
import type { IncomingBatch, TopicPartition } from './port.ts';
import { partitionKey } from './port.ts';
import { backoffMs, pause } from './waiting.ts';

const settings: FetchSettings = { maxWaitTimeMs: 150, maxBytesPerPartition: 1024 * 1024, maxBytes: 8 * 1024 * 1024 };
const closeGraceMs = 300;
const retryMinMs = 100;
const retryMaxMs = 2_000;

export interface OffsetRange {
  readonly partition: number;
  readonly from: bigint;
  readonly to: bigint;
}

/** See KafkaClient.readRange. Ends at the end of the log where `to` lies beyond it. */
export async function readRange(
  directory: BrokerDirectory,
  topic: string,
  ranges: readonly OffsetRange[],
  onBatch: (batch: IncomingBatch) => void,
  logger: KafkaLogger,
  signal: AbortSignal,
): Promise<void> {
  try {
    const open = await clipped(directory, topic, ranges, signal);
    if (open.size > 0) await readOpen(directory, topic, open, onBatch, logger, signal);
  } finally {
    await directory.close(closeGraceMs);
  }
}

async function clipped(
  directory: BrokerDirectory,
  topic: string,
  ranges: readonly OffsetRange[],
  signal: AbortSignal,
): Promise<Map<number, OffsetRange>> {
  const wanted = ranges.filter(({ from, to }) => from < to);
  if (wanted.length === 0) return new Map();
  const partitions = wanted.map(({ partition }) => partition);
  const ends = await persistently(signal, () => listOffsets(directory, topic, partitions, 'latest'));
  const open = new Map<number, OffsetRange>();
  for (const { partition, from, to } of wanted) {
    const end = ends.get(partition) ?? 0n;
    if (from < end) open.set(partition, { partition, from, to: to < end ? to : end });
  }
  return open;
}

async function readOpen(
  directory: BrokerDirectory,
  topic: string,
  open: Map<number, OffsetRange>,
  onBatch: (batch: IncomingBatch) => void,
  logger: KafkaLogger,
  signal: AbortSignal,
): Promise<void> {
  const finished = Promise.withResolvers<void>();
  const loop = new FetchLoop(
    directory,
    settings,
    {
      onBatch(batch) {
        const to = open.get(batch.partition)?.to ?? 0n;
        const last = batch.records.at(-1);
        if (last === undefined || last.offset < to) return onBatch(batch);
        const records = batch.records.filter(({ offset }) => offset < to);
        if (records.length > 0) onBatch({ ...batch, records });
      },
      onProgress({ partition }, position) {
        const range = open.get(partition);
        if (range === undefined || position < range.to) return;
        loop.pause([{ topic, partition }]);
        open.delete(partition);
        if (open.size === 0) finished.resolve();
      },
      onFailure: finished.reject,
    },
    logger,
  );
  const stopped = (): void => finished.reject(kafkaUnavailable('the connection to Kafka is closed'));
  signal.addEventListener('abort', stopped, { once: true });
  try {
    if (signal.aborted) stopped();
    else loop.assign([...open.values()].map(({ partition, from }) => ({ topic, partition, position: from })));
    await finished.promise;
  } finally {
    signal.removeEventListener('abort', stopped);
    await loop.stop();
  }
}

/** See KafkaClient.follow. */
export class Follower {
  readonly #directory: BrokerDirectory;
  readonly #topics: readonly string[];
  readonly #loop: FetchLoop;
  readonly #stopping = new AbortController();
  #waits: {
    readonly targets: Map<string, bigint>;
    readonly resolve: () => void;
    readonly reject: (error: Error) => void;
  }[] = [];

  constructor(
    directory: BrokerDirectory,
    topics: readonly string[],
    onBatch: (batch: IncomingBatch) => void,
    onCrash: (error: Error) => void,
    logger: KafkaLogger,
  ) {
    this.#directory = directory;
    this.#topics = topics;
    const onFailure = (error: Error): void => {
      this.#rejectWaits(error);
      onCrash(error);
    };
    this.#loop = new FetchLoop(
      directory,
      settings,
      { onBatch, onProgress: (at) => this.#progressed(at), onFailure },
      logger,
    );
  }

  async start(from: 'earliest' | 'latest'): Promise<void> {
    this.#loop.assign(await this.#offsets(from));
  }

  /** Resolves when all that was in the topics at the time of the call has been delivered. */
  async caughtUp(): Promise<void> {
    const ends = await this.#offsets('latest');
    const targets = new Map<string, bigint>();
    for (const at of ends) {
      const position = this.#loop.position(at);
      if (position === undefined || position < at.position) targets.set(partitionKey(at), at.position);
    }
    if (targets.size === 0) return;
    await new Promise<void>((resolve, reject) => {
      if (this.#stopping.signal.aborted) reject(kafkaUnavailable('the follower was stopped'));
      else this.#waits.push({ targets, resolve, reject });
    });
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    this.#rejectWaits(kafkaUnavailable('the follower was stopped'));
    const stopped = this.#loop.stop();
    await this.#directory.close(closeGraceMs);
    await stopped;
  }

  async #offsets(at: 'earliest' | 'latest'): Promise<(TopicPartition & { position: bigint })[]> {
    return persistently(this.#stopping.signal, async () => {
      const counts = await this.#directory.partitionCounts(this.#topics);
      const found: (TopicPartition & { position: bigint })[] = [];
      for (const topic of this.#topics) {
        const count = counts.get(topic);
        if (count === undefined) throw kafkaUnavailable(`topic ${topic} is not known to Kafka yet`);
        const partitions = Array.from({ length: count }, (_, partition) => partition);
        const offsets = await listOffsets(this.#directory, topic, partitions, at);
        for (const [partition, offset] of offsets) found.push({ topic, partition, position: offset ?? 0n });
      }
      return found;
    });
  }

  #progressed(at: TopicPartition): void {
    if (this.#waits.length === 0) return;
    const key = partitionKey(at);
    const position = this.#loop.position(at);
    for (const { targets } of this.#waits) {
      const target = targets.get(key);
      if (target !== undefined && position !== undefined && position >= target) targets.delete(key);
    }
    for (const { targets, resolve } of this.#waits) if (targets.size === 0) resolve();
    this.#waits = this.#waits.filter(({ targets }) => targets.size > 0);
  }

  #rejectWaits(error: Error): void {
    for (const { reject } of this.#waits) reject(error);
    this.#waits = [];
  }
}

/** Until it works, fails for good, or somebody stops us. */
async function persistently<T>(signal: AbortSignal, work: () => Promise<T>): Promise<T> {
  for (let attempt = 0; ; attempt++) {
    try {
      return await work();
    } catch (error) {
      const failure = asKafkaError(error, 'looking up offsets');
      if (!failure.retryable || signal.aborted) throw failure;
      await pause(backoffMs(attempt, retryMinMs, retryMaxMs), signal);
    }
  }
}
