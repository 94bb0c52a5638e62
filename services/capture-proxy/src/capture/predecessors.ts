// Earlier incarnations of this node that could not close their books: which they are, and what the topic holds of them.
import type { CaptureSnapshot, Snapshot } from '@mirrorstream/domain';
import { decodeEnvelopeBatch, type EnvelopeBatch } from '@mirrorstream/envelope';
import type { IncomingBatch, IncomingRecord, KafkaClient, PartitionOffsets } from '@mirrorstream/kafka';

/** What was found of one incarnation beyond what its last snapshot knew. */
export interface Found {
  transactions: number;
  exchanges: number;
  /** Records that could not be read: their header still says how many transactions. */
  undecodable: number;
  /** Partition → number of the last record that is there. */
  readonly records: ReadonlyMap<number, number>;
}

export interface PredecessorSearch {
  readonly source: string;
  readonly captureNode: string;
  readonly incarnation: string;
  readonly worker: number;
  readonly workers: number;
}

/** Snapshots of this worker's earlier incarnations that are not final. The first worker looks after those that exist no more. */
export function unfinished(snapshots: Iterable<Snapshot>, search: PredecessorSearch): CaptureSnapshot[] {
  const found: CaptureSnapshot[] = [];
  for (const snapshot of snapshots) {
    if (
      snapshot.kind === 'capture' &&
      snapshot.source === search.source &&
      snapshot.captureNode === search.captureNode &&
      isHeir(search, snapshot.worker ?? 0) &&
      snapshot.incarnation !== search.incarnation &&
      !snapshot.final
    ) {
      found.push(snapshot);
    }
  }
  return found;
}

/** Whether this worker closes the books of that one: its own, and the first worker those of workers that are no longer started. */
export function isHeir(own: Pick<PredecessorSearch, 'worker' | 'workers'>, worker: number): boolean {
  return worker === own.worker || (own.worker === 0 && worker >= own.workers);
}

/** Counts one incarnation's transactions record by record; what was sent twice counts once. */
export class IncarnationCount implements Found {
  transactions = 0;
  exchanges = 0;
  undecodable = 0;
  readonly records = new Map<number, number>();
  /** Session → highest session_seq counted: they come in order, repeated requests included. */
  readonly #counted = new Map<string, bigint>();
  readonly #last: CaptureSnapshot;

  constructor(last: CaptureSnapshot) {
    this.#last = last;
  }

  add(partition: number, record: IncomingRecord): void {
    const from = this.#last.publishedUpTo[String(partition)];
    if (from !== undefined && record.offset < BigInt(from)) return;
    if (this.#isRepeated(partition, record)) return;
    const batch = decoded(record);
    if (batch === null) {
      this.undecodable += 1;
      this.transactions += Number(record.headers['transactions'] ?? 0);
      return;
    }
    for (const { record: entry } of batch.records) {
      if (entry.case !== 'envelope') continue;
      const { sessionId, sessionSeq, lastPart, exchanges } = entry.value;
      if (sessionSeq <= (this.#counted.get(sessionId) ?? 0n)) continue;
      for (const exchange of exchanges) if (!exchange.continues) this.exchanges += 1;
      if (!lastPart) continue;
      this.transactions += 1;
      this.#counted.set(sessionId, sessionSeq);
    }
  }

  #isRepeated(partition: number, { headers }: IncomingRecord): boolean {
    const number = Number(headers['record'] ?? Number.NaN);
    if (!Number.isFinite(number)) return false; // written before records had numbers
    const seen = this.records.get(partition) ?? this.#last.settledRecords?.[String(partition)] ?? 0;
    if (number <= seen) return true;
    this.records.set(partition, number);
    return false;
  }
}

/** Reads the topic once for all of them. */
export async function countPublished(
  client: KafkaClient,
  topic: string,
  ends: readonly PartitionOffsets[],
  lasts: readonly CaptureSnapshot[],
): Promise<ReadonlyMap<CaptureSnapshot, Found>> {
  const counts = new Map(lasts.map((last) => [last, new IncarnationCount(last)]));
  const byIncarnation = new Map(lasts.map((last) => [last.incarnation, counts.get(last) as IncarnationCount]));
  const ranges = ends
    .map(({ partition, low, high }) => ({ partition, from: firstOffset(partition, low, lasts), to: high }))
    .filter(({ from, to }) => from < to);
  await client.readRange(topic, ranges, (batch: IncomingBatch) => {
    for (const record of batch.records) {
      byIncarnation.get(record.headers['incarnation'] ?? '')?.add(batch.partition, record);
    }
  });
  return counts;
}

function firstOffset(partition: number, low: bigint, lasts: readonly CaptureSnapshot[]): bigint {
  let first: bigint | null = null;
  for (const last of lasts) {
    const known = BigInt(last.publishedUpTo[String(partition)] ?? 0);
    if (first === null || known < first) first = known;
  }
  return first === null || first < low ? low : first;
}

function decoded(record: IncomingRecord): EnvelopeBatch | null {
  try {
    return record.value === null ? null : decodeEnvelopeBatch(record.value);
  } catch {
    return null;
  }
}
