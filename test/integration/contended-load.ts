// Load that fights over a few rows: each update adds one to its row's version and answers with it, so that the server itself says
// in which order the transactions of a row were committed.
import {
  execute,
  executeFrames,
  parseAndSyncFrames,
  queryFrame,
  type SeededRandom,
  seededRandom,
  WireConnection,
  withClient,
} from '@mirrorstream/testkit';

export interface ContendedLoadOptions {
  /** Session i connects to the i-th, round and round. */
  readonly urls: readonly string[];
  readonly sessions: number;
  readonly rows: number;
  /** It ends when so many have been committed. */
  readonly transactions: number;
  readonly seed: number;
}

const updateSql = 'UPDATE hot SET version = version + 1 WHERE id = $1 RETURNING id, version, pg_current_xact_id()';
const update = (row: number): string => updateSql.replace('$1', String(row));
const queries = (...statements: readonly string[]): Buffer => Buffer.concat(statements.map(queryFrame));

export async function createHotRows(url: string, rows: number): Promise<void> {
  await execute(
    url,
    'CREATE TABLE hot (id int PRIMARY KEY, version bigint NOT NULL) WITH (fillfactor = 10, autovacuum_enabled = off)',
    `INSERT INTO hot SELECT i, 0 FROM generate_series(1, ${rows}) i`,
  );
}

/** Row → its version at the end: so many transactions updated it. */
export async function hotVersions(url: string): Promise<ReadonlyMap<number, number>> {
  const { rows } = await withClient(url, (client) =>
    client.query<{ id: number; version: number }>('SELECT id, version::int FROM hot'),
  );
  return new Map(rows.map(({ id, version }) => [id, version]));
}

/** Resolves with the number of committed transactions. */
export async function runContendedLoad(options: ContendedLoadOptions): Promise<number> {
  const random = seededRandom(options.seed);
  const state = { committed: 0 };
  await Promise.all(
    Array.from({ length: options.sessions }, (_, i) => {
      const url = options.urls[i % options.urls.length] as string;
      return runSession(url, options, random.fork(), state);
    }),
  );
  return state.committed;
}

async function runSession(
  url: string,
  { rows, transactions }: ContendedLoadOptions,
  random: SeededRandom,
  state: { committed: number },
): Promise<void> {
  const connection = await WireConnection.connect(url);
  const send = async (frames: Buffer, pipelined: number, commits: number): Promise<void> => {
    const { sqlState } = await connection.exchange(frames, pipelined);
    if (sqlState !== undefined) throw new Error(`the contended load got error ${sqlState}`);
    state.committed += commits;
  };
  try {
    await send(parseAndSyncFrames('bump', updateSql), 1, 0);
    while (state.committed < transactions) await oneTurn(random, rows, send);
  } finally {
    await connection.close();
  }
}

/** One of the ways in which clients send transactions. Rows are locked in ascending order: no deadlocks. */
async function oneTurn(
  random: SeededRandom,
  rows: number,
  send: (frames: Buffer, pipelined: number, commits: number) => Promise<void>,
): Promise<void> {
  const row = random.integer(1, rows);
  const [low, high] = [random.integer(1, rows - 1), rows];
  const choice = random.integer(1, 100);
  if (choice <= 20) await send(queryFrame(update(row)), 1, 1);
  else if (choice <= 40) await send(executeFrames('bump', [row]), 1, 1);
  else if (choice <= 75) await send(queries(...manyUpdates(random, rows, 6)), 6, 6);
  else if (choice <= 85) await send(Buffer.concat([1, 2, 3].map(() => executeFrames('bump', [row]))), 3, 3);
  else if (choice <= 90) await send(queryFrame(`BEGIN; ${update(low)}; ${update(high)}; COMMIT`), 1, 1);
  else if (choice <= 95) await send(queries('BEGIN', update(row), 'COMMIT'), 3, 1);
  else {
    const commits = choice <= 98;
    await send(queryFrame('BEGIN'), 1, 0);
    await send(queryFrame(update(low)), 1, 0);
    await send(executeFrames('bump', [high]), 1, 0);
    await send(queryFrame(commits ? 'COMMIT' : 'ROLLBACK'), 1, commits ? 1 : 0);
  }
}

const manyUpdates = (random: SeededRandom, rows: number, count: number): string[] =>
  Array.from({ length: count }, () => update(random.integer(1, rows)));
