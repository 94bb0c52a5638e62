// One soak: servers, two proxies, the recorder around them, load, faults and samples; then the account, and what was violated.
import { readFileSync } from 'node:fs';
import { Worker } from 'node:worker_threads';
import { descendantsOf, type KafkaBroker, type PostgresServer } from '@mirrorstream/local';
import {
  createTpcbTables,
  removeDirectory,
  startKafka,
  startPostgres,
  temporaryDirectory,
  waitFor,
} from '@mirrorstream/testkit';
import { readBooks, readSnapshots } from './books.ts';
import { type FaultKind, type PlannedFault, planFaults } from './fault-plan.ts';
import type { LoadReport, LoadSettings } from './load.ts';
import { judgeMemory, type MemorySample, type MemoryVerdict } from './memory-rule.ts';
import { Proxies } from './proxies.ts';
import { type ConnectionReport, Recorder } from './recorder.ts';
import { type Settlement, settle } from './settlement.ts';

export interface SoakOptions {
  readonly forMs: number;
  readonly seed: number;
  readonly faults: readonly FaultKind[];
  readonly clients: number;
  /** Of a connection, at most. */
  readonly turns: number;
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
const graceMs = 60_000;
const booksDeadlineMs = 60_000;
const mib = 1024 * 1024;

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
  #proxies!: Proxies;
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
    await waitFor(() => this.#recorder.totals.open === 0, {
      what: 'all connections to end',
      deadlineMs: graceMs,
    }).catch(() => this.#violations.push(...this.#recorder.describeOpen().map((open) => `has not ended: ${open}`)));
    await this.#booksOfTheDead();
    await this.#proxies.stop();
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
        chooseProxy: () => this.#proxies.choose(),
        onEnded: (report) => {
          if (!report.name.startsWith('cancel ')) this.#connections.push(report);
        },
        onViolation: (what) => this.#violations.push(what),
      },
    );
    this.#cleanUps.push(async () => this.#recorder.close());
    const { forClients, forProxies } = await this.#recorder.listen();
    const { workers, spool, faults } = this.#options;
    this.#proxies = new Proxies({
      ...{ sourceName, source: forProxies, bootstrap: this.#kafka.bootstrap, workers },
      spoolDir: spool ? this.#spoolDir : null,
      killsThreads: faults.includes('kill-thread'),
      onViolation: (what) => this.#violations.push(what),
      onAway: (proxy) => this.#recorder.away(proxy),
      onBack: (proxy) => this.#recorder.back(proxy),
    });
    this.#cleanUps.push(() => this.#proxies.kill9());
    await this.#proxies.start();
    const url = new URL(this.#postgres.url);
    url.host = `${forClients.host}:${forClients.port}`;
    return url.href;
  }

  #startLoad(url: string) {
    const { clients, seed, turns } = this.#options;
    const settings: LoadSettings = { url, clients, seed, turns };
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
    const before = await this.#proxies.refused();
    switch (kind) {
      case 'kafka-stop':
        process.kill(this.#kafka.pid, 'SIGSTOP');
        await lasts();
        await this.#outageShows(before);
        process.kill(this.#kafka.pid, 'SIGCONT');
        return;
      case 'kafka-restart': {
        const { port } = this.#kafka;
        await this.#kafka.stop();
        await lasts();
        await this.#outageShows(before);
        this.#kafka = await startKafka({ dataDir: this.#kafkaDir, port });
        return;
      }
      case 'drain':
        await this.#proxies.drainSecond();
        await lasts();
        await this.#proxies.startSecond();
        return;
      case 'drain-away': {
        process.kill(this.#kafka.pid, 'SIGSTOP');
        await this.#proxies.drainSecond(true);
        await lasts();
        process.kill(this.#kafka.pid, 'SIGCONT');
        await this.#proxies.startSecond();
        return;
      }
      case 'kill-proxy':
        await this.#proxies.killSecond();
        await lasts();
        await this.#proxies.startSecond();
        return;
      case 'kill-thread':
        await this.#proxies.killThread();
        return;
      case 'kill-worker':
        await this.#proxies.killWorker();
        return;
      default:
        kind satisfies never;
    }
  }

  /** Without a spool an outage lasts until it costs something: else nothing of what that comes to would be seen. */
  async #outageShows(before: number): Promise<void> {
    if (this.#options.spool) return;
    await waitFor(async () => (await this.#proxies.refused()) > before, {
      what: 'an outage of Kafka to cost something',
      deadlineMs: graceMs,
    }).catch((error: Error) => this.#violations.push(error.message));
  }

  /** Successors close the books of incarnations that died. Whether they did is for the settlement to say. */
  async #booksOfTheDead(): Promise<void> {
    const live = this.#proxies.live();
    const closed = async (): Promise<boolean> => {
      const snapshots = await readSnapshots(this.#kafka.bootstrap);
      return snapshots.every(({ incarnation, final }) => final || live.has(incarnation));
    };
    await waitFor(closed, { what: 'the books to be closed', deadlineMs: booksDeadlineMs }).catch(() => {});
  }

  #sample(atMs: number): void {
    const bytes = residentBytes(this.#proxies.firstPid);
    this.#samples.push({ atMs, bytes });
    const { transactions, connections, open } = this.#recorder.totals;
    this.#options.onProgress({ atMs, transactions, connections, open, residentBytes: bytes, fault: this.#fault });
  }

  async #result(faults: readonly PlannedFault[], load: LoadReport): Promise<SoakResult> {
    const { account, snapshots } = await readBooks(this.#kafka.bootstrap, sourceName);
    const { incidents } = this.#proxies;
    const settled = settle({ account, snapshots, incidents, connections: this.#connections });
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
