// The ring between the forwarding thread and the capture worker: bytes in shared memory, one producer, one consumer, no waiting.
//
//   shared memory = control (64 Int32 cells, head and tail on cache lines of their own), data (a power of two of bytes)
//   record        = Int32 payload length | kind << 28, Int32 session, Int32 µs low, Int32 µs high, payload, padding to 16 bytes
//
// Head and tail count bytes modulo 2^32 and never meet by accident, as the data is at most 1 GiB. The producer writes a record and
// then publishes the tail; the consumer copies records out and then publishes the head: no record is ever seen in part.

export const RecordKind = {
  /** Bytes the client sent; bytes the server sent. */
  client: 0,
  server: 1,
  /** A session begins; its first client bytes are its StartupMessage. */
  opened: 2,
  closed: 3,
  /** Bytes that went by while the ring was full, payload: none, the count is in the length field. */
  missedClient: 4,
  missedServer: 5,
  /** A CancelRequest, payload: process id and secret key. */
  cancel: 6,
  /** The session is not captured any more, on purpose; the reason (GapReason) is in the length field. */
  leftOut: 7,
  /** Bytes the client sent that may hold a password: handed over as `client`, and blanked wherever they lay. */
  clientSecret: 8,
} as const;
export type RecordKind = (typeof RecordKind)[keyof typeof RecordKind];

const headerBytes = 16;
const recordAlignment = 16;
const lengthBits = 28;
const maxLength = 2 ** lengthBits - 1;
const controlCells = 64;
const headCell = 0;
const tailCell = 32;
const controlBytes = controlCells * 4;
const twoTo32 = 2 ** 32;
const pageBytes = 4096;

export const minRingBytes = 256 * 1024;
export const maxRingBytes = 1024 ** 3;
/** The largest payload of one record: a chunk is at most one read buffer. */
export const maxPayloadBytes = 64 * 1024;
/** A look must take in at least two of the largest records. */
export const minLookBytes = 2 * (headerBytes + maxPayloadBytes);

/** Memory for a ring of at least `wantedBytes` (rounded up to a power of two). */
export function createRingMemory(wantedBytes: number): SharedArrayBuffer {
  const dataBytes = 2 ** Math.ceil(Math.log2(Math.min(maxRingBytes, Math.max(minRingBytes, wantedBytes))));
  const memory = new SharedArrayBuffer(controlBytes + dataBytes);
  // Every page is touched now, not by the forwarding thread while production waits: a page fault costs a microsecond or more.
  const bytes = new Uint8Array(memory);
  for (let at = 0; at < bytes.length; at += pageBytes) bytes[at] = 0;
  return memory;
}

/** Forgets what a consumer that is gone has left. Nobody may be using either end. */
export function emptyRing(memory: SharedArrayBuffer): void {
  const control = new Int32Array(memory, 0, controlCells);
  Atomics.store(control, headCell, Atomics.load(control, tailCell));
}

const alignUp = (bytes: number): number => (bytes + recordAlignment - 1) & -recordAlignment;

/** The forwarding thread's end. Nothing here waits, throws or allocates (but for a view where a payload wraps). */
export class RingProducer {
  readonly capacityBytes: number;
  readonly #control: Int32Array;
  readonly #bytes: Uint8Array;
  readonly #words: Int32Array;
  readonly #mask: number;
  #tail: number;
  /** The consumer's place when it was last looked up: looked up again only when the ring seems full. */
  #headSeen: number;

  constructor(memory: SharedArrayBuffer) {
    this.#control = new Int32Array(memory, 0, controlCells);
    this.#bytes = new Uint8Array(memory, controlBytes);
    this.#words = new Int32Array(memory, controlBytes);
    this.capacityBytes = this.#bytes.length;
    this.#mask = this.capacityBytes - 1;
    this.#tail = Atomics.load(this.#control, tailCell);
    this.#headSeen = Atomics.load(this.#control, headCell);
  }

  /** Free bytes as of now. */
  freeBytes(): number {
    this.#headSeen = Atomics.load(this.#control, headCell);
    return this.capacityBytes - ((this.#tail - this.#headSeen) >>> 0);
  }

  /** One record with `payload` (at most maxPayloadBytes). False: no room, nothing was written. */
  push(kind: RecordKind, session: number, monoUs: number, payload: Uint8Array): boolean {
    const length = payload.length;
    if (!this.#reserve(headerBytes + alignUp(length))) return false;
    const at = this.#header(kind, session, monoUs, length) & this.#mask;
    const untilWrap = this.capacityBytes - at;
    if (length <= untilWrap) this.#bytes.set(payload, at);
    else {
      this.#bytes.set(payload.subarray(0, untilWrap), at);
      this.#bytes.set(payload.subarray(untilWrap), 0);
    }
    this.#publish(headerBytes + alignUp(length));
    return true;
  }

  /** One record without payload. `count` is what the consumer gets as its length (capped at 256 MiB). */
  pushMark(kind: RecordKind, session: number, monoUs: number, count: number): boolean {
    if (!this.#reserve(headerBytes)) return false;
    this.#header(kind, session, monoUs, Math.min(count, maxLength));
    this.#publish(headerBytes);
    return true;
  }

  #reserve(bytes: number): boolean {
    if (this.capacityBytes - ((this.#tail - this.#headSeen) >>> 0) >= bytes) return true;
    return this.freeBytes() >= bytes;
  }

  /** Writes the header at the tail; returns where the payload begins. Records are aligned, so a header never wraps. */
  #header(kind: RecordKind, session: number, monoUs: number, length: number): number {
    const word = (this.#tail & this.#mask) >>> 2;
    const words = this.#words;
    words[word] = (kind << lengthBits) | length;
    words[word + 1] = session;
    words[word + 2] = (monoUs % twoTo32) | 0;
    words[word + 3] = Math.floor(monoUs / twoTo32);
    return (this.#tail + headerBytes) | 0;
  }

  #publish(bytes: number): void {
    this.#tail = (this.#tail + bytes) | 0;
    Atomics.store(this.#control, tailCell, this.#tail);
  }
}

/** What the consumer is handed. `bytes[start, end)` is the worker's own memory: valid until the call returns. */
export interface RingHandler {
  record(kind: RecordKind, session: number, monoUs: number, bytes: Uint8Array, start: number, end: number): void;
  mark(kind: RecordKind, session: number, monoUs: number, count: number): void;
  /** A cancel that is behind other records of this look. True: it is taken, and does not come again in its turn. */
  ahead?(monoUs: number, bytes: Uint8Array, start: number, end: number): boolean;
}

/** The worker's end: copies records out in large pieces, so that the producer has its room back before they are looked at. */
export class RingConsumer {
  readonly capacityBytes: number;
  readonly #control: Int32Array;
  readonly #bytes: Uint8Array;
  readonly #scratch: Uint8Array;
  readonly #scratchWords: Int32Array;
  readonly #mask: number;
  #head: number;
  #largestLook = 0;
  /** Of the records copied out, some hold secrets; some are cancels. */
  #secrets = false;
  #cancels = false;

  /** `lookBytes`: taken out at a time, a multiple of 16. */
  constructor(memory: SharedArrayBuffer, lookBytes = 256 * 1024) {
    this.#control = new Int32Array(memory, 0, controlCells);
    this.#bytes = new Uint8Array(memory, controlBytes);
    this.capacityBytes = this.#bytes.length;
    this.#mask = this.capacityBytes - 1;
    this.#head = Atomics.load(this.#control, headCell);
    const memoryOfOwn = new ArrayBuffer(alignUp(Math.max(lookBytes, minLookBytes)));
    this.#scratch = new Uint8Array(memoryOfOwn);
    this.#scratchWords = new Int32Array(memoryOfOwn);
  }

  /** The most that was taken at once since this was asked last. */
  takeLargestLook(): number {
    const largest = this.#largestLook;
    this.#largestLook = 0;
    return largest;
  }

  /** Bytes waiting. */
  backlogBytes(): number {
    return (Atomics.load(this.#control, tailCell) - this.#head) >>> 0;
  }

  /** Hands over what is there, at most one scratch full. Returns the ring bytes taken; 0: there was nothing. */
  drain(handler: RingHandler): number {
    const copied = Math.min(this.backlogBytes(), this.#scratch.length);
    if (copied === 0) return 0;
    if (copied > this.#largestLook) this.#largestLook = copied;
    this.#copyOut(copied);
    const whole = this.#wholeRecords(copied);
    if (this.#secrets) this.#blankSecrets(whole);
    this.#head = (this.#head + whole) | 0;
    Atomics.store(this.#control, headCell, this.#head);
    if (this.#cancels) this.#cancelsAhead(whole, handler);
    this.#handOver(whole, handler);
    return whole;
  }

  /** One that came from another process may be behind the answer that it brought about. */
  #cancelsAhead(whole: number, handler: RingHandler): void {
    for (let at = 0; at < whole; ) {
      const word = this.#scratchWords[at >>> 2] as number;
      const [start, end] = [at + headerBytes, at + headerBytes + (word & maxLength)];
      // Taken: no key is all zeros.
      if (word >>> lengthBits === RecordKind.cancel && handler.ahead?.(this.#timeAt(at), this.#scratch, start, end))
        this.#scratch.fill(0, start, end);
      at = start + payloadRoom(word);
    }
  }

  #timeAt(at: number): number {
    const word = at >>> 2;
    return ((this.#scratchWords[word + 2] as number) >>> 0) + (this.#scratchWords[word + 3] as number) * twoTo32;
  }

  #copyOut(bytes: number): void {
    const at = this.#head & this.#mask;
    const untilWrap = this.capacityBytes - at;
    if (bytes <= untilWrap) this.#scratch.set(this.#bytes.subarray(at, at + bytes));
    else {
      this.#scratch.set(this.#bytes.subarray(at));
      this.#scratch.set(this.#bytes.subarray(0, bytes - untilWrap), untilWrap);
    }
  }

  /** The length of the whole records at the beginning of the scratch; the rest is copied again next time. */
  #wholeRecords(copied: number): number {
    let at = 0;
    this.#secrets = false;
    this.#cancels = false;
    while (at < copied) {
      const word = this.#scratchWords[at >>> 2] as number;
      const next = at + headerBytes + payloadRoom(word);
      if (next > copied) break;
      if (word >>> lengthBits === RecordKind.clientSecret) this.#secrets = true;
      else if (word >>> lengthBits === RecordKind.cancel) this.#cancels = true;
      at = next;
    }
    // The first bytes of a secret that is not whole yet.
    if (at < copied && (this.#scratchWords[at >>> 2] as number) >>> lengthBits === RecordKind.clientSecret)
      this.#scratch.fill(0, at + headerBytes, copied);
    return at;
  }

  /** In the ring, while what was copied out of it is still the consumer's. */
  #blankSecrets(whole: number): void {
    for (let at = 0; at < whole; ) {
      const word = this.#scratchWords[at >>> 2] as number;
      const room = payloadRoom(word);
      if (word >>> lengthBits === RecordKind.clientSecret) {
        const from = (this.#head + at + headerBytes) & this.#mask;
        this.#bytes.fill(0, from, Math.min(from + room, this.capacityBytes));
        this.#bytes.fill(0, 0, Math.max(0, from + room - this.capacityBytes));
      }
      at += headerBytes + room;
    }
  }

  #handOver(until: number, handler: RingHandler): void {
    const words = this.#scratchWords;
    for (let at = 0; at < until; ) {
      const word = words[at >>> 2] as number;
      const kind = (word >>> lengthBits) as RecordKind;
      const length = word & maxLength;
      const session = words[(at >>> 2) + 1] as number;
      const monoUs = this.#timeAt(at);
      const start = at + headerBytes;
      if (isMark(kind)) {
        handler.mark(kind, session, monoUs, length);
        at = start;
      } else if (kind === RecordKind.clientSecret) {
        handler.record(RecordKind.client, session, monoUs, this.#scratch, start, start + length);
        this.#scratch.fill(0, start, start + length);
        at = start + alignUp(length);
      } else {
        handler.record(kind, session, monoUs, this.#scratch, start, start + length);
        at = start + alignUp(length);
      }
    }
  }
}

const payloadRoom = (word: number): number => (isMark(word >>> lengthBits) ? 0 : alignUp(word & maxLength));

function isMark(kind: number): boolean {
  return (kind >= RecordKind.opened && kind <= RecordKind.missedServer) || kind === RecordKind.leftOut;
}
