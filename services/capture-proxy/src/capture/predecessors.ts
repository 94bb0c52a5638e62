// Closes the books of earlier incarnations of this node that could not do it themselves: what the topic holds of them is what counts.
import type { CaptureSnapshot, Snapshot } from '@mirrorstream/domain';
import { decodeEnvelopeBatch, type EnvelopeBatch } from '@mirrorstream/envelope';
import type { IncomingBatch, IncomingRecord, KafkaClient, PartitionOffsets } from '@mirrorstream/kafka';

/** What was found of one incarnation beyond what its last snapshot knew. */
export interface Found {
  transactions: number;
  exchanges: number;
  /** Records that could not be read: their header still says how many transactions. */
  undecodable: number;
}

export interface PredecessorSearch {
  readonly source: string;
  readonly captureNode: string;
  readonly incarnation: string;
}

/** Snapshots of this node's earlier incarnations that are not final. */
export function unfinished(snapshots: Iterable<Snapshot>, search: PredecessorSearch): CaptureSnapshot[] {
  const found: CaptureSnapshot[] = [];
  for (const snapshot of snapshots) {
    if (
      snapshot.kind === 'capture' &&
      snapshot.source === search.source &&
      snapshot.captureNode === search.captureNode &&
      snapshot.incarnation !== search.incarnation &&
      !snapshot.final
    ) {
      found.push(snapshot);
    }
  }
  return found;
}

/**
 * The last word on an incarnation that is gone. What it knew as acknowledged stays; what the topic shows beyond that was captured,
 * too; what it had seen and the topic does not show is lost with it (a lower bound: its last snapshot may be half a second old).
 */
export function finalSnapshot(last: CaptureSnapshot, found: Found, atMs: number): CaptureSnapshot {
  const lost = Math.max(0, last.pending.transactions - found.transactions);
  const workerRestart = (last.dropped.byReason.workerRestart ?? 0) + lost;
  return {
    ...last,
    atMs,
    final: true,
    sessions: { total: last.sessions.total, open: 0 },
    transactions: last.transactions + found.transactions,
    exchanges: last.exchanges + found.exchanges,
    dropped: {
      transactions: last.dropped.transactions + lost,
      bytes: last.dropped.bytes,
      byReason: lost === 0 ? last.dropped.byReason : { ...last.dropped.byReason, workerRestart },
    },
    pending: { transactions: 0, bytes: 0 },
  };
}

/** Counts one incarnation's transactions record by record; a transaction that was sent twice counts once. */
export class IncarnationCount implements Found {
  transactions = 0;
  exchanges = 0;
  undecodable = 0;
  /** Session → highest session_seq counted: they come in order, repeated requests included. */
  readonly #counted = new Map<string, bigint>();
  readonly #last: CaptureSnapshot;

  constructor(last: CaptureSnapshot) {
    this.#last = last;
  }

  add(partition: number, record: IncomingRecord): void {
    const from = this.#last.publishedUpTo[String(partition)];
    if (from !== undefined && record.offset < BigInt(from)) return;
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
