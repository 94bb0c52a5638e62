// Gathers the drafts of each partition into records and offers them; what is refused becomes gaps, told as soon as there is room.
import {
  BatchEncoder,
  type BatchOrigin,
  type CaptureRecordDraft,
  type EnvelopeDraft,
  type GapDraft,
  GapReason,
} from '@mirrorstream/envelope';
import type { OutgoingRecord } from '@mirrorstream/kafka';
import type { Ledger, RecordCounts } from './ledger.ts';
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
  readonly wallUsAtMonoZero: number;
}

/** A record on its way, with what must be known should it be lost. */
export interface CaptureRecord extends OutgoingRecord, RecordCounts {
  readonly entries: readonly Entry[];
}

interface Entry {
  readonly owner: DraftOwner;
  /** Of a gap that was itself in a record; null for an envelope. */
  readonly gap: GapReason | null;
  readonly sessionSeq: number;
  readonly transactions: number;
  readonly sizeBytes: number;
}

interface PendingGap {
  readonly owner: DraftOwner | null;
  reason: GapReason;
  transactions: number;
  sizeBytes: number;
  afterSeq: number;
}

/** The batcher's side of the publisher. `hasRoom` is asked only after a refusal. */
export interface Outlet {
  offer(record: CaptureRecord): 'accepted' | 'full';
  hasRoom(): boolean;
}

class PartitionBatch {
  readonly index: number;
  readonly encoder: BatchEncoder;
  readonly gaps = new Map<string, PendingGap>();
  entries: Entry[] = [];
  exchanges = 0;

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
  /** Partitions with something in their batch; with gaps to tell. */
  readonly #filling = new Set<PartitionBatch>();
  readonly #withGaps = new Set<PartitionBatch>();
  /** When the first draft came that no flush has taken yet. */
  #oldestUs = 0;
  #full = false;
  #hadTraffic = false;

  constructor(options: PublisherOptions, outlet: Outlet, ledger: Ledger) {
    this.#options = options;
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
    this.#touch(batch, monoUs);
    if (batch.encoder.sizeBytes >= this.#options.recordBytes) this.#flush(batch, monoUs);
  }

  /** Sends what has waited long enough. Call it every few ms. */
  tick(monoUs: number): void {
    if (this.#full && this.#outlet.hasRoom()) this.#full = false;
    if (!this.#full) for (const batch of this.#withGaps) this.#tellGaps(batch, monoUs);
    if (this.#filling.size === 0 || monoUs - this.#oldestUs < this.#options.lingerUs) return;
    for (const batch of this.#filling) this.#flush(batch, monoUs);
  }

  /** Sends everything now. */
  flushAll(monoUs: number): void {
    this.#full = false;
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
    if (this.#full) return;
    const atUs = monoUs + this.#options.wallUsAtMonoZero;
    for (let partition = 0; partition < this.#options.partitions; partition++) {
      const batch = this.#batch(partition);
      batch.encoder.add({ kind: 'heartbeat', atUs, monoUs, doneSeq, last });
      this.#touch(batch, nowUs);
    }
  }

  /** A record that the batcher had accepted will not arrive: told as gaps, too. The ledger is the caller's. */
  lost(record: CaptureRecord, reason: GapReason): void {
    this.#addGaps(this.#batch(record.partition), record.entries, reason);
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

  #touch(batch: PartitionBatch, monoUs: number): void {
    if (this.#filling.has(batch)) return;
    if (this.#filling.size === 0) this.#oldestUs = monoUs;
    this.#filling.add(batch);
  }

  #flush(batch: PartitionBatch, monoUs: number): void {
    if (batch.gaps.size > 0 && !this.#full) this.#tellGaps(batch, monoUs);
    this.#filling.delete(batch);
    const record = this.#take(batch);
    if (!this.#full && this.#offer(record)) return;
    this.#ledger.refusedByBuffer(record);
    this.#addGaps(batch, record.entries, GapReason.PUBLISH_BUFFER_FULL);
  }

  #take(batch: PartitionBatch): CaptureRecord {
    const record = this.#record(batch.index, batch.encoder, batch.entries, batch.exchanges);
    batch.encoder.reset();
    batch.entries = [];
    batch.exchanges = 0;
    return record;
  }

  #record(partition: number, encoder: BatchEncoder, entries: readonly Entry[], exchanges: number): CaptureRecord {
    const value = encoder.take();
    return {
      topic: this.#options.topic,
      partition,
      key: entries[0]?.owner.sessionId ?? null,
      value,
      headers: {
        transactions: String(encoder.transactions),
        schema: '1',
        incarnation: this.#options.origin.incarnation,
      },
      transactions: encoder.transactions,
      exchanges,
      sizeBytes: value.length,
      entries,
    };
  }

  #offer(record: CaptureRecord): boolean {
    if (this.#outlet.offer(record) === 'accepted') {
      this.#ledger.accepted(record);
      return true;
    }
    this.#full = true;
    return false;
  }

  #addGaps(batch: PartitionBatch, entries: readonly Entry[], reason: GapReason): void {
    for (const entry of entries) {
      const known = batch.gaps.has(entry.owner.sessionId) || batch.gaps.size < this.#options.maxGapSessions;
      const owner = known ? entry.owner : null;
      const key = owner?.sessionId ?? '';
      let gap = batch.gaps.get(key);
      if (gap === undefined) {
        const afterSeq = owner === null ? 0 : entry.sessionSeq - 1;
        gap = { owner, reason: entry.gap ?? reason, transactions: 0, sizeBytes: 0, afterSeq };
        batch.gaps.set(key, gap);
      }
      gap.transactions += entry.transactions;
      gap.sizeBytes += entry.sizeBytes;
    }
    if (batch.gaps.size > 0) this.#withGaps.add(batch);
  }

  /** In a record of their own, so that they are counted in no other way than as gaps. */
  #tellGaps(batch: PartitionBatch, monoUs: number): void {
    const encoder = new BatchEncoder({ ...this.#options.origin, partition: batch.index });
    const atUs = monoUs + this.#options.wallUsAtMonoZero;
    for (const gap of batch.gaps.values()) encoder.add(gapDraft(gap, atUs));
    if (!this.#offer(this.#record(batch.index, encoder, [], 0))) return;
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
