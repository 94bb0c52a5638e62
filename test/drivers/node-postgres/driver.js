// node-postgres through every case it has: `driver.js URL TLS_URL CA_FILE CASE…` prints one JSON line per case.
//
// With pg-copy-streams and pg-cursor, which most of its users take beside it. There is no encoder for binary COPY.
import { readFileSync } from 'node:fs';
import { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { pipeline as pipe } from 'node:stream/promises';
import { isDeepStrictEqual } from 'node:util';
import pg from 'pg';
import { from as copyFrom, to as copyTo } from 'pg-copy-streams';
import Cursor from 'pg-cursor';

const [url, tlsUrl, caFile, ...names] = process.argv.slice(2);

/** Runs `work` with a connected client and closes it. */
async function withClient(name, options, work) {
  const client = new pg.Client({ connectionString: url, application_name: `node-postgres/${name}`, ...options });
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end();
  }
}

/** The first column of every row. */
async function texts(client, sql) {
  const { rows } = await client.query({ text: sql, rowMode: 'array' });
  return rows.map(([value]) => value);
}

const sqlState = (work) =>
  work.then(
    () => 'no error',
    (error) => error.code ?? error.message,
  );

const cases = {
  connect: (name) =>
    withClient(name, {}, async (client) => {
      const { rows } = await client.query('SELECT current_user::text AS user, 1::text AS one');
      const wrong = new URL(url);
      wrong.password = 'not the password';
      const refused = withClient(name, { connectionString: wrong.href }, async () => {});
      return { ...rows[0], wrongPassword: await sqlState(refused) };
    }),

  tls: (name) => {
    const options = { connectionString: tlsUrl, ssl: { ca: readFileSync(caFile) }, enableChannelBinding: true };
    return withClient(name, options, async (client) => {
      const [version] = await texts(client, 'SELECT version FROM pg_stat_ssl WHERE pid = pg_backend_pid()');
      return { version };
    });
  },

  prepared: (name) =>
    withClient(name, {}, async (client) => {
      const rows = [];
      for (let i = 1; i <= 3; i++) {
        const next = await client.query({ name: 'plus_one', text: 'SELECT $1::int + 1 AS next', values: [i] });
        rows.push(String(next.rows[0].next));
      }
      return { rows };
    }),

  pipeline: (name) =>
    withClient(name, { pipeline: true }, async (client) => {
      const numbers = Array.from({ length: 20 }, (_, i) => i);
      await Promise.all(numbers.map((i) => client.query('INSERT INTO pipelined VALUES ($1)', [i])));
      return (await client.query('SELECT count(*)::text, sum(i)::text FROM pipelined')).rows[0];
    }),

  pipelineError: (name) =>
    withClient(name, { pipeline: true }, async (client) => {
      const inserts = [1, 1, 2].map((i) => client.query('INSERT INTO pipeline_failed VALUES ($1)', [i]));
      const states = await Promise.all(inserts.map(sqlState));
      const survivors = await texts(client, 'SELECT i::text FROM pipeline_failed ORDER BY i');
      return { sqlState: states.find((state) => state !== 'no error'), survivors };
    }),

  copy: (name) =>
    withClient(name, {}, async (client) => {
      const copyIn = (rows) => pipe(Readable.from([rows]), client.query(copyFrom('COPY copied FROM STDIN')));
      await copyIn('1\teins\n2\tzwei\\tTab ✓\n3\t\\N\n');
      const out = await text(client.query(copyTo('COPY (SELECT * FROM copied ORDER BY i) TO STDOUT')));
      return { out, failed: await sqlState(copyIn('four\tvier\n')) };
    }),

  transaction: (name) =>
    withClient(name, {}, async (client) => {
      const insert = (i) => client.query('INSERT INTO accounts VALUES ($1)', [i]);
      await client.query('BEGIN');
      await insert(1);
      await client.query('SAVEPOINT before_two');
      const inside = await sqlState(insert(1));
      await client.query('ROLLBACK TO SAVEPOINT before_two');
      await insert(2);
      await client.query('COMMIT');
      await client.query('BEGIN');
      await insert(3);
      await client.query('ROLLBACK');
      return { inside, rows: await texts(client, 'SELECT i::text FROM accounts ORDER BY i') };
    }),

  error: (name) =>
    withClient(name, {}, async (client) => ({
      unique: await sqlState(client.query('INSERT INTO taken VALUES ($1)', [1])),
      syntax: await sqlState(client.query('SELEC $1', [1])),
      after: await texts(client, "SELECT '1'"),
    })),

  cancel: (name) =>
    withClient(name, {}, async (client) => {
      const sleep = new pg.Query("DO $$ BEGIN RAISE NOTICE 'asleep'; PERFORM pg_sleep(60); END $$");
      client.once('notice', () => new pg.Client(url).cancel(client, sleep));
      const slept = new Promise((resolve, reject) => sleep.once('end', resolve).once('error', reject));
      client.query(sleep);
      return { sqlState: await sqlState(slept), after: await texts(client, "SELECT '1'") };
    }),

  largeObject: (name) =>
    withClient(name, {}, async (client) => {
      const content = Buffer.from(Array.from({ length: 20_000 }, (_, i) => (i * 7 + Math.floor(i / 256)) % 256));
      await client.query('BEGIN');
      const made = await client.query('SELECT lo_from_bytea(0, $1) AS oid', [content.subarray(0, 10_000)]);
      const { oid } = made.rows[0];
      await client.query('SELECT lo_put($1, 10000, $2)', [oid, content.subarray(10_000)]);
      const { rows } = await client.query('SELECT lo_get($1) AS read, md5(lo_get($1)) AS md5', [oid]);
      await client.query('SELECT lo_unlink($1)', [oid]);
      await client.query('COMMIT');
      return { md5: rows[0].md5, same: content.equals(rows[0].read) };
    }),

  listen: (name) =>
    withClient(name, {}, async (listener) => {
      const heard = new Promise((resolve) => listener.once('notification', resolve));
      await listener.query('LISTEN news');
      await withClient(name, {}, (notifier) => notifier.query('SELECT pg_notify($1, $2)', ['news', 'grüße']));
      const { channel, payload } = await heard;
      return { channel, payload };
    }),

  cursor: (name) =>
    withClient(name, {}, async (client) => {
      const cursor = client.query(new Cursor('SELECT i FROM generate_series(1, 10) AS i'));
      const rows = [];
      for (let page = await cursor.read(4); page.length > 0; page = await cursor.read(4)) rows.push(...page);
      return { rows: String(rows.length), sum: String(rows.reduce((sum, { i }) => sum + i, 0)) };
    }),

  types: (name) => {
    const types = new pg.TypeOverrides();
    // A Date has neither microseconds nor a day without a time.
    for (const oid of [1082, 1114, 1184]) types.setTypeParser(oid, (value) => value);
    return withClient(name, { types }, async (client) => {
      const sent = {
        ...{ i2: -32768, i4: 2147483647, i8: '-9223372036854775808', num: '1234567890123456.0123456789' },
        ...{ f4: 1.5, f8: Number.NaN, inf: Number.NEGATIVE_INFINITY, txt: 'grüße, 世界 🐘' },
        ...{ bin: Buffer.from("\x00\xff\x10'\\", 'latin1'), yes: true, d: '2024-02-29' },
        ...{ ts: '2024-02-29 12:34:56.789012', tz: '2024-02-29 12:34:56.789012+00' },
        ...{ iv: '1 mon 2 days 03:04:05.678', u: 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11' },
        ...{ j: { a: [1, 2] }, jb: { a: [1, 2], ü: null }, ints: [1, null, 3], texts: ['a,b', 'c"d', null] },
        ...{ nothing: null, ip: '192.168.0.1' },
      };
      const values = Object.values(sent);
      const places = values.map((_, i) => `$${i + 1}`).join(', ');
      await client.query(`INSERT INTO every_type VALUES (${places})`, values);
      const read = (await client.query('SELECT * FROM every_type')).rows[0];
      const interval = { months: 1, days: 2, hours: 3, minutes: 4, seconds: 5, milliseconds: 678 };
      const same = isDeepStrictEqual({ ...read, iv: { ...read.iv } }, { ...sent, iv: interval });
      return { stored: await texts(client, 'SELECT stored FROM every_type_as_text'), same };
    });
  },
};

for (const name of names) {
  const work = cases[name] ?? (() => Promise.reject(new Error(`no case is called ${name}`)));
  const line = await work(name).then(
    (outcome) => ({ case: name, outcome }),
    (error) => ({ case: name, error: String(error) }),
  );
  process.stdout.write(`${JSON.stringify(line)}\n`);
}
