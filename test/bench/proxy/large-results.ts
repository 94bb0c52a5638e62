// Loads of one large transaction after another: a SELECT, a COPY out, a COPY in.
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { createWriteStream } from 'node:fs';
import { promisify } from 'node:util';
import { execute, queryFrame, WireConnection } from '@mirrorstream/testkit';
import type { LoadResult } from './pgbench.ts';
import { isLarge, type Load } from './plan.ts';

const run = promisify(execFile);

/** Rows of 1 kB, as wide as rows of a business are; nothing of them is compressed or out of line. */
const rowBytes = 1_000;
export const rowsOf = (megabytes: number): number => (megabytes * 1_000_000) / rowBytes;
const rowText = 'mirrorstream'.repeat(rowBytes).slice(0, rowBytes - 1);

export const urlOf = (port: number): string => `postgres://postgres@127.0.0.1:${port}/postgres`;

/** The table that is read, and the one that is written. */
export async function createLargeTables(port: number, megabytes: number): Promise<void> {
  await execute(
    urlOf(port),
    'CREATE TABLE bench_large (payload text)',
    `INSERT INTO bench_large SELECT repeat('x', ${rowBytes - 1}) FROM generate_series(1, ${rowsOf(megabytes)})`,
    'CREATE UNLOGGED TABLE bench_sink (payload text)',
    'VACUUM (FREEZE, ANALYZE) bench_large',
  );
}

/** What COPY in reads. */
export async function writeCopyFile(file: string, megabytes: number): Promise<void> {
  const stream = createWriteStream(file);
  const block = Buffer.from(`${rowText}\n`.repeat(1_000));
  for (let rows = 0; rows < rowsOf(megabytes); rows += 1_000) {
    if (!stream.write(block)) await once(stream, 'drain');
  }
  stream.end();
  await once(stream, 'finish');
}

export interface LargeOptions {
  readonly port: number;
  readonly sourcePort: number;
  readonly load: Load;
  readonly megabytes: number;
  readonly copyFile: string;
}

/** Throws when it fails or the wrong number of rows arrives. */
export async function runLarge(options: LargeOptions): Promise<LoadResult> {
  const { workload } = options.load;
  if (!isLarge(workload)) throw new Error(`${workload} moves no large result`);
  const ms = workload === 'copy-in' ? await copyIn(options) : await read(options, statementOf[workload]);
  return { units: options.megabytes, perSecond: options.megabytes / (ms / 1000), latency: null };
}

const statementOf = { 'select-large': 'TABLE bench_large', 'copy-out': 'COPY bench_large TO STDOUT' } as const;

async function read({ port, megabytes }: LargeOptions, sql: string): Promise<number> {
  const connection = await WireConnection.connect(urlOf(port));
  try {
    const startedMs = performance.now();
    const { sqlState, rows } = await connection.exchange(queryFrame(sql));
    const ms = performance.now() - startedMs;
    if (sqlState !== undefined) throw new Error(`${sql} failed: ${sqlState}`);
    if (sql.startsWith('TABLE') && rows !== rowsOf(megabytes)) throw new Error(`${sql}: ${rows} rows arrived`);
    return ms;
  } finally {
    await connection.close();
  }
}

/** By psql, which waits for the server's leave before it sends, as drivers do; its start is part of the time. */
async function copyIn({ port, sourcePort, copyFile }: LargeOptions): Promise<number> {
  const startedMs = performance.now();
  await run('psql', [
    '-X',
    '-q',
    '-v',
    'ON_ERROR_STOP=1',
    '-d',
    urlOf(port),
    '-c',
    `\\copy bench_sink from '${copyFile}'`,
  ]);
  const ms = performance.now() - startedMs;
  // Straight to the server: emptying it is no part of anybody's load.
  await execute(urlOf(sourcePort), 'TRUNCATE bench_sink');
  return ms;
}
