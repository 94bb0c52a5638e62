// The books of an incarnation that is gone, continued by its successor: pure arithmetic from its last snapshot to its final one.
//
// Every intermediate snapshot is one that the next successor could go on from: counts, offsets and record numbers are of one moment.
import type { CaptureSnapshot } from '@mirrorstream/domain';
import type { PartitionOffsets } from '@mirrorstream/kafka';
import type { SpoolRecord } from '../spool/segment-format.ts';
import type { Found } from './predecessors.ts';

type Counted = Pick<SpoolRecord, 'partition' | 'number' | 'transactions' | 'exchanges' | 'sizeBytes'>;

export class InheritedBooks {
  readonly incarnation: string;
  readonly #last: CaptureSnapshot;
  #transactions: number;
  #exchanges: number;
  #refused = 0;
  #refusedBytes = 0;
  readonly #publishedUpTo: Map<string, string>;
  readonly #settledRecords: Map<string, number>;

  /** `found`: in the topic up to `ends`, beyond what the snapshot knew. */
  constructor(last: CaptureSnapshot, found: Found, ends: readonly PartitionOffsets[]) {
    this.incarnation = last.incarnation;
    this.#last = last;
    this.#transactions = last.transactions + found.transactions;
    this.#exchanges = last.exchanges + found.exchanges;
    this.#publishedUpTo = new Map(ends.map(({ partition, high }) => [String(partition), String(high)]));
    this.#settledRecords = new Map(Object.entries(last.settledRecords ?? {}));
    for (const [partition, number] of found.records) this.#settledRecords.set(String(partition), number);
  }

  /** Whether a record of the spool is settled already: captured, or refused for good. */
  isSettled({ partition, number }: Counted): boolean {
    return number <= (this.#settledRecords.get(String(partition)) ?? 0);
  }

  acknowledged(record: Counted, offset: bigint): void {
    this.#transactions += record.transactions;
    this.#exchanges += record.exchanges;
    this.#publishedUpTo.set(String(record.partition), String(offset + 1n));
    this.#settledRecords.set(String(record.partition), record.number);
  }

  refused(record: Counted): void {
    this.#refused += record.transactions;
    this.#refusedBytes += record.sizeBytes;
    this.#settledRecords.set(String(record.partition), record.number);
  }

  /** As of now; more may come. */
  snapshot(atMs: number): CaptureSnapshot {
    return this.#snapshot(atMs, this.#stillPending(), 0);
  }

  /**
   * The last word. What the incarnation had seen, and neither the topic nor the spool shows, is lost with it: a lower bound, as its last
   * snapshot may be half a second old.
   */
  final(atMs: number): CaptureSnapshot {
    return { ...this.#snapshot(atMs, 0, this.#stillPending()), final: true, pending: { transactions: 0, bytes: 0 } };
  }

  #stillPending(): number {
    const accounted = this.#transactions - this.#last.transactions + this.#refused;
    return Math.max(0, this.#last.pending.transactions - accounted);
  }

  #snapshot(atMs: number, pending: number, lost: number): CaptureSnapshot {
    const last = this.#last;
    const byReason = { ...last.dropped.byReason };
    if (lost > 0) byReason.workerRestart = (byReason.workerRestart ?? 0) + lost;
    if (this.#refused > 0) byReason.recordRefused = (byReason.recordRefused ?? 0) + this.#refused;
    return {
      ...last,
      atMs,
      final: false,
      sessions: { total: last.sessions.total, open: 0 },
      transactions: this.#transactions,
      exchanges: this.#exchanges,
      dropped: {
        transactions: last.dropped.transactions + lost + this.#refused,
        bytes: last.dropped.bytes + this.#refusedBytes,
        byReason,
      },
      pending: { transactions: pending, bytes: pending === 0 ? 0 : last.pending.bytes },
      publishedUpTo: Object.fromEntries(this.#publishedUpTo),
      settledRecords: Object.fromEntries(this.#settledRecords),
    };
  }
}
