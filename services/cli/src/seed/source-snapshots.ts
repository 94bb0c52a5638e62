// Takes snapshots of the source through the capture proxy: each is a transaction that stays open, and whose question is captured.
import { randomBytes } from 'node:crypto';
import type { SnapshotReading } from '@mirrorstream/replay';
import pg from 'pg';
import type { HostPort } from '../address.ts';
import { type SequenceValues, sequenceValuesSql } from './sequences.ts';

const apartMs = 60;
const connectTimeoutMs = 10_000;

export interface SourceSnapshot {
  /** Stands in the text of the question, and so in the captured exchange. */
  readonly name: string;
  /** For SET TRANSACTION SNAPSHOT, on any connection to the source, while this one is open. */
  readonly exported: string;
  readonly sequences: SequenceValues;
  readonly reading: SnapshotReading;
}

export interface SourceSnapshots {
  readonly seedId: string;
  readonly all: readonly SourceSnapshot[];
  /** An exchange behind all of them: when it has been read, all that was under way has been told. */
  readonly endName: string;
  /** Of the oldest transaction that was open before the first one, ms since the epoch. */
  readonly oldestMs: number;
  sendEnd(): Promise<void>;
  /** Lets go all but this one. */
  keep(name: string): Promise<void>;
  close(): Promise<void>;
}

const microseconds = (time: string): string => `(extract(epoch FROM ${time}) * 1000000)::bigint::text`;

/**
 * The snapshot is the transaction's, taken before any of this runs; then the expressions run in their order. Backends that the user
 * may not look at have no state.
 */
const takingSql = `SELECT pg_export_snapshot() AS exported,
  (SELECT coalesce(json_agg(json_build_array(pid, ${microseconds('xact_start')}, backend_xid IS NOT NULL, state, ${microseconds('state_change')})), '[]')
   FROM pg_stat_activity WHERE state IN ('active', 'idle', 'idle in transaction', 'idle in transaction (aborted)', 'fastpath function call')) AS backends,
  ${sequenceValuesSql} AS sequences, ${microseconds('statement_timestamp()')} AS asked, ${microseconds('clock_timestamp()')} AS told`;

interface Taken {
  readonly exported: string;
  readonly backends: readonly [
    pid: number,
    xactStart: string | null,
    hasXid: boolean,
    state: string,
    stateChange: string,
  ][];
  readonly sequences: SequenceValues;
  readonly asked: string;
  readonly told: string;
}

function readingOf({ backends, asked, told }: Taken): SnapshotReading {
  return {
    askedUs: Number(asked),
    toldUs: Number(told),
    backends: new Map(
      backends.map(([pid, xactStart, hasXid, state, stateChange]) => [
        pid,
        {
          xactStartUs: xactStart === null ? null : Number(xactStart),
          hasXid,
          idleSinceUs: state === 'idle' && xactStart === null ? Number(stateChange) : null,
        },
      ]),
    ),
  };
}

const markerText = (name: string): string => `/* mirrorstream seed ${name} */`;

/** The name of the marker that a request is; null for all others. */
export function markerIn(request: Uint8Array, seedId: string): string | null {
  const match = /\/\* mirrorstream seed (\S+) \*\//.exec(Buffer.from(request.subarray(0, 100)).toString('latin1'));
  const name = match?.[1] ?? null;
  return name?.startsWith(`${seedId}-`) ? name : null;
}

/** Throws what `pg` throws; its messages hold no password. */
export async function takeSnapshots(sourceUrl: string, proxy: HostPort, count: number): Promise<SourceSnapshots> {
  const seedId = randomBytes(6).toString('hex');
  const through = new URL(sourceUrl);
  through.hostname = proxy.host.includes(':') ? `[${proxy.host}]` : proxy.host;
  through.port = String(proxy.port);
  const clients: pg.Client[] = [];
  const connect = async (): Promise<pg.Client> => {
    const client = new pg.Client({
      connectionString: through.href,
      connectionTimeoutMillis: connectTimeoutMs,
      application_name: 'mirrorstream seed',
    });
    client.on('error', () => {}); // shows in the query that waits
    clients.push(client);
    await client.connect();
    return client;
  };
  const close = async (): Promise<void> => {
    await Promise.allSettled(clients.map((client) => client.end()));
  };
  try {
    const first = await connect();
    const oldest = await first.query<{ ms: string }>(
      "SELECT extract(epoch FROM coalesce(min(xact_start), now())) * 1000 AS ms FROM pg_stat_activity WHERE datname = current_database() AND backend_type = 'client backend'",
    );
    const taken = new Map<string, { readonly snapshot: SourceSnapshot; readonly client: pg.Client }>();
    for (let i = 0; i < count; i++) {
      const client = await connect();
      const name = `${seedId}-${i}`;
      await client.query('BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY');
      const { rows } = await client.query<Taken>(`${markerText(name)} ${takingSql}`);
      const [row] = rows;
      if (row === undefined) throw new Error('the server gave no snapshot');
      const { exported, sequences } = row;
      taken.set(name, { snapshot: { name, exported, sequences, reading: readingOf(row) }, client });
      await new Promise((resolve) => setTimeout(resolve, apartMs));
    }
    const endName = `${seedId}-end`;
    return {
      seedId,
      all: [...taken.values()].map(({ snapshot }) => snapshot),
      endName,
      oldestMs: Number(oldest.rows[0]?.ms),
      sendEnd: async () => void (await first.query(`${markerText(endName)} SELECT 1`)),
      keep: async (kept) => {
        const others = [...taken].filter(([name]) => name !== kept).map(([, { client }]) => client);
        await Promise.allSettled(others.map((client) => client.end()));
      },
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}
