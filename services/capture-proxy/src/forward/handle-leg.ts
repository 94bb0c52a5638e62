// A leg on a libuv handle: reads into its own buffer, writes at once, allocates one view per chunk and nothing else.
import { getSystemErrorName } from 'node:util';
import { type Leg, type LegEvents, readBufferBytes } from './leg.ts';
import type { Libuv, TcpHandle, WriteRequest } from './libuv.ts';

/** libuv's end of file (uv/errno.h). */
const UV_EOF = -4095;
/** Views kept per leg, by length. */
const keptViews = 16;

export class HandleLeg implements Leg {
  readonly peer: string;
  readonly #uv: Libuv;
  readonly #handle: TcpHandle;
  readonly #state: Int32Array;
  readonly #buffer: Buffer;
  readonly #views: (Buffer | undefined)[] = new Array(keptViews).fill(undefined);
  #events: LegEvents | null = null;
  #request: WriteRequest;
  #writing = false;
  #end: 'open' | 'underWay' | 'done' = 'open';
  #closed = false;

  constructor(uv: Libuv, handle: TcpHandle, peer: string) {
    this.peer = peer;
    this.#uv = uv;
    this.#handle = handle;
    this.#state = uv.state;
    // Not zeroed: pages that no chunk ever reaches cost nothing.
    this.#buffer = Buffer.allocUnsafeSlow(readBufferBytes);
    this.#request = this.#newRequest();
    handle.useUserBuffer(this.#buffer);
    // Must return undefined: a returned view would replace the buffer.
    handle.onread = () => {
      this.#onRead();
    };
  }

  get settled(): boolean {
    return !this.#writing;
  }

  start(events: LegEvents): void {
    this.#events = events;
    this.resume();
  }

  pause(): void {
    if (!this.#closed) this.#handle.readStop();
  }

  resume(): void {
    if (this.#closed) return;
    const status = this.#handle.readStart();
    if (status !== 0) this.#fail(status);
  }

  write(chunk: Uint8Array): boolean {
    if (this.#closed) return true;
    const request = this.#request;
    // Tries the kernel first. Only what the kernel did not take makes a request, which then owns `request` until it completes.
    const status = this.#handle.writeBuffer(request, chunk);
    if (status !== 0) {
      this.#fail(status);
      return true;
    }
    if (this.#state[this.#uv.lastWriteWasAsync] === 0) return true;
    request.buffer = chunk;
    this.#request = this.#newRequest();
    this.#writing = true;
    return false;
  }

  end(): void {
    if (this.#closed || this.#end !== 'open') return;
    this.#end = 'underWay';
    // libuv itself waits for queued writes before it sends FIN.
    const request = new this.#uv.ShutdownRequest();
    const onDone = (): void => {
      this.#end = 'done';
    };
    request.oncomplete = onDone;
    if (this.#handle.shutdown(request) !== 0) onDone(); // ENOTCONN: the peer has gone already, which its leg reports by itself
  }

  reset(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#events = null;
    // While a half-close is under way libuv refuses a reset, and Node's handle would then never close at all: an ordinary close has to do.
    if (this.#end === 'underWay') this.#handle.close(() => undefined);
    else this.#handle.reset(() => undefined);
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#events = null;
    this.#handle.close(() => undefined);
  }

  #onRead(): void {
    if (this.#closed) return;
    const bytes = this.#state[this.#uv.readBytesOrError] as number;
    if (bytes > 0) this.#events?.onChunk(this.#view(bytes));
    else if (bytes === UV_EOF) this.#events?.onEnd();
    else if (bytes < 0) this.#fail(bytes);
  }

  /** The first bytes of the buffer. Lengths repeat: a view that was made before is the same view. */
  #view(bytes: number): Buffer {
    const views = this.#views;
    const slot = bytes % keptViews;
    const kept = views[slot];
    if (kept !== undefined && kept.length === bytes) return kept;
    const view = this.#buffer.subarray(0, bytes);
    views[slot] = view;
    return view;
  }

  #newRequest(): WriteRequest {
    const request = new this.#uv.WriteRequest();
    request.oncomplete = (status) => this.#onWritten(request, status);
    return request;
  }

  #onWritten(request: WriteRequest, status: number): void {
    request.buffer = null;
    if (this.#closed || !this.#writing) return;
    this.#writing = false;
    if (status === 0) this.#events?.onDrained();
    else this.#fail(status);
  }

  #fail(status: number): void {
    this.#handle.readStop();
    this.#events?.onFailed(getSystemErrorName(status));
  }
}
