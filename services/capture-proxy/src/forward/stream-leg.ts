// A leg on an ordinary stream: TLS, and plain sockets for a Node whose inner handles are unknown.
import type { Socket } from 'node:net';
import type { Leg, LegEvents } from './leg.ts';

export class StreamLeg implements Leg {
  readonly peer: string;
  readonly #stream: Socket;
  /** The TCP connection beneath: the same, or what TLS is spoken over. */
  readonly #tcp: Socket;
  #events: LegEvents | null = null;
  #ended = false;
  #failure: string | null = null;
  #closed = false;

  constructor(stream: Socket, peer: string, tcp: Socket = stream) {
    this.peer = peer;
    this.#stream = stream;
    this.#tcp = tcp;
    stream.on('end', () => {
      this.#ended = true;
      this.#events?.onEnd();
    });
    stream.on('drain', () => this.#events?.onDrained());
    stream.on('error', (error: NodeJS.ErrnoException) => this.#onFailed(error.code ?? 'EUNKNOWN'));
    stream.on('close', () => {
      // Without an end or an error before it: the TCP connection beneath is gone.
      if (!this.#ended) this.#onFailed('ECONNRESET');
    });
    if (tcp !== stream) tcp.on('error', ignore);
    if (stream.destroyed) this.#failure = 'ECONNRESET';
    this.#ended = stream.readableEnded;
  }

  start(events: LegEvents): void {
    if (this.#closed) return;
    const first = this.#events === null;
    this.#events = events;
    if (this.#failure !== null) {
      const code = this.#failure;
      setImmediate(() => this.#events?.onFailed(code));
      return;
    }
    if (first) {
      this.#stream.on('data', (chunk: Buffer) => this.#events?.onChunk(chunk));
      // A stream says so even while it is paused, once all was read: nobody has heard it yet.
      if (this.#ended) setImmediate(() => this.#events?.onEnd());
    }
    this.#stream.resume();
  }

  pause(): void {
    this.#stream.pause();
  }

  resume(): void {
    this.#stream.resume();
  }

  write(chunk: Uint8Array): boolean {
    const stream = this.#stream;
    if (stream.destroyed) return true;
    // Encryption is done before write() returns, unless something waits already: then `chunk`, which may be the other leg's read
    // buffer, must not be waited with.
    return stream.write(stream.writableLength === 0 ? chunk : Buffer.from(chunk));
  }

  end(): void {
    this.#stream.end();
  }

  reset(): void {
    this.#closed = true;
    this.#events = null;
    this.#tcp.resetAndDestroy();
    this.#stream.destroy();
  }

  close(): void {
    this.#closed = true;
    this.#events = null;
    // Not destroy(): what the stream still buffers belongs to the peer.
    this.#stream.destroySoon();
  }

  #onFailed(code: string): void {
    if (this.#failure !== null) return;
    this.#failure = code;
    this.#events?.onFailed(code);
  }
}

const ignore = (): void => undefined;
