// A TCP proxy inside the test, whose network can be made bad and good again, each direction for itself.
//
//   client ─ up ─► FaultProxy ─ up ─► upstream
//   client ◄ down ─ FaultProxy ◄ down ─ upstream
// As in a real network nothing that was sent is lost by a black hole: bytes, and the end of the connection too, wait in front of
// it, and arrive late when it heals.
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import type { CleanUp } from './databases.ts';
import { waitFor } from './waiting.ts';

export type FaultDirection = 'up' | 'down' | 'both';

/** What is wrong with a direction; together they add up. */
export interface Faults {
  /** Each byte arrives so much later. */
  readonly latencyMs?: number;
  readonly bytesPerSecond?: number;
  /** Accepts, passes nothing. In one direction only: half-open. */
  readonly blackHole?: boolean;
  /** After so many bytes more in this direction, counted for each connection, both its ends see a reset. */
  readonly cutAfterBytes?: number;
}

export interface FaultProxyOptions {
  readonly upstream: { readonly host: string; readonly port: number };
  /** Default: a free one. */
  readonly port?: number;
}

interface Chunk {
  /** `null`: the source said that it sends no more. */
  readonly bytes: Buffer | null;
  readonly readAtMs: number;
}

const host = '127.0.0.1';
const maxQueuedBytes = 256 * 1024;
const sliceMs = 20;

export class FaultProxy {
  readonly host = host;
  readonly port: number;
  readonly #upstream: FaultProxyOptions['upstream'];
  readonly #links = new Set<Link>();
  #server: Server | null;
  #up: Faults = {};
  #down: Faults = {};
  #accepted = 0;

  private constructor(server: Server, upstream: FaultProxyOptions['upstream']) {
    this.#server = server;
    this.#upstream = upstream;
    this.port = (server.address() as AddressInfo).port;
    server.on('connection', (client) => this.#accept(client));
  }

  /** Listens on the loopback interface; ends with the test. */
  static async start(options: FaultProxyOptions, cleanUp: CleanUp): Promise<FaultProxy> {
    const proxy = new FaultProxy(await listen(options.port ?? 0), options.upstream);
    cleanUp.after(() => proxy.close());
    return proxy;
  }

  /** `127.0.0.1:port` */
  get address(): string {
    return `${host}:${this.port}`;
  }

  /** Connections it has accepted so far. */
  get accepted(): number {
    return this.#accepted;
  }

  /** Connections it holds now. */
  get open(): number {
    return this.#links.size;
  }

  /** Replaces what was wrong with the direction, for open connections and for new ones. */
  set(direction: FaultDirection, faults: Faults): void {
    if (direction !== 'down') this.#up = faults;
    if (direction !== 'up') this.#down = faults;
    for (const link of this.#links) link.set(this.#up, this.#down);
  }

  /** Both ends of every open connection see a reset; new ones are as before. */
  reset(): void {
    for (const link of [...this.#links]) link.reset();
  }

  /** New connections are refused by the operating system; open ones go on. */
  refuse(): void {
    this.#server?.close();
    this.#server = null;
  }

  /** Everything is as it should be. */
  async heal(): Promise<void> {
    this.set('both', {});
    if (this.#server !== null) return;
    // Another process may have been lent the port for a connection of its own.
    this.#server = await waitFor(() => listen(this.port).catch(() => null), {
      what: `port ${this.port} to be free again`,
    });
    this.#server.on('connection', (client) => this.#accept(client));
  }

  close(): Promise<void> {
    this.refuse();
    this.reset();
    return Promise.resolve();
  }

  #accept(client: Socket): void {
    this.#accepted += 1;
    const link = new Link(client, this.#upstream, () => this.#links.delete(link));
    this.#links.add(link);
    link.set(this.#up, this.#down);
  }
}

function listen(port: number): Promise<Server> {
  return new Promise((resolve, reject) => {
    const server = createServer({ allowHalfOpen: true, noDelay: true, pauseOnConnect: true });
    server.once('error', reject);
    server.listen(port, host, () => resolve(server.off('error', reject)));
  });
}

/** One connection: two sockets, two ways. */
class Link {
  readonly #client: Socket;
  readonly #server: Socket;
  readonly #up: Way;
  readonly #down: Way;
  readonly #onClosed: () => void;

  constructor(client: Socket, upstream: FaultProxyOptions['upstream'], onClosed: () => void) {
    this.#client = client;
    this.#onClosed = onClosed;
    this.#server = connect({ ...upstream, allowHalfOpen: true, noDelay: true });
    this.#up = new Way(this.#client, this.#server, () => this.reset());
    this.#down = new Way(this.#server, this.#client, () => this.reset());
    for (const socket of [this.#client, this.#server]) socket.on('close', () => this.#settle());
  }

  set(up: Faults, down: Faults): void {
    this.#up.set(up);
    this.#down.set(down);
  }

  reset(): void {
    // The second call: without it Node would first wait for what a stuck connection has still to write.
    for (const socket of [this.#client, this.#server]) socket.resetAndDestroy().destroy();
    this.#settle();
  }

  #settle(): void {
    if (!this.#client.destroyed || !this.#server.destroyed) return;
    this.#up.stop();
    this.#down.stop();
    this.#onClosed();
  }
}

/** From one socket to the other. */
class Way {
  readonly #from: Socket;
  readonly #to: Socket;
  readonly #onCut: () => void;
  readonly #queue: Chunk[] = [];
  #queuedBytes = 0;
  #faults: Faults = {};
  #leftBytes = Number.POSITIVE_INFINITY;
  #timer: NodeJS.Timeout | null = null;
  /** The source was reset, or the sink does not exist any more: to be passed on, too. */
  #broken = false;
  #blocked = false;

  constructor(from: Socket, to: Socket, onCut: () => void) {
    this.#from = from;
    this.#to = to;
    this.#onCut = onCut;
    from.on('data', (bytes: Buffer) => this.#take(bytes));
    from.on('end', () => this.#take(null));
    from.on('error', () => {
      this.#broken = true;
      this.#pump();
    });
    to.on('drain', () => {
      this.#blocked = false;
      this.#pump();
    });
  }

  set(faults: Faults): void {
    if (faults.cutAfterBytes !== this.#faults.cutAfterBytes)
      this.#leftBytes = faults.cutAfterBytes ?? Number.POSITIVE_INFINITY;
    this.#faults = faults;
    this.stop();
    this.#pump();
  }

  stop(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
  }

  #take(bytes: Buffer | null): void {
    this.#queue.push({ bytes, readAtMs: performance.now() });
    this.#queuedBytes += bytes?.length ?? 0;
    this.#pump();
  }

  #pump(): void {
    while (this.#passesNext());
    // In front of a black hole nothing is read: what is sent piles up where it would without us, in the sender's kernel.
    if (this.#faults.blackHole !== true && this.#queuedBytes < maxQueuedBytes) this.#from.resume();
    else this.#from.pause();
  }

  /** Whether something more may be passed on at once. */
  #passesNext(): boolean {
    if (this.#faults.blackHole === true || this.#timer !== null || this.#blocked) return false;
    if (this.#broken) {
      this.#onCut();
      return false;
    }
    const [chunk] = this.#queue;
    if (chunk === undefined) return false;
    const waitMs = chunk.readAtMs + (this.#faults.latencyMs ?? 0) - performance.now();
    if (waitMs > 0) this.#later(waitMs);
    else this.#pass(chunk);
    return waitMs <= 0;
  }

  #pass({ bytes, readAtMs }: Chunk): void {
    this.#queue.shift();
    if (bytes === null) {
      this.#to.end();
      return;
    }
    const { bytesPerSecond = Number.POSITIVE_INFINITY } = this.#faults;
    const sliceBytes = Math.ceil(Math.min(bytes.length, this.#leftBytes, (bytesPerSecond * sliceMs) / 1000));
    const passed = bytes.subarray(0, sliceBytes);
    if (sliceBytes < bytes.length) this.#queue.unshift({ bytes: bytes.subarray(sliceBytes), readAtMs });
    this.#queuedBytes -= sliceBytes;
    this.#leftBytes -= sliceBytes;
    if (this.#leftBytes === 0) {
      this.#blocked = true;
      this.#to.write(passed, () => this.#onCut());
      return;
    }
    this.#blocked = !this.#to.write(passed);
    if (Number.isFinite(bytesPerSecond)) this.#later((sliceBytes / bytesPerSecond) * 1000);
  }

  #later(waitMs: number): void {
    this.#timer = setTimeout(() => {
      this.#timer = null;
      this.#pump();
    }, Math.ceil(waitMs));
  }
}
