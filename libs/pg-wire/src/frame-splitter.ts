// Cuts one direction of a connection into frames: incremental, bounded, without copying frames that lie whole in a chunk.
import {
  HEADER_BYTES,
  int32At,
  MAX_LENGTH,
  MAX_STARTUP_LENGTH,
  MIN_LENGTH,
  MIN_STARTUP_LENGTH,
} from './frame-header.ts';
import { CANCEL_REQUEST_CODE, GSSENC_REQUEST_CODE, SSL_REQUEST_CODE } from './start-up-codes.ts';
import { B, STARTUP_PACKET } from './type-bytes.ts';

/** What `next` found. */
export const FrameEvent = {
  /** The chunk is used up: feed the next one. */
  needMore: 0,
  /** A whole frame: `type`, and `buffer[start, end)` from its type byte to its last byte. */
  frame: 1,
  /** A frame above `maxFrameBytes` begins: `type`, `length`. Its header is not delivered as a part. */
  frameBegin: 2,
  /** The next piece of its body: `buffer[start, end)`. */
  framePart: 3,
  /** Its last byte was delivered. */
  frameEnd: 4,
  /** No frame can begin here: see `malformed`. Everything after it is swallowed until `reset`. */
  malformed: 5,
} as const;
export type FrameEvent = (typeof FrameEvent)[keyof typeof FrameEvent];

/** `offset` counts bytes of this direction since construction or `reset`, to the frame's first byte. */
export type MalformedFrame = {
  readonly reason: 'lengthTooSmall' | 'lengthTooLarge' | 'tlsHandshake';
  readonly type: number;
  readonly offset: number;
};

/**
 * `messages`: frames with a type byte. `startup`: packets without one (type STARTUP_PACKET), until a StartupMessage was seen. `bareByte`: one
 * byte that answers SSLRequest or GSSENCRequest, delivered as a frame of one byte; an `E` there is an ErrorResponse of an old server.
 */
export type SplitterPhase = 'messages' | 'startup' | 'bareByte';

export type FrameSplitterOptions = { readonly maxFrameBytes?: number; readonly phase?: SplitterPhase };

export const DEFAULT_MAX_FRAME_BYTES = 512 * 1024;
/** A session keeps at most this much between frames that straddle chunks; thousands of sessions do. */
const KEPT_PENDING_BYTES = 4 * 1024;
const NO_BYTES = new Uint8Array(0);
const TLS_HANDSHAKE = 0x16;
const STARTUP_LENGTH_BYTES = 4;

type State = 'border' | 'partial' | 'streaming' | 'malformed';

/**
 * Usage: `feed` a chunk, call `next` until it answers needMore, feed the next. `next` allocates nothing for a frame that lies whole
 * in the chunk. `buffer` is the fed chunk, or the splitter's own buffer for a frame that straddled chunks: valid until the next call
 * of `next`, `feed` or `reset`; copy what must live longer. Memory held between chunks is at most the bytes of one unfinished
 * frame, rounded up to a power of two, and never above `maxFrameBytes`, whatever length the frame claims.
 */
export class FrameSplitter {
  type = 0;
  /** Of the frame being streamed: the value of its length field. */
  length = 0;
  buffer: Uint8Array = NO_BYTES;
  start = 0;
  end = 0;
  malformed: MalformedFrame | null = null;
  /** Memory of its own that it lets go of is blanked: while a password may pass. */
  wipes = false;

  /** Start-up packets have their own bound. */
  readonly #maxFrameBytes: number;
  #state: State = 'border';
  #phase: SplitterPhase;
  #chunk: Uint8Array = NO_BYTES;
  #at = 0;
  #limit = 0;
  /** Stream offset of chunk index 0. */
  #chunkOffset = 0;
  #pending: Uint8Array = NO_BYTES;
  #pendingBytes = 0;
  /** Bytes the pending frame is known to have: its header's size until the length is read, then all of it. */
  #wantedBytes = 0;
  #remainingBytes = 0;

  constructor(options: FrameSplitterOptions = {}) {
    this.#maxFrameBytes = options.maxFrameBytes ?? DEFAULT_MAX_FRAME_BYTES;
    this.#phase = options.phase ?? 'messages';
  }

  /** True when what was consumed so far ends exactly at a frame border. */
  get aligned(): boolean {
    return this.#state === 'border';
  }

  get phase(): SplitterPhase {
    return this.#phase;
  }

  /** Bytes held for an unfinished frame: what this splitter costs beyond the chunk. */
  get pendingBytes(): number {
    return this.#pendingBytes;
  }

  /** Forgets everything; the next byte fed is taken as the first of a frame. */
  reset(phase: SplitterPhase = 'messages'): void {
    this.#state = 'border';
    this.#phase = phase;
    this.#releaseChunk();
    if (this.wipes) this.#pending.fill(0);
    this.#pending = NO_BYTES;
    this.#pendingBytes = 0;
    this.#chunkOffset = 0;
    this.malformed = null;
  }

  /** The next byte answers SSLRequest or GSSENCRequest. Call it at a border, before that byte is consumed. */
  expectBareByte(): void {
    if (this.#state !== 'border') throw new Error('expectBareByte inside a frame: the stream is out of step, reset it');
    this.#phase = 'bareByte';
  }

  feed(chunk: Uint8Array, start = 0, end = chunk.length): void {
    if (this.#at !== this.#limit)
      throw new Error('feed before the previous chunk was used up: call next until needMore');
    this.#chunkOffset += this.#limit - start;
    this.#chunk = chunk;
    this.#at = start;
    this.#limit = end;
  }

  next(): FrameEvent {
    if (this.#state !== 'border') return this.#nextInside();
    const at = this.#at;
    const available = this.#limit - at;
    if (this.#phase === 'messages' && available >= HEADER_BYTES) {
      const chunk = this.#chunk;
      const frameBytes = int32At(chunk, at + 1) + 1;
      if (frameBytes >= HEADER_BYTES && frameBytes <= available && frameBytes <= this.#maxFrameBytes) {
        this.#at = at + frameBytes;
        this.type = chunk[at] as number;
        this.buffer = chunk;
        this.start = at;
        this.end = at + frameBytes;
        return FrameEvent.frame;
      }
    }
    return available === 0 ? this.#needMore() : this.#openFrame();
  }

  #nextInside(): FrameEvent {
    if (this.#state === 'partial') return this.#fillPending();
    if (this.#state === 'streaming') return this.#stream();
    this.#at = this.#limit;
    return this.#needMore();
  }

  /** The frame at the cursor is not the simple case: collect it, stream it, or find it malformed. */
  #openFrame(): FrameEvent {
    if (this.#phase === 'bareByte') {
      this.#phase = 'messages';
      if (this.#chunk[this.#at] !== B.ErrorResponse) return this.#deliverBareByte();
    }
    this.#state = 'partial';
    this.#pendingBytes = 0;
    this.#wantedBytes = this.#phase === 'startup' ? STARTUP_LENGTH_BYTES : HEADER_BYTES;
    return this.#fillPending();
  }

  #fillPending(): FrameEvent {
    const headerBytes = this.#phase === 'startup' ? STARTUP_LENGTH_BYTES : HEADER_BYTES;
    if (this.#pendingBytes < headerBytes) {
      if (!this.#collect()) return this.#needMore();
      const outcome = this.#judgeHeader(headerBytes);
      if (outcome !== FrameEvent.frame) return outcome;
    }
    return this.#collect() ? this.#deliverPending() : this.#needMore();
  }

  /** Copies from the chunk until the wanted bytes are there; false when the chunk ends before. */
  #collect(): boolean {
    const missing = this.#wantedBytes - this.#pendingBytes;
    const taken = Math.min(missing, this.#limit - this.#at);
    this.#growPending(this.#pendingBytes + taken);
    for (let i = 0; i < taken && taken <= HEADER_BYTES; i++) {
      this.#pending[this.#pendingBytes + i] = this.#chunk[this.#at + i] as number;
    }
    if (taken > HEADER_BYTES) {
      this.#pending.set(this.#chunk.subarray(this.#at, this.#at + taken), this.#pendingBytes);
    }
    this.#pendingBytes += taken;
    this.#at += taken;
    return taken === missing;
  }

  /** Grows with the bytes that came, not with the length that was claimed. */
  #growPending(neededBytes: number): void {
    if (neededBytes <= this.#pending.length) return;
    const roundedBytes = Math.max(256, 2 ** Math.ceil(Math.log2(neededBytes)));
    const grown = Buffer.allocUnsafeSlow(Math.max(neededBytes, Math.min(roundedBytes, this.#maxFrameBytes)));
    grown.set(this.#pending.subarray(0, this.#pendingBytes));
    if (this.wipes) this.#pending.fill(0);
    this.#pending = grown;
  }

  /** Reads the collected header: `frame` means go on collecting. */
  #judgeHeader(headerBytes: number): FrameEvent {
    const startup = this.#phase === 'startup';
    const length = int32At(this.#pending, headerBytes - STARTUP_LENGTH_BYTES);
    const type = startup ? STARTUP_PACKET : (this.#pending[0] as number);
    if (startup && this.#pending[0] === TLS_HANDSHAKE) return this.#fail('tlsHandshake', type);
    if (length < (startup ? MIN_STARTUP_LENGTH : MIN_LENGTH)) return this.#fail('lengthTooSmall', type);
    if (length > (startup ? MAX_STARTUP_LENGTH : MAX_LENGTH)) return this.#fail('lengthTooLarge', type);
    this.#wantedBytes = startup ? length : length + 1;
    if (startup || this.#wantedBytes <= this.#maxFrameBytes) return FrameEvent.frame;
    this.#state = 'streaming';
    this.#pendingBytes = 0;
    this.#remainingBytes = length - MIN_LENGTH;
    this.type = type;
    this.length = length;
    return FrameEvent.frameBegin;
  }

  #deliverPending(): FrameEvent {
    const startup = this.#phase === 'startup';
    this.type = startup ? STARTUP_PACKET : (this.#pending[0] as number);
    this.buffer = this.#pending;
    this.start = 0;
    this.end = this.#wantedBytes;
    if (startup && !startupGoesOnAfter(int32At(this.#pending, 4))) this.#phase = 'messages';
    if (this.#pending.length > KEPT_PENDING_BYTES) this.#pending = NO_BYTES;
    this.#pendingBytes = 0;
    this.#state = 'border';
    return FrameEvent.frame;
  }

  #deliverBareByte(): FrameEvent {
    this.type = this.#chunk[this.#at] as number;
    this.buffer = this.#chunk;
    this.start = this.#at;
    this.end = this.#at + 1;
    this.#at += 1;
    return FrameEvent.frame;
  }

  #stream(): FrameEvent {
    if (this.#remainingBytes === 0) {
      this.#state = 'border';
      return FrameEvent.frameEnd;
    }
    const taken = Math.min(this.#remainingBytes, this.#limit - this.#at);
    if (taken === 0) return this.#needMore();
    this.buffer = this.#chunk;
    this.start = this.#at;
    this.end = this.#at + taken;
    this.#at += taken;
    this.#remainingBytes -= taken;
    return FrameEvent.framePart;
  }

  #fail(reason: MalformedFrame['reason'], type: number): FrameEvent {
    this.malformed = { reason, type, offset: this.#chunkOffset + this.#at - this.#pendingBytes };
    this.#state = 'malformed';
    this.#pendingBytes = 0;
    this.#at = this.#limit;
    return FrameEvent.malformed;
  }

  /** An idle session must not keep its last chunk alive. */
  #needMore(): FrameEvent {
    this.#chunkOffset += this.#limit;
    this.#releaseChunk();
    return FrameEvent.needMore;
  }

  #releaseChunk(): void {
    this.#chunk = NO_BYTES;
    this.buffer = NO_BYTES;
    this.#at = 0;
    this.#limit = 0;
    this.start = 0;
    this.end = 0;
  }
}

/** SSLRequest, GSSENCRequest and CancelRequest can precede another packet on one socket; a version begins the session. */
function startupGoesOnAfter(code: number): boolean {
  return code === SSL_REQUEST_CODE || code === GSSENC_REQUEST_CODE || code === CANCEL_REQUEST_CODE;
}
