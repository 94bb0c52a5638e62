// Load whose answers tell in which order transactions came: counters read back, lists appended to, unique keys raced for, and accounts
// under SERIALIZABLE. Each statement names the rows it is about in a comment, so that a test can tell who met whom.
import {
  execute,
  queryFrame,
  type SeededRandom,
  seededRandom,
  WireConnection,
  withClient,
} from '@mirrorstream/testkit';

export interface RacingLoadOptions {
  readonly url: string;
  readonly sessions: number;
  readonly transactions: number;
  /** Share of transactions that are SERIALIZABLE. */
  readonly serializable: number;
  /** Counters, and lists that are open at a time; of names and accounts there are four times as many. */
  readonly rows: number;
  readonly seed: number;
}

export async function createRacingTables(url: string, rows: number): Promise<void> {
  await execute(
    url,
    'CREATE TABLE counters (id int PRIMARY KEY, n int NOT NULL) WITH (fillfactor = 20)',
    `INSERT INTO counters SELECT i, 0 FROM generate_series(0, ${rows - 1}) i`,
    "CREATE TABLE lists (id int PRIMARY KEY, items text NOT NULL DEFAULT '')",
    'CREATE TABLE names (name text PRIMARY KEY, owner text NOT NULL)',
    'CREATE TABLE accounts (id int PRIMARY KEY, balance int NOT NULL) WITH (fillfactor = 20)',
    `INSERT INTO accounts SELECT i, 100 FROM generate_series(0, ${4 * rows - 1}) i`,
  );
}

/** What is left in the end: everything, and what remains of it when the order of what overlapped is open. */
export async function racingTables(url: string): Promise<{ readonly all: string; readonly determined: string }> {
  const read = (sql: string): Promise<string> =>
    withClient(url, async (client) => JSON.stringify((await client.query({ text: sql, rowMode: 'array' })).rows));
  const everything = ['counters', 'lists', 'names', 'accounts'].map((table) =>
    read(`SELECT * FROM ${table} ORDER BY 1`),
  );
  const determined = [
    read('SELECT * FROM counters ORDER BY 1'),
    read(
      "SELECT id, (SELECT string_agg(i, ',' ORDER BY i) FROM regexp_split_to_table(items, ',') i) FROM lists ORDER BY 1",
    ),
    read('SELECT name FROM names ORDER BY 1'),
  ];
  return { all: (await Promise.all(everything)).join('\n'), determined: (await Promise.all(determined)).join('\n') };
}

interface Progress {
  begun: number;
  failures: number;
}

/** Resolves with how many transactions were begun, and how many statements failed. */
export async function runRacingLoad(options: RacingLoadOptions): Promise<Progress> {
  const random = seededRandom(options.seed);
  const progress = { begun: 0, failures: 0 };
  const sessions = Array.from({ length: options.sessions }, (_, i) => runSession(i, options, random.fork(), progress));
  await Promise.all(sessions);
  return progress;
}

async function runSession(
  session: number,
  { url, transactions, serializable, rows }: RacingLoadOptions,
  random: SeededRandom,
  progress: Progress,
): Promise<void> {
  const connection = await WireConnection.connect(url);
  const send = async (sql: string): Promise<boolean> => {
    const { sqlState } = await connection.exchange(queryFrame(sql));
    if (sqlState === undefined) return true;
    progress.failures += 1;
    return false;
  };
  try {
    while (progress.begun < transactions) {
      progress.begun += 1;
      const at = progress.begun;
      if (random.integer(1, 1000) <= serializable * 1000) await serializableTurn(random, send, 4 * rows);
      else await readCommittedTurn(random, send, rows, `${session}.${at}`, Math.floor(at / (15 * rows)));
    }
  } finally {
    await connection.close();
  }
}

type Send = (sql: string) => Promise<boolean>;

/** Lists and names are left behind after an era: an order of appends that is different once shows until then. */
async function readCommittedTurn(
  random: SeededRandom,
  send: Send,
  rows: number,
  tag: string,
  era: number,
): Promise<void> {
  const counter = random.integer(0, rows - 1);
  const list = era * rows + random.integer(0, rows - 1);
  const name = `n${era}-${random.integer(1, 4 * rows)}`;
  const count = `UPDATE counters SET n = n + 1 WHERE id = ${counter} RETURNING n /* c${counter} */`;
  const append = `INSERT INTO lists VALUES (${list}, '${tag}') ON CONFLICT (id) DO UPDATE SET items = lists.items || ',' || excluded.items RETURNING items /* l${list} */`;
  const choice = random.integer(1, 100);
  if (choice <= 25) await send(count);
  else if (choice <= 45) await send(append);
  else if (choice <= 55) await send(`SELECT n FROM counters WHERE id = ${counter} /* c${counter} */`);
  else if (choice <= 65) await send(`SELECT items FROM lists WHERE id = ${list} /* l${list} */`);
  else if (choice <= 80) await send(`INSERT INTO names VALUES ('${name}', '${tag}') RETURNING owner /* ${name} */`);
  else {
    await send('BEGIN');
    await send(`SELECT n FROM counters WHERE id = ${counter} /* c${counter} */`);
    // Always in this order: no deadlocks.
    await send(count);
    await send(append);
    await send(choice <= 97 ? `COMMIT /* c${counter} l${list} */` : `ROLLBACK /* c${counter} l${list} */`);
  }
}

/** Moves money if there is enough on both: write skew that only SERIALIZABLE forbids. A failure ends the transaction, and is not repeated. */
async function serializableTurn(random: SeededRandom, send: Send, accounts: number): Promise<void> {
  const from = random.integer(0, accounts - 1);
  const to = (from + random.integer(1, accounts - 1)) % accounts;
  const named = `/* a${from} a${to} */`;
  await send('BEGIN ISOLATION LEVEL SERIALIZABLE');
  const went =
    (await send(`SELECT sum(balance) FROM accounts WHERE id IN (${from}, ${to}) ${named}`)) &&
    (await send(`UPDATE accounts SET balance = balance - 1 WHERE id = ${from} RETURNING balance /* a${from} */`));
  await send(went ? `COMMIT ${named}` : 'ROLLBACK');
}
