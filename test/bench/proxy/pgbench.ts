// Loads of many small transactions: pgbench over TCP, its throughput and the latencies it logs.
import { execFile } from 'node:child_process';
import { readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { Load } from './plan.ts';
import type { Sample } from './result.ts';
import { percentile } from './statistics.ts';

const run = promisify(execFile);

export type LoadResult = Pick<Sample, 'perSecond' | 'units' | 'latency'>;

export interface PgbenchOptions {
  readonly port: number;
  readonly load: Load;
  readonly seconds: number;
  /** For pgbench's latency log. */
  readonly directory: string;
}

/** One transaction in so many is logged with its latency: the log itself costs time. */
const loggedShare = 0.1;
const transactionOf: Partial<Readonly<Record<Load['workload'], readonly string[]>>> = {
  select: ['-S'],
  tpcb: [],
  connect: ['-S', '-C'],
};

export async function pgbenchVersion(): Promise<string | null> {
  return await run('pgbench', ['--version']).then(
    ({ stdout }) => stdout.trim(),
    () => null,
  );
}

const connection = (port: number): string[] => ['-h', '127.0.0.1', '-p', String(port), '-U', 'postgres', 'postgres'];

export async function createTables(port: number, scale: number): Promise<void> {
  await run('pgbench', ['-i', '-q', '-s', String(scale), ...connection(port)]);
}

/** So many transactions of each client. Throws when one fails. */
export async function runTransactions(port: number, load: Load, each: number): Promise<void> {
  const { stdout } = await run('pgbench', [
    ...['-n', '-M', load.protocol, '-c', String(load.clients), '-t', String(each)],
    ...(transactionOf[load.workload] ?? []),
    ...connection(port),
  ]);
  checkFailed(stdout);
}

/** At a rate over all clients, with think times as they come by chance (pgbench manual, --rate). Throws when a transaction fails. */
export async function runThrottled(port: number, load: Load, perSecond: number, seconds: number): Promise<void> {
  const { stdout } = await run('pgbench', [
    ...['-n', '-M', load.protocol, '-c', String(load.clients), '-T', String(seconds), '-R', String(perSecond)],
    ...(transactionOf[load.workload] ?? []),
    ...connection(port),
  ]);
  checkFailed(stdout);
}

/** Throws when a transaction fails. */
export async function runPgbench({ port, load, seconds, directory }: PgbenchOptions): Promise<LoadResult> {
  const { stdout } = await run('pgbench', [
    ...['-n', '-M', load.protocol, '-c', String(load.clients), '-T', String(seconds)],
    ...(transactionOf[load.workload] ?? []),
    ...['--log', '--log-prefix', join(directory, 'latency'), '--sampling-rate', String(loggedShare)],
    ...connection(port),
  ]);
  const latencies = takeLatencies(directory);
  checkFailed(stdout);
  return {
    units: number(stdout, /number of transactions actually processed: (\d+)/),
    perSecond: number(stdout, /tps = ([\d.]+)/),
    latency: {
      p50Us: percentile(latencies, 0.5),
      p99Us: percentile(latencies, 0.99),
      p999Us: percentile(latencies, 0.999),
    },
  };
}

function checkFailed(stdout: string): void {
  const failed = number(stdout, /number of failed transactions: (\d+)/);
  if (failed > 0) throw new Error(`${failed} transactions failed`);
}

function number(text: string, pattern: RegExp): number {
  const found = pattern.exec(text)?.[1];
  if (found === undefined) throw new Error(`pgbench printed nothing like ${pattern}`);
  return Number(found);
}

/** Log line: client, transaction number, latency in µs, script, epoch s, epoch µs (pgbench manual, "Per-Transaction Logging"). */
function takeLatencies(directory: string): Float64Array {
  const files = readdirSync(directory).filter((name) => name.startsWith('latency.'));
  const values: number[] = [];
  for (const name of files) {
    for (const line of readFileSync(join(directory, name), 'utf8').split('\n')) {
      if (line !== '') values.push(Number(line.split(' ')[2]));
    }
    rmSync(join(directory, name));
  }
  return Float64Array.from(values).sort();
}
