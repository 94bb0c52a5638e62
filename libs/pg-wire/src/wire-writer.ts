// A growing buffer that writes the manual's primitive types and fills in frame lengths.
import { MAX_LENGTH } from './frame-header.ts';
import { textBytesAtMost, writeText } from './text.ts';

const INITIAL_BYTES = 1024;
/** Twice the largest frame: a writer may hold several small frames, or one huge one. */
const DEFAULT_MAX_BYTES = 2 * (MAX_LENGTH + 1);

/**
 * Collects frames. Throws RangeError for what the wire cannot carry (a zero byte in a String, a number or count out of range,
 * more than `maxBytes`); such a message is a caller's bug, and `encodeFrontend`/`encodeBackend` leave the writer as it was.
 */
export class WireWriter {
  readonly #maxBytes: number;
  #buffer: Buffer;
  #at = 0;
  #lengthAt = -1;

  constructor(options: { readonly maxBytes?: number } = {}) {
    this.#maxBytes = options.maxBytes ?? DEFAULT_MAX_BYTES;
    this.#buffer = Buffer.allocUnsafeSlow(Math.min(INITIAL_BYTES, this.#maxBytes));
  }

  get sizeBytes(): number {
    return this.#at;
  }

  /** View of what was written. The writer owns it: valid until the next call that writes, truncates or clears. */
  view(): Uint8Array {
    return this.#buffer.subarray(0, this.#at);
  }

  /** A copy of what was written, owned by the caller; the writer is empty afterwards and keeps its buffer. */
  take(): Uint8Array {
    const copy = Buffer.from(this.view());
    this.clear();
    return copy;
  }

  clear(): void {
    this.truncate(0);
  }

  /** Forgets everything from `sizeBytes` on, an unfinished frame included. */
  truncate(sizeBytes: number): void {
    this.#at = Math.min(sizeBytes, this.#at);
    this.#lengthAt = -1;
  }

  beginFrame(type: number): void {
    this.byte(type);
    this.beginStartupPacket();
  }

  /** A start-up packet has no type byte. */
  beginStartupPacket(): void {
    if (this.#lengthAt >= 0) throw new Error('a frame is begun while the one before is not ended: call endFrame first');
    this.#lengthAt = this.#at;
    this.int32(0);
  }

  endFrame(): void {
    const lengthAt = this.#lengthAt;
    if (lengthAt < 0) throw new Error('endFrame without beginFrame');
    const length = this.#at - lengthAt;
    if (length > MAX_LENGTH) throw new RangeError('frame is longer than the protocol allows (1 GiB - 1)');
    this.#buffer.writeInt32BE(length, lengthAt);
    this.#lengthAt = -1;
  }

  byte(value: number): void {
    checkRange(value, 0, 0xff, 'Byte1');
    this.#reserve(1);
    this.#buffer[this.#at++] = value;
  }

  /** Signed or unsigned: formats and sizes are signed, counts unsigned. */
  int16(value: number): void {
    checkRange(value, -0x8000, 0xffff, 'Int16');
    this.#reserve(2);
    this.#buffer[this.#at++] = value >>> 8;
    this.#buffer[this.#at++] = value;
  }

  /** Signed or unsigned: lengths and modifiers are signed, OIDs unsigned. */
  int32(value: number): void {
    checkRange(value, -0x80000000, 0xffffffff, 'Int32');
    this.#reserve(4);
    this.#buffer[this.#at++] = value >>> 24;
    this.#buffer[this.#at++] = value >>> 16;
    this.#buffer[this.#at++] = value >>> 8;
    this.#buffer[this.#at++] = value;
  }

  count16(count: number): void {
    checkRange(count, 0, 0xffff, 'Int16 count');
    this.int16(count);
  }

  /** Text and a zero byte. */
  string(text: string): void {
    if (text.includes('\0')) throw new RangeError('text with a zero byte cannot be a String on the wire');
    this.#reserve(textBytesAtMost(text) + 1);
    this.#at += writeText(text, this.#buffer, this.#at);
    this.#buffer[this.#at++] = 0;
  }

  bytes(bytes: Uint8Array): void {
    this.#reserve(bytes.length);
    this.#buffer.set(bytes, this.#at);
    this.#at += bytes.length;
  }

  /** Int32 length and the bytes; null is SQL NULL (length -1). */
  value(value: Uint8Array | null): void {
    this.int32(value === null ? -1 : value.length);
    if (value !== null) this.bytes(value);
  }

  #reserve(sizeBytes: number): void {
    const needed = this.#at + sizeBytes;
    if (needed <= this.#buffer.length) return;
    if (needed > this.#maxBytes)
      throw new RangeError(`writer would exceed its limit of ${this.#maxBytes} bytes (maxBytes)`);
    const grown = Buffer.allocUnsafeSlow(Math.min(this.#maxBytes, Math.max(needed, this.#buffer.length * 2)));
    this.#buffer.copy(grown, 0, 0, this.#at);
    this.#buffer = grown;
  }
}

function checkRange(value: number, lowest: number, highest: number, what: string): void {
  if (Number.isInteger(value) && value >= lowest && value <= highest) return;
  throw new RangeError(`${what} on the wire must be a whole number from ${lowest} to ${highest}`);
}
