// One segment file: appended to, read from the front, and deleted when all of its records are settled.
import { type FileHandle, open, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { type Decoded, decodeFrames, segmentMagic } from './segment-format.ts';

const suffix = '.segment';

export const segmentName = (index: number): string => `${String(index).padStart(10, '0')}${suffix}`;
/** Null: not the name of a segment. */
export const segmentIndex = (name: string): number | null =>
  /^\d{10}\.segment$/.test(name) ? Number(name.slice(0, -suffix.length)) : null;

export class Segment {
  readonly path: string;
  /** Completed frames, the magic included. */
  validBytes = segmentMagic.length;
  readAt = segmentMagic.length;
  sealed = false;
  /** Records in it that are neither acknowledged nor lost. */
  unsettled = 0;
  readonly unread = { records: 0, transactions: 0, sizeBytes: 0 };
  #writer: FileHandle | null;
  #reader: FileHandle | null = null;
  /** A file's name is durable when its folder is. */
  #named = false;

  private constructor(path: string, writer: FileHandle | null) {
    this.path = path;
    this.#writer = writer;
  }

  static async create(folder: string, index: number): Promise<Segment> {
    const path = join(folder, segmentName(index));
    const writer = await open(path, 'wx');
    try {
      await writer.write(segmentMagic, 0, segmentMagic.length, 0);
      return new Segment(path, writer);
    } catch (error) {
      await writer.close();
      await rm(path, { force: true });
      throw error;
    }
  }

  /** A file that an earlier process left: what is valid of it shows as it is read. */
  static leftBehind(folder: string, name: string, sizeBytes: number): Segment {
    const segment = new Segment(join(folder, name), null);
    segment.validBytes = Math.max(segment.readAt, sizeBytes);
    segment.sealed = true;
    return segment;
  }

  get hasUnread(): boolean {
    return this.readAt < this.validBytes;
  }

  /** All of it or nothing: half a frame is cut off again. What was appended counts once `validBytes` says so, which is the caller's. */
  async append(pieces: readonly Uint8Array[], sizeBytes: number): Promise<void> {
    const writer = this.#writer as FileHandle;
    try {
      let left = pieces;
      for (let done = 0; ; ) {
        const { bytesWritten } = await writer.writev(left, this.validBytes + done);
        done += bytesWritten;
        if (done >= sizeBytes) break;
        left = [Buffer.concat(left).subarray(bytesWritten)];
      }
    } catch (error) {
      await writer.truncate(this.validBytes).catch(() => undefined); // what stays is half a frame, which ends the segment
      throw error;
    }
  }

  /** What is appended outlives a power cut from here on. A disk may take seconds for it: nothing that is appended waits for it. */
  async sync(): Promise<void> {
    if (this.#writer === null) return;
    if (!this.#named) await syncFolder(dirname(this.path));
    this.#named = true;
    await this.#writer?.datasync();
  }

  /** Nothing is appended any more: `finish` is to be called, at leisure. */
  seal(): void {
    this.sealed = true;
  }

  /** Of a sealed segment: the last of it is durable, and it is not open for writing any more. */
  async finish(): Promise<void> {
    try {
      await this.sync();
    } finally {
      const writer = this.#writer;
      this.#writer = null;
      await writer?.close();
    }
  }

  /** The next records, about so many bytes of them. `invalid`: the rest of the file is given up. */
  async read(chunkBytes: number): Promise<Decoded> {
    if (this.#reader === null && !(await this.#openReader())) {
      this.readAt = this.validBytes;
      return { records: [], consumed: 0, rest: 'invalid', wantedBytes: 0 };
    }
    const reader = this.#reader as unknown as FileHandle;
    for (let wanted = chunkBytes; ; ) {
      const length = Math.min(wanted, this.validBytes - this.readAt);
      const { bytesRead, buffer } = await reader.read(Buffer.allocUnsafeSlow(length), 0, length, this.readAt);
      const decoded = decodeFrames(buffer.subarray(0, bytesRead));
      this.readAt += decoded.consumed;
      if (decoded.records.length > 0 && decoded.rest === 'more') return decoded;
      if (decoded.rest === 'more' && decoded.wantedBytes > length && this.readAt + length < this.validBytes) {
        wanted = decoded.wantedBytes;
        continue;
      }
      this.readAt = this.validBytes;
      return { ...decoded, rest: 'invalid' };
    }
  }

  /** False: not a segment, or one of a later format. */
  async #openReader(): Promise<boolean> {
    this.#reader = await open(this.path, 'r');
    const { buffer } = await this.#reader.read(Buffer.alloc(segmentMagic.length), 0, segmentMagic.length, 0);
    return buffer.equals(segmentMagic);
  }

  /** Closes what is open; the file stays. */
  async close(): Promise<void> {
    const handles = [this.#writer, this.#reader];
    this.#writer = null;
    this.#reader = null;
    await Promise.allSettled(handles.map((handle) => handle?.close()));
  }

  async remove(): Promise<void> {
    await this.close();
    await rm(this.path, { force: true });
  }
}

async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r');
  await handle.sync().finally(() => handle.close());
}
