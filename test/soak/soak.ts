// One soak: servers, two proxies, the recorder around them, load, faults and samples; then the account, and what was violated.
import { readFileSync } from 'node:fs';
import { Worker } from 'node:worker_threads';
import { descendantsOf, type KafkaBroker, type PostgresServer } from '@mirrorstream/local';
import {
  createTpcbTables,
  removeDirectory,
  type SpawnedService,
  spawnService,
  startKafka,
  startPostgres,
  temporaryDirectory,
  waitFor,
} from '@mirrorstream/testkit';
import type { Settlement } from './account.ts';
import { readBooks } from './books.ts';
import { type FaultKind, type PlannedFault, planFaults } from './fault-plan.ts';
import type { LoadReport, LoadSettings } from './load.ts';
import { judgeMemory, type MemorySample, type MemoryVerdict } from './memory-rule.ts';
import { type ConnectionReport, type Endpoint, Recorder } from './recorder.ts';

export interface SoakOptions {
  readonly forMs: number;
  readonly seed: number;
  readonly faults: readonly FaultKind[];
  readonly clients: number;
  readonly workers: number;
  readonly spool: boolean;
  readonly onProgress: (progress: Progress) => void;
}

export interface Progress {
  readonly atMs: number;
  readonly transactions: number;
  readonly connections: number;
  readonly open: number;
  readonly residentBytes: number;
  readonly fault: FaultKind | null;
}

export interface SoakResult {
  readonly forMs: number;
  readonly seed: number;
  readonly clients: number;
  readonly workers: number;
  readonly spool: boolean;
  readonly faults: readonly PlannedFault[];
  readonly load: LoadReport;
  readonly upBytes: number;
  readonly downBytes: number;
  readonly account: Settlement['totals'];
  readonly dropped: Readonly<Record<string, number>>;
  readonly memory: MemoryVerdict;
  /** Of the first proxy, once a second, whole MiB. */
  readonly residentMib: readonly number[];
  /** Empty: it passed. */
  readonly violations: readonly string[];
}

const sourceName = 'soak';
const graceMs = 120_000;
const mib = 1024 * 1024;

type Ready = { readonly name: string; readonly at: Endpoint; readonly service: SpawnedService };

export async function runSoak(options: SoakOptions): Promise<SoakResult> {
  const soak = new Soak(options);
  try {
    return await soak.run();
  } finally {
    await soak.cleanUp();
  }
}

class Soak {
  readonly #options: SoakOptions;
  readonly #violations: string[] = [];
  readonly #connections: ConnectionReport[] = [];
  readonly #samples: MemorySample[] = [];
  readonly #cleanUps: (() => Promise<unknown>)[] = [];
  #postgres!: PostgresServer;
  #kafka!: KafkaBroker;
  #kafkaDir = '';
  #spoolDir = '';
  #recorder!: Recorder;
  #forProxies!: Endpoint;
  #first!: Ready;
  /** Comes and goes: new connections are shared between the two while it is there. */
  #second: Ready | null = null;
  #secondEverDrained = false;
  #turn = 0;
  #fault: FaultKind | null = null;

  constructor(options: SoakOptions) {
    this.#options = options;
  }

  async run(): Promise<SoakResult> {
    const url = await this.#startAll();
    const startedAtMs = performance.now();
    const load = this.#startLoad(url);
    const sampling = setInterval(() => this.#sample(performance.now() - startedAtMs), 1_000);
    const plan = planFaults(this.#options.faults, this.#options.forMs);
    try {
      for (const fault of plan) {
        await load.until(startedAtMs + fault.atMs);
        this.#fault = fault.kind;
        await this.#inflict(fault);
        this.#fault = null;
      }
      await load.until(startedAtMs + this.#options.forMs);
    } finally {
      clearInterval(sampling);
    }
    const report = await load.stop();
    for (const failure of new Set(report.failures)) this.#violations.push(`a client failed: ${failure}`);
    await this.#stopProxies();
    return await this.#result(plan, report);
  }

  async cleanUp(): Promise<void> {
    for (const cleanUp of this.#cleanUps.reverse()) await cleanUp().catch(() => {});
  }

  async #startAll(): Promise<string> {
    this.#postgres = await startPostgres({ name: 'soaked', settings: { max_wal_size: '1GB' } });
    this.#cleanUps.push(async () => {
      await this.#postgres.stop();
      await removeDirectory(this.#postgres.dataDir);
    });
    this.#kafkaDir = await temporaryDirectory('soak-kafka');
    this.#spoolDir = await temporaryDirectory('soak-spool');
    this.#kafka = await startKafka({ dataDir: this.#kafkaDir });
    this.#cleanUps.push(async () => {
      await this.#kafka.kill9();
      await removeDirectory(this.#kafkaDir);
      await removeDirectory(this.#spoolDir);
    });
    await createTpcbTables(this.#postgres.url);
    const { host, port } = this.#postgres;
    this.#recorder = new Recorder(
      { host, port },
      {
        chooseProxy: () => this.#chooseProxy(),
        onEnded: (report) => this.#onEnded(report),
        onViolation: (what) => this.#violations.push(what),
      },
    );
    this.#cleanUps.push(async () => this.#recorder.close());
    const { forClients, forProxies } = await this.#recorder.listen();
    this.#forProxies = forProxies;
    this.#first = await this.#startProxy('first');
    this.#second = await this.#startProxy('second');
    const url = new URL(this.#postgres.url);
    url.host = `${forClients.host}:${forClients.port}`;
    return url.href;
  }

  async #startProxy(name: string): Promise<Ready> {
    const { workers, spool } = this.#options;
    const { host, port } = this.#forProxies;
    const service = await spawnService([
      ...['capture-proxy', '--listen', '127.0.0.1:0', '--source', `${host}:${port}`, '--source-name', sourceName],
      ...['--node', name, '--brokers', this.#kafka.bootstrap, '--partitions', '8', '--workers', String(workers)],
      ...(spool ? ['--spool-dir', this.#spoolDir] : []),
    ]);
    this.#cleanUps.push(() => service.kill9());
    void service.exited.then((exit) => {
      if (!exit.expected) this.#violations.push(`the ${name} proxy died: ${exit.lastLogLines.slice(-5).join(' | ')}`);
    });
    const { listen } = JSON.parse(await service.waitForLine(/"ready":true/, 60_000)) as { listen: string };
    return { name, service, at: { host: '127.0.0.1', port: Number(listen.split(':').at(-1)) } };
  }

  /** One connection in four goes to the second proxy. */
  #chooseProxy(): Ready {
    this.#turn += 1;
    return this.#turn % 4 === 0 && this.#second !== null ? this.#second : this.#first;
  }

  #onEnded(report: ConnectionReport): void {
    if (report.name.startsWith('cancel ')) return;
    this.#connections.push(report);
    if (report.endedBy === 'client') return;
    // A drain closes idle connections of the second proxy; nothing else ends one but its client.
    if (report.endedBy === 'proxy' && report.proxy === 'second' && this.#secondEverDrained) return;
    this.#violations.push(`${report.name}: ended by the ${report.endedBy} (through the ${report.proxy} proxy)`);
  }

  #startLoad(url: string) {
    const settings: LoadSettings = { url, clients: this.#options.clients, seed: this.#options.seed };
    const worker = new Worker(new URL('./load.ts', import.meta.url), { workerData: settings });
    const { promise: ended, resolve, reject } = Promise.withResolvers<LoadReport>();
    worker.on('message', (report: LoadReport) => {
      if (report.ended) resolve(report);
    });
    worker.on('error', reject);
    ended.catch(() => {});
    this.#cleanUps.push(() => worker.terminate());
    const until = async (atMs: number): Promise<void> => {
      const { promise, resolve: passed } = Promise.withResolvers<void>();
      const timer = setTimeout(passed, Math.max(0, atMs - performance.now()));
      await Promise.race([promise, ended]).finally(() => clearTimeout(timer));
    };
    const stop = async (): Promise<LoadReport> => {
      worker.postMessage('stop');
      return await ended;
    };
    return { until, stop };
  }

  async #inflict({ kind, lastsMs }: PlannedFault): Promise<void> {
    const lasts = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, lastsMs));
    switch (kind) {
      case 'kafka-stop':
        process.kill(this.#kafka.pid, 'SIGSTOP');
        await lasts();
        process.kill(this.#kafka.pid, 'SIGCONT');
        return;
      case 'kafka-restart': {
        const { port } = this.#kafka;
        await this.#kafka.stop();
        await lasts();
        this.#kafka = await startKafka({ dataDir: this.#kafkaDir, port });
        return;
      }
      case 'drain':
        await this.#drainSecond();
        await lasts();
        this.#second = await this.#startProxy('second');
        return;
      default:
        kind satisfies never;
    }
  }

  async #drainSecond(): Promise<void> {
    const second = this.#second;
    this.#second = null;
    this.#secondEverDrained = true;
    const exit = await second?.service.stop({ graceMs });
    if (exit?.code !== 0)
      this.#violations.push(`the second proxy ended with ${exit?.code ?? exit?.signal} when drained`);
  }

  async #stopProxies(): Promise<void> {
    await waitFor(() => this.#recorder.totals.open === 0, { what: 'all connections to end', deadlineMs: graceMs });
    for (const { name, service } of [this.#first, this.#second].filter((it) => it !== null)) {
      const exit = await service.stop({ graceMs });
      if (exit.code !== 0) this.#violations.push(`the ${name} proxy ended with ${exit.code ?? exit.signal}`);
    }
  }

  #sample(atMs: number): void {
    const bytes = residentBytes(this.#first.service.pid);
    this.#samples.push({ atMs, bytes });
    const { transactions, connections, open } = this.#recorder.totals;
    this.#options.onProgress({ atMs, transactions, connections, open, residentBytes: bytes, fault: this.#fault });
  }

  async #result(faults: readonly PlannedFault[], load: LoadReport): Promise<SoakResult> {
    const { account, snapshots } = await readBooks(this.#kafka.bootstrap, sourceName);
    const settled = account.settle(this.#connections, snapshots);
    const memory = judgeMemory(this.#samples);
    if (memory.judged && !memory.flat) this.#violations.push(`memory is not flat: ${JSON.stringify(memory)}`);
    const dropped: Record<string, number> = {};
    for (const snapshot of snapshots)
      for (const [reason, count] of Object.entries(snapshot.dropped.byReason))
        dropped[reason] = (dropped[reason] ?? 0) + count;
    const { forMs, seed, clients, workers, spool } = this.#options;
    const { upBytes, downBytes } = this.#recorder.totals;
    return {
      ...{
        forMs,
        seed,
        clients,
        workers,
        spool,
        faults,
        load,
        upBytes,
        downBytes,
        account: settled.totals,
        dropped,
        memory,
      },
      residentMib: this.#samples.map(({ bytes }) => Math.round(bytes / mib)),
      violations: [...this.#violations, ...settled.violations],
    };
  }
}

/** VmRSS of a process and all its descendants. */
function residentBytes(pid: number): number {
  let bytes = 0;
  for (const member of [pid, ...descendantsOf(pid)]) {
    try {
      bytes += Number(/^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${member}/status`, 'utf8'))?.[1] ?? 0) * 1024;
    } catch {
      // It has ended.
    }
  }
  return bytes;
}
