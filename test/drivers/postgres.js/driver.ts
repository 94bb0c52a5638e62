// postgres.js through every case it has: `driver.ts URL TLS_URL CA_FILE CASE…` prints one JSON line per case.
//
// One connection per case (`max: 1`) where the driver would open a pool. There is no encoder for binary COPY.
import { readFileSync } from 'node:fs';
import { Readable } from 'node:stream';
import { buffer, text } from 'node:stream/consumers';
import { pipeline as pipe } from 'node:stream/promises';
import { setImmediate } from 'node:timers/promises';
import { isDeepStrictEqual } from 'node:util';
import postgres, { type Sql } from 'postgres';

type Outcome = Readonly<Record<string, unknown>>;
type Options = postgres.Options<Record<string, postgres.PostgresType>>;

const [url = '', tlsUrl = '', caFile = '', ...names] = process.argv.slice(2);

/** Runs `work` on a connection and closes it. */
async function withSql<T>(name: string, options: Options, work: (sql: Sql) => Promise<T>, to = url): Promise<T> {
  const connection = { application_name: `postgres.js/${name}` };
  const sql = postgres(to, { max: 1, connection, onnotice: () => {}, ...options });
  try {
    return await work(sql);
  } finally {
    await sql.end();
  }
}

/** The first column of every row. */
const texts = async (rows: Promise<Iterable<unknown>>): Promise<unknown[]> =>
  [...(await rows)].map((row) => (row as readonly unknown[])[0]);

const sqlState = (work: Promise<unknown>): Promise<string> =>
  work.then(
    () => 'no error',
    (error: { code?: string; message: string }) => error.code ?? error.message,
  );

const cases: Readonly<Record<string, (name: string) => Promise<Outcome>>> = {
  connect: (name) =>
    withSql(name, {}, async (sql) => {
      const [row] = await sql`SELECT current_user::text AS user, 1::text AS one`;
      const wrong = withSql(name, { password: 'not the password' }, (other) => other`SELECT 1`);
      return { ...row, wrongPassword: await sqlState(wrong) };
    }),

  tls: (name) =>
    withSql(
      name,
      { ssl: { ca: readFileSync(caFile) } },
      async (sql) => {
        const [row] = await sql`SELECT version FROM pg_stat_ssl WHERE pid = pg_backend_pid()`;
        return { version: row?.['version'] };
      },
      tlsUrl,
    ),

  prepared: (name) =>
    withSql(name, {}, async (sql) => {
      const rows: string[] = [];
      for (let i = 1; i <= 3; i++) rows.push(String((await sql`SELECT ${i}::int + 1 AS next`)[0]?.['next']));
      return { rows };
    }),

  // What is asked at once is pipelined.
  pipeline: (name) =>
    withSql(name, {}, async (sql) => {
      await Promise.all(Array.from({ length: 20 }, (_, i) => sql`INSERT INTO pipelined VALUES (${i})`));
      const [row] = await sql`SELECT count(*)::text, sum(i)::text FROM pipelined`;
      return { ...row };
    }),

  pipelineError: (name) =>
    withSql(name, {}, async (sql) => {
      const inserts = [1, 1, 2].map((i) => sql`INSERT INTO pipeline_failed VALUES (${i})`);
      const states = await Promise.all(inserts.map(sqlState));
      const survivors = await texts(sql`SELECT i::text FROM pipeline_failed ORDER BY i`.values());
      return { sqlState: states.find((state) => state !== 'no error'), survivors };
    }),

  copy: (name) =>
    withSql(name, {}, async (sql) => {
      const incoming = await sql`COPY copied FROM STDIN`.writable();
      await pipe(Readable.from(['1\teins\n2\tzwei\\tTab ✓\n3\t\\N\n']), incoming);
      const out = await text(await sql`COPY (SELECT * FROM copied ORDER BY i) TO STDOUT`.readable());
      // The stream of a COPY that the server refuses never finishes, and never says so; the session goes on.
      const refused = await sql`COPY copied FROM STDIN`.writable();
      await new Promise((written) => refused.write('four\tvier\n', written));
      refused.end();
      await setImmediate();
      const [after] = await sql`SELECT count(*)::text FROM copied`;
      return { out, failed: after?.['count'] === '3' ? 'untold' : 'no error' };
    }),

  transaction: (name) =>
    withSql(name, {}, async (sql) => {
      let inside = '';
      await sql.begin(async (transaction) => {
        await transaction`INSERT INTO accounts VALUES (1)`;
        inside = await sqlState(transaction.savepoint((savepoint) => savepoint`INSERT INTO accounts VALUES (1)`));
        await transaction`INSERT INTO accounts VALUES (2)`;
      });
      const undone = sql.begin(async (transaction) => {
        await transaction`INSERT INTO accounts VALUES (3)`;
        throw new Error('undone'); // rolls back
      });
      await undone.catch(() => {});
      return { inside, rows: await texts(sql`SELECT i::text FROM accounts ORDER BY i`.values()) };
    }),

  error: (name) =>
    withSql(name, {}, async (sql) => ({
      unique: await sqlState(sql`INSERT INTO taken VALUES (${1})`),
      syntax: await sqlState(sql`SELEC ${1}`),
      after: await texts(sql`SELECT '1'`.values()),
    })),

  cancel: (name) => {
    let wake = (): void => {};
    return withSql(name, { onnotice: () => wake() }, async (sql) => {
      const sleep = sql`DO $$ BEGIN RAISE NOTICE 'asleep'; PERFORM pg_sleep(60); END $$`.simple();
      wake = () => sleep.cancel();
      return { sqlState: await sqlState(sleep), after: await texts(sql`SELECT '1'`.values()) };
    });
  },

  largeObject: (name) =>
    withSql(name, {}, async (sql) => {
      const content = Buffer.from(Array.from({ length: 20_000 }, (_, i) => (i * 7 + Math.floor(i / 256)) % 256));
      const [made] = await sql`SELECT lo_creat(-1) AS oid`;
      const oid = made?.['oid'] as number;
      const object = await sql.largeObject(oid); // a transaction that ends when it is closed
      await object.write(content.subarray(0, 10_000));
      await object.write(content.subarray(10_000));
      await object.seek(0);
      const read = await buffer(await object.readable());
      await object.close();
      const [last] = await sql`SELECT md5(lo_get(${oid}))`;
      await sql`SELECT lo_unlink(${oid})`;
      return { md5: last?.['md5'], same: content.equals(read) };
    }),

  listen: (name) =>
    withSql(name, {}, async (sql) => {
      const heard = Promise.withResolvers<string>();
      await sql.listen('news', heard.resolve);
      await sql.notify('news', 'grüße');
      return { channel: 'news', payload: await heard.promise };
    }),

  cursor: (name) =>
    withSql(name, {}, async (sql) => {
      const rows: number[] = [];
      for await (const page of sql<{ i: number }[]>`SELECT i FROM generate_series(1, 10) AS i`.cursor(4))
        rows.push(...page.map(({ i }) => i));
      return { rows: String(rows.length), sum: String(rows.reduce((sum, i) => sum + i, 0)) };
    }),

  types: (name) => {
    // A Date has neither microseconds nor a day without a time.
    const asText = { serialize: String, parse: String };
    const types = {
      date: { to: 1082, from: [1082], ...asText },
      timestamp: { to: 1114, from: [1114], ...asText },
      timestamptz: { to: 1184, from: [1184], ...asText },
    };
    return withSql(name, { types }, async (sql) => {
      const sent = {
        ...{ i2: -32768, i4: 2147483647, i8: '-9223372036854775808', num: '1234567890123456.0123456789' },
        ...{ f4: 1.5, f8: Number.NaN, inf: Number.NEGATIVE_INFINITY, txt: 'grüße, 世界 🐘' },
        ...{ bin: Buffer.from("\x00\xff\x10'\\", 'latin1'), yes: true, d: '2024-02-29' },
        ...{ ts: '2024-02-29 12:34:56.789012', tz: '2024-02-29 12:34:56.789012+00' },
        ...{ iv: '1 mon 2 days 03:04:05.678', u: 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11' },
        ...{ j: { a: [1, 2] }, jb: { a: [1, 2], ü: null }, ints: [1, null, 3], texts: ['a,b', 'c"d', null] },
        ...{ nothing: null, ip: '192.168.0.1' },
      };
      await sql`INSERT INTO every_type ${sql(sent)}`;
      const [read] = await sql`SELECT * FROM every_type`;
      // It reads a NULL in an array as if it were text.
      const expected = { ...sent, ints: [1, Number.NaN, 3], texts: ['a,b', 'c"d', 'NULL'] };
      const same = isDeepStrictEqual({ ...read }, expected);
      return { stored: await texts(sql`SELECT stored FROM every_type_as_text`.values()), same };
    });
  },
};

for (const name of names) {
  const work = cases[name] ?? (() => Promise.reject(new Error(`no case is called ${name}`)));
  const line = await work(name).then(
    (outcome) => ({ case: name, outcome }),
    (error: unknown) => ({ case: name, error: String(error) }),
  );
  process.stdout.write(`${JSON.stringify(line)}\n`);
}
