// The supervisor's hand on one worker process: starts it, starts it anew when it dies, hands it clients, stops it.
import { type ChildProcess, fork } from 'node:child_process';
import type { Socket } from 'node:net';
import { MirrorstreamError } from '@mirrorstream/domain';
import type { MetricFamily } from '@mirrorstream/service-kit';
import type { WorkerPlace } from '../capturing-proxy.ts';
import type { CaptureProxyConfig } from '../config.ts';
import type { Route } from '../forward/connect-source.ts';
import type { FromWorkerProcess, ToldError, ToWorkerProcess } from './messages.ts';

const restartMinMs = 200;
const restartMaxMs = 30_000;
/** A process that lived this long starts anew without much delay. */
const healthyAfterMs = 60_000;
/** Beyond its deadline a process gets so long to end before it is killed. */
const stopGraceMs = 2_000;
/** What sending to a process that has ended comes to. */
const channelClosed: ReadonlySet<string> = new Set(['EPIPE', 'ECONNRESET', 'ERR_IPC_CHANNEL_CLOSED']);

export interface WorkerEvents {
  onReady(): void;
  /** It could not start: the supervisor ends on the first start, and is told of it later. */
  onFailed(error: MirrorstreamError): void;
  onCancel(key: Uint8Array, monoUs: number): void;
  onWhose(question: number, key: Uint8Array): void;
  onRoute(question: number, route: Route | null): void;
  /** A client that this worker was to get, and that it never saw. */
  onUntaken(socket: Socket): void;
  onDied(details: { readonly workerPid: number; readonly how: string; readonly restartInMs: number }): void;
}

export class WorkerHandle {
  ready = false;
  /** Clients it was given and that have not left. */
  clients = 0;
  restarts = 0;
  families: readonly MetricFamily[] = [];
  readonly place: WorkerPlace;
  readonly #config: CaptureProxyConfig;
  readonly #events: WorkerEvents;
  #child: ChildProcess;
  #stopping = false;
  #restartMs = restartMinMs;
  #restart: NodeJS.Timeout | undefined;
  /** Clients that wait for their turn on the channel. */
  readonly #giving = new Set<Socket>();
  #exited: Promise<void> = Promise.resolve();

  constructor(config: CaptureProxyConfig, place: WorkerPlace, events: WorkerEvents) {
    this.#config = config;
    this.place = place;
    this.#events = events;
    this.#child = this.#start();
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  /**
   * The socket is this process's no more once it is on its way: if the worker dies then, it is closed with everything the worker had.
   * Node's own way (without `keepOpen`) waits for the worker's word before it closes the socket here: of one that dies first it never does.
   */
  give(socket: Socket): void {
    this.clients += 1;
    this.#giving.add(socket);
    socket.on('error', () => undefined);
    const message: ToWorkerProcess = { kind: 'client' };
    const child = this.#child;
    child.send(message, socket, { keepOpen: true }, (error) => {
      // The worker has ended, which shows in a moment: then another gets this client.
      if (error !== null && channelClosed.has((error as NodeJS.ErrnoException).code ?? '')) return;
      if (!this.#giving.delete(socket)) return;
      socket.destroy();
      if (error !== null && this.ready && child === this.#child) this.clients -= 1;
    });
  }

  cancelPassed(key: Uint8Array, monoUs: number): void {
    this.#tell({ kind: 'cancel', key, monoUs });
  }

  whose(question: number, key: Uint8Array): void {
    this.#tell({ kind: 'whose', question, key });
  }

  answer(question: number, route: Route | null): void {
    this.#tell({ kind: 'route', question, route });
  }

  /** Resolves when the process has ended. True: by itself and in order. */
  async stop(deadlineMs: number): Promise<boolean> {
    this.#stopping = true;
    clearTimeout(this.#restart);
    this.#tell({ kind: 'stop', deadlineMs });
    const overdue = setTimeout(() => this.kill(), deadlineMs + stopGraceMs);
    await this.#exited;
    clearTimeout(overdue);
    return this.#child.exitCode === 0;
  }

  hasten(): void {
    this.#tell({ kind: 'hasten' });
  }

  kill(): void {
    this.#stopping = true;
    this.#child.kill('SIGKILL');
  }

  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  #start(): ChildProcess {
    const startedMs = performance.now();
    const child = fork(new URL('./worker-process.ts', import.meta.url), [`worker-${this.place.worker}`], {
      serialization: 'advanced',
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    });
    child.on('message', (message: FromWorkerProcess) => this.#onMessage(message));
    this.#exited = new Promise((resolve) => {
      const ended = (how: string): void => {
        resolve();
        this.#onEnded(how, startedMs);
      };
      child.once('error', (error) => child.pid === undefined && ended(error.message));
      child.once('exit', (code, signal) => ended(signal ?? `exit code ${code}`));
    });
    const message: ToWorkerProcess = { kind: 'start', config: this.#config, place: this.place };
    child.send(message, () => undefined);
    return child;
  }

  #onMessage(message: FromWorkerProcess): void {
    switch (message.kind) {
      case 'ready':
        this.ready = true;
        this.#events.onReady();
        return;
      case 'failed':
        this.#events.onFailed(errorOf(message.error));
        return;
      case 'left':
        this.clients -= message.clients;
        return;
      case 'metrics':
        this.families = message.families;
        return;
      case 'cancel':
        this.#events.onCancel(message.key, message.monoUs);
        return;
      case 'whose':
        this.#events.onWhose(message.question, message.key);
        return;
      case 'route':
        this.#events.onRoute(message.question, message.route);
        return;
      default:
        message satisfies never;
    }
  }

  #onEnded(how: string, startedMs: number): void {
    this.ready = false;
    this.clients = 0;
    this.families = [];
    const untaken = [...this.#giving];
    this.#giving.clear();
    if (this.#stopping) {
      for (const socket of untaken) socket.destroy();
      return;
    }
    if (performance.now() - startedMs > healthyAfterMs) this.#restartMs = restartMinMs;
    this.restarts += 1;
    this.#events.onDied({ workerPid: this.pid, how, restartInMs: this.#restartMs });
    this.#restart = setTimeout(() => {
      this.#child = this.#start();
    }, this.#restartMs);
    this.#restartMs = Math.min(restartMaxMs, this.#restartMs * 2);
    for (const socket of untaken) if (!socket.destroyed) this.#events.onUntaken(socket);
  }

  #tell(message: ToWorkerProcess): void {
    if (this.#child.connected) this.#child.send(message, () => undefined);
  }
}

function errorOf({ code, message, hint }: ToldError): MirrorstreamError {
  return new MirrorstreamError(code, message, { stage: 'capture-proxy', ...(hint === undefined ? {} : { hint }) });
}
