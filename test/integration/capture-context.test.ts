// What a session has beyond a fresh connection, as a real server sees it: what the next envelope brings along, and what it says it lacks.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { createSequencer, defaultCaptureLimits, openSession } from '@mirrorstream/capture';
import { type EnvelopeDraft, GapReason } from '@mirrorstream/envelope';
import {
  createDatabase,
  execute as run,
  sharedPostgres,
  type TestDatabase,
  uniqueName,
  withClient,
} from '@mirrorstream/testkit';
import { bind, execute, parse, summary, sync } from '../../libs/capture/src/conversation-script.fixture.ts';
import {
  assemble,
  capturedBytes,
  envelopesIn,
  RecordedClient,
  requestBytes,
  type WireEvent,
} from './capture-exact-scene.ts';

let database: TestDatabase;
const role = uniqueName('role').replaceAll('-', '_');
before(async () => {
  const server = await sharedPostgres('source');
  database = await createDatabase(server);
  await run(
    database.url,
    `CREATE ROLE ${role}`,
    'CREATE SEQUENCE s',
    'CREATE TABLE t (a int)',
    "CREATE FUNCTION zone() RETURNS text LANGUAGE sql AS $$ SELECT set_config('TimeZone', 'Asia/Tokyo', false) $$",
  );
});
after(async () => {
  await run((await sharedPostgres('source')).url, `DROP DATABASE ${database.name} WITH (FORCE)`, `DROP ROLE ${role}`);
});

type Talk = (client: RecordedClient) => Promise<void>;

async function record(talk: Talk): Promise<WireEvent[]> {
  const client = await RecordedClient.connect(database.url);
  try {
    await talk(client);
    await client.terminate();
  } finally {
    client.destroy();
  }
  return client.events;
}

/** Settings {…}, protocol-level statements <…>, SQL-level ones [..] and what it needs, of an envelope. */
function contextOf(envelope: EnvelopeDraft | undefined): string {
  const sql = envelope?.context?.sqlStatements ?? [];
  const line = summary(envelope === undefined ? [] : [envelope])[0] ?? '';
  const brought = /(?: needs:.*| \{.*| <.*)/.exec(line.replace(/postgres@\w+/, ''))?.[0] ?? '';
  return `${brought}${sql.map((it) => ` [${it.sql}]`).join('')}`.trim();
}

/** The context of a last Query, soon after these. */
async function contextAfter(before: readonly string[] | Talk, last = 'SELECT 1'): Promise<string> {
  const events = await record(async (client) => {
    if (typeof before === 'function') await before(client);
    else await client.query(...before);
    // What was undone must not come into force later either.
    await client.query('SELECT 0');
    await client.query(last);
  });
  const records = assemble(events);
  assert.ok(requestBytes(records).equals(capturedBytes(events)));
  return contextOf(envelopesIn(records).at(-1));
}

interface Case {
  readonly after: readonly string[] | Talk;
  readonly last?: string;
  readonly context: string;
}

const extended =
  (sql: string, ...values: string[]): Talk =>
  (client) =>
    client.send([parse('', sql), bind('', '', ...values), execute(), sync], { ready: 1 });

const groups: Readonly<Record<string, readonly Case[]>> = {
  'settings come along as they are in force': [
    {
      after: ["SET app.a = '1'", 'SET search_path TO public'],
      context: "{SET app.a = '1'} {SET search_path TO public}",
    },
    { after: ['BEGIN', 'SET jit = off', 'COMMIT'], context: '{SET jit = off}' },
    { after: ['BEGIN', 'SET jit = off', 'ROLLBACK'], context: '' },
    { after: ['BEGIN', 'SET LOCAL jit = off', 'COMMIT'], context: '' },
    { after: ['BEGIN', 'SET jit = off', 'SELECT 1/0', 'COMMIT'], context: '' },
    { after: ['SET jit = off; SELECT 1/0'], context: '' },
    { after: ['BEGIN; SET jit = off; COMMIT; SELECT 1/0'], context: '{SET jit = off}' },
    { after: ['BEGIN; ROLLBACK; SET jit = off'], context: '{SET jit = off}' },
    {
      after: ['BEGIN', 'SET jit = off', 'SAVEPOINT a', 'SET jit = on', 'SET app.a = 1', 'ROLLBACK TO a', 'COMMIT'],
      context: '{SET jit = off}',
    },
    {
      after: ['BEGIN', 'SAVEPOINT a', 'SET jit = off', 'RELEASE a', 'COMMIT AND CHAIN', 'ROLLBACK'],
      context: '{SET jit = off}',
    },
    { after: ['SET jit = off', 'SET app.a = 1', 'RESET jit'], context: '{SET app.a = 1}' },
    { after: ['SET jit = off', `SET ROLE ${role}`, 'RESET ALL'], context: `{SET ROLE ${role}}` },
    {
      after: [`SET SESSION AUTHORIZATION ${role}`, 'SET jit = off'],
      context: `{SET SESSION AUTHORIZATION ${role}} {SET jit = off}`,
    },
    { after: [`SET ROLE ${role}`, 'SET SESSION AUTHORIZATION DEFAULT'], context: '' },
    { after: ['SET jit = off', 'DISCARD ALL'], context: '' },
    { after: [`ALTER ROLE ${role} SET jit = off`, `ALTER ROLE ${role} RESET jit`], context: '' },
    {
      after: ["SET TIME ZONE 'UTC'", 'SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY'],
      context: "{SET TIME ZONE 'UTC'} {SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY}",
    },
  ],
  'set_config counts by its result, whoever gave the parameters': [
    {
      after: ["SELECT set_config('app.a', 'x', false)"],
      context: "{SELECT pg_catalog.set_config('app.a', 'x', false)}",
    },
    {
      after: ["SELECT pg_catalog.set_config('app.a', 'it''s', 'f') AS a, set_config('app.b', $$\\$$, false)"],
      context:
        "{SELECT pg_catalog.set_config('app.a', 'it''s', false)} {SELECT pg_catalog.set_config('app.b', E'\\\\', false)}",
    },
    { after: ["SELECT set_config('app.a', 'x', true)"], context: '' },
    {
      after: extended('SELECT set_config($1, $2, $3)', 'app.a', 'y', 'off'),
      context: "{SELECT pg_catalog.set_config('app.a', 'y', false)}",
    },
    { after: extended('SELECT set_config($1, $2, $3)', 'app.a', 'y', 'on'), context: '' },
    { after: ['BEGIN', "SELECT set_config('app.a', 'x', false)", 'ROLLBACK'], context: '' },
    {
      after: ["PREPARE p(text) AS SELECT set_config('app.a', $1, false)", "EXECUTE p('z')"],
      context: "{SELECT pg_catalog.set_config('app.a', 'z', false)}",
    },
    { after: ['SELECT zone()'], context: "{SET TimeZone TO 'Asia/Tokyo'}" },
    {
      after: ["SELECT set_config('app.a', a::text, false) FROM generate_series(1, 3) a"],
      context: 'needs:unknown_setting',
    },
    { after: ["SELECT 1 FROM t WHERE set_config('app.a', 'x', true) = 'y'"], context: '' },
    { after: ["SELECT 'set_config'"], context: '' },
    { after: ['DO $$ BEGIN SET jit = off; END $$'], context: 'needs:unknown_setting' },
    { after: ['DO $$ BEGIN SET LOCAL jit = off; UPDATE t SET a = 1; END $$'], context: '' },
    { after: ['DO $$ BEGIN SET jit = off; END $$', 'RESET ALL', 'RESET SESSION AUTHORIZATION'], context: '' },
  ],
  'prepared statements come along by either kind of name, and only when used': [
    { after: ['PREPARE p AS SELECT 1'], context: '' },
    { after: ['PREPARE p(int) AS SELECT $1'], last: 'EXECUTE p(1)', context: '[PREPARE p(int) AS SELECT $1]' },
    {
      after: ['BEGIN', 'PREPARE "P" AS SELECT 2', 'ROLLBACK'],
      last: 'BEGIN; EXPLAIN EXECUTE "P"; COMMIT',
      context: '[PREPARE "P" AS SELECT 2]',
    },
    {
      after: ['PREPARE p AS SELECT 1', 'PREPARE p AS SELECT 2'],
      last: 'PREPARE p AS SELECT 3',
      context: '[PREPARE p AS SELECT 1]',
    },
    { after: ['PREPARE p AS SELECT 1', 'DEALLOCATE p'], last: 'EXECUTE p', context: '' },
    { after: ['PREPARE p AS SELECT 1', 'DISCARD ALL'], last: 'EXECUTE p', context: '' },
    {
      after: ['PREPARE p AS SELECT 1', 'DEALLOCATE ALL', 'PREPARE p AS SELECT 2'],
      last: 'EXECUTE p',
      context: '[PREPARE p AS SELECT 2]',
    },
    { after: ['PREPARE p AS SELECT 1'], last: 'PREPARE q AS SELECT 2; EXECUTE q', context: '' },
    { after: (client) => client.send([parse('p', 'SELECT 1'), sync], { ready: 1 }), last: 'EXECUTE p', context: '<p>' },
    {
      after: (client) => client.send([parse('p', 'SELECT 1'), sync], { ready: 1 }),
      last: 'DEALLOCATE p',
      context: '<p>',
    },
    { after: ['PREPARE p AS SELECT 1'], last: 'SELECT 1 -- execute p', context: '' },
  ],
  'temporary objects are needed until they are dropped, and not when their creation was undone': [
    { after: ['CREATE TEMP TABLE x (a int)'], context: 'needs:temp_table' },
    { after: ['CREATE TEMPORARY TABLE IF NOT EXISTS "X" (a int)', 'DROP TABLE "X"'], context: '' },
    { after: ['CREATE TEMP TABLE x AS SELECT 1', 'DROP TABLE pg_temp.x'], context: '' },
    { after: ['SELECT 1 AS a INTO TEMP x', 'DROP TABLE public.x'], context: 'needs:temp_table' },
    {
      after: ['CREATE TABLE pg_temp.x (a int)', 'CREATE TEMP TABLE y (a int)', 'DROP TABLE y, x CASCADE'],
      context: '',
    },
    { after: ['CREATE TEMP TABLE x (a int) ON COMMIT DROP'], context: '' },
    { after: ['BEGIN', 'CREATE TEMP TABLE x (a int)', 'ROLLBACK'], context: '' },
    { after: ['CREATE TEMP TABLE x (a int)', 'BEGIN', 'DROP TABLE x', 'ROLLBACK'], context: 'needs:temp_table' },
    { after: ['CREATE TEMP TABLE x (a int)', 'DISCARD TEMP'], context: '' },
    { after: ['CREATE TEMP TABLE x (a int)', 'DISCARD ALL'], context: '' },
    {
      after: ['CREATE OR REPLACE TEMP VIEW v AS SELECT 1', 'CREATE TEMP SEQUENCE q', 'DROP VIEW v'],
      context: 'needs:temp_table',
    },
    { after: ['DO $$ BEGIN CREATE TEMP TABLE x (a int); END $$', 'DROP TABLE x'], context: 'needs:temp_table' },
    { after: ['BEGIN', 'CREATE TABLE temp_like (temp int)', 'DROP TABLE temp_like', 'COMMIT'], context: '' },
  ],
  'advisory locks are needed while the session holds them, whatever the transaction came to': [
    { after: ['SELECT pg_advisory_lock(1)'], context: 'needs:advisory_lock' },
    { after: ['SELECT pg_advisory_lock(1)', 'SELECT pg_advisory_unlock(1)'], context: '' },
    {
      after: ['SELECT pg_advisory_lock(1)', 'SELECT pg_advisory_lock(1)', 'SELECT pg_advisory_unlock(1)'],
      context: 'needs:advisory_lock',
    },
    {
      after: ['SELECT pg_advisory_lock_shared(1, 2)', 'SELECT pg_advisory_unlock(1, 2)'],
      context: 'needs:advisory_lock',
    },
    { after: ['SELECT pg_try_advisory_lock(1)', 'SELECT pg_advisory_unlock_all()'], context: '' },
    { after: ['BEGIN', 'SELECT pg_advisory_lock(1)', 'ROLLBACK'], context: 'needs:advisory_lock' },
    { after: ['BEGIN', 'SELECT pg_advisory_xact_lock(1)', 'COMMIT'], context: '' },
    {
      after: ['SELECT pg_advisory_lock(a) FROM generate_series(1, 3) a', 'SELECT pg_advisory_unlock(1)'],
      context: 'needs:advisory_lock',
    },
    { after: ['SELECT pg_advisory_lock(a) FROM generate_series(1, 3) a', 'DISCARD ALL'], context: '' },
    { after: ["SELECT 'pg_advisory_lock(1)'"], context: '' },
    {
      after: (client) =>
        extended(
          'SELECT pg_advisory_lock($1)',
          '7',
        )(client).then(() => extended('SELECT pg_advisory_unlock($1)', '7')(client)),
      context: '',
    },
    { after: ["SET lock_timeout = '1ms'", 'SELECT pg_advisory_lock(1/0)'], context: "{SET lock_timeout = '1ms'}" },
  ],
  'LISTEN and held cursors last until they are taken back': [
    { after: ['LISTEN a'], context: 'needs:listen' },
    { after: ['LISTEN a', 'LISTEN b', 'UNLISTEN a'], context: 'needs:listen' },
    { after: ['LISTEN a', 'LISTEN "b"', 'UNLISTEN *'], context: '' },
    { after: ['BEGIN', 'LISTEN a', 'ROLLBACK'], context: '' },
    { after: ['DECLARE c CURSOR WITH HOLD FOR SELECT 1'], context: 'needs:held_cursor' },
    { after: ['DECLARE c CURSOR WITH HOLD FOR SELECT 1', 'CLOSE c'], context: '' },
    { after: ['DECLARE c CURSOR WITH HOLD FOR SELECT 1', 'CLOSE ALL'], context: '' },
    { after: ['BEGIN', 'DECLARE c CURSOR WITH HOLD FOR SELECT 1', 'ROLLBACK'], context: '' },
    { after: ['DECLARE c CURSOR WITH HOLD FOR SELECT 1', 'BEGIN', 'CLOSE c', 'ROLLBACK'], context: '' },
  ],
  'what only the session remembers, or another session exported, is said of the envelope that asks': [
    { after: ["SELECT nextval('s')"], last: "SELECT currval('s')", context: 'needs:sequence_value' },
    { after: ["SELECT nextval('s')", 'SELECT lastval()'], context: '' },
    {
      after: ['BEGIN ISOLATION LEVEL REPEATABLE READ', 'COMMIT'],
      last: "BEGIN ISOLATION LEVEL REPEATABLE READ; SET TRANSACTION SNAPSHOT '00000000-00000000-1'",
      context: '',
    },
  ],
};

describe('the context of the next envelope', { timeout: 120_000 }, () => {
  for (const [name, cases] of Object.entries(groups)) {
    it(name, async () => {
      for (const { after: earlier, last, context } of cases) {
        const found = await contextAfter(earlier, last);
        assert.equal(found, context, typeof earlier === 'function' ? name : [...earlier, last ?? ''].join('; '));
      }
    });
  }

  it('says which process of the server answers', async () => {
    const text = uniqueName('asked');
    let known: { pid: number }[] = [];
    const events = await record(async (client) => {
      await client.query(`SELECT '${text}'`);
      ({ rows: known } = await withClient(database.url, (other) =>
        other.query(`SELECT pid FROM pg_stat_activity WHERE query = 'SELECT ''${text}''' AND pid <> pg_backend_pid()`),
      ));
    });
    assert.equal(known.length, 1);
    assert.deepEqual(
      envelopesIn(assemble(events)).map(({ context }) => context?.backendPid),
      known.map(({ pid }) => pid),
    );
  });

  it('a snapshot taken over from another session is said', async () => {
    const other = await RecordedClient.connect(database.url);
    try {
      await other.query('BEGIN ISOLATION LEVEL REPEATABLE READ', 'SELECT pg_export_snapshot()');
      const id = /[0-9A-F]{8}-[0-9A-F]{8}-\d+/.exec(other.bytesOf('B').toString('latin1'))?.[0] ?? '';
      const took = `BEGIN ISOLATION LEVEL REPEATABLE READ; SET TRANSACTION SNAPSHOT '${id}'; COMMIT`;
      assert.equal(await contextAfter([], took), 'needs:snapshot');
    } finally {
      other.destroy();
    }
  });
});

/** Assembles with bytes missed in the middle of the second Query's answer: what came before the third is not known. */
function withGap(events: readonly WireEvent[], missedQuery: number): EnvelopeDraft[] {
  const envelopes: EnvelopeDraft[] = [];
  const session = openSession({
    sessionId: 's-1',
    samplingDraw: 0.5,
    clock: { wallUsAtMonoZero: 0 },
    sequencer: createSequencer(),
    limits: defaultCaptureLimits,
    emit: (draft) => {
      if (draft.kind === 'envelope') envelopes.push(structuredClone(draft));
    },
  });
  let queries = -1;
  let monoUs = 1000;
  for (const [leg, bytes] of events) {
    if (leg === 'F') queries += 1;
    if (leg === 'F' && queries === missedQuery) session.missed('client', bytes.length, monoUs, GapReason.RING_FULL);
    else if (leg === 'F') session.clientChunk(bytes, 0, bytes.length, monoUs);
    else session.serverChunk(bytes, 0, bytes.length, monoUs);
    monoUs += 100;
  }
  session.close(monoUs);
  return envelopes;
}

describe('after a gap', { timeout: 60_000 }, () => {
  const resets: Readonly<Record<string, readonly string[]>> = {
    'DISCARD ALL': ['DISCARD ALL'],
    "each part's own command": [
      'CLOSE ALL',
      'UNLISTEN *',
      'SELECT pg_advisory_unlock_all()',
      'DISCARD TEMP',
      'RESET ALL',
      'SET SESSION AUTHORIZATION DEFAULT',
    ],
    'one Query of them': [
      'CLOSE ALL; UNLISTEN *; SELECT pg_advisory_unlock_all(); DISCARD TEMP; RESET ALL; SET SESSION AUTHORIZATION DEFAULT',
    ],
  };
  for (const [name, reset] of Object.entries(resets)) {
    it(`the context is known again through ${name}`, async () => {
      const events = await record((client) =>
        client.query('SET app.a = 1', 'SET jit = off', 'SELECT 1', ...reset, 'SELECT 2', 'SET app.b = 2', 'SELECT 3'),
      );
      const envelopes = withGap(events, 2);
      const contexts = envelopes.map(contextOf);
      assert.match(contexts[1] ?? '', /needs:after_gap \{SET app.a = 1\}/);
      for (const context of contexts.slice(1, -3)) assert.match(context, /needs:after_gap/);
      assert.deepEqual(contexts.slice(-3), ['', '', '{SET app.b = 2}']);
    });
  }

  it('it stays unknown while one part is, and what was lost of a reset setting is not believed', async () => {
    const reset = ['CLOSE ALL', 'UNLISTEN *', 'SELECT pg_advisory_unlock_all()', 'DISCARD TEMP', 'RESET ALL'];
    const events = await record((client) =>
      client.query(
        "SET TimeZone TO 'Asia/Tokyo'",
        'RESET TimeZone',
        ...reset,
        'SELECT 1',
        'RESET SESSION AUTHORIZATION',
        'SELECT 2',
      ),
    );
    const contexts = withGap(events, 2).map(contextOf);
    assert.deepEqual(contexts.slice(-3), ['needs:after_gap', 'needs:after_gap', '']);
  });

  it('a statement prepared before it may be another by now; one prepared since is known', async () => {
    const use =
      (name: string): Talk =>
      (client) =>
        client.send([bind(name), execute(), sync], { ready: 1 });
    const events = await record(async (client) => {
      await client.send([parse('old', 'SELECT 1'), sync], { ready: 1 });
      await client.query('SELECT 1', 'DISCARD TEMP');
      await client.query(
        'CLOSE ALL; UNLISTEN *; SELECT pg_advisory_unlock_all(); RESET ALL; SET SESSION AUTHORIZATION DEFAULT',
      );
      await client.send([parse('new', 'SELECT 2'), sync], { ready: 1 });
      await use('old')(client);
      await use('new')(client);
    });
    assert.deepEqual(withGap(events, 2).map(contextOf).slice(-2), ['needs:after_gap <old>', '<new>']);
  });
});
