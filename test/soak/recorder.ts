// Sits on both sides of the proxies (client ⇄ recorder ⇄ proxy ⇄ recorder ⇄ server), passes every byte, and compares the two sides.
import { connect, createServer, type Server, type Socket } from 'node:net';
import { DirectionCheck } from './direction-check.ts';
import { BackendWatch, FrontendWatch } from './frame-watch.ts';

export interface Endpoint {
  readonly host: string;
  readonly port: number;
}

/** What is known of one connection when it is over. */
export interface ConnectionReport {
  readonly name: string;
  readonly proxy: string;
  /** Who ended it: the first whose end was seen. */
  readonly endedBy: 'client' | 'proxy' | 'server';
  /** Client to server: as it left the proxy. */
  readonly upBytes: number;
  readonly downBytes: number;
  /** Of upBytes: what is never captured. */
  readonly startupBytes: number;
  readonly terminateBytes: number;
  readonly transactions: number;
  /** `performance.now()` */
  readonly openedMs: number;
  readonly endedMs: number;
  /** Of its transactions: those before the last `back` of its proxy, and the few idle moments after that; null: it saw none. */
  readonly transactionsWhenBack: number | null;
  /** All that was sent arrived, in whole frames, was answered, and the server was idle. */
  readonly clean: boolean;
}

export interface RecorderEvents {
  /** The proxy a new connection goes to; null: none, it is refused. */
  chooseProxy(): { readonly name: string; readonly at: Endpoint } | null;
  onEnded(report: ConnectionReport): void;
  onViolation(what: string): void;
}

/** At its next quiet point a connection is followed again. So many idle moments are one for certain. */
const idlesWhenBack = 3;

/** One connection, from both sides. A side that has not been seen yet (or never will be) leaves its fields empty. */
class Pair {
  name: string | null = null;
  proxy = '';
  endedBy: ConnectionReport['endedBy'] | null = null;
  readonly up = new DirectionCheck();
  readonly down = new DirectionCheck();
  readonly frontend = new FrontendWatch();
  readonly backend = new BackendWatch();
  readonly openedMs = performance.now();
  serverSeen = false;
  openSides = 1;
  /** By whom, each once. */
  readonly ends: string[] = [];
  transactionsWhenBack: number | null = null;
  /** Idle moments that are still to come until then; 0: none is awaited. */
  idlesAwaited = 0;

  /** After each of the server's chunks. */
  noteIdle(): void {
    const { backend, frontend } = this;
    if (this.idlesAwaited === 0 || backend.status !== 'I' || backend.inFrame) return;
    if (frontend.inFrame || backend.answers !== frontend.requests) return;
    this.idlesAwaited -= 1;
    if (this.idlesAwaited === 0) this.transactionsWhenBack = backend.transactions;
  }
}

export class Recorder {
  readonly totals = { connections: 0, open: 0, transactions: 0, upBytes: 0, downBytes: 0 };
  readonly #events: RecorderEvents;
  readonly #server: Endpoint;
  readonly #listeners: Server[] = [];
  readonly #sockets = new Set<Socket>();
  /** Connections whose server side is awaited, by name; oldest first where several have one name. */
  readonly #awaited = new Map<string, Pair[]>();
  /** Connections that ended before the server heard of them: it may still do so. */
  readonly #endedUnseen = new Set<string>();
  readonly #open = new Set<Pair>();

  constructor(server: Endpoint, events: RecorderEvents) {
    this.#server = server;
    this.#events = events;
  }

  /** Where clients connect, and where proxies find the server. */
  async listen(): Promise<{ readonly forClients: Endpoint; readonly forProxies: Endpoint }> {
    const forClients = await this.#listen((socket) => this.#client(socket));
    const forProxies = await this.#listen((socket) => this.#proxied(socket));
    return { forClients, forProxies };
  }

  close(): void {
    for (const listener of this.#listeners) listener.close();
    for (const socket of this.#sockets) socket.destroy();
  }

  /** Of what has not ended, for people. */
  describeOpen(): string[] {
    return [...this.#open].map(
      ({ name, proxy, ends, openSides, serverSeen, up, down }) =>
        `${name} through the ${proxy} proxy: sides open ${openSides}, server seen ${serverSeen}, ended by ${ends.join(' and ') || 'nobody'}, ` +
        `inside ${up.undeliveredBytes} up and ${down.undeliveredBytes} down`,
    );
  }

  /** A capture worker is about to die: of what its connections do, nothing is certain to be captured until `back`. */
  away(proxy: string): void {
    for (const pair of this.#open) {
      if (pair.proxy !== proxy) continue;
      pair.idlesAwaited = 0;
      pair.transactionsWhenBack = null;
    }
  }

  /** A new capture worker is there: what each open connection of the proxy does from its next quiet point on is captured again. */
  back(proxy: string): void {
    for (const pair of this.#open) {
      if (pair.proxy !== proxy) continue;
      pair.idlesAwaited = idlesWhenBack;
      pair.transactionsWhenBack = null;
    }
  }

  #listen(onConnection: (socket: Socket) => void): Promise<Endpoint> {
    const listener = createServer({ allowHalfOpen: true, noDelay: true }, onConnection);
    this.#listeners.push(listener);
    return new Promise((resolve, reject) => {
      listener.once('error', reject);
      listener.listen(0, '127.0.0.1', () => {
        const address = listener.address();
        if (address !== null && typeof address === 'object') resolve({ host: '127.0.0.1', port: address.port });
      });
    });
  }

  #client(client: Socket): void {
    const proxy = this.#events.chooseProxy();
    if (proxy === null) {
      client.resetAndDestroy();
      return;
    }
    const pair = new Pair();
    pair.proxy = proxy.name;
    this.#open.add(pair);
    this.totals.connections += 1;
    this.totals.open += 1;
    const toProxy = connect({ ...proxy.at, allowHalfOpen: true, noDelay: true });
    this.#pass(client, toProxy, (chunk) => {
      pair.up.enter(chunk);
      if (pair.name === null) {
        pair.frontend.feed(chunk);
        this.#named(pair);
      } else pair.frontend.feed(chunk);
    });
    this.#pass(toProxy, client, (chunk) => {
      pair.down.leave(chunk);
      this.totals.downBytes += chunk.length;
    });
    this.#watchEnds(pair, client, 'client', toProxy, 'proxy');
  }

  #named(pair: Pair): void {
    const { name } = pair.frontend;
    if (name === null) return;
    pair.name = name;
    const same = this.#awaited.get(name);
    if (same === undefined) this.#awaited.set(name, [pair]);
    else same.push(pair);
  }

  /** A proxy's connection to the server: it says whose it is in its first bytes. */
  #proxied(fromProxy: Socket): void {
    let pair: Pair | null = null;
    const first = new FrontendWatch();
    const unnamed: Buffer[] = [];
    const server = connect({ ...this.#server, allowHalfOpen: true, noDelay: true });
    this.#pass(fromProxy, server, (chunk) => {
      this.totals.upBytes += chunk.length;
      if (pair !== null) {
        pair.up.leave(chunk);
        return;
      }
      first.feed(chunk);
      unnamed.push(chunk);
      if (first.name === null) return;
      pair = this.#take(first.name);
      if (pair === null) {
        if (!this.#endedUnseen.delete(first.name))
          this.#events.onViolation(`the server got a connection that no client made: ${first.name}`);
        return;
      }
      for (const earlier of unnamed.splice(0)) pair.up.leave(earlier);
      pair.serverSeen = true;
      pair.openSides += 1;
      this.#watchEnds(pair, server, 'server', fromProxy, 'proxy');
    });
    this.#pass(server, fromProxy, (chunk) => {
      const before = pair?.backend.transactions ?? 0;
      pair?.down.enter(chunk);
      pair?.backend.feed(chunk);
      pair?.noteIdle();
      this.totals.transactions += (pair?.backend.transactions ?? 0) - before;
    });
  }

  #take(name: string): Pair | null {
    const same = this.#awaited.get(name) ?? [];
    const pair = same.shift() ?? null;
    if (same.length === 0) this.#awaited.delete(name);
    return pair;
  }

  #pass(from: Socket, to: Socket, note: (chunk: Buffer) => void): void {
    this.#sockets.add(from);
    from.on('data', (chunk: Buffer) => {
      note(chunk);
      if (!to.destroyed && !to.write(chunk)) from.pause();
    });
    to.on('drain', () => from.resume());
    from.on('end', () => to.end());
    from.on('error', () => to.resetAndDestroy());
    from.on('close', () => {
      this.#sockets.delete(from);
      if (!from.readableEnded) to.destroySoon();
    });
  }

  #watchEnds(pair: Pair, near: Socket, nearIs: 'client' | 'server', far: Socket, farIs: 'proxy'): void {
    const ended = (by: ConnectionReport['endedBy']) => (): void => {
      pair.ends.push(`${by} (${nearIs} side)`);
      // A server that was told goodbye may close before its client does.
      pair.endedBy ??= by === 'server' && pair.frontend.terminateBytes > 0 ? 'client' : by;
    };
    near.once('end', ended(nearIs)).once('error', ended(nearIs));
    far.once('end', ended(farIs)).once('error', ended(farIs));
    let open = 2;
    const closed = (): void => {
      open -= 1;
      if (open > 0) return;
      pair.openSides -= 1;
      if (pair.openSides === 0) this.#ended(pair);
    };
    near.once('close', closed);
    far.once('close', closed);
  }

  #ended(pair: Pair): void {
    const { up, down, frontend, backend } = pair;
    const name = pair.name ?? '';
    this.totals.open -= 1;
    this.#open.delete(pair);
    if (!pair.serverSeen && pair.name !== null) this.#forget(pair);
    for (const [direction, { mismatchAt }] of [
      ['client to server', up],
      ['server to client', down],
    ] as const)
      if (mismatchAt !== null) this.#events.onViolation(`${name}: ${direction} differs at byte ${mismatchAt}`);
    const whole = up.undeliveredBytes === 0 && down.undeliveredBytes === 0 && !frontend.inFrame && !backend.inFrame;
    this.#events.onEnded({
      name,
      proxy: pair.proxy,
      endedBy: pair.endedBy ?? 'client',
      upBytes: up.leftBytes,
      downBytes: down.leftBytes,
      startupBytes: frontend.startupBytes,
      // Goodbye is the last that a client says: of what never came out, it is the first that is missing.
      terminateBytes: Math.max(0, frontend.terminateBytes - up.undeliveredBytes),
      transactions: backend.transactions,
      openedMs: pair.openedMs,
      endedMs: performance.now(),
      transactionsWhenBack: pair.transactionsWhenBack,
      clean: whole && backend.status === 'I' && backend.answers === frontend.requests,
    });
  }

  #forget(pair: Pair): void {
    this.#endedUnseen.add(pair.name ?? '');
    const left = (this.#awaited.get(pair.name ?? '') ?? []).filter((other) => other !== pair);
    if (left.length === 0) this.#awaited.delete(pair.name ?? '');
    else this.#awaited.set(pair.name ?? '', left);
  }
}
