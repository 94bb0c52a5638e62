// A recorder on the wire: passes every byte, end and reset on, and knows a digest of what went each way of each connection. Where a leg
// is encrypted it speaks TLS on the proxy's side and plain text on the other, and records the plain text.
import { createHash, type Hash } from 'node:crypto';
import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { type Acceptor, type Connection, connectTo, type Encryption, reset } from './legs.ts';

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
  static async start(
    target: () => { readonly host: string; readonly port: number },
    accept: Acceptor,
    onward: Encryption,
  ): Promise<Recorder> {
    const recordings: Recording[] = [];
    const sockets = new Set<Socket>();
    const server = createServer({ allowHalfOpen: true, noDelay: true }, (tcp) => {
      sockets.add(tcp);
      tcp.once('close', () => sockets.delete(tcp));
      void join(tcp).catch(() => tcp.destroy());
    });
    const join = async (tcp: Socket): Promise<void> => {
      const recording = { fromClient: new Leg(), fromServer: new Leg(), over: false };
      recordings.push(recording);
      const near = await accept(tcp);
      const far = await connectTo(target(), onward);
      sockets.add(far.tcp);
      far.tcp.once('close', () => sockets.delete(far.tcp));
      pass(near, far, recording.fromClient, recording);
      pass(far, near, recording.fromServer, recording);
    };
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

function pass(from: Connection, to: Connection, leg: Leg, recording: Recording): void {
  from.stream.on('data', (chunk: Buffer) => {
    leg.add(chunk);
    if (!to.stream.write(chunk)) from.stream.pause();
  });
  to.stream.on('drain', () => from.stream.resume());
  from.stream.on('end', () => to.stream.end());
  from.stream.on('error', () => reset(to));
  from.stream.on('close', () => {
    recording.over = from.stream.destroyed && to.stream.destroyed;
  });
}
