// Copies tables from one snapshot, several at once, without firing the mirror's triggers or checking its foreign keys.
import { MirrorstreamError } from '@mirrorstream/domain';
import pg from 'pg';
import { relayCopy } from './relay-copy.ts';
import type { Table } from './tables.ts';

const connectTimeoutMs = 10_000;

export interface CopyProgress {
  tables: number;
  bytes: number;
}

export interface CopyJob {
  readonly sourceUrl: string;
  readonly targetUrl: string;
  /** Exported by a transaction that is still open. */
  readonly snapshot: string;
  readonly jobs: number;
}

export async function connectTo(url: string, what: 'source' | 'mirror'): Promise<pg.Client> {
  const client = new pg.Client({
    connectionString: url,
    connectionTimeoutMillis: connectTimeoutMs,
    application_name: 'mirrorstream seed',
  });
  client.on('error', () => {}); // shows in the query that waits
  try {
    await client.connect();
  } catch (cause) {
    throw new MirrorstreamError('targetUnreachable', `cannot connect to the ${what}: ${(cause as Error).message}`, {
      stage: 'seed',
      hint: `Check the address, the user and the password of the ${what}, and pg_hba.conf.`,
      cause,
    });
  }
  return client;
}

/** Throws `badInput` naming the table that could not be copied. */
export async function copyTables(
  { sourceUrl, targetUrl, snapshot, jobs }: CopyJob,
  tables: readonly Table[],
  onProgress: (progress: CopyProgress) => void,
): Promise<CopyProgress> {
  const progress: CopyProgress = { tables: 0, bytes: 0 };
  const waiting = [...tables];
  const work = async (): Promise<void> => {
    const source = await connectTo(sourceUrl, 'source');
    const target = await connectTo(targetUrl, 'mirror').catch(async (error: unknown) => {
      await source.end();
      throw error;
    });
    try {
      await source.query('BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY');
      await source.query(`SET TRANSACTION SNAPSHOT '${snapshot.replaceAll("'", '')}'`);
      await source.query('SET LOCAL statement_timeout = 0');
      await target.query('SET session_replication_role = replica');
      await target.query('SET statement_timeout = 0');
      for (let table = waiting.shift(); table !== undefined; table = waiting.shift()) {
        await copyTable(source, target, table, (count) => {
          progress.bytes += count;
          onProgress(progress);
        });
        progress.tables += 1;
        onProgress(progress);
      }
    } catch (error) {
      waiting.length = 0; // nobody else begins another one
      throw error;
    } finally {
      await Promise.allSettled([source.end(), target.end()]);
    }
  };
  const workers = await Promise.allSettled(Array.from({ length: Math.min(jobs, Math.max(1, tables.length)) }, work));
  const failed = workers.find((one) => one.status === 'rejected');
  if (failed !== undefined) throw failed.reason;
  return progress;
}

async function copyTable(
  source: pg.Client,
  target: pg.Client,
  { name, columns }: Table,
  onBytes: (count: number) => void,
): Promise<void> {
  const list = columns.length === 0 ? '' : ` (${columns.join(', ')})`;
  try {
    await relayCopy(
      { client: source, sql: `COPY ${name}${list} TO STDOUT` },
      { client: target, sql: `COPY ${name}${list} FROM STDIN` },
      onBytes,
    );
  } catch (cause) {
    throw new MirrorstreamError('badInput', `table ${name} could not be copied: ${(cause as Error).message}`, {
      stage: 'seed',
      hint: 'The mirror’s tables are half filled now: mend the cause and seed again with --truncate.',
      cause,
    });
  }
}
