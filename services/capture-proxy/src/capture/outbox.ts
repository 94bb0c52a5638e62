// Between the publisher and Kafka: records take the direct way through the batcher's memory, or the long one through the spool.
//
//   direct    ─► batcher ─► Kafka
//   diverted  ─► spool ─► batcher ─► Kafka      (order holds: nothing goes direct while anything is in the spool)
// Diverting begins when Kafka stalls or half of the publish buffer is in use, and ends when the spool has been read to its end.
// Without a spool everything goes direct, and what the batcher has no room for is refused.
import { GapReason } from '@mirrorstream/envelope';
import type { Batcher } from '@mirrorstream/kafka';
import type { Spool } from '../spool/spool.ts';
import type { CaptureRecord, Outlet } from './publisher.ts';

/** Kafka has acknowledged nothing for so long, although something waits: it is away, as far as the spool is concerned. */
const stallMs = 1_000;
/** After the buffer was full it is used again below this share. */
const roomShare = 0.75;
/** What is read back waits in the batcher up to this share; new records go direct up to the other; the rest is the spool's tail's. */
const readAheadShare = 0.25;
const directShare = 0.5;
const tailShare = 0.5;
/** When the proxy stops: Kafka gets so long without a sign of life before what is left is put on the disk. */
const patienceMs = 2_000;
const diskDeadlineMs = 5_000;
const maxChunkBytes = 1024 * 1024;

export interface OutboxOptions {
  /** Of the batcher, and of what the spool holds in memory. */
  readonly memoryBytes: number;
  /** Of the disk: earlier incarnations' share is `otherBytes`. */
  readonly spoolBytes: number;
  readonly otherBytes: () => number;
  readonly nowMs: () => number;
}

export class Outbox implements Outlet {
  readonly #options: OutboxOptions;
  readonly #batcher: Pick<Batcher, 'offer' | 'stats' | 'unsettled' | 'close'>;
  #spool: Spool | null = null;
  #diverted = false;
  /** Read back, and not taken by the batcher yet. */
  #ready: CaptureRecord[] = [];
  #reading = false;
  #closing = false;
  #settled = 0;
  #settledSeen = 0;
  #progressMs: number;

  constructor(options: OutboxOptions, batcher: Pick<Batcher, 'offer' | 'stats' | 'unsettled' | 'close'>) {
    this.#options = options;
    this.#batcher = batcher;
    this.#progressMs = options.nowMs();
  }

  useSpool(spool: Spool): void {
    this.#spool = spool;
  }

  get diverted(): boolean {
    return this.#diverted;
  }

  /** In memory, on the way to Kafka: the batcher's, what of that is in requests under way, and the spool's tail. */
  get memory(): { readonly publish: number; readonly requests: number; readonly spoolTail: number } {
    const { bufferedBytes, inFlightBytes } = this.#batcher.stats();
    return { publish: bufferedBytes, requests: inFlightBytes, spoolTail: this.#spool?.memoryBytes ?? 0 };
  }

  offer(record: CaptureRecord): 'accepted' | GapReason {
    const spool = this.#spool;
    if (spool === null) return this.#batcher.offer(record) === 'accepted' ? 'accepted' : GapReason.PUBLISH_BUFFER_FULL;
    if (!this.#diverted) {
      const inUse = this.#batcher.stats().bufferedBytes + record.sizeBytes;
      if (inUse <= this.#options.memoryBytes * directShare && this.#batcher.offer(record) === 'accepted')
        return 'accepted';
      this.#divert(spool);
    }
    const { memoryBytes, spoolBytes, otherBytes } = this.#options;
    if (spool.sizeBytes + otherBytes() + record.sizeBytes > spoolBytes) return GapReason.SPOOL_FULL;
    // Whatever the batcher holds: it was full, perhaps, before there was a spool, and empties only when Kafka is back.
    if (spool.memoryBytes + record.sizeBytes > memoryBytes * tailShare) return tailRefusal(spool);
    spool.append(record);
    return 'accepted';
  }

  refusal(): GapReason | null {
    const { memoryBytes, spoolBytes, otherBytes } = this.#options;
    const spool = this.#diverted ? this.#spool : null;
    if (spool === null)
      return this.#batcher.stats().bufferedBytes < memoryBytes * roomShare ? null : GapReason.PUBLISH_BUFFER_FULL;
    if (spool.sizeBytes + otherBytes() >= spoolBytes * roomShare) return GapReason.SPOOL_FULL;
    return spool.memoryBytes < memoryBytes * tailShare * roomShare ? null : tailRefusal(spool);
  }

  /** The batcher is done with a record, one way or the other. True: nobody else looks at its bytes. */
  settled(record: CaptureRecord): boolean {
    this.#settled += 1;
    const free = this.#spool === null || !this.#spool.copies(record);
    this.#spool?.settled(record);
    return free;
  }

  /** Whether a successor will find this record on the disk. */
  keeps(record: CaptureRecord): boolean {
    return this.#spool?.keeps(record) ?? false;
  }

  /** After `close`: records that no request ever held lie on the disk. */
  get leftUnread(): boolean {
    return this.#spool?.hasUnread ?? false;
  }

  /** Notices a stall and its end; call it every few ms. */
  tick(): void {
    const spool = this.#spool;
    if (spool === null || this.#closing) return;
    const nowMs = this.#options.nowMs();
    const flows = this.#flows(nowMs);
    spool.flowing = flows;
    if (this.#diverted) {
      spool.tick(nowMs);
      if (flows) void this.#readBack(spool);
    } else if (!flows) this.#divert(spool);
  }

  /**
   * Sends what is left while Kafka takes it, at most until the deadline; puts the rest on the disk. Returns what went to neither:
   * the batcher tells of the records it gave up by itself, those on the disk included.
   */
  async close(deadlineMs: number): Promise<readonly CaptureRecord[]> {
    const spool = this.#spool;
    if (spool === null) {
      await this.#batcher.close(deadlineMs);
      return [];
    }
    const untilMs = this.#options.nowMs() + deadlineMs;
    while (this.#waits() && this.#options.nowMs() < untilMs && this.#flows(this.#options.nowMs(), patienceMs)) {
      this.tick();
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    this.#closing = true;
    if (this.#waits() && !this.#diverted) this.#divert(spool);
    spool.putBack(this.#ready);
    const unwritten = await spool.close(diskDeadlineMs);
    await this.#batcher.close(0);
    return unwritten;
  }

  #waits(): boolean {
    return this.#diverted || this.#batcher.stats().bufferedRecords > 0;
  }

  /** Whether Kafka takes records, or none wait for it. */
  #flows(nowMs: number, withinMs = stallMs): boolean {
    if (this.#settled !== this.#settledSeen || this.#batcher.stats().bufferedRecords === 0) {
      this.#settledSeen = this.#settled;
      this.#progressMs = nowMs;
    }
    return nowMs - this.#progressMs < withinMs;
  }

  /** From now on all that Kafka has not acknowledged is on the disk, or on its way there. */
  #divert(spool: Spool): void {
    this.#diverted = true;
    let room = this.#options.spoolBytes - this.#options.otherBytes() - spool.sizeBytes;
    for (const record of this.#batcher.unsettled() as readonly CaptureRecord[]) {
      room -= record.sizeBytes;
      if (room >= 0) spool.appendCopy(record);
    }
  }

  async #readBack(spool: Spool): Promise<void> {
    if (this.#reading) return;
    this.#reading = true;
    try {
      while (this.#diverted && !this.#closing && spool.flowing && this.#handOver()) {
        if (spool.isEmpty) {
          this.#diverted = false;
          spool.rest();
        } else {
          const records = await spool.read(Math.min(maxChunkBytes, this.#options.memoryBytes / 8));
          if (records.length === 0) return;
          this.#ready.push(...records);
        }
      }
    } finally {
      this.#reading = false;
    }
  }

  /** True: the batcher has room for more. */
  #handOver(): boolean {
    const limitBytes = this.#options.memoryBytes * readAheadShare;
    let taken = 0;
    for (const record of this.#ready) {
      if (this.#batcher.stats().bufferedBytes >= limitBytes || this.#batcher.offer(record) === 'full') break;
      taken += 1;
    }
    this.#ready.splice(0, taken);
    return this.#ready.length === 0 && this.#batcher.stats().bufferedBytes < limitBytes;
  }
}

const tailRefusal = (spool: Spool): GapReason =>
  spool.failing ? GapReason.SPOOL_FAILED : GapReason.PUBLISH_BUFFER_FULL;
