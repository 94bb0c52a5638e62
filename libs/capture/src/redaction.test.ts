// Secrets never leave: in every form a statement can tell one, in whatever chunks it comes, and whatever the answer repeats of it.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BatchEncoder } from '@mirrorstream/envelope';
import { type FrontendMessage, traceFrames } from '@mirrorstream/pg-wire';
import fc from 'fast-check';
import {
  bind,
  bound,
  columns,
  envelopesOf,
  execute,
  flush,
  greeting,
  notice,
  parse,
  parsed,
  play,
  query,
  ready,
  requestsOf,
  row,
  type Step,
  sync,
  tag,
} from './conversation-script.fixture.ts';

const seed = 20_261_121;
const secret = 'hunter2secret';
const origin = { source: 'orders', captureNode: 'node-1', incarnation: 'k3f9', worker: 0, partition: 1 };

/** `~` stands for what may lie between tokens, `§` for the secret. */
const statements: readonly string[] = [
  "ALTER~ROLE~bob~PASSWORD~'§'",
  "ALTER ROLE bob WITH LOGIN~ENCRYPTED~PASSWORD~'§'~VALID UNTIL '2030-01-01'",
  "CREATE USER bob PASSWORD E'\\'§'",
  "CREATE ROLE bob UNENCRYPTED PASSWORD U&'§' UESCAPE '!'",
  'CREATE USER bob PASSWORD $$§$$',
  'ALTER GROUP bob PASSWORD $q$§$q$',
  "ALTER USER bob PASSWORD 'a''§'",
  "ALTER USER bob PASSWORD 'first'\n'§'",
  "ALTER USER bob PASSWORD '§",
  'ALTER ROLE bob PASSWORD §',
  'ALTER ROLE bob PASSWORD "§"',
  "CREATE~USER~MAPPING FOR bob SERVER s OPTIONS (user 'bob',~password~'§')",
  "ALTER USER MAPPING FOR bob SERVER s OPTIONS (SET~password~'§', ADD sslpassword '§')",
  "CREATE SERVER s FOREIGN DATA WRAPPER w OPTIONS (host 'h', password '§')",
  'ALTER~SERVER s OPTIONS (SET "password"~\'§\')',
  "CREATE SUBSCRIPTION s~CONNECTION~'host=h password=§ dbname=d' PUBLICATION p",
  "ALTER SUBSCRIPTION s CONNECTION 'postgresql://bob:§@host/db'",
  "ALTER SUBSCRIPTION s CONNECTION E'host=h p\\x61ssword=§'",
  "SELECT * FROM dblink('host=h password=§', 'SELECT 1') AS t(a int)",
  "SELECT public.dblink_connect('c',~'postgres://bob:§@host/db')",
  "SELECT dblink_exec(U&'host=h p\\0061ssword=§', 'SELECT 1')",
  "DO $$ BEGIN ALTER~ROLE bob~PASSWORD~'§'; END $$",
  "DO $x$ BEGIN EXECUTE format('ALTER ROLE %I PASSWORD %L', 'bob', '§'); END $x$",
  "DO $x$ BEGIN EXECUTE 'ALTER ROLE bob PASSWORD ' || quote_literal('§'); END $x$",
  "DO $x$ BEGIN EXECUTE $y$ALTER ROLE bob PASSWORD '§'$y$; END $x$",
  "DO 'BEGIN ALTER ROLE bob PASSWORD ''§''; END'",
  "DO LANGUAGE plpgsql $$ BEGIN PERFORM dblink_connect('host=h password=§'); END $$",
  "CREATE OR REPLACE FUNCTION f() RETURNS void LANGUAGE plpgsql AS $$ BEGIN CREATE USER x PASSWORD '§'; END $$",
  "CREATE PROCEDURE f() LANGUAGE sql BEGIN ATOMIC SELECT format('ALTER USER x PASSWORD %L', '§'); END",
  "SELECT format('ALTER ROLE %I PASSWORD %L', 'bob', '§')",
  "SELECT 'ALTER ROLE bob PASSWORD ''§'''",
  "SELECT 'CREATE USER bob PASSWORD ' || quote_literal('§') AS sql",
  "EXPLAIN SELECT concat('alter user bob password ', '§')",
];

const between = fc.constantFrom(' ', '\n\t', ' /* why */ ', ' -- because\n', ' /* a /* nested */ */\n');
const casing = fc.constantFrom(
  (text: string) => text,
  (text: string) => text.toLowerCase(),
  (text: string) => text.replace(/[a-z]/g, (letter, at: number) => (at % 3 === 0 ? letter.toUpperCase() : letter)),
);

/** Case changes leave the secret and what is quoted by tags alone. */
const statement = fc.tuple(fc.constantFrom(...statements), between, casing).map(([text, blank, recase]) =>
  text
    .split('§')
    .map((part) => (part.includes('$') ? part : recase(part)).replaceAll('~', blank))
    .join(secret),
);

const quoting = (severity: string, sql: string): Uint8Array => {
  const fields = [
    `S${severity}`,
    `V${severity}`,
    'C42601',
    `Msyntax error at or near "${secret}"`,
    `WSQL statement "${sql}"`,
    `q${sql}`,
  ];
  const body = Buffer.from(`${fields.join('\0')}\0\0`);
  const head = Buffer.from([severity === 'ERROR' ? 0x45 : 0x4e, 0, 0, 0, 0]);
  head.writeInt32BE(body.length + 4, 1);
  return Buffer.concat([head, body]);
};

/** Ways to send a statement, each with an answer that repeats it. */
type Sending = (sql: string) => Step[];
const template = "SELECT format('ALTER ROLE %I PASSWORD %L', $1::text, $2::text)";
const sendings: Readonly<Record<string, Sending>> = {
  'a Query that fails': (sql) => [
    ['F', query(sql)],
    ['B', quoting('NOTICE', sql), quoting('ERROR', sql), ready('I')],
  ],
  'a Query that answers with it': (sql) => [
    ['F', query(sql)],
    ['B', columns('sql'), row(sql), tag('SELECT 1'), ready('I')],
  ],
  'one of several statements in a Query': (sql) => [
    ['F', query(`SELECT 1; ${sql}`)],
    ['B', tag('SELECT 1'), quoting('ERROR', sql), ready('I')],
  ],
  'Parse, Bind, Execute': (sql) => [
    ['F', parse('', sql), bind(), execute(), sync],
    ['B', parsed, bound, row(sql), tag('SELECT 1'), ready('I')],
  ],
  'a named statement, executed later': (sql) => [
    ['F', parse('s', sql), sync],
    ['B', parsed, ready('I')],
    ['F', bind('s', 'p'), flush],
    ['B', bound],
    ['F', execute('p'), sync],
    ['B', quoting('ERROR', sql), ready('I')],
    ['F', bind('s'), execute(), sync],
    ['B', bound, row(sql), tag('SELECT 1'), ready('I')],
  ],
  'the SQL command PREPARE': (sql) => [
    ['F', query(`PREPARE s AS ${sql}`)],
    ['B', tag('PREPARE'), ready('I')],
    ['F', query('EXECUTE s')],
    ['B', tag('SELECT 1'), ready('I')],
  ],
  'a bound parameter of a template': () => [
    ['F', parse('', template), bind('', '', 'bob', secret), execute(), sync],
    ['B', parsed, bound, row(`ALTER ROLE bob PASSWORD '${secret}'`), tag('SELECT 1'), ready('I')],
  ],
  'a bound parameter of a named template': () => [
    ['F', parse('t', template), sync],
    ['B', parsed, ready('I')],
    ['F', bind('t', 'p', 'bob', secret), sync],
    ['B', bound, ready('T')],
    ['F', execute('p'), sync],
    ['B', row(secret), tag('SELECT 1'), ready('I')],
  ],
  'a parameter where no server takes one': () => [
    ['F', parse('', 'ALTER ROLE bob PASSWORD $1'), bind('', '', secret), execute(), sync],
    ['B', quoting('ERROR', secret), ready('I')],
  ],
  'a connection string as parameter': () => [
    ['F', parse('c', 'SELECT dblink_connect($1)'), bind('c', '', `host=h password=${secret}`), execute(), sync],
    ['B', parsed, bound, quoting('ERROR', secret), ready('I')],
  ],
  'a parameter of EXECUTE': () => [
    ['F', query(`PREPARE t(text, text) AS ${template}`)],
    ['B', tag('PREPARE'), ready('I')],
    ['F', query(`EXECUTE t('bob', '${secret}')`)],
    ['B', columns('sql'), row(secret), tag('SELECT 1'), ready('I')],
  ],
};

const ordinary: Step[] = [
  ['F', query('SELECT 1')],
  ['B', notice, tag('SELECT 1'), ready('I')],
];

test(`no secret is in an encoded envelope, whatever tells it and in whatever chunks (seed ${seed})`, () => {
  const property = fc.property(
    statement,
    fc.constantFrom(...Object.keys(sendings)),
    fc.infiniteStream(fc.integer({ min: 1, max: 60 })),
    fc.constantFrom('full' as const, 'digest' as const, 'none' as const),
    fc.boolean(),
    (sql, sending, sizes, answers, large) => {
      const filler = large ? `/* ${'f'.repeat(9_000)} */ ` : '';
      const steps = [...greeting, ...ordinary, ...(sendings[sending] as Sending)(filler + sql), ...ordinary];
      const chunking = (size: number): number[] => {
        const ends: number[] = [];
        for (const bytes of sizes) {
          const at = (ends.at(-1) ?? 0) + (large ? bytes * 40 : bytes);
          if (at >= size) break;
          ends.push(at);
        }
        return [...ends, size];
      };
      const { records, sent } = play(steps, { chunking, limits: { answers } });
      const encoder = new BatchEncoder(origin);
      for (const record of records) encoder.add(record);
      assert.ok(!Buffer.from(encoder.take()).includes('hunter2'), `${sending}: ${sql}`);
      const request = requestsOf(records);
      assert.equal(request.length, sent.length - play(greeting).sent.length, 'no length changes');
      assert.doesNotThrow(() => traceFrames('F', request), 'frames stay whole');
      const redactions = envelopesOf(records).map((it) => it.redactions);
      assert.ok(
        redactions.slice(1, -1).some((count) => count > 0),
        'it is counted',
      );
      assert.deepEqual([redactions[0], redactions.at(-1)], [0, 0], 'and nowhere else');
      assert.ok(requestsOf(records.slice(1, 2)).includes('SELECT 1'));
    },
  );
  fc.assert(property, { seed, numRuns: 1_500 });
});

test('every form in every sending, once', () => {
  for (const text of statements) {
    const sql = text.replaceAll('~', ' ').replaceAll('§', secret);
    for (const [name, sending] of Object.entries(sendings)) {
      const encoder = new BatchEncoder(origin);
      for (const record of play([...greeting, ...sending(sql)]).records) encoder.add(record);
      assert.ok(!Buffer.from(encoder.take()).includes('hunter2'), `${name}: ${sql}`);
    }
  }
});

test('what is redacted is the secret and no more: names, options and dates stay', () => {
  const cases: Readonly<Record<string, string>> = {
    "ALTER ROLE bob LOGIN PASSWORD 'secret' VALID UNTIL '2030-01-01' CONNECTION LIMIT 3":
      "ALTER ROLE bob LOGIN PASSWORD 'xxxxxx' VALID UNTIL '2030-01-01' CONNECTION LIMIT 3",
    "CREATE USER MAPPING FOR bob SERVER s OPTIONS (user 'bob', password 'secret', dbname 'shop')":
      "CREATE USER MAPPING FOR bob SERVER s OPTIONS (user 'bob', password 'xxxxxx', dbname 'shop')",
    "DO $$ BEGIN ALTER ROLE bob PASSWORD 'secret'; PERFORM log('done'); END $$":
      "DO $$ BEGIN ALTER ROLE bob PASSWORD 'xxxxxx'; PERFORM log('done'); END $$",
    "SELECT dblink('host=h password=secret', 'SELECT 1')": "SELECT dblink('xxxxxxxxxxxxxxxxxxxxxx', 'SELECT 1')",
    'ALTER ROLE bob PASSWORD NULL': 'ALTER ROLE bob PASSWORD NULL',
    'ALTER ROLE password RENAME TO bob': 'ALTER ROLE password RENAME TO bob',
    "ALTER ROLE bob PASSWORD 'secret'; INSERT INTO users (password) VALUES ('kept')":
      "ALTER ROLE bob PASSWORD 'xxxxxx'; INSERT INTO users (password) VALUES ('kept')",
  };
  for (const [sql, expected] of Object.entries(cases)) {
    const { records } = play([...greeting, ['F', query(sql)], ['B', tag('ALTER ROLE'), ready('I')]]);
    assert.equal(requestsOf(records).toString('latin1', 5).slice(0, -1), expected);
  }
});

test('errors that quote a hidden statement lose its secret, and others keep their words', () => {
  const field = (message: string): Uint8Array => {
    const body = Buffer.from(`SERROR\0VERROR\0C28000\0M${message}\0\0`);
    const head = Buffer.from([0x45, 0, 0, 0, 0]);
    head.writeInt32BE(body.length + 4, 1);
    return Buffer.concat([head, body]);
  };
  const cases: Readonly<Record<string, string>> = {
    [`SQL statement "ALTER ROLE bob PASSWORD 'hunter2'" failed`]: `SQL statement "ALTER ROLE bob PASSWORD 'xxxxxxx'" failed`,
    'could not connect: host=h password=hunter2 port=1': 'could not connect: host=h password=xxxxxxx port=1',
    'could not connect to postgres://bob:hunter2@h/db': 'could not connect to postgres://bob:xxxxxxx@h/db',
    'password authentication failed for user "bob"': 'password authentication failed for user "bob"',
    'null value in column "password" of relation "t"': 'null value in column "password" of relation "t"',
  };
  for (const [message, expected] of Object.entries(cases)) {
    const messages: FrontendMessage[] = [query('SELECT f()')];
    const { records } = play([...greeting, ['F', ...messages], ['B', field(message), ready('I')]]);
    const raw = Buffer.from(envelopesOf(records)[0]?.exchanges[0]?.answer?.raw ?? []).toString('latin1');
    assert.match(raw, new RegExp(`M${expected.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')}\0`));
  }
});

test('a session that once told a secret goes on with whole answers', () => {
  const { records } = play([
    ...greeting,
    ['F', query("ALTER ROLE bob PASSWORD 'hunter2'")],
    ['B', tag('ALTER ROLE'), ready('I')],
    ...ordinary,
  ]);
  const kept = envelopesOf(records).map((it) => it.exchanges[0]?.answer?.raw.length ?? 0);
  assert.equal(kept[0], 0);
  assert.ok((kept[1] ?? 0) > 0);
});

test('no secret is in a statement too large to hold, wherever it is cut', () => {
  const before: readonly (readonly [string, string])[] = [
    ["SELECT '", "'; "],
    ['SELECT $fill$', '$fill$; '],
    ['SELECT "', '"; '],
    ['SELECT 1 /* ', ' */; '],
    ['SELECT 1 -- ', '\n; '],
  ];
  const small = { maxFrameBytes: 512, partBytes: 4_096, sessionBufferBytes: 64 * 1024 };
  const cutAt = 4_096;
  const leaks: string[] = [];
  const check = (sql: string, what: string): void => {
    const chunking = (size: number): number[] =>
      Array.from({ length: Math.ceil(size / 300) }, (_, i) => Math.min(size, (i + 1) * 300));
    const { records } = play([...greeting, ['F', query(sql)], ['B', tag('SELECT 1'), ready('I')], ...ordinary], {
      chunking,
      limits: small,
    });
    assert.ok(envelopesOf(records).length > 2, `${what} was cut`);
    const encoder = new BatchEncoder(origin);
    for (const record of records) encoder.add(record);
    const taken = Buffer.from(encoder.take());
    if (taken.includes('hunter2') || taken.includes('ter2sec')) leaks.push(what);
    assert.doesNotThrow(() => traceFrames('F', requestsOf(records)), 'frames stay whole');
    assert.ok(requestsOf(records).subarray(-14).includes('SELECT 1'), 'what follows is untouched');
  };
  // Every place of the secret around the place where the first part ends, which held-back bytes put up to 1 400 bytes before.
  for (const [open, close] of before) {
    for (const form of [
      "ALTER ROLE bob PASSWORD '§'",
      'CREATE USER bob PASSWORD $$§$$',
      "SELECT dblink('host=h password=§')",
    ]) {
      for (let at = cutAt - 1_500; at < cutAt + 300; at += 1) {
        if (at % 11 !== 0 && (form !== "ALTER ROLE bob PASSWORD '§'" || open !== "SELECT '")) continue;
        const sql = `${open}${'f'.repeat(at - open.length)}${close}${form.replace('§', secret)} /* ${'g'.repeat(3_000)} */`;
        check(sql, `${open}…${close}${form} at ${at}`);
      }
    }
  }
  // Secrets longer than what is held back, and what goes with a template long before.
  const long = `${'x'.repeat(3_000)}${secret}${'y'.repeat(6_000)}${secret}`;
  check(`ALTER ROLE bob PASSWORD '${long}'`, 'a long password');
  check(`SELECT dblink('host=h ${'o'.repeat(5_000)} password=${secret}')`, 'a long connection string');
  check(`SELECT format('ALTER ROLE %I PASSWORD %L', '${'n'.repeat(6_000)}', '${secret}')`, 'a long template');
  assert.deepEqual(leaks.slice(0, 20), [], `${leaks.length} leaks`);
});
