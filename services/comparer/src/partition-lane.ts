// One assigned partition: the records that wait, the ledger, and the checkpoint that may be published once its verdicts are safe.
//
// A checkpoint covers a record only when the verdicts of that record are acknowledged. So it is frozen first (a copy of the ledger,
// when everything made so far was handed to the batcher), and published when all that was handed over before is settled, and the
// aggregates that have changed until then are published.
import { snapshotKey, statusTopic } from '@mirrorstream/domain';
import type { IncomingRecord, OutgoingRecord } from '@mirrorstream/kafka';
import type { FindingsTable } from './findings-table.ts';
import { LagGuard, type LagThresholds } from './lag-guard.ts';
import type { PartitionLedger } from './ledger.ts';

export interface Checkpoint {
  readonly record: OutgoingRecord;
  readonly nextOffset: bigint;
  readonly sizeBytes: number;
}

const RECORD_OVERHEAD_BYTES = 100;

export class PartitionLane {
  readonly partition: number;
  readonly ledger: PartitionLedger;
  readonly findings: FindingsTable;
  readonly lag: LagGuard;
  /** Bytes of records that wait to be counted. */
  queuedBytes = 0;
  /** Fetching is paused. */
  paused = false;
  /** The next offset to take in: what lies before is known already. */
  expectedOffset: bigint;
  private queue: IncomingRecord[] = [];
  private head = 0;
  /** Made and not accepted by the batcher yet. */
  private unoffered: OutgoingRecord[] = [];
  private epoch = 0;
  private unsettledBefore = 0;
  private unsettledSince = 0;
  private frozen: Checkpoint | null = null;
  private frozenOffset: bigint;
  private publishedAtMs: number;

  constructor(
    partition: number,
    ledger: PartitionLedger,
    findings: FindingsTable,
    thresholds: LagThresholds,
    nowMs: number,
  ) {
    this.partition = partition;
    this.ledger = ledger;
    this.findings = findings;
    this.lag = new LagGuard(thresholds);
    this.expectedOffset = ledger.nextOffset;
    this.frozenOffset = ledger.nextOffset;
    this.publishedAtMs = nowMs;
  }

  enqueue(records: readonly IncomingRecord[]): void {
    for (const record of records) {
      if (record.offset < this.expectedOffset) continue;
      this.expectedOffset = record.offset + 1n;
      this.queue.push(record);
      this.queuedBytes += sizeOf(record);
    }
  }

  /** The next record to count; null while there is none, or while verdicts or aggregates wait for room. */
  take(): IncomingRecord | null {
    if (this.unoffered.length > 0 || this.findings.isFull) return null;
    const record = this.queue[this.head];
    if (record === undefined) return null;
    this.head += 1;
    this.queuedBytes -= sizeOf(record);
    if (this.head === this.queue.length || this.head === 1024) {
      this.queue = this.queue.slice(this.head);
      this.head = 0;
    }
    return record;
  }

  get hasWork(): boolean {
    return this.unoffered.length > 0 || this.head < this.queue.length;
  }

  get isBlocked(): boolean {
    return this.unoffered.length > 0;
  }

  publish(records: readonly OutgoingRecord[]): void {
    this.unoffered.push(...records);
  }

  /** Hands over what waits, in order, as far as it is taken. `offer` answers whether it took the record for this epoch. */
  offerAll(offer: (record: OutgoingRecord, epoch: number) => boolean): void {
    let taken = 0;
    for (const record of this.unoffered) {
      if (!offer(record, this.epoch)) break;
      this.unsettledSince += 1;
      taken += 1;
    }
    if (taken > 0) this.unoffered = this.unoffered.slice(taken);
  }

  /** A record of that epoch was acknowledged, or refused for good. */
  settle(epoch: number): void {
    if (epoch === this.epoch) this.unsettledSince -= 1;
    else this.unsettledBefore -= 1;
  }

  /** Copies the ledger when it has moved since the last time, or that is `maxAgeMs` ago; at most one copy waits. */
  freeze(nowMs: number, maxAgeMs: number): void {
    if (this.frozen !== null || this.unoffered.length > 0) return;
    const moved = this.ledger.nextOffset !== this.frozenOffset;
    if (!moved && nowMs - this.publishedAtMs < maxAgeMs) return;
    const snapshot = { ...this.ledger.snapshot(nowMs), findingsFrom: String(this.findings.needFrom) };
    const value = Buffer.from(JSON.stringify(snapshot));
    this.frozen = {
      record: { topic: statusTopic, partition: 0, key: snapshotKey(snapshot), value },
      nextOffset: this.ledger.nextOffset,
      sizeBytes: value.length,
    };
    this.frozenOffset = this.ledger.nextOffset;
    this.findings.cover();
    this.epoch += 1;
    this.unsettledBefore = this.unsettledSince;
    this.unsettledSince = 0;
  }

  /** The frozen checkpoint, once all verdicts it covers are settled and all aggregates published. */
  ready(): Checkpoint | null {
    return this.unsettledBefore === 0 && this.findings.isCovered ? this.frozen : null;
  }

  published(nowMs: number): void {
    this.frozen = null;
    this.publishedAtMs = nowMs;
  }

  /** Everything counted so far is published. */
  get isSettled(): boolean {
    return this.frozen === null && this.unoffered.length === 0 && this.frozenOffset === this.ledger.nextOffset;
  }
}

function sizeOf(record: IncomingRecord): number {
  return (record.value?.length ?? 0) + RECORD_OVERHEAD_BYTES;
}
