// The spool of one incarnation: a queue in order, whose front lies in segment files and whose tail is still in memory.
//
//   read ◄─ [ segments, unread ] ◄─ [ being written ] ◄─ [ tail ] ◄─ append
// Writing and reading are asynchronous; nothing here makes the caller wait. When the disk refuses, the tail stays in memory and is
// written later; when all that was written is read, the reader takes from the tail directly. The limits are the caller's.
// Writing never waits for fdatasync, which a busy disk takes seconds for: memory is free again as soon as the kernel has the bytes.
import { rm } from 'node:fs/promises';
import { KeptSnapshot } from './kept-snapshot.ts';
import type { Segment } from './segment.ts';
import { SegmentChain } from './segment-chain.ts';
import { encodeFrame, type SpoolRecord } from './segment-format.ts';
import { SpoolTail, type TailEntry } from './spool-tail.ts';

export interface SpoolOptions {
  /** Made when it is needed. */
  readonly folder: string;
  readonly segmentBytes: number;
  /** While Kafka flows and nothing lies on disk, so much of the tail is not written: it is about to be read. */
  readonly holdBytes: number;
  /** Where the books stand, for a successor: kept beside the segments. */
  readonly snapshot: () => unknown;
}

export interface SpoolEvents {
  /** The disk refuses; told once until it is mended. */
  readonly onFailing: (error: Error) => void;
  readonly onMended: () => void;
  /** Records that were written and cannot be read back. */
  readonly onUnreadable: (lost: Segment['unread']) => void;
}

const syncEveryMs = 200;
const retryMs = 1_000;
const writeBytes = 1024 * 1024;

export class Spool {
  /** Kafka takes records: see holdBytes. */
  flowing = false;
  /** How often the disk refused. */
  failures = 0;
  readonly #options: SpoolOptions;
  readonly #events: SpoolEvents;
  readonly #segments: SegmentChain;
  readonly #snapshot: KeptSnapshot;
  readonly #tail = new SpoolTail();
  readonly #copies = new Map<SpoolRecord, TailEntry>();
  readonly #readBack = new Map<SpoolRecord, Segment>();
  #busy = false;
  #sealWanted = false;
  #closed = false;
  #failing = false;
  #syncTimer: NodeJS.Timeout | undefined;
  #retryTimer: NodeJS.Timeout | undefined;
  /** What makes segments durable, one after the other: a slow disk holds one of the process's file threads, not all of them. */
  #durable: Promise<void> = Promise.resolve();

  constructor(options: SpoolOptions, events: SpoolEvents) {
    this.#options = options;
    this.#events = events;
    const { folder, segmentBytes, snapshot } = options;
    this.#snapshot = new KeptSnapshot(folder, snapshot);
    this.#segments = new SegmentChain({
      ...{ folder, segmentBytes },
      onFolder: () => this.#snapshot.keep(false),
      onSealed: (segment) => {
        this.#sealWanted = false;
        this.#later(() => segment.finish());
      },
    });
  }

  /** On disk, and on the way there. */
  get sizeBytes(): number {
    return this.#segments.sizeBytes + this.#tail.sizeBytes;
  }

  get memoryBytes(): number {
    return this.#tail.memoryBytes;
  }

  get failing(): boolean {
    return this.#failing;
  }

  /** Everything appended has been read. What was read may not be settled yet. */
  get isEmpty(): boolean {
    return this.#tail.isEmpty && !this.hasUnread;
  }

  /** Some of it lies on the disk and has not been read. */
  get hasUnread(): boolean {
    return this.#segments.unread !== undefined;
  }

  append(record: SpoolRecord): void {
    this.#tail.push(record, false);
    void this.#write();
  }

  /** Records from `read` that nobody could take: they are the next to be read. Those that lie on the disk stay there. */
  putBack(records: readonly SpoolRecord[]): void {
    this.#tail.putFront(records.filter((record) => !this.#readBack.has(record)));
  }

  /** Of a record that goes on being sent from memory; call these before anything is appended. */
  appendCopy(record: SpoolRecord): void {
    if (this.#copies.has(record) || this.#readBack.has(record)) return;
    this.#copies.set(record, this.#tail.push(record, true));
    void this.#write();
  }

  /** The next records, about `chunkBytes` of them; none: nothing to read now. One call at a time. */
  async read(chunkBytes: number): Promise<readonly SpoolRecord[]> {
    const segment = this.#segments.unread;
    if (segment !== undefined) return await this.#readSegment(segment, chunkBytes);
    return this.#tail.isWriting ? [] : this.#takeFromTail(chunkBytes);
  }

  /** A record from `read`, or one that was copied, is acknowledged or lost. */
  settled(record: SpoolRecord): void {
    const segment = this.#readBack.get(record);
    if (segment !== undefined) {
      this.#readBack.delete(record);
      this.#segments.release(segment);
      return;
    }
    const copy = this.#copies.get(record);
    if (copy === undefined) return;
    this.#copies.delete(record);
    copy.settled = true;
    if (copy.segment !== null) this.#segments.release(copy.segment);
  }

  /** Whether this record is being written, or was, while somebody sends it: its bytes must stay as they are. */
  copies(record: SpoolRecord): boolean {
    return this.#copies.has(record);
  }

  /** Whether a successor will find this record on the disk. */
  keeps(record: SpoolRecord): boolean {
    return this.#readBack.has(record) || (this.#copies.get(record)?.segment ?? null) !== null;
  }

  /** Everything is read: the segment under way is ended, so that it can be deleted. */
  rest(): void {
    this.#sealWanted = true;
    void this.#write();
  }

  /** Looks after what has waited; call it now and then. */
  tick(nowMs: number): void {
    if (this.#tail.waits) void this.#write();
    if (!this.#segments.isEmpty && !this.#closed) this.#snapshot.tick(nowMs);
  }

  /** Writes what is in memory, for at most deadlineMs, and ends. Returns what could not be written. */
  async close(deadlineMs: number): Promise<readonly SpoolRecord[]> {
    const untilMs = performance.now() + deadlineMs;
    this.flowing = false;
    while ((this.#tail.waits || this.#busy) && !this.#failing && performance.now() < untilMs) {
      void this.#write();
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    this.#closed = true;
    this.#segments.keep();
    clearTimeout(this.#retryTimer);
    clearTimeout(this.#syncTimer);
    this.#later(async () => this.#segments.active?.sync());
    await Promise.race([
      this.#durable,
      new Promise((resolve) => setTimeout(resolve, Math.max(0, untilMs - performance.now())).unref()),
    ]);
    return this.#tail.unwritten();
  }

  /** After `close`: the last state of the books, and no open files. Without anything left, the folder goes. */
  async end(): Promise<void> {
    const segments = this.#segments;
    if (!segments.isEmpty) await this.#snapshot.keep().catch(() => undefined);
    await segments.close();
    if (!segments.isUnsettled && segments.began) await rm(this.#options.folder, { recursive: true, force: true });
  }

  // Writing: one at a time

  async #write(): Promise<void> {
    if (this.#busy || this.#closed || this.#retryTimer !== undefined) return;
    this.#busy = true;
    try {
      while (this.#tail.waits && !this.#holds()) await this.#writeNext();
      if (this.#sealWanted && !this.#tail.waits) this.#seal();
    } catch (error) {
      this.#refused(error as Error);
    } finally {
      this.#busy = false;
    }
  }

  #holds(): boolean {
    if (!this.flowing || this.#tail.sizeBytes > this.#options.holdBytes) return false;
    return !this.hasUnread;
  }

  async #writeNext(): Promise<void> {
    const { entries, sizeBytes } = this.#tail.beginWriting(Math.min(writeBytes, this.#options.segmentBytes));
    if (entries.length === 0) return;
    const segment = await this.#segments.roomFor(sizeBytes);
    await segment.append(
      entries.flatMap(({ record }) => encodeFrame(record)),
      sizeBytes,
    );
    this.#tail.written();
    segment.validBytes += sizeBytes;
    for (const entry of entries) this.#written(entry, segment);
    this.#syncTimer ??= setTimeout(() => this.#later(() => this.#sync()), syncEveryMs);
    if (!this.#failing) return;
    this.#failing = false;
    this.#events.onMended();
  }

  #written(entry: TailEntry, segment: Segment): void {
    this.#segments.sizeBytes += entry.sizeBytes;
    if (entry.copy) {
      // Copies come first: all before them is read.
      segment.readAt += entry.sizeBytes;
      if (entry.settled) return;
      entry.segment = segment;
    } else {
      segment.unread.records += 1;
      segment.unread.transactions += entry.record.transactions;
      segment.unread.sizeBytes += entry.record.value.length;
    }
    segment.unsettled += 1;
  }

  #seal(): void {
    this.#sealWanted = false;
    this.#segments.seal();
  }

  /** What could not be written stays at the front of the tail. */
  #refused(error: Error): void {
    this.#tail.refused();
    this.#seal();
    this.#retryTimer = setTimeout(() => {
      this.#retryTimer = undefined;
      void this.#write();
    }, retryMs);
    this.#fails(error);
  }

  #fails(error: Error): void {
    this.failures += 1;
    if (this.#failing) return;
    this.#failing = true;
    this.#events.onFailing(error);
  }

  /** Whether it worked shows later than the write: what follows goes to a new file. */
  #later(makeDurable: () => Promise<void>): void {
    this.#durable = this.#durable.then(makeDurable).catch((error: Error) => {
      if (this.#closed) return;
      this.#sealWanted = true;
      this.#fails(error);
    });
  }

  async #sync(): Promise<void> {
    this.#syncTimer = undefined; // what is written from now on needs another one
    await this.#segments.active?.sync();
  }

  // Reading

  async #readSegment(segment: Segment, chunkBytes: number): Promise<readonly SpoolRecord[]> {
    const { unread } = segment;
    let records: readonly SpoolRecord[] = [];
    let whole = false;
    try {
      const decoded = await segment.read(chunkBytes);
      records = decoded.records;
      whole = decoded.rest === 'more';
    } catch {
      segment.readAt = segment.validBytes;
    }
    for (const record of records) {
      unread.records -= 1;
      unread.transactions -= record.transactions;
      unread.sizeBytes -= record.value.length;
      this.#readBack.set(record, segment);
    }
    if (!whole && unread.records > 0) {
      this.#events.onUnreadable({ ...unread });
      segment.unsettled -= unread.records;
      Object.assign(unread, { records: 0, transactions: 0, sizeBytes: 0 });
    }
    this.#segments.removeIfDone(segment);
    return records;
  }

  #takeFromTail(chunkBytes: number): readonly SpoolRecord[] {
    const entries = this.#tail.take(chunkBytes);
    for (const { record, copy } of entries) if (copy) this.#copies.delete(record);
    return entries.filter(({ copy }) => !copy).map(({ record }) => record);
  }
}
