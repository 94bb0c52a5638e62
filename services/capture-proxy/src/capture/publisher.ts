// Gathers the drafts of each partition into records and offers them; what is refused becomes gaps, told as soon as there is room.
import {
  BatchEncoder,
  type BatchOrigin,
  type CaptureRecordDraft,
  type EnvelopeDraft,
  type GapDraft,
  type GapReason,
} from '@mirrorstream/envelope';
import { BufferPool } from '@mirrorstream/kafka';
import type { SpoolRecord } from '../spool/segment-format.ts';
import type { Ledger } from './ledger.ts';
import { type RecordEntry, recordEntries } from './record-entries.ts';
import type { Watermark } from './watermark.ts';

/** What the publisher needs of the session a draft belongs to. Identity is what counts. */
export interface DraftOwner {
  readonly sessionId: string;
  readonly partition: number;
}

export interface PublisherOptions {
  readonly topic: string;
  readonly origin: Omit<BatchOrigin, 'partition'>;
  readonly partitions: number;
  /**
   * A record is cut at this size, and those of all partitions when the oldest draft among them is this old: many partitions in
   * one request cost far less than a request for each.
   */
  readonly recordBytes: number;
  readonly lingerUs: number;
  /** Sessions per partition that gaps are kept for; beyond it they are told together, without a session. */
  readonly maxGapSessions: number;
  /** Memory of acknowledged records that is kept for the next ones. */
  readonly maxPooledBytes: number;
  readonly wallUsAtMonoZero: number;
}

/** A record on its way, with what must be known should it be lost. */
export interface CaptureRecord extends SpoolRecord {
  /** Missing when it was read back from the spool: then its value says it. */
  readonly entries?: readonly RecordEntry[];
}

interface PendingGap {
  readonly owner: DraftOwner | null;
  reason: GapReason;
  transactions: number;
  sizeBytes: number;
  afterSeq: number;
}

/** Where records go. */
export interface Outlet {
  /** Or why it was not accepted. */
  offer(record: CaptureRecord): 'accepted' | GapReason;
  /** Asked after a refusal: null once there is room again, else what is in the way now, which may be something else than at first. */
  refusal(): GapReason | null;
}

class PartitionBatch {
  readonly index: number;
  readonly encoder: BatchEncoder;
  readonly gaps = new Map<string, PendingGap>();
  entries: RecordEntry[] = [];
  exchanges = 0;
  records = 0;

  constructor(index: number, encoder: BatchEncoder) {
    this.index = index;
    this.encoder = encoder;
  }
}

export class Publisher {
  readonly #options: PublisherOptions;
  readonly #outlet: Outlet;
  readonly #ledger: Ledger;
  readonly #batches: PartitionBatch[] = [];
  readonly #pool: BufferPool;
  /** Partitions with something in their batch; with gaps to tell. */
  readonly #filling = new Set<PartitionBatch>();
  readonly #withGaps = new Set<PartitionBatch>();
  /** When the first draft came that no flush has taken yet. */
  #oldestUs = 0;
  /** The last offer was refused, for this reason; null: there is room as far as is known. */
  #refusal: GapReason | null = null;
  #hadTraffic = false;

  constructor(options: PublisherOptions, outlet: Outlet, ledger: Ledger) {
    this.#options = options;
    this.#pool = new BufferPool(options.maxPooledBytes);
    this.#outlet = outlet;
    this.#ledger = ledger;
  }

  /** Encodes at once: the draft's views may be reused when this returns. */
  add(owner: DraftOwner, draft: CaptureRecordDraft, monoUs: number): void {
    const batch = this.#batch(owner.partition);
    const before = batch.encoder.sizeBytes;
    batch.encoder.add(draft);
    if (draft.kind === 'envelope') this.#addEnvelope(batch, owner, draft, batch.encoder.sizeBytes - before);
    else if (draft.kind === 'gap') this.#addGap(batch, owner, draft);
    else if (draft.kind === 'sessionEnd') this.#addEnd(batch, owner, draft.lastSeq, batch.encoder.sizeBytes - before);
    this.#touch(batch, monoUs);
    if (batch.encoder.sizeBytes >= this.#options.recordBytes) this.#flush(batch, monoUs);
  }

  /** Sends what has waited long enough. Call it every few ms. */
  tick(monoUs: number): void {
    if (this.#refusal !== null) this.#refusal = this.#outlet.refusal();
    if (this.#refusal === null) for (const batch of this.#withGaps) this.#tellGaps(batch, monoUs);
    if (this.#filling.size === 0 || monoUs - this.#oldestUs < this.#options.lingerUs) return;
    for (const batch of this.#filling) this.#flush(batch, monoUs);
  }

  /** Sends everything now. */
  flushAll(monoUs: number): void {
    this.#refusal = null;
    for (const batch of this.#withGaps) this.#tellGaps(batch, monoUs);
    for (const batch of this.#filling) this.#flush(batch, monoUs);
  }

  /** An envelope was added since the last heartbeat. */
  get hadTraffic(): boolean {
    return this.#hadTraffic;
  }

  /** Tells every partition how far this worker has come, behind all that was added. Not while nothing is accepted. */
  heartbeat({ monoUs, doneSeq }: Watermark, nowUs: number, last = false): void {
    this.#hadTraffic = false;
    if (this.#refusal !== null) return;
    const atUs = monoUs + this.#options.wallUsAtMonoZero;
    for (let partition = 0; partition < this.#options.partitions; partition++) {
      const batch = this.#batch(partition);
      batch.encoder.add({ kind: 'heartbeat', atUs, monoUs, doneSeq, last });
      this.#touch(batch, nowUs);
    }
  }

  /** Nobody needs the record's bytes any more: their memory is used again. */
  released(record: CaptureRecord): void {
    if (record.value !== null) this.#pool.giveBack(record.value);
  }

  /** A record that the batcher had accepted will not arrive: told as gaps, too. The ledger is the caller's. */
  lost(record: CaptureRecord, reason: GapReason): void {
    const entries = record.entries ?? recordEntries(record.partition, record.value);
    this.#addGaps(this.#batch(record.partition), entries, reason);
  }

  /** Something is missing, and nobody knows of which sessions. The ledger is the caller's. */
  missing(transactions: number, sizeBytes: number, reason: GapReason): void {
    const batch = this.#batch(0);
    this.#gap(batch, null, 0, reason, transactions, sizeBytes);
    this.#withGaps.add(batch);
  }

  /** Bytes of drafts that are not in a record yet. */
  get gatheringBytes(): number {
    let bytes = 0;
    for (const batch of this.#filling) bytes += batch.encoder.sizeBytes;
    return bytes;
  }

  get pooledBytes(): number {
    return this.#pool.heldBytes;
  }

  /** Sessions with a gap that is not told yet. */
  get untoldGaps(): number {
    let gaps = 0;
    for (const batch of this.#withGaps) gaps += batch.gaps.size;
    return gaps;
  }

  #addEnvelope(batch: PartitionBatch, owner: DraftOwner, draft: EnvelopeDraft, sizeBytes: number): void {
    const transactions = draft.lastPart ? 1 : 0;
    batch.entries.push({ owner, gap: null, sessionSeq: draft.sessionSeq, transactions, sizeBytes });
    for (const exchange of draft.exchanges) if (!exchange.continues) batch.exchanges += 1;
    this.#ledger.encoded(transactions);
    this.#hadTraffic = true;
  }

  #addGap(batch: PartitionBatch, owner: DraftOwner, draft: GapDraft): void {
    const { reason, transactions, sizeBytes, afterSeq } = draft;
    this.#ledger.dropped(reason, transactions, sizeBytes);
    batch.entries.push({ owner, gap: reason, sessionSeq: afterSeq + 1, transactions, sizeBytes });
  }

  /** Lost with its record it is told as a gap of no transaction: of this session more was said than is there. */
  #addEnd(batch: PartitionBatch, owner: DraftOwner, lastSeq: number, sizeBytes: number): void {
    batch.entries.push({ owner, gap: null, sessionSeq: lastSeq + 1, transactions: 0, sizeBytes });
  }

  #touch(batch: PartitionBatch, monoUs: number): void {
    if (this.#filling.has(batch)) return;
    if (this.#filling.size === 0) this.#oldestUs = monoUs;
    this.#filling.add(batch);
  }

  #flush(batch: PartitionBatch, monoUs: number): void {
    if (batch.gaps.size > 0 && this.#refusal === null) this.#tellGaps(batch, monoUs);
    this.#filling.delete(batch);
    const entries = batch.entries;
    const record = this.#take(batch);
    if (this.#refusal === null) this.#offer(record);
    if (this.#refusal === null) return;
    this.#ledger.refused(record, this.#refusal);
    this.#addGaps(batch, entries, this.#refusal);
  }

  #take(batch: PartitionBatch): CaptureRecord {
    const record = this.#record(batch, batch.encoder, batch.entries, batch.exchanges);
    batch.encoder.reset();
    batch.entries = [];
    batch.exchanges = 0;
    return record;
  }

  #record(
    batch: PartitionBatch,
    encoder: BatchEncoder,
    entries: readonly RecordEntry[],
    exchanges: number,
  ): CaptureRecord {
    const value = encoder.take(this.#pool.take(encoder.sizeBytes));
    batch.records += 1;
    return {
      topic: this.#options.topic,
      partition: batch.index,
      key: entries[0]?.owner.sessionId ?? null,
      value,
      headers: {
        transactions: String(encoder.transactions),
        schema: '1',
        incarnation: this.#options.origin.incarnation,
        record: String(batch.records),
      },
      number: batch.records,
      transactions: encoder.transactions,
      exchanges,
      sizeBytes: value.length,
      entries,
    };
  }

  #offer(record: CaptureRecord): boolean {
    const offered = this.#outlet.offer(record);
    this.#refusal = offered === 'accepted' ? null : offered;
    if (offered === 'accepted') this.#ledger.accepted(record);
    return offered === 'accepted';
  }

  #addGaps(batch: PartitionBatch, entries: readonly RecordEntry[], reason: GapReason): void {
    for (const { owner, gap, sessionSeq, transactions, sizeBytes } of entries)
      this.#gap(batch, owner, sessionSeq, gap ?? reason, transactions, sizeBytes);
    if (batch.gaps.size > 0) this.#withGaps.add(batch);
  }

  #gap(
    batch: PartitionBatch,
    wanted: DraftOwner | null,
    sessionSeq: number,
    reason: GapReason,
    transactions: number,
    sizeBytes: number,
  ): void {
    const known =
      wanted !== null && (batch.gaps.has(wanted.sessionId) || batch.gaps.size < this.#options.maxGapSessions);
    const owner = known ? wanted : null;
    const key = owner?.sessionId ?? '';
    let gap = batch.gaps.get(key);
    if (gap === undefined) {
      gap = { owner, reason, transactions: 0, sizeBytes: 0, afterSeq: owner === null ? 0 : sessionSeq - 1 };
      batch.gaps.set(key, gap);
    }
    gap.transactions += transactions;
    gap.sizeBytes += sizeBytes;
  }

  /** In a record of their own, so that they are counted in no other way than as gaps. */
  #tellGaps(batch: PartitionBatch, monoUs: number): void {
    const encoder = new BatchEncoder({ ...this.#options.origin, partition: batch.index });
    const atUs = monoUs + this.#options.wallUsAtMonoZero;
    for (const gap of batch.gaps.values()) encoder.add(gapDraft(gap, atUs));
    if (!this.#offer(this.#record(batch, encoder, [], 0))) return;
    batch.gaps.clear();
    this.#withGaps.delete(batch);
  }

  #batch(partition: number): PartitionBatch {
    let batch = this.#batches[partition];
    if (batch === undefined) {
      batch = new PartitionBatch(partition, new BatchEncoder({ ...this.#options.origin, partition }));
      this.#batches[partition] = batch;
    }
    return batch;
  }
}

const gapDraft = (gap: PendingGap, atUs: number): GapDraft => ({
  kind: 'gap',
  sessionId: gap.owner?.sessionId ?? '',
  atUs,
  reason: gap.reason,
  transactions: gap.transactions,
  sizeBytes: gap.sizeBytes,
  afterSeq: gap.afterSeq,
  transactionsExact: true,
});
