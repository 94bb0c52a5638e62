// The two proxies of a soak: starts, drains and kills them and their workers, and notes what of that the account has to know.
import { join } from 'node:path';
import { type SpawnedService, spawnService, waitFor } from '@mirrorstream/testkit';
import type { Endpoint } from './recorder.ts';
import type { Incident } from './settlement.ts';

export interface ProxiesOptions {
  readonly sourceName: string;
  readonly source: Endpoint;
  readonly bootstrap: string;
  readonly workers: number;
  /** Null: none, and a publish buffer that an outage fills. */
  readonly spoolDir: string | null;
  /** Capture worker threads will be killed. */
  readonly killsThreads: boolean;
  readonly onViolation: (what: string) => void;
  /** A capture worker is about to die; a new one is there. */
  readonly onAway: (proxy: string) => void;
  readonly onBack: (proxy: string) => void;
}

interface RunningProxy {
  readonly name: string;
  readonly at: Endpoint;
  readonly service: SpawnedService;
  readonly startedMs: number;
}

const graceMs = 120_000;
const backDeadlineMs = 60_000;
/** Kafka acknowledges what is older than this, unless it is away. */
const unpublishedMs = 5_000;
/** The least there can be. */
const smallPublishBufferBytes = 1024 * 1024;
const threadKiller = join(import.meta.dirname, '..', 'integration', 'capture-worker-killer.ts');

export class Proxies {
  readonly incidents: Incident[] = [];
  readonly #options: ProxiesOptions;
  readonly #everStarted: SpawnedService[] = [];
  #first!: RunningProxy;
  /** Comes and goes: new connections are shared between the two while it is there. */
  #second: RunningProxy | null = null;
  #turn = 0;
  #kills = 0;

  constructor(options: ProxiesOptions) {
    this.#options = options;
  }

  async start(): Promise<void> {
    this.#first = await this.#start('first');
    this.#second = await this.#start('second');
  }

  /** The one that is never stopped. */
  get firstPid(): number {
    return this.#first.service.pid;
  }

  /** One connection in four goes to the second proxy. */
  choose(): { readonly name: string; readonly at: Endpoint } {
    this.#turn += 1;
    return this.#turn % 4 === 0 && this.#second !== null ? this.#second : this.#first;
  }

  async startSecond(): Promise<void> {
    this.#second = await this.#start('second');
  }

  /**
   * SIGTERM: it ends its connections one after another as they become idle, publishes, and ends with 0. `kafkaIsAway`: it cannot
   * publish what it has; without a spool that is lost, and what it still owed of earlier outages is told by nobody.
   */
  async drainSecond(kafkaIsAway = false): Promise<void> {
    const second = this.#takeSecond();
    const fromMs = performance.now();
    const incarnations = incarnationsOf(second.service);
    const exit = await second.service.stop({ graceMs });
    const untilMs = performance.now();
    if (exit.code !== 0)
      this.#options.onViolation(`the second proxy ended with ${exit.code ?? exit.signal} when drained`);
    this.incidents.push({ kind: 'drained', proxy: 'second', incarnation: null, fromMs, untilMs });
    if (!kafkaIsAway || this.#options.spoolDir !== null) return;
    for (const incarnation of incarnations.values())
      this.incidents.push({
        ...({ kind: 'workerDied', proxy: 'second', incarnation } as const),
        ...{ fromMs: second.startedMs, untilMs },
      });
  }

  /** SIGKILL to all of the second proxy. */
  async killSecond(): Promise<void> {
    const second = this.#takeSecond();
    const fromMs = performance.now() - unpublishedMs;
    const incarnations = incarnationsOf(second.service);
    await second.service.kill9();
    const untilMs = performance.now();
    for (const incarnation of incarnations.values())
      this.incidents.push({ kind: 'processDied', proxy: 'second', incarnation, fromMs, untilMs });
  }

  /** Ends the capture worker thread of one of the first proxy's processes. Resolves when a new one publishes. */
  async killThread(): Promise<void> {
    const { worker, pid } = this.#victim();
    await this.#kill(worker, pid, 'SIGUSR2', 'workerDied');
  }

  /** SIGKILL to one of the first proxy's worker processes. Resolves when a new one publishes. */
  async killWorker(): Promise<void> {
    const { worker, pid } = this.#victim();
    await this.#kill(worker, pid, 'SIGKILL', 'processDied');
  }

  /** Transactions that the first proxy could not keep while Kafka was away, as of a second ago. */
  async refused(): Promise<number> {
    const { port } = JSON.parse(await this.#first.service.waitForLine(/the health endpoint listens/)) as {
      port: number;
    };
    const metrics = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
    const found = metrics.matchAll(/_dropped_transactions_total\{[^}]*reason="publishBufferFull"[^}]*\} (\d+)/g);
    return [...found].reduce((sum, [, count]) => sum + Number(count), 0);
  }

  /** Incarnations whose books nobody can have closed yet: they run. */
  live(): ReadonlySet<string> {
    const running = [this.#first, this.#second].filter((it) => it !== null);
    return new Set(running.flatMap(({ service }) => [...incarnationsOf(service).values()]));
  }

  async stop(): Promise<void> {
    for (const { name, service } of [this.#first, this.#second].filter((it) => it !== null)) {
      const exit = await service.stop({ graceMs });
      if (exit.code !== 0) this.#options.onViolation(`the ${name} proxy ended with ${exit.code ?? exit.signal}`);
    }
  }

  async kill9(): Promise<void> {
    for (const service of this.#everStarted) await service.kill9();
  }

  async #start(name: string): Promise<RunningProxy> {
    const startedMs = performance.now();
    const { sourceName, source, bootstrap, workers, spoolDir, killsThreads, onViolation } = this.#options;
    const service = await spawnService(
      [
        ...['capture-proxy', '--listen', '127.0.0.1:0', '--source', `${source.host}:${source.port}`],
        ...['--source-name', sourceName, '--node', name, '--brokers', bootstrap, '--partitions', '8'],
        ...['--workers', String(workers), '--health', '0'],
        ...(spoolDir === null
          ? ['--publish-buffer-bytes', String(smallPublishBufferBytes)]
          : ['--spool-dir', spoolDir]),
      ],
      killsThreads ? { NODE_OPTIONS: `--import=${threadKiller}` } : {},
    );
    this.#everStarted.push(service);
    void service.exited.then((exit) => {
      if (!exit.expected) onViolation(`the ${name} proxy died: ${exit.lastLogLines.slice(-5).join(' | ')}`);
    });
    const { listen } = JSON.parse(await service.waitForLine(/"ready":true/, 60_000)) as { listen: string };
    await waitFor(() => incarnationsOf(service).size === workers, {
      what: `the ${name} proxy to publish`,
      deadlineMs: backDeadlineMs,
    });
    return { name, service, startedMs, at: { host: '127.0.0.1', port: Number(listen.split(':').at(-1)) } };
  }

  #takeSecond(): RunningProxy {
    const second = this.#second;
    if (second === null) throw new Error('the second proxy is not there');
    this.#second = null;
    return second;
  }

  /** Its workers take turns. */
  #victim(): { readonly worker: number; readonly pid: number } {
    const { service } = this.#first;
    const { workers } = this.#options;
    if (workers === 1) return { worker: 0, pid: service.pid };
    this.#kills += 1;
    const worker = this.#kills % workers;
    const ready = linesOf(service, 'a worker process is ready').filter((line) => line['worker'] === worker);
    return { worker, pid: Number(ready.at(-1)?.['workerPid']) };
  }

  async #kill(worker: number, pid: number, signal: NodeJS.Signals, kind: Incident['kind']): Promise<void> {
    const { service } = this.#first;
    const incarnation = incarnationsOf(service).get(worker) ?? null;
    const fromMs = performance.now() - unpublishedMs;
    this.#options.onAway('first');
    process.kill(pid, signal);
    await waitFor(() => incarnationsOf(service).get(worker) !== incarnation, {
      what: `a new capture worker after ${signal} to ${worker}`,
      deadlineMs: backDeadlineMs,
    });
    this.incidents.push({ kind, proxy: 'first', incarnation, fromMs, untilMs: performance.now() });
    this.#options.onBack('first');
  }
}

/** Of each worker the newest, once it publishes. */
function incarnationsOf(service: SpawnedService): Map<number, string> {
  const lines = linesOf(service, '"publishing"');
  return new Map(lines.map((line) => [Number(line['worker'] ?? 0), String(line['incarnation'])]));
}

const linesOf = (service: SpawnedService, text: string): Readonly<Record<string, unknown>>[] =>
  service
    .lines()
    .filter((line) => line.includes(text))
    .map((line) => JSON.parse(line) as Record<string, unknown>);
