// Reads the manual's primitive types from one frame; never throws: the first fault is kept, and what is read after it is empty.
import { HEADER_BYTES, int32At, uint16At } from './frame-header.ts';
import type { MalformedMessage, MalformedReason } from './outcome.ts';
import { decodeText } from './text.ts';
import { STARTUP_PACKET } from './type-bytes.ts';

const NO_BYTES = new Uint8Array(0);

export class WireReader {
  readonly #buffer: Uint8Array;
  readonly #frameStart: number;
  readonly #bodyStart: number;
  readonly #end: number;
  #at: number;
  #fault: MalformedReason | null = null;
  #faultAt = 0;

  constructor(buffer: Uint8Array, frameStart: number, bodyStart: number, end: number) {
    this.#buffer = buffer;
    this.#frameStart = frameStart;
    this.#bodyStart = bodyStart;
    this.#at = bodyStart;
    this.#end = end;
  }

  /** False from the first fault on: loops over items stop here, so a lying count costs nothing. */
  get ok(): boolean {
    return this.#fault === null;
  }

  get remainingBytes(): number {
    return this.#end - this.#at;
  }

  fail(reason: MalformedReason): void {
    if (this.#fault !== null) return;
    this.#fault = reason;
    this.#faultAt = this.#at - this.#frameStart;
    this.#at = this.#end;
  }

  byte(): number {
    return this.#has(1) ? (this.#buffer[this.#at++] as number) : 0;
  }

  int16(): number {
    return (this.uint16() << 16) >> 16;
  }

  uint16(): number {
    if (!this.#has(2)) return 0;
    const value = uint16At(this.#buffer, this.#at);
    this.#at += 2;
    return value;
  }

  int32(): number {
    if (!this.#has(4)) return 0;
    const value = int32At(this.#buffer, this.#at);
    this.#at += 4;
    return value;
  }

  uint32(): number {
    return this.int32() >>> 0;
  }

  /** Int16 count of items that take at least `itemBytes` each. PostgreSQL and the drivers use it unsigned, up to 65535. */
  count16(itemBytes: number): number {
    return this.#countThatFits(this.uint16(), itemBytes);
  }

  /** Int32 count of items that take at least `itemBytes` each. */
  count32(itemBytes: number): number {
    return this.#countThatFits(this.uint32(), itemBytes);
  }

  /** Text up to a zero byte, which is read too. */
  string(): string {
    if (!this.ok) return '';
    const zero = this.#buffer.indexOf(0, this.#at);
    if (zero < 0 || zero >= this.#end) {
      this.fail('unterminatedString');
      return '';
    }
    const text = decodeText(this.#buffer, this.#at, zero);
    this.#at = zero + 1;
    return text;
  }

  /** View of the next `sizeBytes` bytes of the input. */
  bytes(sizeBytes: number): Uint8Array {
    if (!this.#has(sizeBytes)) return NO_BYTES;
    const view = this.#buffer.subarray(this.#at, this.#at + sizeBytes);
    this.#at += sizeBytes;
    return view;
  }

  rest(): Uint8Array {
    return this.bytes(this.remainingBytes);
  }

  /** View of the whole body, whatever of it was read before; nothing is left to read. */
  wholeBody(): Uint8Array {
    if (this.ok) this.#at = this.#end;
    return this.#buffer.subarray(this.#bodyStart, this.#end);
  }

  /** Int32 length and that many bytes; null is SQL NULL (length -1). */
  value(): Uint8Array | null {
    const sizeBytes = this.int32();
    if (sizeBytes >= 0) return this.bytes(sizeBytes);
    if (sizeBytes < -1) this.fail('negativeLength');
    return null;
  }

  /** The message when it was read without a fault and to its last byte, else what is wrong with it. */
  finish<Message>(type: number, message: Message): Message | MalformedMessage {
    if (this.#at !== this.#end) this.fail('trailingBytes');
    if (this.#fault === null) return message;
    return { kind: 'malformed', type, reason: this.#fault, at: this.#faultAt };
  }

  #has(sizeBytes: number): boolean {
    if (this.#end - this.#at >= sizeBytes) return true;
    this.fail('truncated');
    return false;
  }

  #countThatFits(count: number, itemBytes: number): number {
    return this.#has(count * itemBytes) ? count : 0;
  }
}

/** A reader at the body of the frame `buffer[start, end)`, or what is wrong with the range or with the frame's own length. */
export function openFrame(type: number, buffer: Uint8Array, start: number, end: number): WireReader | MalformedMessage {
  const typeBytes = type === STARTUP_PACKET ? 0 : 1;
  const bodyStart = start + HEADER_BYTES - 1 + typeBytes;
  if (start < 0 || end > buffer.length || bodyStart > end)
    return { kind: 'malformed', type, reason: 'truncated', at: 0 };
  const length = int32At(buffer, start + typeBytes);
  if (length !== end - start - typeBytes) return { kind: 'malformed', type, reason: 'lengthMismatch', at: typeBytes };
  return new WireReader(buffer, start, bodyStart, end);
}
