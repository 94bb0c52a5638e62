// A queue of bytes with absolute offsets: appended at the end, dropped from the front, readable in between.

const INITIAL_BYTES = 1024;
/** An empty log gives back a buffer larger than this: thousands of sessions keep one. */
const KEPT_BYTES = 16 * 1024;
/** Up to here a loop beats the call into native code. */
const SHORT_COPY_BYTES = 64;

/** Offsets count from 0 since the log was last empty-and-restarted; `indexOf` maps them to `buffer`, valid until the next append. */
export class ByteLog {
  #buffer: Buffer = Buffer.allocUnsafeSlow(INITIAL_BYTES);
  /** Absolute offset of `#buffer[0]`. */
  #base = 0;
  #first = 0;
  #end = 0;

  get buffer(): Buffer {
    return this.#buffer;
  }

  /** Offset of the first byte kept. */
  get start(): number {
    return this.#base + this.#first;
  }

  /** Offset after the last byte. */
  get end(): number {
    return this.#base + this.#end;
  }

  get sizeBytes(): number {
    return this.#end - this.#first;
  }

  /** Index in `buffer` of the byte at `offset`. */
  indexOf(offset: number): number {
    return offset - this.#base;
  }

  append(source: Uint8Array, start: number, end: number): void {
    const sizeBytes = end - start;
    if (this.#end + sizeBytes > this.#buffer.length) this.#makeRoom(sizeBytes);
    const buffer = this.#buffer;
    const at = this.#end;
    if (sizeBytes <= SHORT_COPY_BYTES) {
      for (let i = 0; i < sizeBytes; i++) buffer[at + i] = source[start + i] as number;
    } else {
      buffer.set(source.subarray(start, end), at);
    }
    this.#end = at + sizeBytes;
  }

  /** A view, valid until the next append. */
  view(from: number, to: number): Uint8Array {
    return this.#buffer.subarray(from - this.#base, to - this.#base);
  }

  /** Forgets what lies before `offset`. */
  dropTo(offset: number): void {
    this.#first = Math.min(Math.max(offset - this.#base, this.#first), this.#end);
    if (this.#first === this.#end) this.#restartAt(this.#base + this.#end);
  }

  /** Forgets what lies from `offset` on. */
  truncateTo(offset: number): void {
    this.#end = Math.max(Math.min(offset - this.#base, this.#end), this.#first);
  }

  clear(): void {
    this.#restartAt(0);
  }

  #restartAt(base: number): void {
    this.#base = base;
    this.#first = 0;
    this.#end = 0;
    if (this.#buffer.length > KEPT_BYTES) this.#buffer = Buffer.allocUnsafeSlow(INITIAL_BYTES);
  }

  #makeRoom(sizeBytes: number): void {
    const kept = this.#end - this.#first;
    const needed = kept + sizeBytes;
    // Moving is paid by the bytes dropped since the last move; otherwise the buffer doubles.
    const target =
      needed <= this.#buffer.length && this.#first >= kept
        ? this.#buffer
        : Buffer.allocUnsafeSlow(Math.max(needed, this.#buffer.length * 2));
    target.set(this.#buffer.subarray(this.#first, this.#end), 0);
    this.#buffer = target;
    this.#base += this.#first;
    this.#first = 0;
    this.#end = kept;
  }
}
