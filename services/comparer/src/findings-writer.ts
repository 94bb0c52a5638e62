// Publishes the aggregates that a checkpoint waits for, and those that are forgotten: one request at a time, at a bounded rate of bytes.
import { MirrorstreamError } from '@mirrorstream/domain';
import type { Acknowledgement, Producer } from '@mirrorstream/kafka';
import type { FindingsTable, WaitingRecord } from './findings-table.ts';

export interface FindingsWriterOptions {
  readonly maxRequestBytes: number;
  readonly maxBytesPerS: number;
}

export interface FindingsEvents {
  /** Some are published: checkpoints may be ready, and counting may go on. */
  readonly onPublished: () => void;
  readonly onAvailability: (available: boolean, error?: MirrorstreamError) => void;
  /** Kafka will never take it: counts and aggregates would part. */
  readonly onRefused: (error: MirrorstreamError) => void;
}

interface Part {
  readonly table: FindingsTable;
  readonly records: readonly WaitingRecord[];
}

export class FindingsWriter {
  /** Records published since the start. */
  published = 0;
  readonly #producer: Producer;
  readonly #options: FindingsWriterOptions;
  readonly #events: FindingsEvents;
  readonly #nowMs: () => number;
  #sending: Promise<boolean> | null = null;
  #available = true;
  #nextAtMs = 0;

  constructor(producer: Producer, options: FindingsWriterOptions, events: FindingsEvents, nowMs: () => number) {
    this.#producer = producer;
    this.#options = options;
    this.#events = events;
    this.#nowMs = nowMs;
  }

  /** Publishes what waits, as far as the rate allows; `hurry`: whatever the rate, for the end. Never rejects. */
  async publish(tables: Iterable<FindingsTable>, hurry = false): Promise<void> {
    const all = [...tables];
    while (hurry || this.#nowMs() >= this.#nextAtMs) {
      this.#sending ??= this.#sendOne(all).finally(() => {
        this.#sending = null;
      });
      if (!(await this.#sending)) return;
    }
  }

  /** Resolves when nothing is under way any more. */
  async settle(): Promise<void> {
    await this.#sending;
  }

  /** One request; false when there was nothing to send, or it failed. What failed stays for the next time. */
  async #sendOne(tables: readonly FindingsTable[]): Promise<boolean> {
    const parts = this.#collect(tables);
    if (parts.length === 0) return false;
    let acknowledged: readonly Acknowledgement[];
    try {
      acknowledged = await this.#producer.send(parts.flatMap(({ records }) => records.map(({ record }) => record)));
    } catch (error) {
      this.#failed(error);
      return false;
    }
    if (!this.#available) this.#events.onAvailability(true);
    this.#available = true;
    let sizeBytes = 0;
    for (const { table, records } of parts) {
      table.acknowledge(records.length, offsetOf(acknowledged, table));
      this.published += records.length;
      for (const record of records) sizeBytes += record.sizeBytes;
    }
    this.#nextAtMs = Math.max(this.#nowMs(), this.#nextAtMs) + (sizeBytes / this.#options.maxBytesPerS) * 1_000;
    this.#events.onPublished();
    return true;
  }

  #collect(tables: readonly FindingsTable[]): Part[] {
    const parts: Part[] = [];
    let left = this.#options.maxRequestBytes;
    for (const table of tables) {
      if (left <= 0) break;
      const records = table.next(left);
      if (records.length === 0) continue;
      parts.push({ table, records });
      for (const { sizeBytes } of records) left -= sizeBytes;
    }
    return parts;
  }

  #failed(error: unknown): void {
    const known = error instanceof MirrorstreamError ? error : null;
    if (known === null || known.code === 'kafkaRefused') {
      this.#events.onRefused(
        known ?? new MirrorstreamError('internal', 'publishing findings failed', { stage: 'comparer', cause: error }),
      );
      return;
    }
    if (this.#available) this.#events.onAvailability(false, known);
    this.#available = false;
  }
}

/** Where the request's records of that partition begin. */
function offsetOf(acknowledged: readonly Acknowledgement[], { place }: FindingsTable): bigint {
  const found = acknowledged.find((one) => one.topic === place.topic && one.partition === place.topicPartition);
  if (found !== undefined) return found.baseOffset;
  throw new MirrorstreamError('internal', 'an acknowledgement names another partition', { stage: 'comparer' });
}
