// What a client of the soak does in one turn: the traffic of an application, its mistakes and its bad manners.
import {
  executeFrames,
  parseAndSyncFrames,
  queryFrame,
  type SeededRandom,
  type WireConnection,
} from '@mirrorstream/testkit';

export interface TurnScene {
  readonly connection: WireConnection;
  readonly random: SeededRandom;
  /** Sends, waits for as many ReadyForQuery, and counts what came back. */
  send(frames: Buffer, readies?: number): Promise<void>;
  wait(ms: number): Promise<void>;
}

export interface Turn {
  readonly name: string;
  /** How often, relative to the others. */
  readonly weight: number;
  play(scene: TurnScene): Promise<void>;
}

/** SQLSTATEs that the turns provoke. Anything else is a finding. */
export const provokedErrors: ReadonlySet<string> = new Set(['22012', '22P02', '57014']);

const accounts = 10_000;
const selectSql = 'SELECT abalance FROM pgbench_accounts WHERE aid = $1';
const query = (...statements: readonly string[]): Buffer => Buffer.concat(statements.map(queryFrame));

/** What every connection prepares at its start. */
export const preparation: readonly Buffer[] = [
  parseAndSyncFrames('account', 'UPDATE pgbench_accounts SET abalance = abalance + $1 WHERE aid = $2'),
  parseAndSyncFrames('select', selectSql),
];

export const turns: readonly Turn[] = [
  { name: 'tpcb', weight: 30, play: ({ random, send }) => tpcb(random, send) },
  {
    name: 'select',
    weight: 40,
    play: ({ random, send }) => send(executeFrames('select', [random.integer(1, accounts)])),
  },
  {
    name: 'pipeline',
    weight: 10,
    play: ({ random, send }) => {
      const frames = Array.from({ length: 10 }, () => executeFrames('select', [random.integer(1, accounts)]));
      return send(Buffer.concat(frames), 10);
    },
  },
  {
    name: 'error',
    weight: 4,
    play: ({ send }) => send(query('SELECT 1', 'SELECT 1 / 0', 'SELECT 2; SELECT 1 / 0; SELECT 3'), 3),
  },
  {
    name: 'savepoint',
    weight: 3,
    play: async ({ send }) => {
      for (const sql of ['BEGIN', 'SAVEPOINT s', 'SELECT 1 / 0', 'ROLLBACK TO s', 'SELECT 1', 'COMMIT'])
        await send(query(sql));
    },
  },
  {
    name: 'big result',
    weight: 2,
    play: ({ random, send }) =>
      send(query(`SELECT i, repeat('result ', 20) FROM generate_series(1, ${random.integer(500, 6_000)}) i`)),
  },
  { name: 'wide row', weight: 0.3, play: ({ send }) => send(query("SELECT repeat('wide', 500000)")) },
  { name: 'copy in', weight: 2, play: ({ random, send }) => copyIn(random, send, '') },
  { name: 'failing copy', weight: 1, play: ({ random, send }) => copyIn(random, send, 'not a number\tx\n') },
  {
    name: 'copy out',
    weight: 1,
    play: ({ send }) => send(query('COPY (SELECT * FROM pgbench_accounts LIMIT 3000) TO STDOUT')),
  },
  {
    name: 'idle in transaction',
    weight: 0.3,
    play: async ({ random, send, wait }) => {
      await send(query('BEGIN'));
      await send(executeFrames('select', [random.integer(1, accounts)]));
      await wait(random.integer(10, 1_500));
      await send(query('COMMIT'));
    },
  },
  { name: 'cancel', weight: 0.3, play: cancelled },
  {
    name: 'slow reader',
    weight: 0.2,
    play: async ({ connection, random, send, wait }) => {
      const answered = send(query("SELECT repeat('slow', 1000) FROM generate_series(1, 2000)"));
      answered.catch(() => {}); // it may end before anybody waits for it
      connection.pause();
      await wait(random.integer(200, 2_000));
      connection.resume();
      await answered;
    },
  },
];

async function tpcb(random: SeededRandom, send: TurnScene['send']): Promise<void> {
  const [aid, tid, bid] = [random.integer(1, accounts), random.integer(1, 10), 1];
  const delta = random.integer(-5000, 5000);
  await send(query('BEGIN'));
  await send(executeFrames('account', [delta, aid]));
  await send(executeFrames('select', [aid]));
  await send(query(`UPDATE pgbench_tellers SET tbalance = tbalance + ${delta} WHERE tid = ${tid}`));
  await send(query(`UPDATE pgbench_branches SET bbalance = bbalance + ${delta} WHERE bid = ${bid}`));
  await send(query(`INSERT INTO pgbench_history (tid, bid, aid, delta) VALUES (${tid}, ${bid}, ${aid}, ${delta})`));
  await send(query('COMMIT'));
}

/** CopyData = 'd', Int32 length, bytes; CopyDone = 'c', Int32 4. Sent without waiting for the server to ask. */
async function copyIn(random: SeededRandom, send: TurnScene['send'], last: string): Promise<void> {
  await send(query('CREATE TEMP TABLE IF NOT EXISTS copied (i int, t text)'));
  const lines = Array.from({ length: random.integer(10, 300) }, (_, i) => `${i}\tcopied in, line by line\n`);
  const data = [...lines, last].map((line) => {
    const head = Buffer.from('d\0\0\0\0', 'latin1');
    head.writeInt32BE(4 + line.length, 1);
    return Buffer.concat([head, Buffer.from(line)]);
  });
  await send(Buffer.concat([queryFrame('COPY copied FROM STDIN'), ...data, Buffer.from('c\0\0\0\x04', 'latin1')]));
}

/** The cancel may come when the query has only just begun, or be for the next one: the server decides. */
async function cancelled({ connection, random, send, wait }: TurnScene): Promise<void> {
  const slept = send(query('SELECT pg_sleep(20)'));
  slept.catch(() => {});
  await wait(random.integer(50, 300));
  const [, answer] = await Promise.allSettled([connection.cancel(), slept]);
  if (answer.status === 'rejected') throw answer.reason;
}
