// Who gets a connection to the mirror, and when: a cap, a queue, and patience with a mirror that is away.
//
// The mirror is up or down. Down: one try at a time, at growing distances; requests wait until they are `giveUpMs` old, and once the mirror
// has been down for that long new ones fail at once, so that the log is not held up by it for ever.
import { MirrorstreamError } from '@mirrorstream/domain';
import type { SessionContext } from '@mirrorstream/envelope';
import type { TargetConnection, TargetHandlers } from '@mirrorstream/pg-target';

export type ConnectFailure = 'targetUnreachable' | 'authenticationFailed';

export interface ConnectionRequest {
  readonly sessionId: string;
  readonly context: SessionContext;
  readonly handlers: TargetHandlers;
  readonly onOpen: (connection: TargetConnection) => void;
  readonly onFailed: (reason: ConnectFailure) => void;
}

export interface GateOptions {
  readonly maxConnections: number;
  readonly maxConnecting: number;
  readonly connectGiveUpMs: number;
  readonly retryMinMs: number;
  readonly retryMaxMs: number;
}

export interface GateEvents {
  readonly connect: (request: ConnectionRequest) => Promise<TargetConnection>;
  /** Requests wait for others' connections: somebody idle should close one. */
  readonly onCrowded: (waiting: number) => void;
  /** Once per change, not once per failure. */
  readonly onChange: (state: 'up' | 'down' | 'refusing', error?: MirrorstreamError) => void;
  readonly nowMs: () => number;
}

interface Waiting {
  readonly request: ConnectionRequest;
  readonly sinceMs: number;
  cancelled: boolean;
}

/** What a requester holds; `release` once, whether or not a connection came of it. */
export interface GatePass {
  readonly release: () => void;
}

const CROWD_CHECK_MS = 250;

export class ConnectionGate {
  readonly #options: GateOptions;
  readonly #events: GateEvents;
  readonly #waiting = new Set<Waiting>();
  #open = 0;
  #connecting = 0;
  #downSinceMs: number | null = null;
  #nextTryMs = 0;
  #tries = 0;
  #refusing = false;
  #timer: NodeJS.Timeout | null = null;
  #pumpScheduled = false;
  #stopped = false;

  constructor(options: GateOptions, events: GateEvents) {
    this.#options = options;
    this.#events = events;
  }

  get stats(): { readonly open: number; readonly waiting: number; readonly down: boolean } {
    return { open: this.#open, waiting: this.#waiting.size, down: this.#downSinceMs !== null };
  }

  /** Never calls back before it returns. */
  request(request: ConnectionRequest): GatePass {
    const waiting: Waiting = { request, sinceMs: this.#events.nowMs(), cancelled: false };
    this.#waiting.add(waiting);
    this.#schedule();
    return {
      release: () => {
        if (waiting.cancelled) return;
        waiting.cancelled = true;
        // Waiting or being connected: nothing is counted as open yet.
        if (this.#waiting.delete(waiting) || !this.#opened.delete(waiting)) return;
        this.#open -= 1;
        this.#schedule();
      },
    };
  }

  readonly #opened = new Set<Waiting>();

  stop(): void {
    this.#stopped = true;
    this.#waiting.clear();
    if (this.#timer !== null) clearTimeout(this.#timer);
  }

  #schedule(): void {
    if (this.#pumpScheduled || this.#stopped) return;
    this.#pumpScheduled = true;
    setImmediate(() => {
      this.#pumpScheduled = false;
      if (!this.#stopped) this.#pump();
    });
  }

  #pump(): void {
    const nowMs = this.#events.nowMs();
    const { maxConnections, maxConnecting, connectGiveUpMs } = this.#options;
    const down = this.#downSinceMs !== null;
    const hopeless = this.#downSinceMs !== null && nowMs - this.#downSinceMs >= connectGiveUpMs;
    const mayTry = !down || (this.#connecting === 0 && nowMs >= this.#nextTryMs);
    let slots = mayTry ? Math.min(maxConnections - this.#open, down ? 1 : maxConnecting) - this.#connecting : 0;
    for (const waiting of [...this.#waiting]) {
      if (slots > 0) {
        slots -= 1;
        this.#waiting.delete(waiting);
        void this.#connect(waiting);
      } else if (hopeless || nowMs - waiting.sinceMs >= connectGiveUpMs) {
        this.#waiting.delete(waiting);
        waiting.cancelled = true;
        waiting.request.onFailed('targetUnreachable');
      }
    }
    if (this.#waiting.size > 0 && this.#open + this.#connecting >= maxConnections)
      this.#events.onCrowded(this.#waiting.size);
    this.#rearm(nowMs);
  }

  /** Looks again when the next try is due, a request has waited long enough, or somebody may have become idle. */
  #rearm(nowMs: number): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    const [first] = this.#waiting;
    if (first === undefined || this.#stopped) return;
    const patienceMs = first.sinceMs + this.#options.connectGiveUpMs - nowMs;
    const tryMs = this.#downSinceMs === null ? CROWD_CHECK_MS : this.#nextTryMs - nowMs;
    this.#timer = setTimeout(() => this.#pump(), Math.max(1, Math.min(patienceMs, tryMs > 0 ? tryMs : CROWD_CHECK_MS)));
  }

  async #connect(waiting: Waiting): Promise<void> {
    this.#connecting += 1;
    try {
      const connection = await this.#events.connect(waiting.request);
      this.#connecting -= 1;
      this.#isUp();
      if (waiting.cancelled || this.#stopped) {
        connection.close();
      } else {
        this.#open += 1;
        this.#opened.add(waiting);
        waiting.request.onOpen(connection);
      }
    } catch (error) {
      this.#connecting -= 1;
      this.#failed(waiting, error);
    }
    this.#schedule();
  }

  #failed(waiting: Waiting, error: unknown): void {
    const failure = error instanceof MirrorstreamError ? error : null;
    if (failure?.code === 'targetUnreachable') {
      this.#isDown(failure);
      // It keeps its place: a Set is in order of insertion, and who waits longest is tried first.
      if (!waiting.cancelled && !this.#stopped) this.#putFirst(waiting);
      return;
    }
    if (!this.#refusing) this.#events.onChange('refusing', failure ?? undefined);
    this.#refusing = true;
    if (waiting.cancelled || this.#stopped) return;
    waiting.cancelled = true;
    waiting.request.onFailed(failure?.code === 'authenticationFailed' ? 'authenticationFailed' : 'targetUnreachable');
  }

  #putFirst(waiting: Waiting): void {
    const others = [...this.#waiting];
    this.#waiting.clear();
    this.#waiting.add(waiting);
    for (const other of others) this.#waiting.add(other);
  }

  #isUp(): void {
    if (this.#downSinceMs !== null || this.#refusing) this.#events.onChange('up');
    this.#downSinceMs = null;
    this.#refusing = false;
    this.#tries = 0;
  }

  #isDown(error: MirrorstreamError): void {
    const { retryMinMs, retryMaxMs } = this.#options;
    const nowMs = this.#events.nowMs();
    if (this.#downSinceMs === null) this.#events.onChange('down', error);
    this.#downSinceMs ??= nowMs;
    this.#nextTryMs = nowMs + Math.min(retryMaxMs, retryMinMs * 2 ** this.#tries);
    this.#tries = Math.min(this.#tries + 1, 16);
  }
}
