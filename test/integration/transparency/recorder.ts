// A recorder on the wire: passes every byte, end and reset on, and knows a digest of what went each way of each connection.
import { createHash, type Hash } from 'node:crypto';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';

/** One direction of one connection. */
class Leg {
  bytes = 0;
  readonly #hash: Hash = createHash('sha256');

  add(chunk: Buffer): void {
    this.bytes += chunk.length;
    this.#hash.update(chunk);
  }

  toString(): string {
    return `${this.bytes} bytes ${this.#hash.copy().digest('hex').slice(0, 16)}`;
  }
}

interface Recording {
  readonly fromClient: Leg;
  readonly fromServer: Leg;
  over: boolean;
}

export class Recorder {
  readonly port: number;
  readonly #recordings: Recording[];
  readonly #stop: () => void;

  private constructor(port: number, recordings: Recording[], stop: () => void) {
    this.port = port;
    this.#recordings = recordings;
    this.#stop = stop;
  }

  /** Listens on a free port. `target` is asked for each connection. */
  static async start(target: () => { readonly host: string; readonly port: number }): Promise<Recorder> {
    const recordings: Recording[] = [];
    const sockets = new Set<Socket>();
    const server = createServer({ allowHalfOpen: true, pauseOnConnect: true, noDelay: true }, (client) => {
      const recording = { fromClient: new Leg(), fromServer: new Leg(), over: false };
      recordings.push(recording);
      const onward = connect({ ...target(), allowHalfOpen: true, noDelay: true });
      pass(client, onward, recording.fromClient, recording);
      pass(onward, client, recording.fromServer, recording);
      for (const socket of [client, onward]) {
        sockets.add(socket);
        socket.once('close', () => sockets.delete(socket));
      }
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return new Recorder((server.address() as AddressInfo).port, recordings, () => {
      server.close();
      for (const socket of sockets) socket.destroy();
    });
  }

  stop(): void {
    this.#stop();
  }

  get connections(): number {
    return this.#recordings.length;
  }

  get allOver(): boolean {
    return this.#recordings.every(({ over }) => over);
  }

  /** What went through each connection, in an order that does not depend on who was accepted first. Begins anew. */
  takeRecordings(): string[] {
    return this.#recordings
      .splice(0)
      .map(({ fromClient, fromServer }) => `> ${fromClient} < ${fromServer}`)
      .sort();
  }
}

function pass(from: Socket, to: Socket, leg: Leg, recording: Recording): void {
  from.on('data', (chunk: Buffer) => {
    leg.add(chunk);
    if (!to.write(chunk)) from.pause();
  });
  to.on('drain', () => from.resume());
  from.on('end', () => to.end());
  from.on('error', () => to.resetAndDestroy());
  from.on('close', () => {
    recording.over = from.destroyed && to.destroyed;
  });
  from.resume();
}
