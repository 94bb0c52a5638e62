// The batcher: stands between a producer of records that must never wait and a Kafka that may be slow or away.
//
// One request takes from every partition that is not under way, so many partitions at a low rate cost few requests.
// A partition is in one request at a time, which keeps its order through retries.
import type { MirrorstreamError } from '@mirrorstream/domain';
import type { Batcher, BatcherEvents, BatcherOptions } from './batcher-port.ts';
import { PartitionQueue } from './partition-queue.ts';
import type { OutgoingRecord, PartitionOutcome, PartitionRecords, Producer } from './port.ts';
import { backoffMs, within } from './waiting.ts';

/** What a record costs beside its key and value, on the wire and in memory. */
const recordOverheadBytes = 64;

/** Time, as the batcher sees it; tests give their own. */
export interface BatcherClock {
  nowMs(): number;
  /** Calls back once after the time; the returned function cancels. */
  after(ms: number, callback: () => void): () => void;
}

const systemClock: BatcherClock = {
  nowMs: () => performance.now(),
  after(ms, callback) {
    const timer = setTimeout(callback, ms);
    return () => clearTimeout(timer);
  },
};

export function createBatcher(
  producer: Pick<Producer, 'sendEach'>,
  options: BatcherOptions,
  events: BatcherEvents,
  clock: BatcherClock = systemClock,
): Batcher {
  return new RecordBatcher(producer, options, events, clock);
}

type Settings = Required<BatcherOptions>;

interface Taken extends PartitionRecords {
  readonly queue: PartitionQueue;
}

interface FlushWait {
  readonly targets: Map<PartitionQueue, number>;
  readonly resolve: () => void;
}

class RecordBatcher implements Batcher {
  readonly #producer: Pick<Producer, 'sendEach'>;
  readonly #settings: Settings;
  readonly #events: BatcherEvents;
  readonly #clock: BatcherClock;
  readonly #queues = new Map<string, PartitionQueue[]>(); // by topic, then partition
  #all: PartitionQueue[] = [];
  #bufferedBytes = 0;
  #bufferedRecords = 0;
  #inFlightRequests = 0;
  #inFlightBytes = 0;
  #wakeAtMs = Number.POSITIVE_INFINITY;
  #cancelWake: (() => void) | undefined;
  #flushes: FlushWait[] = [];
  #available = true;
  #closing = false;
  #closed = false;
  #turn = 0;

  constructor(
    producer: Pick<Producer, 'sendEach'>,
    options: BatcherOptions,
    events: BatcherEvents,
    clock: BatcherClock,
  ) {
    this.#producer = producer;
    this.#events = events;
    this.#clock = clock;
    this.#settings = {
      maxRequestBytes: options.maxRequestBytes ?? 900_000,
      maxRequestRecords: options.maxRequestRecords ?? 5_000,
      maxRequestTotalBytes: options.maxRequestTotalBytes ?? 8 * 1024 * 1024,
      lingerMs: options.lingerMs ?? 5,
      maxInFlightRequests: options.maxInFlightRequests ?? 4,
      maxBufferedBytes: options.maxBufferedBytes ?? 64 * 1024 * 1024,
      retryMinMs: options.retryMinMs ?? 100,
      retryMaxMs: options.retryMaxMs ?? 2_000,
    };
  }

  offer(record: OutgoingRecord): 'accepted' | 'full' {
    const sizeBytes = sizeOf(record);
    if (this.#closing || this.#bufferedBytes + sizeBytes > this.#settings.maxBufferedBytes) return 'full';
    const queue = this.#queues.get(record.topic)?.[record.partition] ?? this.#newQueue(record.topic, record.partition);
    const nowMs = this.#clock.nowMs();
    queue.add(record, sizeBytes, nowMs);
    this.#bufferedBytes += sizeBytes;
    this.#bufferedRecords++;
    if (queue.state.kind === 'idle' && this.#inFlightRequests < this.#settings.maxInFlightRequests) {
      this.#wakeBy(
        queue.waitingBytes >= this.#settings.maxRequestBytes ? nowMs : queue.waitingSinceMs + this.#settings.lingerMs,
      );
    }
    return 'accepted';
  }

  flush(): Promise<void> {
    const targets = new Map(this.#all.filter(({ length }) => length > 0).map((queue) => [queue, queue.accepted]));
    if (targets.size === 0) return Promise.resolve();
    return new Promise((resolve) => {
      this.#flushes.push({ targets, resolve });
      this.#wakeBy(this.#clock.nowMs());
    });
  }

  async close(timeoutMs: number): Promise<void> {
    this.#closing = true;
    await within(timeoutMs, this.flush());
    this.#closed = true;
    this.#cancelWake?.();
    for (const queue of this.#all) {
      for (const { record, everSent } of queue.giveUp()) this.#events.onLost(record, 'closed', everSent);
    }
    this.#bufferedBytes = 0;
    this.#bufferedRecords = 0;
    this.#resolveFlushes();
  }

  unsettled(): readonly OutgoingRecord[] {
    return this.#all.flatMap((queue) => queue.unsettled());
  }

  stats(): ReturnType<Batcher['stats']> {
    return {
      bufferedBytes: this.#bufferedBytes,
      bufferedRecords: this.#bufferedRecords,
      inFlightRequests: this.#inFlightRequests,
      inFlightBytes: this.#inFlightBytes,
      available: this.#available,
    };
  }

  #newQueue(topic: string, partition: number): PartitionQueue {
    const queue = new PartitionQueue(topic, partition);
    const byPartition = this.#queues.get(topic) ?? [];
    byPartition[partition] = queue;
    this.#queues.set(topic, byPartition);
    this.#all.push(queue);
    return queue;
  }

  /** Makes sure that the next look at the queues is not later than this. */
  #wakeBy(atMs: number): void {
    if (this.#closed || atMs >= this.#wakeAtMs) return;
    this.#cancelWake?.();
    this.#wakeAtMs = atMs;
    this.#cancelWake = this.#clock.after(Math.max(0, atMs - this.#clock.nowMs()), () => {
      this.#wakeAtMs = Number.POSITIVE_INFINITY;
      this.#look();
    });
  }

  /** Sends what is due, and sees to it that somebody looks again when the rest is. */
  #look(): void {
    if (this.#closed) return;
    const nowMs = this.#clock.nowMs();
    while (this.#inFlightRequests < this.#settings.maxInFlightRequests) {
      const ready = this.#all.filter((queue) => queue.length > 0 && isReady(queue, nowMs));
      if (!ready.some((queue) => this.#dueAtMs(queue, nowMs) <= nowMs)) break;
      this.#send(ready);
    }
    if (this.#inFlightRequests >= this.#settings.maxInFlightRequests) return; // an answer comes, and looks
    let nextMs = Number.POSITIVE_INFINITY;
    for (const queue of this.#all) if (queue.length > 0) nextMs = Math.min(nextMs, this.#dueAtMs(queue, nowMs));
    this.#wakeBy(nextMs);
  }

  #dueAtMs(queue: PartitionQueue, nowMs: number): number {
    switch (queue.state.kind) {
      case 'inFlight':
        return Number.POSITIVE_INFINITY;
      case 'waiting':
        return queue.state.untilMs;
      case 'idle':
        if (this.#flushes.length > 0 || queue.waitingBytes >= this.#settings.maxRequestBytes) return nowMs;
        return queue.waitingSinceMs + this.#settings.lingerMs;
      default:
        return queue.state satisfies never;
    }
  }

  #send(ready: readonly PartitionQueue[]): void {
    const taken: Taken[] = [];
    let totalBytes = 0;
    for (let at = 0; at < ready.length && totalBytes < this.#settings.maxRequestTotalBytes; at++) {
      const queue = ready[(at + this.#turn) % ready.length] as PartitionQueue;
      const { records, sizeBytes } = queue.take(this.#settings.maxRequestRecords, this.#settings.maxRequestBytes);
      totalBytes += sizeBytes;
      taken.push({ topic: queue.topic, partition: queue.partition, records, queue });
    }
    this.#turn++;
    this.#inFlightRequests++;
    this.#inFlightBytes += totalBytes;
    void this.#producer.sendEach(taken).then((outcomes) => {
      this.#inFlightBytes -= totalBytes;
      this.#answered(taken, outcomes);
    });
  }

  #answered(taken: readonly Taken[], outcomes: readonly PartitionOutcome[]): void {
    this.#inFlightRequests--;
    if (this.#closed) return;
    let failure: MirrorstreamError | undefined;
    for (const [index, { queue }] of taken.entries()) {
      const outcome = outcomes[index] as PartitionOutcome;
      if (outcome.kind === 'unavailable') failure = outcome.error;
      this.#apply(queue, outcome);
      if (this.#closed) return; // a callback closed us
    }
    this.#tellAvailability(failure);
    this.#resolveFlushes();
    this.#look();
  }

  #apply(queue: PartitionQueue, outcome: PartitionOutcome): void {
    const { retryMinMs, retryMaxMs } = this.#settings;
    switch (outcome.kind) {
      case 'unavailable':
        queue.retryAt(this.#clock.nowMs() + backoffMs(queue.failures, retryMinMs, retryMaxMs));
        return;
      case 'acknowledged': {
        let offset = outcome.baseOffset;
        for (const record of this.#settle(queue)) this.#events.onAcknowledged(record, offset++);
        return;
      }
      case 'refused': {
        const several = queue.state.kind === 'inFlight' && queue.state.count > 1;
        if (outcome.scope === 'record' && several) queue.narrow();
        else for (const record of this.#settle(queue)) this.#events.onLost(record, 'kafkaRefused', true);
        return;
      }
      default:
        outcome satisfies never;
    }
  }

  #settle(queue: PartitionQueue): readonly OutgoingRecord[] {
    const { records, sizeBytes } = queue.settle();
    this.#bufferedBytes -= sizeBytes;
    this.#bufferedRecords -= records.length;
    return records;
  }

  #tellAvailability(failure: MirrorstreamError | undefined): void {
    const available = failure === undefined && !this.#all.some(({ state }) => state.kind === 'waiting');
    if (available === this.#available) return;
    this.#available = available;
    this.#events.onAvailability?.(available, failure);
  }

  #resolveFlushes(): void {
    if (this.#flushes.length === 0) return;
    const open: FlushWait[] = [];
    for (const wait of this.#flushes) {
      for (const [queue, target] of wait.targets) if (queue.settled >= target) wait.targets.delete(queue);
      if (wait.targets.size === 0) wait.resolve();
      else open.push(wait);
    }
    this.#flushes = open;
  }
}

function isReady({ state }: PartitionQueue, nowMs: number): boolean {
  return state.kind === 'idle' || (state.kind === 'waiting' && state.untilMs <= nowMs);
}

function sizeOf({ key, value, headers }: OutgoingRecord): number {
  let bytes = recordOverheadBytes + (key?.length ?? 0) + (value?.length ?? 0);
  if (headers !== undefined) for (const name in headers) bytes += name.length + (headers[name] as string).length + 8;
  return bytes;
}
