// The ledger of one incarnation's capture: every transaction is acknowledged, pending or dropped for a reason, and in one place only.
import { type CaptureSnapshot, type GapReasonName, gapReasons } from '@mirrorstream/domain';
import { GapReason } from '@mirrorstream/envelope';

const reasonNames: Readonly<Record<GapReason, GapReasonName>> = {
  [GapReason.UNSPECIFIED]: 'malformed',
  [GapReason.RING_FULL]: 'ringFull',
  [GapReason.PUBLISH_BUFFER_FULL]: 'publishBufferFull',
  [GapReason.RECORD_REFUSED]: 'recordRefused',
  [GapReason.MALFORMED]: 'malformed',
  [GapReason.MEMORY_LIMIT]: 'memoryLimit',
  [GapReason.WORKER_RESTART]: 'workerRestart',
  [GapReason.SHUTDOWN]: 'shutdown',
  [GapReason.SPOOL_FULL]: 'spoolFull',
  [GapReason.SPOOL_FAILED]: 'spoolFailed',
  [GapReason.CAPTURE_OFF]: 'captureOff',
  [GapReason.UNSAMPLED]: 'unsampled',
};

/** Transactions and their exchanges in one record for Kafka. */
export interface RecordCounts {
  /** Increases within the incarnation and partition. */
  readonly number: number;
  readonly transactions: number;
  readonly exchanges: number;
  readonly sizeBytes: number;
}

export interface SnapshotSurroundings {
  readonly source: string;
  readonly captureNode: string;
  readonly incarnation: string;
  readonly worker: number;
  /** See ProcessIdentity; null where it cannot be known. */
  readonly process: string | null;
  readonly atMs: number;
  readonly final: boolean;
  readonly sessions: { readonly total: number; readonly open: number };
  readonly bytes: number;
  /** Seen, but not in a record yet. */
  readonly openTransactions: number;
  readonly backlogBytes: number;
  /** Bytes that a full ring dropped and that no gap tells of. */
  readonly ringDroppedBytes: number;
}

export class Ledger {
  #transactions = 0;
  #exchanges = 0;
  #pendingTransactions = 0;
  #pendingBytes = 0;
  #droppedTransactions = 0;
  #droppedBytes = 0;
  readonly #byReason = new Map<GapReasonName, number>();
  readonly #publishedUpTo = new Map<number, bigint>();
  readonly #settledRecords = new Map<number, number>();

  /** Where the partition ended before this incarnation published anything. */
  began(partition: number, offset: bigint): void {
    if (!this.#publishedUpTo.has(partition)) this.#publishedUpTo.set(partition, offset);
  }

  encoded(transactions: number): void {
    this.#pendingTransactions += transactions;
  }

  accepted(record: RecordCounts): void {
    this.#pendingBytes += record.sizeBytes;
  }

  acknowledged(record: RecordCounts, partition: number, offset: bigint): void {
    this.#pendingTransactions -= record.transactions;
    this.#pendingBytes -= record.sizeBytes;
    this.#transactions += record.transactions;
    this.#exchanges += record.exchanges;
    this.#publishedUpTo.set(partition, offset + 1n);
    this.#settledRecords.set(partition, record.number);
  }

  /** A record that was encoded, but that there was no room for: neither in memory nor in the spool. */
  refused(record: Pick<RecordCounts, 'transactions' | 'sizeBytes'>, reason: GapReason): void {
    this.#pendingTransactions -= record.transactions;
    this.dropped(reason, record.transactions, record.sizeBytes);
  }

  /** A record that had been accepted and will not be published. */
  lost(record: Omit<RecordCounts, 'exchanges'>, partition: number, reason: GapReason): void {
    this.#settledRecords.set(partition, record.number);
    this.unreadable(record, reason);
  }

  /** As `lost`, of records that nobody can name any more. */
  unreadable(record: Pick<RecordCounts, 'transactions' | 'sizeBytes'>, reason: GapReason): void {
    this.#pendingTransactions -= record.transactions;
    this.#pendingBytes -= record.sizeBytes;
    this.dropped(reason, record.transactions, record.sizeBytes);
  }

  /** What never became a record. */
  dropped(reason: GapReason, transactions: number, sizeBytes: number): void {
    this.#droppedTransactions += transactions;
    this.#droppedBytes += sizeBytes;
    const name = reasonNames[reason] ?? 'malformed'; // a reason of a later schema
    this.#byReason.set(name, (this.#byReason.get(name) ?? 0) + transactions);
  }

  get pendingTransactions(): number {
    return this.#pendingTransactions;
  }

  droppedByReason(): Readonly<Record<GapReasonName, number>> {
    const counts = gapReasons.map((reason) => [reason, this.#byReason.get(reason) ?? 0] as const);
    return Object.fromEntries(counts) as Record<GapReasonName, number>;
  }

  snapshot(around: SnapshotSurroundings): CaptureSnapshot {
    return {
      kind: 'capture',
      source: around.source,
      captureNode: around.captureNode,
      incarnation: around.incarnation,
      atMs: around.atMs,
      final: around.final,
      sessions: around.sessions,
      transactions: this.#transactions,
      exchanges: this.#exchanges,
      bytes: around.bytes,
      dropped: {
        transactions: this.#droppedTransactions,
        bytes: this.#droppedBytes + around.ringDroppedBytes,
        byReason: Object.fromEntries(this.#byReason),
      },
      pending: {
        transactions: this.#pendingTransactions + around.openTransactions,
        bytes: this.#pendingBytes + around.backlogBytes,
      },
      publishedUpTo: Object.fromEntries([...this.#publishedUpTo].map(([partition, at]) => [partition, String(at)])),
      settledRecords: Object.fromEntries(this.#settledRecords),
      worker: around.worker,
      ...(around.process === null ? {} : { process: around.process }),
    };
  }
}
