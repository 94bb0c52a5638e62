// Reads protobuf's wire format in place: what the hand-written decoders are made of. The grammar stands in proto-writer.ts.
//
// Views, not copies: bytes handed out share memory with the input. Texts that come over and over (ids, tags, states) are the same string
// object each time, kept by hash slot in constant memory: cheaper than making a new one, and a map finds it by its known hash.

import { wire } from './proto-writer.ts';

const FIXED32 = 5;
const TWO_32 = 2 ** 32;
const MAX_VARINT_BYTES = 10;
const TEXT_SLOTS = 512;
const LONGEST_KEPT_TEXT = 48;
const NO_BYTES = new Uint8Array(0);

const texts: string[] = new Array<string>(TEXT_SLOTS).fill('');
const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/**
 * Usage: `while (reader.field()) switch (reader.tag) …`, reading or skipping each field's value. Nested messages: `open`, read on until
 * `field` says that the message ends, `close`. Throws RangeError for what is no protobuf, TypeError for text that is no UTF-8.
 */
export class ProtoReader {
  /** Of the field found: number << 3 | wire type. */
  tag = 0;
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  #at = 0;
  #end: number;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    this.#end = bytes.length;
  }

  /** Goes to the next field of the message; false at its end. */
  field(): boolean {
    if (this.#at >= this.#end) return false;
    this.tag = this.uint();
    if (this.tag < 8) throw malformed('field number 0');
    return true;
  }

  /** Enters the nested message of this field; returns what `close` wants. */
  open(): number {
    const end = this.#lengthDelimitedEnd();
    const outer = this.#end;
    this.#end = end;
    return outer;
  }

  close(outer: number): void {
    this.#at = this.#end;
    this.#end = outer;
  }

  /** Exact below 2^53. */
  uint(): number {
    const bytes = this.#bytes;
    let byte = this.#next(bytes);
    if (byte < 0x80) return byte;
    let value = byte & 0x7f;
    for (let i = 1, scale = 128; i < MAX_VARINT_BYTES; i++, scale *= 128) {
      byte = this.#next(bytes);
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) return value;
    }
    throw malformed('a varint of more than ten bytes');
  }

  /** A uint32 or an enum: the low 32 bits, as every reader takes them. */
  uint32(): number {
    const value = this.uint();
    return value < TWO_32 ? value : value % TWO_32;
  }

  uint64(): bigint {
    const start = this.#at;
    const value = this.uint();
    return value <= Number.MAX_SAFE_INTEGER ? BigInt(value) : this.#exact(start);
  }

  bool(): boolean {
    return this.uint() !== 0;
  }

  double(): number {
    return this.#view.getFloat64(this.#advance(8), true);
  }

  fixed64(): bigint {
    const at = this.#advance(8);
    const lo = this.#view.getUint32(at, true);
    const hi = this.#view.getUint32(at + 4, true);
    return hi === 0 && lo === 0 ? 0n : this.#view.getBigUint64(at, true);
  }

  /** A view of the input. */
  bytes(): Uint8Array {
    const end = this.#lengthDelimitedEnd();
    const start = this.#at;
    this.#at = end;
    if (end === start) return NO_BYTES;
    const { buffer, byteOffset } = this.#bytes;
    return new Uint8Array(buffer, byteOffset + start, end - start);
  }

  string(): string {
    const end = this.#lengthDelimitedEnd();
    const start = this.#at;
    this.#at = end;
    const length = end - start;
    if (length === 0) return '';
    return length <= LONGEST_KEPT_TEXT ? shortText(this.#bytes, start, length) : longText(this.#bytes, start, end);
  }

  /** Adds what a repeated uint32 or enum field brings, packed or not. */
  repeated(values: number[]): void {
    if ((this.tag & 7) === wire.varint) {
      values.push(this.uint32());
      return;
    }
    const outer = this.open();
    while (this.#at < this.#end) values.push(this.uint32());
    this.close(outer);
  }

  /** A field of a later version. */
  skip(): void {
    switch (this.tag & 7) {
      case wire.varint:
        this.uint();
        return;
      case wire.fixed64:
        this.#advance(8);
        return;
      case wire.bytes:
        this.#at = this.#lengthDelimitedEnd();
        return;
      case FIXED32:
        this.#advance(4);
        return;
      default:
        throw malformed(`wire type ${this.tag & 7}`);
    }
  }

  #next(bytes: Uint8Array): number {
    if (this.#at >= this.#end) throw malformed('it is cut');
    return bytes[this.#at++] as number;
  }

  #advance(sizeBytes: number): number {
    const at = this.#at;
    if (sizeBytes > this.#end - at) throw malformed('it is cut');
    this.#at = at + sizeBytes;
    return at;
  }

  #lengthDelimitedEnd(): number {
    const length = this.uint();
    if (length > this.#end - this.#at) throw malformed('it is cut');
    return this.#at + length;
  }

  /** The varint that begins at `start` and was read already. */
  #exact(start: number): bigint {
    let value = 0n;
    for (let at = start, shift = 0n; at < this.#at; at++, shift += 7n)
      value |= BigInt((this.#bytes[at] as number) & 0x7f) << shift;
    return BigInt.asUintN(64, value);
  }
}

function shortText(bytes: Uint8Array, start: number, length: number): string {
  let hash = length;
  let high = 0;
  for (let i = start; i < start + length; i++) {
    const byte = bytes[i] as number;
    high |= byte;
    hash = (Math.imul(hash, 31) + byte) | 0;
  }
  if (high > 0x7f) return longText(bytes, start, start + length);
  const slot = (hash ^ (hash >>> 9) ^ (hash >>> 18)) & (TEXT_SLOTS - 1);
  const kept = texts[slot] as string;
  if (kept.length === length && isSame(kept, bytes, start)) return kept;
  const text = Buffer.from(bytes.buffer, bytes.byteOffset + start, length).toString('latin1');
  texts[slot] = text;
  return text;
}

function isSame(text: string, bytes: Uint8Array, start: number): boolean {
  for (let i = 0; i < text.length; i++) if (text.charCodeAt(i) !== bytes[start + i]) return false;
  return true;
}

const longText = (bytes: Uint8Array, start: number, end: number): string => utf8.decode(bytes.subarray(start, end));

const malformed = (what: string): RangeError => new RangeError(what);
