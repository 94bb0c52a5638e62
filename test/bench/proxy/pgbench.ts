// The load: pgbench -S over TCP, its throughput and the latencies it logs.
import { execFile } from 'node:child_process';
import { readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

export interface LoadResult {
  readonly transactions: number;
  readonly failed: number;
  readonly tps: number;
  readonly p50Us: number;
  readonly p99Us: number;
}

export interface LoadOptions {
  readonly port: number;
  readonly clients: number;
  readonly seconds: number;
  readonly protocol: 'simple' | 'extended' | 'prepared';
  /** For pgbench's latency log. */
  readonly directory: string;
}

/** One transaction in so many is logged with its latency: the log itself costs time. */
const loggedShare = 0.1;

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

export async function runPgbench(options: LoadOptions): Promise<LoadResult> {
  const prefix = join(options.directory, 'latency');
  const { stdout } = await run('pgbench', [
    ...['-n', '-S', '-M', options.protocol, '-c', String(options.clients), '-T', String(options.seconds)],
    ...['--log', '--log-prefix', prefix, '--sampling-rate', String(loggedShare)],
    ...connection(options.port),
  ]);
  const latencies = takeLatencies(options.directory);
  return {
    transactions: number(stdout, /number of transactions actually processed: (\d+)/),
    failed: number(stdout, /number of failed transactions: (\d+)/),
    tps: number(stdout, /tps = ([\d.]+)/),
    p50Us: percentile(latencies, 0.5),
    p99Us: percentile(latencies, 0.99),
  };
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

export function percentile(sorted: Float64Array, share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
}
