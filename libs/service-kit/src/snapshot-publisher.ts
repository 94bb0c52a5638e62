// Publishes a service's snapshots to the status topic: the newest only, when it has changed, and now and then anyway.
import { type Snapshot, snapshotKey, statusTopic } from '@mirrorstream/domain';
import type { KafkaLogger, PartitionRecords, Producer } from '@mirrorstream/kafka';

export interface SnapshotPublisherOptions {
  readonly producer: Pick<Producer, 'sendEach'>;
  /** The present state; asked at each tick, so what Kafka could not take is replaced by what is true then. */
  readonly snapshots: () => readonly Snapshot[];
  readonly logger: KafkaLogger;
  /** Default 500. */
  readonly intervalMs?: number;
  /** An unchanged snapshot is published again after so long. Default 5 000. */
  readonly refreshMs?: number;
}

/** Keys remembered, to know what has changed; forgetting one costs a needless publication. */
const maxRememberedKeys = 10_000;

interface Published {
  /** Without the time. */
  readonly content: string;
  readonly atMs: number;
}

export class SnapshotPublisher {
  readonly #options: SnapshotPublisherOptions;
  readonly #intervalMs: number;
  readonly #refreshMs: number;
  readonly #published = new Map<string, Published>();
  #sending: Promise<boolean> | undefined;
  #timer: NodeJS.Timeout | undefined;
  #away = false;

  constructor(options: SnapshotPublisherOptions) {
    this.#options = options;
    this.#intervalMs = options.intervalMs ?? 500;
    this.#refreshMs = options.refreshMs ?? 5_000;
  }

  start(): void {
    this.#timer ??= setInterval(() => {
      if (this.#sending === undefined) void this.#publish(false);
    }, this.#intervalMs);
  }

  /** Publishes the present state, all of it. Whether Kafka has it within timeoutMs; never throws. */
  async publishNow(timeoutMs = 5_000): Promise<boolean> {
    const untilMs = performance.now() + timeoutMs;
    for (;;) {
      while (this.#sending !== undefined) if (!(await before(untilMs, this.#sending)).settled) return false;
      const outcome = await before(untilMs, this.#publish(true));
      if (!outcome.settled || outcome.value) return outcome.settled;
      const waitMs = Math.min(100, untilMs - performance.now());
      if (waitMs <= 0) return false;
      await new Promise((resolve) => setTimeout(resolve, waitMs));
    }
  }

  /** No more ticks. What is under way may still arrive. */
  stop(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  #publish(all: boolean): Promise<boolean> {
    this.#sending = this.#send(all).finally(() => {
      this.#sending = undefined;
    });
    return this.#sending;
  }

  async #send(all: boolean): Promise<boolean> {
    try {
      const due = this.#due(all);
      if (due.length === 0) return true;
      const parts: PartitionRecords[] = [{ topic: statusTopic, partition: 0, records: due.map(toRecord) }];
      const [outcome] = await this.#options.producer.sendEach(parts);
      if (outcome?.kind !== 'acknowledged') throw outcome?.error ?? new Error('no answer');
      for (const { key, content, atMs } of due) this.#remember(key, { content, atMs });
      if (this.#away) this.#options.logger.info({}, 'status is published again');
      this.#away = false;
      return true;
    } catch (err) {
      if (!this.#away)
        this.#options.logger.warn({ err }, 'status cannot be published; the newest is kept and tried again');
      this.#away = true;
      return false;
    }
  }

  #due(all: boolean): Due[] {
    const nowMs = performance.now();
    const due: Due[] = [];
    for (const snapshot of this.#options.snapshots()) {
      const key = snapshotKey(snapshot);
      const content = JSON.stringify({ ...snapshot, atMs: 0 });
      const last = this.#published.get(key);
      if (all || last === undefined || last.content !== content || nowMs - last.atMs >= this.#refreshMs) {
        due.push({ key, content, atMs: nowMs, snapshot });
      }
    }
    return due;
  }

  #remember(key: string, published: Published): void {
    this.#published.delete(key);
    this.#published.set(key, published);
    const [oldest] = this.#published.keys();
    if (this.#published.size > maxRememberedKeys && oldest !== undefined) this.#published.delete(oldest);
  }
}

interface Due extends Published {
  readonly key: string;
  readonly snapshot: Snapshot;
}

const toRecord = ({ key, snapshot }: Due) => ({
  topic: statusTopic,
  partition: 0,
  key,
  value: Buffer.from(JSON.stringify(snapshot)),
});

async function before<T>(
  untilMs: number,
  promise: Promise<T>,
): Promise<{ readonly settled: true; readonly value: T } | { readonly settled: false }> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<{ readonly settled: false }>((resolve) => {
    timer = setTimeout(() => resolve({ settled: false }), Math.max(0, untilMs - performance.now()));
  });
  const first = await Promise.race([promise.then((value) => ({ settled: true as const, value })), late]);
  clearTimeout(timer);
  return first;
}
