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
    stream.on('end', () => this.#onEnded());
    stream.on('drain', () => this.#events?.onDrained());
    stream.on('error', (error: NodeJS.ErrnoException) => this.#onFailed(error.code ?? 'EUNKNOWN'));
    stream.on('close', () => {
      // Without an end or an error before it: the TCP connection beneath is gone.
      if (!this.#ended) this.#onFailed('ECONNRESET');
    });
    if (tcp !== stream) tcp.on('error', ignore);
    if (stream.destroyed) this.#failure = 'ECONNRESET';
    if (stream.readableEnded) this.#onEnded();
  }

  get settled(): boolean {
    return this.#stream.writableLength === 0;
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
    const { writableEnded, writableFinished } = this.#stream;
    // While a half-close is under way a reset is refused, and the socket would never close: an ordinary close has to do. TLS around
    // it follows by itself; destroyed in the same turn as its TCP connection while it writes, it crashes Node (24.21).
    if (writableEnded && !writableFinished) this.#tcp.destroy();
    else this.#tcp.resetAndDestroy();
  }

  close(): void {
    this.#closed = true;
    this.#events = null;
    // Not destroy(): what the stream still buffers belongs to the peer.
    this.#stream.destroySoon();
  }

  #onEnded(): void {
    // A write of TLS's own (the tickets after a handshake) may have met the reset, and nobody hears of that: reading then finds an end,
    // and writing waits for ever. A connection that is gone has no peer any more; one that this side has not ended, too, has.
    const stream = this.#stream;
    if (this.#tcp !== stream && !stream.writableEnded && stream.remoteAddress === undefined) {
      this.#onFailed('ECONNRESET');
      return;
    }
    this.#ended = true;
    this.#events?.onEnd();
  }

  #onFailed(code: string): void {
    if (this.#failure !== null) return;
    this.#failure = code;
    this.#events?.onFailed(code);
  }
}

const ignore = (): void => undefined;
