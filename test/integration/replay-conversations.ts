// The conversations of the replay matrix: the protocol's traps, and what capture has no say in but replay has.
import { B, type FrontendMessage } from '@mirrorstream/pg-wire';
import { waitFor, withClient } from '@mirrorstream/testkit';
import {
  bind,
  close,
  data,
  describe as describeMessage,
  done,
  execute,
  flush,
  parse,
  query,
  sync,
} from '../../libs/capture/src/conversation-script.fixture.ts';
import { extended, traps } from './capture-exact-conversations.ts';
import type { RecordedClient } from './capture-exact-scene.ts';
import type { MirrorName, Stage } from './replay-matrix-scene.ts';

type Explained = Readonly<Partial<Record<MirrorName, readonly string[]>>>;

export interface Kind {
  readonly name: string;
  readonly talk: (stage: Stage) => Promise<void>;
  /** What is no match on a mirror, and why that is known. */
  readonly explained?: Explained;
}

export const moreSchema: readonly string[] = [
  'CREATE TABLE big (a text)',
  'CREATE TABLE numbered (id serial PRIMARY KEY, v text)',
  'CREATE TABLE attachments (name text, lo oid)',
  'CREATE SCHEMA app',
  'CREATE TABLE app.kept (a int)',
  'DO $$ BEGIN CREATE ROLE limited; EXCEPTION WHEN duplicate_object THEN NULL; END $$',
];

/** OIDs of pg_proc, the same in every version: what libpq and the JDBC driver call for large objects. */
const lo = { creat: 957, open: 952, close: 953, write: 955, read: 954, unlink: 964 } as const;

const int4 = (value: number): Buffer => {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32BE(value);
  return bytes;
};

const call = (functionOid: number, ...values: (number | Buffer)[]): FrontendMessage => ({
  kind: 'functionCall',
  functionOid,
  argumentFormats: [1],
  arguments: values.map((value) => (typeof value === 'number' ? int4(value) : value)),
  resultFormat: 1,
});

/** Sends a FunctionCall; its result as an integer. */
async function called(client: RecordedClient, message: FrontendMessage): Promise<number> {
  const from = client.bytesOf('B').length;
  await client.send([message], { ready: 1 });
  return client.bytesOf('B').readInt32BE(from + 9);
}

const onBoth = (...lines: readonly string[]): Explained => ({
  'the same version': lines,
  'the next version': lines,
});

const own: readonly Kind[] = [
  {
    name: 'frames of megabytes in all directions',
    talk: async ({ client }) => {
      const big = 'y'.repeat(3_000_000);
      await client.query(`SELECT '${big}' <> ''`);
      await client.send([parse('p', 'SELECT length($1::text)'), bind('p', '', big), execute(), sync], { ready: 1 });
      await client.send([query('COPY big FROM STDIN')], { type: B.CopyInResponse });
      await client.send([data(`${big}\n`), done], { ready: 1 });
      await client.query('SELECT a, a FROM big', 'TRUNCATE big');
    },
  },
  {
    name: 'COPY IN over many parts, in either protocol, ended and failed, with statements beside it in its transaction',
    talk: async ({ client }) => {
      const lines = (from: number) =>
        Array.from({ length: 30 }, (_, i) => data(`${from + i}${'x'.repeat(100_000)}\n`)) as FrontendMessage[];
      await client.query('BEGIN', "INSERT INTO big VALUES ('first')");
      await client.send([query('COPY big FROM STDIN')], { type: B.CopyInResponse });
      for (let i = 0; i < 3; i++) await client.send(lines(i * 100));
      await client.send([done], { ready: 1 });
      await client.query("INSERT INTO big VALUES ('last')", 'COMMIT');
      await client.send([...extended('COPY big FROM STDIN'), flush], { type: B.CopyInResponse });
      await client.send(lines(1000));
      await client.send([done, sync], { ready: 1 });
      await client.send([query('COPY big FROM STDIN')], { type: B.CopyInResponse });
      await client.send(lines(2000));
      await client.send([{ kind: 'copyFail', reason: 'changed my mind' }], { ready: 1 });
      await client.query('SELECT count(*), sum(length(a)) FROM big');
    },
  },
  {
    name: 'COPY OUT, of megabytes too, as text and binary',
    talk: ({ client }) =>
      client.query(
        'COPY (SELECT repeat(md5(i::text), 9) FROM generate_series(1, 20000) i) TO STDOUT',
        'COPY (SELECT i, i::text FROM generate_series(1, 100) i) TO STDOUT (FORMAT binary)',
        'COPY (SELECT 1/0) TO STDOUT',
        'SELECT 1',
      ),
  },
  {
    name: 'a portal with a row limit goes on over Syncs, several of them side by side, in text and binary',
    talk: async ({ client }) => {
      await client.query('BEGIN');
      const series = 'SELECT i, md5(i::text) FROM generate_series(1, 50) i';
      await client.send([parse('s', series), bind('s', 'a'), execute('a', 7), sync], { ready: 1 });
      await client.send([bind('s', 'b'), describeMessage('P', 'b'), execute('b', 3), execute('a', 5), sync], {
        ready: 1,
      });
      await client.query('SELECT 1');
      await client.send([execute('b', 3), execute('a'), close('P', 'a'), sync, execute('b'), sync], { ready: 2 });
      await client.query('COMMIT');
    },
  },
  {
    name: 'savepoints, released and rolled back to, in simple and extended protocol',
    talk: async ({ client }) => {
      await client.query('BEGIN', 'SAVEPOINT a', 'INSERT INTO t VALUES (1)', 'INSERT INTO t VALUES (5000)');
      await client.query('ROLLBACK TO a', 'INSERT INTO t VALUES (2)', 'SAVEPOINT b');
      await client.send([...extended('INSERT INTO t VALUES (3)'), ...extended('SELECT 1/0'), sync], { ready: 1 });
      await client.send([...extended('ROLLBACK TO SAVEPOINT b'), sync], { ready: 1 });
      await client.query('RELEASE a', 'COMMIT', 'SELECT a FROM t ORDER BY a');
    },
  },
  {
    name: 'SET, SET LOCAL, RESET and DISCARD; role and search path; rolled back and committed',
    talk: async ({ client }) => {
      await client.query('SET search_path TO app, public', 'INSERT INTO kept VALUES (1)', 'BEGIN');
      await client.query("SET LOCAL DateStyle TO 'German'", "SELECT date '2024-03-01'", 'COMMIT');
      await client.query("SELECT date '2024-03-01'", 'BEGIN', "SET TimeZone TO 'Asia/Tokyo'", 'ROLLBACK');
      await client.query("SELECT timestamptz '2024-03-01 00:00+00'", "SET TimeZone TO 'Asia/Tokyo'");
      await client.query("SELECT timestamptz '2024-03-01 00:00+00'", 'SET ROLE limited', 'SELECT current_user');
      await client.query(
        'SELECT * FROM app.kept',
        'RESET ROLE',
        'RESET ALL',
        "SELECT timestamptz '2024-03-01 00:00+00'",
      );
      await client.query('SET extra_float_digits TO 0', 'SELECT 1::float8 / 3', 'DISCARD ALL', 'SELECT 1::float8 / 3');
    },
  },
  {
    name: 'start-up parameters and options are the mirror session’s, too',
    talk: async ({ another }) => {
      const client = await another({ TimeZone: 'Asia/Tokyo', options: '-c DateStyle=German -c search_path=app' });
      await client.query("SELECT timestamptz '2024-03-01 00:00+00', date '2024-03-01'", 'INSERT INTO kept VALUES (2)');
    },
  },
  {
    name: 'prepared statements of both kinds, used over and over, replaced and forgotten',
    talk: async ({ client }) => {
      await client.send([parse('s', 'SELECT $1::int + 1'), sync], { ready: 1 });
      for (const value of ['1', '2', 'x', '4'])
        await client.send([bind('s', '', value), execute(), sync], { ready: 1 });
      await client.query(
        'PREPARE p (int) AS INSERT INTO t VALUES ($1)',
        'EXECUTE p(10)',
        'EXECUTE p(2000)',
        'DEALLOCATE p',
      );
      await client.query('EXECUTE p(11)');
      await client.send([parse('s', 'SELECT 1'), sync], { ready: 1 });
    },
  },
  {
    name: 'temporary tables, kept over transactions and dropped at commit',
    talk: async ({ client }) => {
      await client.query('CREATE TEMP TABLE own (a int)', 'INSERT INTO own VALUES (1), (2)', 'SELECT * FROM own');
      await client.query('BEGIN', 'CREATE TEMP TABLE gone (a int) ON COMMIT DROP', 'INSERT INTO gone VALUES (1)');
      await client.query('COMMIT', 'SELECT * FROM gone', 'INSERT INTO t SELECT a FROM own', 'DISCARD TEMP');
      await client.query('SELECT * FROM own');
    },
  },
  {
    name: 'LISTEN and NOTIFY, from the session itself and another: messages at any time shift no answer',
    talk: async ({ client, another }) => {
      const other = await another();
      await client.query('LISTEN a', 'LISTEN b', "NOTIFY a, 'own'");
      for (let i = 0; i < 20; i++) {
        await other.query(`NOTIFY b, '${i}'`);
        await client.query(`SELECT ${i}`);
      }
      await client.query('BEGIN');
      await other.query("NOTIFY a, 'in a transaction'");
      await client.query('SELECT 1', 'COMMIT', 'UNLISTEN *', 'SELECT 2');
    },
  },
  {
    name: 'large objects by FunctionCall: made, written, read and removed, their OID kept in a table',
    talk: async ({ client }) => {
      await client.query('BEGIN');
      const oid = await called(client, call(lo.creat, 0x60000));
      const descriptor = await called(client, call(lo.open, oid, 0x60000));
      await client.send([call(lo.write, descriptor, Buffer.from('some bytes')), call(lo.close, descriptor)], {
        ready: 2,
      });
      await client.query(`INSERT INTO attachments VALUES ('kept', ${oid})`, 'COMMIT');
      await client.query('BEGIN', "SELECT lo_get(lo) FROM attachments WHERE name = 'kept'", 'COMMIT');
      const second = await called(client, call(lo.creat, 0x60000));
      await client.query('BEGIN');
      const again = await called(client, call(lo.open, oid, 0x40000));
      await client.send([call(lo.read, again, 100)], { ready: 1 });
      await client.query('COMMIT');
      await client.send([call(lo.unlink, second)], { ready: 1 });
      await client.send([call(lo.open, 1, 0x40000)], { ready: 1 });
    },
  },
  {
    name: 'two-phase commit, ended by another session and rolled back',
    talk: async ({ client, another }) => {
      const other = await another();
      await client.query('BEGIN', 'INSERT INTO t VALUES (20)', "PREPARE TRANSACTION 'm1'");
      await client.query('BEGIN', 'INSERT INTO t VALUES (21)', "PREPARE TRANSACTION 'm2'", "ROLLBACK PREPARED 'm2'");
      await client.query("COMMIT PREPARED 'm1'", "COMMIT PREPARED 'm1'");
      await other.query('SELECT count(*) FROM t WHERE a = 21');
    },
  },
  {
    name: 'errors of every phase: syntax, plan, bind, execution, constraint, limit',
    talk: async ({ client }) => {
      await client.query('SELEC', 'SELECT nothing', 'SELECT 1/0', 'INSERT INTO t VALUES (5000)', 'SELECT 1::text + 1');
      await client.send([...extended('SELECT $1::int'), sync], { ready: 1 });
      await client.send([parse('', 'SELECT $1::int'), bind('', '', 'x'), execute(), sync], { ready: 1 });
      await client.query(
        "SET statement_timeout TO '20ms'",
        'SELECT pg_sleep(10)',
        'RESET statement_timeout',
        'SELECT 1',
      );
    },
  },
  {
    name: 'an error larger than any buffer, and a notice',
    talk: ({ client }) =>
      client.query(
        "DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = '23505', MESSAGE = repeat('m', 300000); END $$",
        "DO $$ BEGIN RAISE NOTICE '%', repeat('m', 300000); END $$",
        'SELECT 1',
      ),
  },
  {
    name: 'a pipeline of many Syncs, some of which fail',
    talk: ({ client }) =>
      client.send(
        Array.from({ length: 200 }, (_, i) => [
          parse('', i % 50 === 7 ? 'SELECT 1/0' : 'SELECT $1::int'),
          bind('', '', ...(i % 50 === 7 ? [] : [String(i)])),
          execute(),
          sync,
        ]).flat(),
        { ready: 200 },
      ),
  },
  {
    name: 'advisory locks, of the session and of the transaction',
    talk: ({ client }) =>
      client.query(
        'SELECT pg_advisory_lock(1)',
        'SELECT pg_try_advisory_lock(1)',
        'SELECT pg_advisory_unlock(1)',
        'BEGIN',
        'SELECT pg_advisory_xact_lock(2)',
        'COMMIT',
        'SELECT pg_advisory_unlock_all()',
      ),
  },
  {
    name: 'sequences: nextval, currval, RETURNING',
    talk: ({ client }) =>
      client.query(
        "INSERT INTO numbered (v) VALUES ('a') RETURNING id",
        "SELECT currval('numbered_id_seq'), lastval()",
        'BEGIN',
        "INSERT INTO numbered (v) VALUES ('b'), ('c') RETURNING id",
        'ROLLBACK',
        "INSERT INTO numbered (v) VALUES ('d') RETURNING id",
      ),
  },
  {
    name: 'DDL in transactions, rolled back and committed',
    talk: ({ client }) =>
      client.query(
        'BEGIN; CREATE TABLE made (a int); INSERT INTO made VALUES (1); ROLLBACK',
        'SELECT * FROM made',
        'BEGIN; CREATE TABLE made (a int); CREATE INDEX ON made (a); COMMIT',
        'VACUUM made',
        'CREATE INDEX CONCURRENTLY made_b ON made (a)',
        'DROP TABLE made',
      ),
  },
  {
    name: 'EXPLAIN and SHOW answer for the server they are asked of',
    talk: ({ client }) => client.query('EXPLAIN (COSTS OFF) SELECT * FROM t', 'SHOW server_version', 'SELECT 1'),
    explained: { 'the next version': ['serverSpecific: SHOW server_version'] },
  },
  {
    name: 'a session that another ends in its transaction, and one that leaves in mid-COPY',
    talk: async ({ client, another, sourceUrl }) => {
      const victim = await another({ application_name: 'victim' });
      await victim.query('BEGIN', 'INSERT INTO t VALUES (30)');
      await withClient(sourceUrl, (admin) =>
        admin.query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'victim'"),
      );
      await victim.send([], { end: true });
      const leaver = await another();
      await leaver.send([query('COPY t FROM STDIN')], { type: B.CopyInResponse });
      await leaver.send([data('31\n')]);
      leaver.destroy();
      await client.query('SELECT count(*) FROM t WHERE a IN (30, 31)');
    },
    // Production's server answered to nobody that the connection was gone (08006).
    explained: onBoth('unanswered: COPY t FROM STDIN'),
  },
  {
    name: 'a statement that its client cancelled',
    talk: async ({ another, sourceUrl }) => {
      const slow = await another({ application_name: 'slow' });
      const asked = slow.query('BEGIN', 'SELECT pg_sleep(60)', 'ROLLBACK', 'SELECT 1');
      const sleeper = "SELECT FROM pg_stat_activity WHERE application_name = 'slow' AND wait_event = 'PgSleep'";
      await withClient(sourceUrl, (admin) =>
        waitFor(async () => (await admin.query(sleeper)).rowCount === 1, { what: 'the sleeper' }),
      );
      await slow.cancel();
      await asked;
    },
  },
];

/** What both servers skipped alike has no answer of its own to compare. */
const explainedTraps: Readonly<Record<string, Explained>> = {
  'after an error everything up to Sync is skipped, a Query too': onBoth(
    'skipped: SELECT 1',
    'skipped: SELECT 2',
    'skipped: SELECT 3',
  ),
};

export const kinds: readonly Kind[] = [
  ...traps.map(
    ({ name, talk }): Kind => ({
      name,
      talk: ({ client }) => talk(client),
      explained: explainedTraps[name] ?? {},
    }),
  ),
  ...own,
];
