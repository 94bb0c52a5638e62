// A leg on an ordinary socket: the fallback for a Node whose inner handles are unknown, and the yardstick in the benchmark.
import type { Socket } from 'node:net';
import type { Leg, LegEvents } from './leg.ts';

export class StreamLeg implements Leg {
  readonly peer: string;
  readonly #socket: Socket;

  constructor(socket: Socket, peer: string) {
    this.peer = peer;
    this.#socket = socket;
    // An error before `start` shows again at the first read or write.
    socket.on('error', ignore);
  }

  start(events: LegEvents): void {
    const socket = this.#socket;
    this.#detach();
    socket.on('data', (chunk: Buffer) => events.onChunk(chunk));
    socket.on('end', () => events.onEnd());
    socket.on('drain', () => events.onDrained());
    socket.on('error', (error: NodeJS.ErrnoException) => events.onFailed(error.code ?? 'EUNKNOWN'));
    socket.resume();
  }

  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    this.#socket.resume();
  }

  write(chunk: Uint8Array): boolean {
    return this.#socket.destroyed || this.#socket.write(chunk);
  }

  end(): void {
    this.#socket.end();
  }

  reset(): void {
    this.#detach();
    this.#socket.resetAndDestroy();
  }

  close(): void {
    this.#detach();
    // Not destroy(): what the stream still buffers belongs to the peer.
    this.#socket.destroySoon();
  }

  #detach(): void {
    this.#socket.removeAllListeners();
    this.#socket.on('error', ignore);
  }
}

const ignore = (): void => undefined;
