// Writes protobuf's wire format into a reused, growing buffer: what the hand-tagged encoders are made of.
//
//   field   = tag value          tag = varint(number << 3 | wire type)
//   varint  = 7 bits a byte, least significant first, the high bit says that more follow
//   message = varint(length) field*   fields in ascending number, absent when zero or empty (proto3 implicit presence)
//
// A nested message's length is not known when it begins: `begin` leaves as many bytes as the caller's guess needs, and `end`
// shifts the body when the guess was wrong. The result is the same; a good guess only saves the move.

const INITIAL_BYTES = 8 * 1024;
/** Strings up to this length are written by a loop: cheaper than a native call for the ids, tags and names of an envelope. */
const SHORT_STRING = 48;
const TWO_32 = 2 ** 32;

/** Wire types, to be combined with a field number: `(number << 3) | wire.bytes`. */
export const wire = { varint: 0, fixed64: 1, bytes: 2 } as const;

function varintBytes(value: number): number {
  if (value < 0x80) return 1;
  if (value < 0x4000) return 2;
  if (value < 0x200000) return 3;
  return value < 0x10000000 ? 4 : 5;
}

/** Tags passed to the methods are whole tag bytes below 128, so field numbers 1 to 15. */
export class ProtoWriter {
  #buffer: Buffer = Buffer.allocUnsafeSlow(INITIAL_BYTES);
  #at = 0;
  readonly #float = new DataView(new ArrayBuffer(8));

  get sizeBytes(): number {
    return this.#at;
  }

  /** Bytes held, used or not. */
  get capacityBytes(): number {
    return this.#buffer.length;
  }

  /** A copy of what was written since `from`. */
  copy(from = 0): Uint8Array {
    return Uint8Array.prototype.slice.call(this.#buffer, from, this.#at);
  }

  /** A copy of everything, into the beginning of `memory`; returns the view of it. */
  copyInto(memory: Uint8Array): Uint8Array {
    this.#buffer.copy(memory, 0, 0, this.#at);
    return memory.subarray(0, this.#at);
  }

  /** Forgets what was written from `sizeBytes` on; gives the buffer back when it grew beyond `keepBytes`. */
  truncate(sizeBytes: number, keepBytes = Number.POSITIVE_INFINITY): void {
    this.#at = Math.min(sizeBytes, this.#at);
    if (this.#at === 0 && this.#buffer.length > keepBytes) this.#buffer = Buffer.allocUnsafeSlow(INITIAL_BYTES);
  }

  /** Writes tag and room for a length of about `guessBytes`; returns the mark that `end` wants. */
  begin(tag: number, guessBytes: number): number {
    this.#reserve(6);
    this.#buffer[this.#at++] = tag;
    const widthBytes = varintBytes(guessBytes);
    this.#at += widthBytes;
    return this.#at * 8 + widthBytes;
  }

  end(mark: number): void {
    const widthBytes = mark % 8;
    let bodyAt = (mark - widthBytes) / 8;
    const lengthBytes = this.#at - bodyAt;
    const neededBytes = varintBytes(lengthBytes);
    if (neededBytes !== widthBytes) {
      this.#reserve(neededBytes);
      const movedTo = bodyAt - widthBytes + neededBytes;
      this.#buffer.copyWithin(movedTo, bodyAt, this.#at);
      this.#at += neededBytes - widthBytes;
      bodyAt = movedTo;
    }
    this.#varintAt(bodyAt - neededBytes, lengthBytes);
  }

  /** A non-negative integer below 2^53; nothing when it is 0. */
  uint(tag: number, value: number): void {
    if (value === 0) return;
    this.#reserve(11);
    this.#buffer[this.#at++] = tag;
    this.#varint(value);
  }

  /** Any unsigned 64-bit integer; nothing when it is 0. */
  uint64(tag: number, value: bigint): void {
    const number = Number(value);
    if (number <= Number.MAX_SAFE_INTEGER) {
      this.uint(tag, number);
      return;
    }
    this.#reserve(11);
    this.#buffer[this.#at++] = tag;
    for (let rest = value; ; rest >>= 7n) {
      const low = Number(rest & 0x7fn);
      this.#buffer[this.#at++] = rest > 0x7fn ? low | 0x80 : low;
      if (rest <= 0x7fn) return;
    }
  }

  bool(tag: number, value: boolean): void {
    if (!value) return;
    this.#reserve(2);
    this.#buffer[this.#at++] = tag;
    this.#buffer[this.#at++] = 1;
  }

  double(tag: number, value: number): void {
    if (value === 0) return;
    this.#reserve(9);
    this.#buffer[this.#at++] = tag;
    this.#float.setFloat64(0, value, true);
    for (let i = 0; i < 8; i++) this.#buffer[this.#at++] = this.#float.getUint8(i);
  }

  /** Two unsigned 32-bit halves. */
  fixed64(tag: number, hi: number, lo: number): void {
    if (hi === 0 && lo === 0) return;
    this.#reserve(9);
    const buffer = this.#buffer;
    let at = this.#at;
    buffer[at++] = tag;
    for (let shift = 0; shift < 32; shift += 8) buffer[at++] = lo >>> shift;
    for (let shift = 0; shift < 32; shift += 8) buffer[at++] = hi >>> shift;
    this.#at = at;
  }

  bytes(tag: number, value: Uint8Array): void {
    const sizeBytes = value.length;
    if (sizeBytes === 0) return;
    this.#reserve(6 + sizeBytes);
    this.#buffer[this.#at++] = tag;
    this.#varint(sizeBytes);
    this.#append(value, sizeBytes);
  }

  /** Bytes as they are, without tag or length: an encoded piece made earlier. */
  raw(value: Uint8Array): void {
    this.#reserve(value.length);
    this.#append(value, value.length);
  }

  /** UTF-8; nothing when empty. */
  string(tag: number, value: string): void {
    const length = value.length;
    if (length === 0) return;
    this.#reserve(6 + length * 3);
    this.#buffer[this.#at++] = tag;
    if (length <= SHORT_STRING && this.#shortAscii(value, length)) return;
    const sizeBytes = Buffer.byteLength(value, 'utf8');
    this.#varint(sizeBytes);
    this.#at += this.#buffer.write(value, this.#at, 'utf8');
  }

  /** Packed repeated enum or integer. */
  packed(tag: number, values: readonly number[]): void {
    if (values.length === 0) return;
    const mark = this.begin(tag, values.length);
    this.#reserve(values.length * 10);
    for (let i = 0; i < values.length; i++) this.#varint(values[i] as number);
    this.end(mark);
  }

  /** One length byte suffices up to 127 bytes. False, and nothing written, when a character is not ASCII. */
  #shortAscii(value: string, length: number): boolean {
    const buffer = this.#buffer;
    const at = this.#at;
    for (let i = 0; i < length; i++) {
      const unit = value.charCodeAt(i);
      if (unit > 0x7f) return false;
      buffer[at + 1 + i] = unit;
    }
    buffer[at] = length;
    this.#at = at + 1 + length;
    return true;
  }

  #append(value: Uint8Array, sizeBytes: number): void {
    const buffer = this.#buffer;
    const at = this.#at;
    if (sizeBytes <= 32) for (let i = 0; i < sizeBytes; i++) buffer[at + i] = value[i] as number;
    else buffer.set(value, at);
    this.#at = at + sizeBytes;
  }

  #varint(value: number): void {
    const buffer = this.#buffer;
    let at = this.#at;
    let rest = value;
    while (rest >= TWO_32) {
      buffer[at++] = (rest % 128) | 0x80;
      rest = Math.floor(rest / 128);
    }
    rest >>>= 0;
    while (rest >= 0x80) {
      buffer[at++] = (rest & 0x7f) | 0x80;
      rest >>>= 7;
    }
    buffer[at++] = rest;
    this.#at = at;
  }

  #varintAt(at: number, value: number): void {
    const end = this.#at;
    this.#at = at;
    this.#varint(value);
    this.#at = end;
  }

  #reserve(sizeBytes: number): void {
    const needed = this.#at + sizeBytes;
    if (needed <= this.#buffer.length) return;
    const grown = Buffer.allocUnsafeSlow(Math.max(needed, this.#buffer.length * 2));
    this.#buffer.copy(grown, 0, 0, this.#at);
    this.#buffer = grown;
  }
}
