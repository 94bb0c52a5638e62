// Several whole proxies behind one port: takes the connections, hands each to the worker with the fewest, and answers for all of them.
import type { Socket } from 'node:net';
import { MirrorstreamError } from '@mirrorstream/domain';
import type { MetricRegistry, MetricSample, RunningService, ServiceKit } from '@mirrorstream/service-kit';
import type { CaptureProxyConfig } from '../config.ts';
import { type Listener, startListener } from '../forward/listener.ts';
import { metricPrefix } from '../metrics.ts';
import { occasionally } from '../occasionally.ts';
import { chooseWorker } from './dispatch.ts';
import { RouteQuestions } from './route-questions.ts';
import { WorkerHandle } from './worker-handle.ts';

const startDeadlineMs = 30_000;

/** Resolves when all workers are ready. Rejects with what the first of them could not do. */
export async function startWorkers(config: CaptureProxyConfig, kit: ServiceKit): Promise<RunningService> {
  const supervisor = new Supervisor(config, kit);
  try {
    const listener = await supervisor.start();
    const listen = `${listener.listening.host}:${listener.listening.port}`;
    kit.logger.info({ listen, workers: config.workers, capture: config.settings.capture }, 'forwarding');
    kit.ready({ listen, workers: config.workers });
    return supervisor;
  } catch (error) {
    supervisor.kill();
    throw error;
  }
}

class Supervisor implements RunningService {
  readonly #kit: ServiceKit;
  readonly #config: CaptureProxyConfig;
  readonly #workers: readonly WorkerHandle[];
  readonly #questions: RouteQuestions;
  readonly #allReady = Promise.withResolvers<void>();
  readonly #waiting = new Set<Socket>();
  readonly #refused: (details: Readonly<Record<string, unknown>>, message: string) => void;
  readonly #onExit = (): void => this.kill();
  readonly #onHangUp = (): void => this.#signal('SIGHUP');
  #listener: Listener | null = null;
  #last = -1;
  readonly #adopted = new Set<string>();

  constructor(config: CaptureProxyConfig, kit: ServiceKit) {
    this.#config = config;
    this.#questions = new RouteQuestions(() => this.#workers, config.supervisor);
    this.#kit = kit;
    this.#refused = occasionally(10_000, (details, message) => kit.logger.error(details, message));
    // A supervisor that is made to exit takes its workers along; a supervisor that is killed is noticed by them.
    process.once('exit', this.#onExit);
    process.on('SIGHUP', this.#onHangUp);
    this.#workers = Array.from({ length: config.workers }, (_, worker) => this.#startWorker(worker));
    this.#registerMetrics(kit.metrics);
  }

  async start(): Promise<Listener> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      const hint = 'Their log lines say what they were doing; the machine may be too busy.';
      const error = new MirrorstreamError('notReady', 'the worker processes did not start in time', {
        stage: 'capture-proxy',
        hint,
      });
      timer = setTimeout(() => reject(error), startDeadlineMs);
    });
    await Promise.race([this.#allReady.promise, late]).finally(() => clearTimeout(timer));
    this.#listener = await startListener(this.#config.listen, (socket) => this.#dispatch(socket));
    return this.#listener;
  }

  async stop(deadlineMs: number): Promise<void> {
    this.#listener?.close();
    for (const socket of this.#waiting) socket.destroy();
    const inOrder = await Promise.all(this.#workers.map((worker) => worker.stop(deadlineMs)));
    process.off('exit', this.#onExit);
    process.off('SIGHUP', this.#onHangUp);
    const failed = inOrder.flatMap((ended, worker) => (ended ? [] : [worker]));
    if (failed.length > 0) this.#kit.logger.error({ workers: failed }, 'worker processes did not end in order');
  }

  hasten(): void {
    for (const worker of this.#workers) worker.hasten();
  }

  kill(): void {
    for (const worker of this.#workers) worker.kill();
  }

  #startWorker(worker: number): WorkerHandle {
    const { logger } = this.#kit;
    const handle = new WorkerHandle(
      this.#config,
      { worker, workers: this.#config.workers },
      {
        onReady: () => {
          logger.info({ worker, workerPid: handle.pid }, 'a worker process is ready');
          if (this.#workers.every((one) => one.ready)) this.#allReady.resolve();
          for (const socket of this.#waiting) this.#dispatch(socket);
        },
        onFailed: (error) => {
          this.#allReady.reject(error);
          logger.error({ worker, error }, 'a worker process cannot start');
        },
        onCancel: (key, monoUs) => {
          for (const other of this.#workers) if (other !== handle) other.cancelPassed(key, monoUs);
        },
        onWhose: (question, key) => this.#questions.ask(handle, question, key),
        onRoute: (question, route) => this.#questions.onAnswer(handle, question, route),
        onUntaken: (socket) => this.#dispatch(socket),
        onDied: (details) => {
          this.#questions.onDied(handle);
          logger.error(
            { worker, ...details },
            'a worker process died, its connections with it; the others go on, it is started anew',
          );
        },
      },
    );
    return handle;
  }

  #dispatch(socket: Socket): void {
    const chosen = chooseWorker(this.#workers, this.#last);
    if (chosen === null) {
      this.#keepWaiting(socket);
      return;
    }
    this.#waiting.delete(socket);
    this.#last = chosen;
    (this.#workers[chosen] as WorkerHandle).give(socket);
  }

  /** No worker is there: one is started anew within moments. */
  #keepWaiting(socket: Socket): void {
    if (this.#waiting.has(socket)) return;
    if (this.#waiting.size >= this.#config.supervisor.waitingClients) {
      this.#refused({ waiting: this.#waiting.size }, 'no worker process is there and too many clients wait: refused');
      socket.destroy();
      return;
    }
    this.#waiting.add(socket);
    socket.on('error', () => undefined).on('close', () => this.#waiting.delete(socket));
  }

  #signal(signal: NodeJS.Signals): void {
    for (const worker of this.#workers) worker.signal(signal);
  }

  #registerMetrics(metrics: MetricRegistry): void {
    const ofWorkers = (read: (worker: WorkerHandle) => number): readonly MetricSample[] =>
      this.#workers.map((worker) => ({ labels: labelsOf(worker), value: read(worker) }));
    metrics.register({
      name: `${metricPrefix}_worker_up`,
      help: 'Whether the worker process is ready (1) or being started anew (0).',
      kind: 'gauge',
      read: () => {
        this.#adoptMetrics(metrics);
        return ofWorkers(({ ready }) => (ready ? 1 : 0));
      },
    });
    metrics.register({
      name: `${metricPrefix}_worker_restarts_total`,
      help: 'How often the worker process died and was started anew.',
      kind: 'counter',
      read: () => ofWorkers(({ restarts }) => restarts),
    });
    const { waitingClients, routeQuestions } = this.#config.supervisor;
    const gauge = (name: string, help: string, read: () => number): void => {
      metrics.register({ name: `${metricPrefix}_${name}`, help, kind: 'gauge', read });
    };
    gauge('waiting_clients', 'Clients that wait because no worker process is there.', () => this.#waiting.size);
    gauge('waiting_clients_limit', 'As many may wait, others are refused.', () => waitingClients);
    gauge('route_questions', 'Cancels that wait to hear where their session is.', () => this.#questions.open);
    gauge('route_questions_limit', 'As many may wait, others go as a new session would.', () => routeQuestions);
  }

  /** What the workers have registered is served here, by worker. */
  #adoptMetrics(metrics: MetricRegistry): void {
    for (const { name, help, kind } of this.#workers.flatMap(({ families }) => families)) {
      if (this.#adopted.has(name)) continue;
      this.#adopted.add(name);
      metrics.register({ name, help, kind, read: () => this.#workers.flatMap((worker) => samplesOf(worker, name)) });
    }
  }
}

const labelsOf = ({ place }: WorkerHandle): Readonly<Record<string, string>> => ({ worker: String(place.worker) });

function samplesOf(worker: WorkerHandle, name: string): readonly MetricSample[] {
  const family = worker.families.find((one) => one.name === name);
  return (family?.samples ?? []).map(({ labels, value }) => ({ labels: { ...labels, ...labelsOf(worker) }, value }));
}
