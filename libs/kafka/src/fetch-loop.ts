// Reads partitions from their leaders, one request under way per leader, from positions that the owner sets.
//
// Leaders do not wait for each other, and delivering is a hand-over. Only what was asked for at a partition's present
// position is delivered, so a late answer after a seek, a pause or a new assignment falls away by itself.
import type { MirrorstreamError } from '@mirrorstream/domain';
import type { BrokerDirectory } from './broker-directory.ts';
import { asKafkaError, isStaleLeader, kafkaUnavailable, protocolError, protocolErrorType } from './errors.ts';
import { type FetchAnswer, type FetchedPartition, incomingRecords } from './fetch-answer.ts';
import { listOffset } from './list-offsets.ts';
import type { KafkaLogger } from './logging.ts';
import type { IncomingBatch, TopicPartition } from './port.ts';
import { partitionKey } from './port.ts';
import { backoffMs, pause } from './waiting.ts';

export interface FetchSettings {
  readonly maxWaitTimeMs: number;
  readonly maxBytesPerPartition: number;
  readonly maxBytes: number;
}

export interface FetchHandlers {
  /** Asked before each delivery; what may not be delivered is fetched again. Default: always. */
  readonly mayDeliver?: () => boolean;
  /** Never with an empty batch. */
  readonly onBatch: (batch: IncomingBatch) => void;
  /** After each answer for a partition, with or without records. */
  readonly onProgress?: (at: TopicPartition, position: bigint, highWatermark: bigint) => void;
  /** Not retriable, or a bug in a handler: the loop has stopped. */
  readonly onFailure: (error: Error) => void;
}

const retryMinMs = 50;
const retryMaxMs = 2_000;
/** Answers without any record, below the high watermark, after which nothing is taken to be there (compacted away). */
const emptyAnswersBeforeSkip = 5;

interface Reading extends TopicPartition {
  position: bigint;
  paused: boolean;
  emptyAnswers: number;
}

export class FetchLoop {
  readonly #directory: BrokerDirectory;
  readonly #settings: FetchSettings;
  readonly #handlers: FetchHandlers;
  readonly #logger: KafkaLogger;
  readonly #stopping = new AbortController();
  #readings = new Map<string, Reading>();
  /** Leaders with a loop under way. */
  readonly #running = new Map<number, Promise<void>>();
  #supervisor: Promise<void> | undefined;
  #wake = new AbortController();
  #turn = 0;

  constructor(directory: BrokerDirectory, settings: FetchSettings, handlers: FetchHandlers, logger: KafkaLogger) {
    this.#directory = directory;
    this.#settings = settings;
    this.#handlers = handlers;
    this.#logger = logger;
  }

  /** Reads these partitions from these positions from now on, and no others. Pauses are forgotten. */
  assign(positions: readonly (TopicPartition & { readonly position: bigint })[]): void {
    this.#readings = new Map(
      positions.map(({ topic, partition, position }) => [
        partitionKey({ topic, partition }),
        { topic, partition, position, paused: false, emptyAnswers: 0 },
      ]),
    );
    this.#supervisor ??= this.#supervise();
    this.#wake.abort();
  }

  position(at: TopicPartition): bigint | undefined {
    return this.#readings.get(partitionKey(at))?.position;
  }

  pause(partitions: readonly TopicPartition[]): void {
    for (const at of partitions) this.#setPaused(at, true);
  }

  resume(partitions: readonly TopicPartition[]): void {
    for (const at of partitions) this.#setPaused(at, false);
    this.#wake.abort();
  }

  /** Nothing is delivered after the call; resolves when nothing is under way. */
  async stop(): Promise<void> {
    this.#readings = new Map();
    this.#stopping.abort();
    this.#wake.abort();
    await this.#supervisor;
    await Promise.all(this.#running.values());
  }

  #setPaused(at: TopicPartition, paused: boolean): void {
    const reading = this.#readings.get(partitionKey(at));
    if (reading !== undefined) reading.paused = paused;
  }

  /** Starts a loop for each leader of an active partition that has none; looks again when woken and now and then. */
  async #supervise(): Promise<void> {
    let failures = 0;
    while (!this.#stopping.signal.aborted) {
      this.#wake = new AbortController();
      try {
        const leaderless = await this.#startLoops();
        failures = leaderless ? failures + 1 : 0;
      } catch (error) {
        const failure = asKafkaError(error, 'finding the leaders');
        if (!failure.retryable) return this.#fail(failure);
        failures++;
      }
      const idleMs = 1_000;
      await pause(failures === 0 ? idleMs : backoffMs(failures - 1, retryMinMs, retryMaxMs), this.#wake.signal);
    }
  }

  async #startLoops(): Promise<boolean> {
    let leaderless = false;
    for (const reading of this.#active()) {
      const leader = await this.#leaderOf(reading);
      if (leader === null) leaderless = true;
      else if (!this.#running.has(leader) && !this.#stopping.signal.aborted) {
        const loop = this.#readFrom(leader).finally(() => {
          this.#running.delete(leader);
          this.#wake.abort(); // somebody may have resumed while it was ending
        });
        this.#running.set(leader, loop);
      }
    }
    return leaderless;
  }

  #active(): Reading[] {
    return [...this.#readings.values()].filter(({ paused }) => !paused);
  }

  async #leaderOf({ topic, partition }: TopicPartition): Promise<number | null> {
    const layout = await this.#directory.layout(topic);
    if (layout.kind === 'refused') throw layout.error;
    return layout.leaders.get(partition) ?? null;
  }

  async #readFrom(leader: number): Promise<void> {
    let failures = 0;
    while (!this.#stopping.signal.aborted) {
      try {
        const asked = await this.#ledBy(leader);
        if (asked.length === 0) return; // paused or led elsewhere: the supervisor starts a loop when one is needed
        const trouble = await this.#fetch(leader, asked);
        failures = trouble === undefined ? 0 : failures + 1;
        if (trouble !== undefined) this.#logger.debug({ error: trouble.message }, 'fetching is tried again');
      } catch (error) {
        const failure = asKafkaError(error, `fetching from broker ${leader}`);
        if (!failure.retryable) return this.#fail(failure);
        failures++;
      }
      if (failures > 0) await pause(backoffMs(failures - 1, retryMinMs, retryMaxMs), this.#stopping.signal);
    }
  }

  /** In a new order each time: what comes first is answered for certain, what comes last may find the answer full. */
  async #ledBy(leader: number): Promise<Reading[]> {
    const led: Reading[] = [];
    for (const reading of this.#active()) if ((await this.#leaderOf(reading)) === leader) led.push(reading);
    const from = led.length === 0 ? 0 : this.#turn++ % led.length;
    return [...led.slice(from), ...led.slice(0, from)];
  }

  async #fetch(leader: number, asked: readonly Reading[]): Promise<MirrorstreamError | undefined> {
    const positions = new Map(asked.map((reading) => [partitionKey(reading), reading.position]));
    const answer = await this.#directory.ask<FetchAnswer>(leader, 'Fetch', {
      replicaId: -1,
      isolationLevel: 0,
      maxWaitTime: this.#settings.maxWaitTimeMs,
      minBytes: 1,
      maxBytes: this.#settings.maxBytes,
      rackId: '',
      topics: asked.map(({ topic, partition, position }) => ({
        topic,
        partitions: [{ partition, fetchOffset: position.toString(), maxBytes: this.#settings.maxBytesPerPartition }],
      })),
    });
    if (answer.errorCode !== undefined && answer.errorCode !== 0) {
      return protocolError(protocolErrorType(answer.errorCode), `fetching from broker ${leader}`);
    }
    const nothing = answer.responses.every(({ partitions }) =>
      partitions.every(({ messages }) => messages.length === 0),
    );
    let trouble: MirrorstreamError | undefined;
    for (const { topicName, partitions } of answer.responses) {
      for (const fetched of partitions) {
        const key = partitionKey({ topic: topicName, partition: fetched.partition });
        const reading = this.#readings.get(key);
        if (reading === undefined || reading.paused || reading.position !== positions.get(key)) continue;
        if (this.#handlers.mayDeliver?.() === false) continue;
        trouble = (await this.#take(reading, fetched, nothing)) ?? trouble;
      }
    }
    return trouble;
  }

  async #take(reading: Reading, fetched: FetchedPartition, nothing: boolean): Promise<MirrorstreamError | undefined> {
    if (fetched.errorCode !== 0) return this.#mend(reading, protocolErrorType(fetched.errorCode));
    const highWatermark = BigInt(fetched.highWatermark);
    const { records, next } = incomingRecords(fetched, reading.position);
    const before = reading.position;
    reading.position = next;
    if (nothing && before < highWatermark) reading.emptyAnswers++;
    else reading.emptyAnswers = 0;
    if (reading.emptyAnswers >= emptyAnswersBeforeSkip) {
      this.#logger.warn(
        { at: partitionKey(reading), from: `${before}`, to: `${highWatermark}` },
        'nothing is left of these offsets',
      );
      reading.position = highWatermark;
      reading.emptyAnswers = 0;
    }
    const { topic, partition } = reading;
    try {
      if (records.length > 0) {
        this.#handlers.onBatch({ topic, partition, highWatermarkOffset: highWatermark, records });
      }
      this.#handlers.onProgress?.({ topic, partition }, reading.position, highWatermark);
    } catch (error) {
      this.#fail(error as Error);
    }
    return undefined;
  }

  /** An error code for one partition: what can be done about it, and what is to be told when it goes on. */
  async #mend(reading: Reading, type: string): Promise<MirrorstreamError> {
    const at = partitionKey(reading);
    const trouble = protocolError(type, `fetching ${at}`);
    if (type === 'OFFSET_OUT_OF_RANGE') {
      // Retention has passed us, or the topic is another one of the same name: on with the oldest there is.
      const earliest = await listOffset(this.#directory, reading, 'earliest');
      this.#logger.warn(
        { at, from: `${reading.position}`, to: `${earliest}` },
        'these offsets are gone, reading goes on behind them',
      );
      if (this.#readings.get(at) === reading) reading.position = earliest;
      return trouble;
    }
    if (isStaleLeader(type)) this.#directory.markStale();
    if (!trouble.retryable) throw trouble;
    return trouble;
  }

  #fail(error: Error): void {
    if (this.#stopping.signal.aborted) return;
    this.#readings = new Map();
    this.#stopping.abort();
    this.#wake.abort();
    this.#handlers.onFailure(error instanceof Error ? error : kafkaUnavailable(String(error)));
  }
}
