// Exported windows on disk: written beside their place and moved there when whole; read frame by frame, checked to the last byte.
import { closeSync, fsyncSync, openSync, renameSync, rmSync, writeSync } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { crc32 } from 'node:zlib';
import { MirrorstreamError } from '@mirrorstream/domain';
import type { IncomingRecord } from '@mirrorstream/kafka';
import {
  decodeBody,
  encodeEnd,
  encodeHeader,
  encodeRecord,
  type FileEnd,
  type FileFrame,
  type FileHeader,
  type FileRecord,
  fileMagic,
  frameHeadBytes,
  maxBodyBytes,
} from './window-file.ts';

const writeAheadBytes = 1024 * 1024;
const readBytes = 1024 * 1024;

/** Writes synchronously: what it has not written, nobody has read from Kafka yet, so no memory is needed for it. */
export class WindowFileWriter {
  readonly #path: string;
  readonly #part: string;
  readonly #fd: number;
  readonly #records: Record<string, number> = {};
  #waiting: Buffer[] = [];
  #waitingBytes = 0;
  #sizeBytes = 0;

  /** Throws `badInput` where no file can be made. */
  constructor(path: string, header: FileHeader) {
    this.#path = path;
    this.#part = `${path}.part`;
    this.#fd = this.#guarded(() => openSync(this.#part, 'w'));
    this.#add(Buffer.from(fileMagic));
    this.#add(encodeHeader(header));
  }

  add(partition: number, record: IncomingRecord): void {
    this.#records[partition] = (this.#records[partition] ?? 0) + 1;
    this.#add(encodeRecord(partition, record));
  }

  /** Whole, on the disk, and in its place. Its size in bytes. */
  finish(): number {
    this.#add(encodeEnd({ records: this.#records }));
    this.#flush();
    this.#guarded(() => {
      fsyncSync(this.#fd);
      closeSync(this.#fd);
      renameSync(this.#part, this.#path);
    });
    return this.#sizeBytes;
  }

  giveUp(): void {
    closeSync(this.#fd);
    rmSync(this.#part, { force: true });
  }

  #add(bytes: Buffer): void {
    this.#waiting.push(bytes);
    this.#waitingBytes += bytes.length;
    this.#sizeBytes += bytes.length;
    if (this.#waitingBytes >= writeAheadBytes) this.#flush();
  }

  #flush(): void {
    const bytes = Buffer.concat(this.#waiting);
    this.#waiting = [];
    this.#waitingBytes = 0;
    this.#guarded(() => {
      for (let at = 0; at < bytes.length; ) at += writeSync(this.#fd, bytes, at);
    });
  }

  #guarded<T>(work: () => T): T {
    try {
      return work();
    } catch (cause) {
      const { code } = cause as NodeJS.ErrnoException;
      throw new MirrorstreamError(code === 'ENOSPC' ? 'diskFull' : 'badInput', `cannot write ${this.#part} (${code})`, {
        stage: 'export',
        hint: 'Name a file in a folder that exists and has room.',
        cause,
      });
    }
  }
}

export interface ReadWindow {
  readonly onHeader: (header: FileHeader) => Promise<void> | void;
  /** Awaited: nothing more is read meanwhile. */
  readonly onRecord: (record: FileRecord) => Promise<void> | void;
  readonly onProgress: (doneBytes: number, totalBytes: number) => void;
}

/** Reads a file to its end. Throws `badInput` naming the byte at which it is not what it should be. */
export async function readWindowFile(path: string, handlers: ReadWindow): Promise<FileEnd> {
  const file = await open(path).catch((cause: NodeJS.ErrnoException) => {
    throw new MirrorstreamError('badInput', `cannot read ${path} (${cause.code})`, {
      stage: 'import',
      hint: 'Name a file that mirrorstream export has written.',
      cause,
    });
  });
  try {
    return await new WindowFileReader(path, file, handlers).read();
  } finally {
    await file.close();
  }
}

class WindowFileReader {
  readonly #path: string;
  readonly #file: FileHandle;
  readonly #handlers: ReadWindow;
  readonly #records = new Map<number, number>();
  /** Read and not used yet; `#at` is where it begins in the file. */
  #bytes: Buffer = Buffer.alloc(0);
  #at = 0;

  constructor(path: string, file: FileHandle, handlers: ReadWindow) {
    this.#path = path;
    this.#file = file;
    this.#handlers = handlers;
  }

  async read(): Promise<FileEnd> {
    const totalBytes = (await this.#file.stat()).size;
    const magic = await this.#take(fileMagic.length);
    if (magic === null || !magic.subarray(0, 8).equals(fileMagic.subarray(0, 8)))
      throw this.#damaged(0, 'it is no exported window');
    if (!magic.equals(fileMagic)) throw this.#damaged(8, `its version is ${magic.readUInt32BE(8)}, known is 1`);
    let partitions: number | null = null;
    for (;;) {
      const at = this.#at;
      const frame = await this.#frame();
      if ((frame.kind === 'header') !== (partitions === null))
        throw this.#damaged(at, 'a header is not where it belongs');
      switch (frame.kind) {
        case 'header':
          ({ partitions } = frame.header);
          await this.#handlers.onHeader(frame.header);
          break;
        case 'record': {
          const { partition } = frame.record;
          if (partition < 0 || partition >= (partitions ?? 0))
            throw this.#damaged(at, `there is no partition ${partition}`);
          this.#records.set(partition, (this.#records.get(partition) ?? 0) + 1);
          await this.#handlers.onRecord(frame.record);
          break;
        }
        case 'end':
          await this.#checkEnd(at, frame.end);
          return frame.end;
        default:
          frame satisfies never;
      }
      this.#handlers.onProgress(this.#at, totalBytes);
    }
  }

  async #frame(): Promise<FileFrame> {
    const at = this.#at;
    const head = await this.#take(frameHeadBytes);
    if (head === null) throw this.#damaged(at, 'it ends here, without its last part');
    const length = head.readUInt32BE(0);
    const checksum = head.readUInt32BE(4);
    if (length === 0 || length > maxBodyBytes) throw this.#damaged(at, 'a length is wrong');
    const body = await this.#take(length);
    if (body === null) throw this.#damaged(at, 'it is cut off in what begins here');
    if (crc32(body) !== checksum) throw this.#damaged(at, 'a checksum is wrong');
    return decodeBody(body) ?? this.#fail(at, 'what stands here is not known');
  }

  async #checkEnd(at: number, { records }: FileEnd): Promise<void> {
    const same = Object.entries(records).every(([partition, count]) => this.#records.get(Number(partition)) === count);
    if (!same || Object.keys(records).length !== this.#records.size)
      throw this.#damaged(at, 'records are missing before it');
    if ((await this.#take(1)) !== null) throw this.#damaged(this.#at - 1, 'something follows its end');
  }

  /** A copy, or null when the file ends before. */
  async #take(length: number): Promise<Buffer | null> {
    while (this.#bytes.length < length) {
      const chunk = Buffer.allocUnsafe(Math.max(readBytes, length - this.#bytes.length));
      const { bytesRead } = await this.#file.read(chunk, 0, chunk.length, this.#at + this.#bytes.length);
      if (bytesRead === 0) return null;
      this.#bytes = Buffer.concat([this.#bytes, chunk.subarray(0, bytesRead)]);
    }
    const taken = Buffer.from(this.#bytes.subarray(0, length));
    this.#bytes = this.#bytes.subarray(length);
    this.#at += length;
    return taken;
  }

  #fail(at: number, problem: string): never {
    throw this.#damaged(at, problem);
  }

  #damaged(at: number, problem: string): MirrorstreamError {
    return new MirrorstreamError('badInput', `${this.#path} is damaged at byte ${at}: ${problem}`, {
      stage: 'import',
      hint: 'Nothing of it was imported. Copy or export it again.',
    });
  }
}
