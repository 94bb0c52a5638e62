// The tail of the spool's queue, still in memory: what waits to be written, what is being written, and how many bytes that is. Pure.
//
//   front [ being written | waiting ] back
import type { Segment } from './segment.ts';
import { frameBytes, type SpoolRecord } from './segment-format.ts';

export interface TailEntry {
  readonly record: SpoolRecord;
  /** Also in the hands of whoever sends it: written, but not read back. */
  readonly copy: boolean;
  readonly sizeBytes: number;
  /** Where it was written to. */
  segment: Segment | null;
  settled: boolean;
}

const entryOf = (record: SpoolRecord, copy: boolean): TailEntry => ({
  record,
  copy,
  sizeBytes: frameBytes(record),
  segment: null,
  settled: false,
});

export class SpoolTail {
  /** Of all entries. */
  sizeBytes = 0;
  /** Without copies: what is in memory because of the spool. */
  memoryBytes = 0;
  #waiting: TailEntry[] = [];
  #writing: readonly TailEntry[] = [];

  get isEmpty(): boolean {
    return this.#waiting.length === 0 && this.#writing.length === 0;
  }

  get waits(): boolean {
    return this.#waiting.length > 0;
  }

  get isWriting(): boolean {
    return this.#writing.length > 0;
  }

  push(record: SpoolRecord, copy: boolean): TailEntry {
    const entry = entryOf(record, copy);
    this.#waiting.push(entry);
    this.#enter(entry);
    return entry;
  }

  putFront(records: readonly SpoolRecord[]): void {
    const entries = records.map((record) => entryOf(record, false));
    for (const entry of entries) this.#enter(entry);
    this.#waiting = [...entries, ...this.#waiting];
  }

  /** The next to be written, at least one and at most so many bytes; copies that nobody needs any more are left out. */
  beginWriting(limitBytes: number): { readonly entries: readonly TailEntry[]; readonly sizeBytes: number } {
    const entries: TailEntry[] = [];
    let sizeBytes = 0;
    let taken = 0;
    for (const entry of this.#waiting) {
      if (sizeBytes > 0 && sizeBytes + entry.sizeBytes > limitBytes) break;
      taken += 1;
      if (entry.settled) this.#leave(entry);
      else {
        entries.push(entry);
        sizeBytes += entry.sizeBytes;
      }
    }
    this.#waiting.splice(0, taken);
    this.#writing = entries;
    return { entries, sizeBytes };
  }

  /** They are on the disk. */
  written(): void {
    for (const entry of this.#writing) this.#leave(entry);
    this.#writing = [];
  }

  /** They are not: they stay at the front. */
  refused(): void {
    this.#waiting = [...this.#writing, ...this.#waiting];
    this.#writing = [];
  }

  /** Takes from the front without writing, about `chunkBytes`; not while something is being written. */
  take(chunkBytes: number): readonly TailEntry[] {
    let sizeBytes = 0;
    let taken = 0;
    for (const entry of this.#waiting) {
      if (sizeBytes >= chunkBytes) break;
      taken += 1;
      this.#leave(entry);
      if (!entry.copy) sizeBytes += entry.sizeBytes;
    }
    return this.#waiting.splice(0, taken);
  }

  /** Records that nobody else has. */
  unwritten(): readonly SpoolRecord[] {
    return [...this.#writing, ...this.#waiting].filter(({ copy }) => !copy).map(({ record }) => record);
  }

  #enter({ sizeBytes, copy }: TailEntry): void {
    this.sizeBytes += sizeBytes;
    if (!copy) this.memoryBytes += sizeBytes;
  }

  #leave({ sizeBytes, copy }: TailEntry): void {
    this.sizeBytes -= sizeBytes;
    if (!copy) this.memoryBytes -= sizeBytes;
  }
}
