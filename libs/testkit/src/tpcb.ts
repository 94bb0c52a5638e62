// Load in the shape of pgbench: its tables, its transaction, its three protocols, with a seed, so that a run can be repeated.
//
// All updates add a number, so that the final sums do not depend on the order of transactions: a mirror that got all of them has the
// source's sums, whatever the concurrency was.
import { MirrorstreamError } from '@mirrorstream/domain';
import { execute, withClient } from './databases.ts';
import { LatencyHistogram, type LatencySummary } from './latency-histogram.ts';
import { type SeededRandom, seededRandom } from './seeded-random.ts';
import {
  executeFrames,
  extendedQueryFrames,
  parseAndSyncFrames,
  queryFrame,
  WireConnection,
} from './wire-connection.ts';

export type TpcbProtocol = 'simple' | 'extended' | 'prepared';

export interface TpcbOptions {
  /** One or several: client i connects to the i-th, round and round. */
  readonly url: string | readonly string[];
  readonly scale?: number;
  readonly protocol?: TpcbProtocol;
  readonly clients?: number;
  /** Per client. Give this or `durationMs`. */
  readonly transactions?: number;
  readonly durationMs?: number;
  readonly seed?: number;
  /** Only the SELECT, without a transaction around it. */
  readonly onlySelect?: boolean;
  /** Leave the connections open for so many transactions only, then connect anew; 0: never. */
  readonly reconnectEvery?: number;
}

export interface TpcbResult {
  readonly transactions: number;
  /** Round trips. */
  readonly exchanges: number;
  /** SQLSTATE → how often; the transaction was rolled back. */
  readonly errors: Readonly<Record<string, number>>;
  readonly elapsedMs: number;
  readonly transactionsPerSecond: number;
  readonly latency: LatencySummary;
}

export interface TpcbSums {
  readonly accounts: string;
  readonly tellers: string;
  readonly branches: string;
  readonly history: string;
  readonly historyRows: number;
}

const accountsPerBranch = 10_000;
const tellersPerBranch = 10;

/** Makes and fills the tables: pgbench's, with a tenth of its accounts. */
export async function createTpcbTables(url: string, scale = 1): Promise<void> {
  const filler = (length: number): string => `filler char(${length}) NOT NULL DEFAULT ''`;
  await execute(
    url,
    'DROP TABLE IF EXISTS pgbench_history, pgbench_accounts, pgbench_tellers, pgbench_branches',
    `CREATE TABLE pgbench_branches (bid int PRIMARY KEY, bbalance int NOT NULL, ${filler(88)})`,
    `CREATE TABLE pgbench_tellers (tid int PRIMARY KEY, bid int NOT NULL, tbalance int NOT NULL, ${filler(84)})`,
    `CREATE TABLE pgbench_accounts (aid int PRIMARY KEY, bid int NOT NULL, abalance int NOT NULL, ${filler(84)})`,
    'CREATE TABLE pgbench_history (tid int, bid int, aid int, delta int, mtime timestamp, filler char(22))',
    `INSERT INTO pgbench_branches SELECT i, 0 FROM generate_series(1, ${scale}) i`,
    `INSERT INTO pgbench_tellers SELECT i, (i - 1) / ${tellersPerBranch} + 1, 0 FROM generate_series(1, ${scale * tellersPerBranch}) i`,
    `INSERT INTO pgbench_accounts SELECT i, (i - 1) / ${accountsPerBranch} + 1, 0 FROM generate_series(1, ${scale * accountsPerBranch}) i`,
    'VACUUM ANALYZE pgbench_branches, pgbench_tellers, pgbench_accounts',
  );
}

/** What all transactions came to: equal on two databases that ran the same ones. */
export async function tpcbSums(url: string): Promise<TpcbSums> {
  const { rows } = await withClient(url, (client) =>
    client.query<TpcbSums>(
      `SELECT (SELECT sum(abalance)::text FROM pgbench_accounts) AS accounts, (SELECT sum(tbalance)::text FROM pgbench_tellers) AS tellers,
              (SELECT sum(bbalance)::text FROM pgbench_branches) AS branches,
              (SELECT coalesce(sum(delta), 0)::text FROM pgbench_history) AS history, (SELECT count(*)::int FROM pgbench_history) AS "historyRows"`,
    ),
  );
  return rows[0] as TpcbSums;
}

/** Runs the load and resolves when every client is done. A connection that is lost rejects it. */
export async function runTpcb(options: TpcbOptions): Promise<TpcbResult> {
  const { clients = 1, seed = 1, durationMs, transactions } = options;
  if ((durationMs === undefined) === (transactions === undefined)) {
    throw new MirrorstreamError('badInput', 'give either transactions or durationMs', { stage: 'load' });
  }
  const urls = typeof options.url === 'string' ? [options.url] : options.url;
  const random = seededRandom(seed);
  const tally: Tally = { transactions: 0, exchanges: 0, errors: {}, latency: new LatencyHistogram() };
  const startedAtMs = performance.now();
  const endsAtMs = durationMs === undefined ? Number.POSITIVE_INFINITY : startedAtMs + durationMs;
  await Promise.all(
    Array.from({ length: clients }, (_, i) =>
      runClient(urls[i % urls.length] ?? '', options, random.fork(), endsAtMs, tally),
    ),
  );
  const elapsedMs = performance.now() - startedAtMs;
  return {
    transactions: tally.transactions,
    exchanges: tally.exchanges,
    errors: tally.errors,
    elapsedMs,
    transactionsPerSecond: (tally.transactions * 1000) / elapsedMs,
    latency: tally.latency.summary(),
  };
}

interface Tally {
  transactions: number;
  exchanges: number;
  readonly errors: Record<string, number>;
  readonly latency: LatencyHistogram;
}

async function runClient(
  url: string,
  options: TpcbOptions,
  random: SeededRandom,
  endsAtMs: number,
  tally: Tally,
): Promise<void> {
  const { scale = 1, protocol = 'simple', transactions = Number.POSITIVE_INFINITY, onlySelect = false } = options;
  const { reconnectEvery = 0 } = options;
  let connection = await open(url, protocol, onlySelect);
  try {
    for (let done = 0; done < transactions && performance.now() < endsAtMs; done++) {
      if (reconnectEvery > 0 && done > 0 && done % reconnectEvery === 0) {
        await connection.close();
        connection = await open(url, protocol, onlySelect);
      }
      const startedAtMs = performance.now();
      const exchanges = onlySelect ? [selectExchange(random, scale)] : transactionExchanges(random, scale);
      await runTransaction(connection, protocol, exchanges, tally);
      tally.latency.record((performance.now() - startedAtMs) * 1000);
    }
  } finally {
    await connection.close().catch(() => {});
  }
}

async function runTransaction(
  connection: WireConnection,
  protocol: TpcbProtocol,
  exchanges: readonly Exchange[],
  tally: Tally,
): Promise<void> {
  let failed: string | undefined;
  for (const exchange of exchanges) {
    const { sqlState } = await connection.exchange(encode(exchange, protocol));
    tally.exchanges++;
    failed ??= sqlState;
  }
  // After an error the closing COMMIT is answered with ROLLBACK and the connection is fit for the next.
  if (failed === undefined) tally.transactions++;
  else tally.errors[failed] = (tally.errors[failed] ?? 0) + 1;
}

const statements = {
  begin: 'BEGIN',
  account: 'UPDATE pgbench_accounts SET abalance = abalance + $1 WHERE aid = $2',
  select: 'SELECT abalance FROM pgbench_accounts WHERE aid = $1',
  teller: 'UPDATE pgbench_tellers SET tbalance = tbalance + $1 WHERE tid = $2',
  branch: 'UPDATE pgbench_branches SET bbalance = bbalance + $1 WHERE bid = $2',
  history: 'INSERT INTO pgbench_history (tid, bid, aid, delta, mtime) VALUES ($1, $2, $3, $4, CURRENT_TIMESTAMP)',
  commit: 'END',
} as const;
type StatementName = keyof typeof statements;

interface Exchange {
  readonly statement: StatementName;
  readonly parameters: readonly number[];
}

function transactionExchanges(random: SeededRandom, scale: number): Exchange[] {
  const aid = random.integer(1, accountsPerBranch * scale);
  const tid = random.integer(1, tellersPerBranch * scale);
  const bid = random.integer(1, scale);
  const delta = random.integer(-5000, 5000);
  return [
    { statement: 'begin', parameters: [] },
    { statement: 'account', parameters: [delta, aid] },
    { statement: 'select', parameters: [aid] },
    { statement: 'teller', parameters: [delta, tid] },
    { statement: 'branch', parameters: [delta, bid] },
    { statement: 'history', parameters: [tid, bid, aid, delta] },
    { statement: 'commit', parameters: [] },
  ];
}

function selectExchange(random: SeededRandom, scale: number): Exchange {
  return { statement: 'select', parameters: [random.integer(1, accountsPerBranch * scale)] };
}

function encode({ statement, parameters }: Exchange, protocol: TpcbProtocol): Buffer {
  const sql = statements[statement];
  switch (protocol) {
    case 'simple':
      return queryFrame(sql.replaceAll(/\$(\d)/g, (_, n: string) => String(parameters[Number(n) - 1])));
    case 'extended':
      return extendedQueryFrames(sql, parameters);
    case 'prepared':
      return executeFrames(statement, parameters);
    default:
      return protocol satisfies never;
  }
}

async function open(url: string, protocol: TpcbProtocol, onlySelect: boolean): Promise<WireConnection> {
  const connection = await WireConnection.connect(url);
  if (protocol !== 'prepared') return connection;
  for (const [name, sql] of Object.entries(statements)) {
    if (onlySelect && name !== 'select') continue;
    const { sqlState } = await connection.exchange(parseAndSyncFrames(name, sql));
    if (sqlState === undefined) continue;
    throw new MirrorstreamError('targetRefused', `cannot prepare ${name}: ${sqlState}`, { stage: 'load' });
  }
  return connection;
}
