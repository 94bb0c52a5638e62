// pgreplay-go beside the replayer: the source logs a load as it is captured, and the binary plays that log to the same mirror.
//
// It reads PostgreSQL's csvlog (log_statement = all) and sends each line's text; with a rate far above production's it waits for nothing.
// PostgreSQL 16 and later write `Parameters:` where it looks for `parameters:`, so that one word is changed.
import { createReadStream, createWriteStream } from 'node:fs';
import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { finished } from 'node:stream/promises';
import { freePort, type PostgresServer, spawnTied, waitUntil } from '@mirrorstream/local';
import pg from 'pg';
import { wholeCpuUs } from '../proxy/process-usage.ts';
import type { Stage } from './stage.ts';

/** Of a source that can log for pgreplay-go: how it logs, and that it could. */
export const loggingSettings: Readonly<Record<string, string>> = {
  logging_collector: 'on',
  log_destination: 'csvlog',
  log_filename: 'bench.log',
  log_rotation_age: '0',
  log_rotation_size: '0',
};

const playRate = '1000000';
const deadlineMs = 600_000;
const lookEveryMs = 20;

export interface LoggedLoad {
  readonly path: string;
}

/** While `work` runs, every statement that the source runs is logged. */
export async function logStatements<T>(
  { directory, source, newName }: Pick<Stage, 'directory' | 'source' | 'newName'>,
  work: () => Promise<T>,
): Promise<{ readonly result: T; readonly log: LoggedLoad }> {
  const log = join(source.dataDir, 'log', 'bench.csv');
  const path = join(directory, `${newName('log')}.csv`);
  const from = (await stat(log)).size;
  await logging(source, 'all');
  let result: T;
  try {
    result = await work();
  } finally {
    await logging(source, 'none');
  }
  // It is written by a process of its own: what was said before this is there when this is.
  const end = `SELECT 'the end of ${path}'`;
  await execute(source, "SET log_statement = 'all'", end);
  await waitUntil(async () => (await readFile(log)).subarray(from).includes(end), {
    ...{ what: 'the source to have logged the load', deadlineMs: 60_000, everyMs: 100, stage: 'bench' },
  });
  await writeInput(log, from, path);
  return { result, log: { path } };
}

async function logging(server: PostgresServer, statements: 'all' | 'none'): Promise<void> {
  const connections = statements === 'all' ? 'on' : 'off';
  await execute(
    server,
    `ALTER SYSTEM SET log_statement = '${statements}'`,
    `ALTER SYSTEM SET log_connections = '${connections}'`,
    `ALTER SYSTEM SET log_disconnections = '${connections}'`,
    'SELECT pg_reload_conf()',
  );
}

async function writeInput(log: string, from: number, path: string): Promise<void> {
  const out = createWriteStream(path);
  for await (const line of createInterface({ input: createReadStream(log, { start: from }) }))
    out.write(`${line.replace(',"Parameters: $', ',"parameters: $')}\n`);
  out.end();
  await finished(out);
}

export interface PeerRun {
  /** As the mirror counts them. */
  readonly transactions: number;
  readonly perSecond: number;
  /** Of a transaction. */
  readonly cpuUs: number;
}

/** From the moment it begins to read the log until all sessions have come to their ends; then it waits some seconds for nobody. */
export async function playLog(binary: string, { path }: LoggedLoad, mirror: PostgresServer): Promise<PeerRun> {
  const before = await committed(mirror);
  const port = await freePort();
  let seconds = Number.NaN;
  const child = await spawnTied({
    name: 'pgreplay',
    command: binary,
    args: [
      ...['run', '--host', mirror.host, '--port', String(mirror.port), '--user', mirror.superuser],
      ...['--metrics-address', '127.0.0.1', '--metrics-port', String(port)],
      ...['--replay-rate', playRate, '--csvlog-input', path],
    ],
    env: process.env,
    onLog: (line) => {
      const said = /event=time\.elapsed total=(\S+)/.exec(line)?.[1];
      if (said !== undefined) seconds = goDurationSeconds(said);
    },
  });
  let cpuUs = 0;
  const look = setInterval(() => {
    cpuUs = Math.max(cpuUs, wholeCpuUs(child.pid));
  }, lookEveryMs);
  const late = setTimeout(() => void child.kill9(), deadlineMs);
  const exit = await child.exited;
  clearInterval(look);
  clearTimeout(late);
  if (exit.code !== 0) throw new Error(`pgreplay ended with ${exit.code}:\n${exit.lastLogLines.join('\n')}`);
  const transactions = (await committed(mirror)) - before;
  return { transactions, perSecond: transactions / seconds, cpuUs: cpuUs / Math.max(1, transactions) };
}

const unitSeconds: Readonly<Record<string, number>> = { h: 3600, m: 60, s: 1, ms: 1e-3, µs: 1e-6, ns: 1e-9 };

/** `1m2.5s`, `512.3ms` as Go writes them. */
export function goDurationSeconds(text: string): number {
  let seconds = 0;
  for (const [, number, unit = ''] of text.matchAll(/([\d.]+)(h|ms|m|s|µs|ns)/g))
    seconds += Number(number) * (unitSeconds[unit] ?? Number.NaN);
  return seconds;
}

/** Of a session that ended its counts are known. */
async function committed(server: PostgresServer): Promise<number> {
  return withClient(server, async (client) => {
    const { rows } = await client.query<{ n: string }>(
      'SELECT xact_commit + xact_rollback AS n FROM pg_stat_database WHERE datname = current_database()',
    );
    return Number(rows[0]?.n);
  });
}

const execute = (server: PostgresServer, ...statements: readonly string[]): Promise<void> =>
  withClient(server, async (client) => {
    for (const statement of statements) await client.query(statement);
  });

async function withClient<T>({ url }: PostgresServer, work: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end();
  }
}
