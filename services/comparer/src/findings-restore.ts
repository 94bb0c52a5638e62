// Reads back what aggregates a partition has: those that hold more than its checkpoint, without fail; of the others as many as fit, so
// that they are gone on with.
import { MirrorstreamError } from '@mirrorstream/domain';
import { type AggregateRecord, aggregateRecordSchema } from '@mirrorstream/findings';
import type { Admin, KafkaClient } from '@mirrorstream/kafka';
import type { FindingsPlace, SavedFindings } from './findings-table.ts';

export interface RestorePlace extends FindingsPlace {
  /** From this offset of the findings topic on nothing may be left out: it was published after the checkpoint was frozen. */
  readonly needFrom: bigint;
}

export interface RestoreRequest {
  readonly places: readonly RestorePlace[];
  /** Read per partition, beside what is needed. */
  readonly maxRecords: number;
  /** Kept per partition, beside what is needed. */
  readonly maxBytes: number;
}

interface Found {
  readonly offset: bigint;
  readonly value: Buffer;
}

/** Per results partition: the newest record of each key, oldest first. Throws `undecodable` for an unreadable one. */
export async function readFindings(
  client: KafkaClient,
  admin: Admin,
  { places, maxRecords, maxBytes }: RestoreRequest,
): Promise<ReadonlyMap<number, SavedFindings>> {
  const restored = new Map<number, SavedFindings>();
  for (const { topic, partition, topicPartition, needFrom } of places) {
    const ends = (await admin.offsets(topic)).find((one) => one.partition === topicPartition);
    if (ends === undefined || ends.high === ends.low) continue;
    const recent = ends.high - BigInt(maxRecords);
    const from = [needFrom, recent].reduce((a, b) => (b < a ? b : a));
    const kept = new NewestRecords(needFrom, maxBytes);
    const range = { partition: topicPartition, from: from > ends.low ? from : ends.low, to: ends.high };
    await client.readRange(topic, [range], (batch) => {
      for (const { key, value, offset } of batch.records) {
        const name = key?.toString('utf8') ?? '';
        if (name.startsWith(`${partition}/`)) kept.add(name, value === null ? null : { offset, value });
      }
    });
    const records = kept.all().map((found) => parse(topic, found));
    restored.set(partition, { records, needFrom, publishedTo: ends.high });
  }
  return restored;
}

/** By key, the newest last; the oldest that are not needed go when there are too many bytes. */
class NewestRecords {
  readonly #needFrom: bigint;
  readonly #maxBytes: number;
  readonly #newest = new Map<string, Found>();
  #sizeBytes = 0;

  constructor(needFrom: bigint, maxBytes: number) {
    this.#needFrom = needFrom;
    this.#maxBytes = maxBytes;
  }

  add(key: string, found: Found | null): void {
    this.#remove(key);
    if (found === null) return;
    this.#newest.set(key, found);
    this.#sizeBytes += found.value.length;
    for (const [oldest, { offset }] of this.#newest) {
      if (this.#sizeBytes <= this.#maxBytes || offset >= this.#needFrom) break;
      this.#remove(oldest);
    }
  }

  all(): readonly Found[] {
    return [...this.#newest.values()];
  }

  #remove(key: string): void {
    const known = this.#newest.get(key);
    if (known === undefined) return;
    this.#newest.delete(key);
    this.#sizeBytes -= known.value.length;
  }
}

function parse(topic: string, { offset, value }: Found): AggregateRecord {
  try {
    return aggregateRecordSchema.parse(JSON.parse(value.toString('utf8')));
  } catch (cause) {
    throw new MirrorstreamError('undecodable', `record ${offset} of ${topic} is not one this version can read`, {
      stage: 'comparer',
      hint: 'Run the version that wrote it. To begin the findings of this mirror anew, publish a tombstone for its key.',
      cause,
    });
  }
}
