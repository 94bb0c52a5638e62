// Who gets a connection to the mirror, and when: a cap, a queue, connections handed on, and patience with a mirror that is away or full.
//
// The mirror is down while no address of it is to be had. Then requests wait, and once it has been down for `connectGiveUpMs` they fail, new
// ones at once, so that the log is not held up by it for ever. While it is up but has no connection left, they wait longer.
import { MirrorstreamError, type outcomeReasons } from '@mirrorstream/domain';
import type { SessionContext } from '@mirrorstream/envelope';
import type { TargetConnection, TargetHandlers } from '@mirrorstream/pg-target';
import type { BreakerOptions } from './breaker.ts';
import { ConnectionCap, type ConnectionCapOptions } from './connection-cap.ts';
import { ParkedConnections } from './parked-connections.ts';
import { RefusedLogins } from './refused-logins.ts';
import { TargetRoutes } from './routes.ts';

export type ConnectFailure = Extract<
  (typeof outcomeReasons.failed)[number],
  'targetUnreachable' | 'authenticationFailed' | 'noConnection'
>;

export interface ConnectionRequest {
  readonly sessionId: string;
  readonly context: SessionContext;
  /** The user on the mirror. */
  readonly login: string;
  /** Sessions with the same key may follow each other on one connection. */
  readonly poolKey: string;
  readonly handlers: TargetHandlers;
  /** `handedOn`: another session was on it before. */
  readonly onOpen: (connection: TargetConnection, handedOn: boolean) => void;
  readonly onFailed: (reason: ConnectFailure) => void;
}

export interface GateOptions extends BreakerOptions, ConnectionCapOptions {
  readonly maxConnecting: number;
  /** With a mirror that is down. */
  readonly connectGiveUpMs: number;
  /** With one that is up and has no connection left. */
  readonly connectionWaitMs: number;
  readonly addresses: number;
}

export interface GateEvents {
  /** `route`: which of the addresses. */
  readonly connect: (request: ConnectionRequest, route: number) => Promise<TargetConnection>;
  /** Requests wait for others' connections: somebody idle should give one up. */
  readonly onCrowded: (waiting: number) => void;
  /** Once per change, not once per failure. */
  readonly onChange: (state: 'up' | 'down' | 'refusing' | 'full', error?: MirrorstreamError) => void;
  /** Nothing may be sent to this mirror; no request is answered any more. */
  readonly onForbidden: (error: MirrorstreamError) => void;
  readonly nowMs: () => number;
  /** 0 ≤ chance < 1 */
  readonly chance: () => number;
}

interface Waiting {
  readonly request: ConnectionRequest;
  readonly sinceMs: number;
  /** Of its arrival. */
  readonly number: number;
  cancelled: boolean;
}

/** What a requester holds; one of the two once, whether or not a connection came of it. */
export interface GatePass {
  /** The connection is closed, or its closing has begun. */
  readonly release: () => void;
  /** Outside a transaction, nothing under way: for another session to go on with. */
  readonly handOn: () => void;
}

const CROWD_CHECK_MS = 250;

export class ConnectionGate {
  readonly #options: GateOptions;
  readonly #events: GateEvents;
  readonly #routes: TargetRoutes;
  readonly #cap: ConnectionCap;
  readonly #refusedLogins: RefusedLogins;
  readonly #parked: ParkedConnections;
  readonly #waiting = new Set<Waiting>();
  readonly #leased = new Map<Waiting, TargetConnection>();
  #requests = 0;
  #handedOn = 0;
  #connecting = 0;
  /** Given back and not closed yet: the mirror still counts them. */
  #closing = 0;
  #state: 'up' | 'down' | 'refusing' | 'full' = 'up';
  #timer: NodeJS.Timeout | null = null;
  #pumpScheduled = false;
  #stopped = false;

  constructor(options: GateOptions, events: GateEvents) {
    this.#options = options;
    this.#events = events;
    this.#routes = new TargetRoutes(options.addresses, options, events.chance);
    this.#cap = new ConnectionCap(options);
    this.#refusedLogins = new RefusedLogins(options, events.chance);
    this.#parked = new ParkedConnections((connection) => this.#awaitClose(connection));
  }

  get stats() {
    return {
      open: this.#leased.size + this.#parked.size,
      parked: this.#parked.size,
      handedOn: this.#handedOn,
      waiting: this.#waiting.size,
      limit: this.#cap.limit(this.#events.nowMs()),
      down: this.#routes.downSinceMs !== null,
      takenOut: this.#routes.takenOut,
    };
  }

  /** Somebody waits who could go on at once, were there a connection. */
  get isCrowded(): boolean {
    return this.#waiting.size > this.#parked.size && this.#held >= this.#cap.limit(this.#events.nowMs());
  }

  /** Never calls back before it returns. */
  request(request: ConnectionRequest): GatePass {
    const waiting: Waiting = { request, sinceMs: this.#events.nowMs(), number: this.#requests, cancelled: false };
    this.#requests += 1;
    this.#waiting.add(waiting);
    this.#schedule();
    return {
      release: () => {
        const connection = this.#giveBack(waiting);
        if (connection !== null) this.#awaitClose(connection);
      },
      handOn: () => {
        const connection = this.#giveBack(waiting);
        if (connection === null) return;
        if (this.#stopped) connection.close();
        else this.#parked.park(waiting.request.poolKey, connection);
        this.#schedule();
      },
    };
  }

  stop(): void {
    this.#stopped = true;
    this.#waiting.clear();
    this.#parked.closeAll();
    if (this.#timer !== null) clearTimeout(this.#timer);
  }

  /** Null: it never had one, or has given it back. */
  #giveBack(waiting: Waiting): TargetConnection | null {
    waiting.cancelled = true;
    this.#waiting.delete(waiting);
    const connection = this.#leased.get(waiting) ?? null;
    this.#leased.delete(waiting);
    return connection;
  }

  #awaitClose(connection: TargetConnection): void {
    this.#closing += 1;
    void connection.closed.then(() => {
      this.#closing -= 1;
      this.#schedule();
    });
  }

  #schedule(): void {
    if (this.#pumpScheduled || this.#stopped) return;
    this.#pumpScheduled = true;
    setImmediate(() => {
      this.#pumpScheduled = false;
      if (!this.#stopped) this.#pump();
    });
  }

  /** In the order of the queue, until one can only wait on: those behind it have waited less. */
  #pump(): void {
    const nowMs = this.#events.nowMs();
    for (const waiting of [...this.#waiting]) {
      if (this.#serve(waiting, nowMs)) continue;
      const failure = this.#failureOf(waiting, nowMs);
      if (failure === null) break;
      this.#fail(waiting, failure);
    }
    if (this.#waiting.size > 0 && this.#held >= this.#cap.limit(nowMs)) this.#crowded();
    this.#rearm(nowMs);
  }

  /** Connections that the mirror has for us, or is about to have. */
  get #held(): number {
    return this.#leased.size + this.#parked.size + this.#connecting + this.#closing;
  }

  #serve(waiting: Waiting, nowMs: number): boolean {
    const parked = this.#parked.take(waiting.request.poolKey);
    if (parked !== null) {
      this.#waiting.delete(waiting);
      this.#lease(waiting, parked, true);
      return true;
    }
    if (this.#refusedLogins.refuses(waiting.request.login, nowMs)) return false;
    if (this.#connecting >= this.#options.maxConnecting || this.#held >= this.#cap.limit(nowMs)) return false;
    const route = this.#routes.pick(nowMs);
    if (route === null) return false;
    this.#waiting.delete(waiting);
    void this.#connect(waiting, route);
    return true;
  }

  #failureOf(waiting: Waiting, nowMs: number): ConnectFailure | null {
    const { downSinceMs } = this.#routes;
    if (this.#refusedLogins.refuses(waiting.request.login, nowMs)) return 'authenticationFailed';
    if (downSinceMs !== null) return nowMs - downSinceMs >= this.#options.connectGiveUpMs ? 'targetUnreachable' : null;
    return nowMs - waiting.sinceMs >= this.#options.connectionWaitMs ? 'noConnection' : null;
  }

  #fail(waiting: Waiting, failure: ConnectFailure): void {
    this.#waiting.delete(waiting);
    waiting.cancelled = true;
    waiting.request.onFailed(failure);
  }

  /** One that is parked fits nobody who waits: it makes room. */
  #crowded(): void {
    for (let room = this.#closing; room < this.#waiting.size && this.#parked.size > 0; room++)
      this.#parked.closeOldest();
    this.#events.onCrowded(this.#waiting.size);
  }

  /** Looks again when the next try is due, a request has waited long enough, or somebody may have become idle. */
  #rearm(nowMs: number): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    const [first] = this.#waiting;
    if (first === undefined || this.#stopped) return;
    const { downSinceMs } = this.#routes;
    const lookAtMs =
      downSinceMs === null
        ? Math.min(nowMs + CROWD_CHECK_MS, first.sinceMs + this.#options.connectionWaitMs)
        : Math.min(this.#routes.nextTryMs(nowMs), downSinceMs + this.#options.connectGiveUpMs);
    this.#timer = setTimeout(() => this.#pump(), Math.max(1, Math.min(lookAtMs - nowMs, CROWD_CHECK_MS)));
  }

  async #connect(waiting: Waiting, route: number): Promise<void> {
    this.#connecting += 1;
    try {
      const connection = await this.#events.connect(waiting.request, route);
      this.#connecting -= 1;
      this.#opened(waiting, route, connection);
    } catch (error) {
      this.#connecting -= 1;
      this.#failed(waiting, route, error);
    }
    this.#schedule();
  }

  #opened(waiting: Waiting, route: number, connection: TargetConnection): void {
    this.#routes.succeeded(route);
    this.#refusedLogins.accepted(waiting.request.login);
    this.#cap.opened(this.#held + 1, this.#events.nowMs());
    this.#become('up');
    if (waiting.cancelled || this.#stopped) {
      connection.close();
      this.#awaitClose(connection);
    } else {
      this.#lease(waiting, connection, false);
    }
  }

  #lease(waiting: Waiting, connection: TargetConnection, handedOn: boolean): void {
    this.#leased.set(waiting, connection);
    if (handedOn) {
      this.#handedOn += 1;
      connection.rebind(waiting.request.handlers);
    }
    waiting.request.onOpen(connection, handedOn);
  }

  #failed(waiting: Waiting, route: number, error: unknown): void {
    const nowMs = this.#events.nowMs();
    const failure = error instanceof MirrorstreamError ? error : undefined;
    if (failure?.code === 'targetIsSource') {
      if (this.#stopped) return;
      this.stop();
      this.#events.onForbidden(failure);
      return;
    }
    const full = failure?.code === 'targetFull';
    if (full || failure?.code === 'targetUnreachable') {
      // Full without a connection of ours: it is as good as away, and asked at growing distances.
      if (full && this.#held > 0) this.#cap.refused(this.#held, nowMs);
      else this.#routes.failed(route, nowMs);
      if (full) this.#become('full', failure);
      if (this.#routes.downSinceMs !== null) this.#become('down', failure);
      if (!waiting.cancelled && !this.#stopped) this.#putBack(waiting);
      return;
    }
    // It answered: what it refuses is this session.
    this.#routes.succeeded(route);
    const refused = failure?.code === 'authenticationFailed';
    if (refused) this.#refusedLogins.refused(waiting.request.login, nowMs);
    this.#become('refusing', failure);
    if (waiting.cancelled || this.#stopped) return;
    this.#fail(waiting, refused ? 'authenticationFailed' : 'targetUnreachable');
  }

  #become(state: 'up' | 'down' | 'refusing' | 'full', error?: MirrorstreamError): void {
    if (this.#state === state) return;
    this.#state = state;
    this.#events.onChange(state, error);
  }

  /** It keeps its place: who waits longest is tried first. */
  #putBack(waiting: Waiting): void {
    const all = [...this.#waiting, waiting].sort((a, b) => a.number - b.number);
    this.#waiting.clear();
    for (const each of all) this.#waiting.add(each);
  }
}
