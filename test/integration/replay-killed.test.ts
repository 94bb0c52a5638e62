// A mirror's backend is ended in each stage of a session: its open transaction fails, all that follows runs in the exact context.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { B } from '@mirrorstream/pg-wire';
import { execute as run, sharedKafka, waitFor, withClient } from '@mirrorstream/testkit';
import { bind, data, done, execute, parse, query, sync } from '../../libs/capture/src/conversation-script.fixture.ts';
import { extended } from './capture-exact-conversations.ts';
import { RecordedClient } from './capture-exact-scene.ts';
import { differences, type Mirror, type Outcomes, ReplayerScene, repeated, tally } from './replayer-scene.ts';

const schema = [
  'CREATE SCHEMA app',
  'CREATE TABLE app.kept (a int)',
  'CREATE TABLE held (a int)',
  'INSERT INTO held VALUES (1)',
];
const ofVictim = "application_name = 'victim' AND datname = current_database()";

describe('a session whose backend on the mirror is ended', { timeout: 240_000 }, () => {
  let scene: ReplayerScene;
  let mirror: Mirror;
  let seen = 0;
  const known = new Set<string>();
  before(async () => {
    scene = await ReplayerScene.open((await sharedKafka()).bootstrap);
    mirror = await scene.newMirror();
    for (const url of [scene.sourceUrl, mirror.url]) await run(url, ...schema);
    await scene.startReplayer(mirror, '--pacing', 'asap');
  });
  after(() => scene.close());

  /** A session with settings and prepared statements of both kinds, all played: 4 transactions. */
  async function settled(): Promise<RecordedClient> {
    const client = await RecordedClient.connect(scene.proxyUrl, { application_name: 'victim' });
    await client.query("SET search_path TO app; SET app.x TO 'set'", 'PREPARE p AS SELECT count(*) >= 0 FROM kept');
    await client.send([parse('s', 'SELECT 1, $1::text'), sync, parse('t', 'SELECT 2'), sync], { ready: 2 });
    await scene.waitForAll(mirror, seen + 4);
    return client;
  }

  /** Seven transactions that fail or differ unless the session is what it was. */
  async function probe(client: RecordedClient): Promise<void> {
    await client.query("SELECT current_setting('search_path'), current_setting('app.x')");
    await client.send([bind('s', '', 'x'), execute(), sync], { ready: 1 });
    await client.query('EXECUTE p');
    await client.send([bind('s', '', 'y'), execute(), sync], { ready: 1 });
    await client.send([bind('t'), execute(), sync], { ready: 1 });
    await client.query('EXECUTE p', 'INSERT INTO kept VALUES (1)');
  }

  /** Ends the backend of the session on the mirror, and waits until it is gone. */
  async function kill(state: string): Promise<void> {
    await withClient(mirror.url, async (admin) => {
      const find = `SELECT pid FROM pg_stat_activity WHERE ${ofVictim} AND ${state}`;
      const { rows } = await waitFor(
        async () => {
          const found = await admin.query<{ pid: number }>(find);
          return found.rows.length === 1 ? found : null;
        },
        { what: `a backend of the session with ${state}` },
      );
      const pid = rows[0]?.pid;
      await admin.query(`SELECT pg_terminate_backend(${pid})`);
      const gone = async () => (await admin.query(`SELECT FROM pg_stat_activity WHERE pid = ${pid}`)).rowCount === 0;
      await waitFor(gone, { what: 'the end of the backend' });
    });
  }

  /** Waits for so many more transactions; what became of them. */
  async function outcomesOf(transactions: number): Promise<Outcomes> {
    seen += transactions;
    const fresh = [...(await scene.waitForAll(mirror, seen))].filter(([key]) => !known.has(key));
    for (const [key] of fresh) known.add(key);
    assert.equal(fresh.length, transactions);
    return new Map(fresh);
  }

  /** What became of this test's transactions: `expected` failed with connectionLost, all others are replayed and equal. */
  async function accounted(client: RecordedClient, transactions: number, lost: number): Promise<void> {
    await client.terminate();
    const outcomes = await outcomesOf(transactions);
    assert.deepEqual(differences(outcomes), []);
    assert.equal(repeated(outcomes), 0);
    const { replayed, ...others } = tally(outcomes);
    assert.deepEqual(others, lost === 0 ? {} : { 'failed/connectionLost': lost });
    assert.equal(replayed, transactions - lost);
  }

  /** Parts of an open transaction are published after a moment. */
  const firstPart = (client: RecordedClient, sql: string) =>
    waitFor(
      async () => (await scene.results(mirror)).some(({ statements }) => statements.some((it) => it.sql === sql)),
      {
        what: `${sql} on the mirror (${client.events.length} events)`,
        everyMs: 100,
      },
    );

  it('loses nothing between transactions', async () => {
    const client = await settled();
    await kill("state = 'idle'");
    await waitFor(async () => (await scene.snapshot(mirror)) !== null, { what: 'a snapshot' });
    await probe(client);
    await accounted(client, 4 + 7, 0);
  });

  it('loses the transaction that was idle, and what it did', async () => {
    const client = await settled();
    await client.query('BEGIN', "SET app.x TO 'changed'", 'INSERT INTO kept VALUES (2), (2)');
    await firstPart(client, 'INSERT INTO kept VALUES (2), (2)');
    await kill("state = 'idle in transaction'");
    await client.query('COMMIT');
    await probe(client);
    await accounted(client, 4 + 1 + 7, 1);
    await withClient(mirror.url, async (admin) => {
      assert.equal((await admin.query('SELECT FROM app.kept WHERE a = 2')).rowCount, 0);
    });
  });

  it('loses the statement under way, and with it what was sent behind it', async () => {
    const client = await settled();
    await withClient(mirror.url, async (holder) => {
      await holder.query('BEGIN; LOCK TABLE held IN ACCESS EXCLUSIVE MODE');
      const pipelined = [1, 2, 3].flatMap(() => [...extended('UPDATE public.held SET a = a + 0'), sync]);
      await client.send(pipelined, { ready: 3 });
      await probe(client);
      await kill("wait_event_type = 'Lock'");
      await holder.query('ROLLBACK');
    });
    // How many of the three production's client had sent before the first was answered is production's matter.
    await client.terminate();
    const outcomes = await outcomesOf(4 + 3 + 7);
    assert.deepEqual(differences(outcomes), []);
    const { replayed = 0, 'failed/connectionLost': lost = 0, ...others } = tally(outcomes);
    assert.deepEqual(others, {});
    assert.ok(lost >= 1 && lost <= 3, `${lost} lost`);
    assert.equal(replayed + lost, 4 + 3 + 7);
  });

  it('loses a COPY in its midst, and takes none of its data for something else', async () => {
    const client = await settled();
    await client.send([query('COPY kept FROM STDIN')], { type: B.CopyInResponse });
    const lines = data('7\n'.repeat(30_000));
    for (let i = 0; i < 20; i++) await client.send([lines]);
    await kill("query = 'COPY kept FROM STDIN' AND state = 'active'");
    for (let i = 0; i < 20; i++) await client.send([lines]);
    await client.send([done], { ready: 1 });
    await probe(client);
    await accounted(client, 4 + 1 + 7, 1);
  });

  it('cannot have its temporary tables again, and says so, until production’s session has none either', async () => {
    const client = await RecordedClient.connect(scene.proxyUrl, { application_name: 'victim' });
    await client.query('CREATE TEMP TABLE own (a int)', 'INSERT INTO own VALUES (1)');
    await scene.waitForAll(mirror, seen + 2);
    await kill("state = 'idle'");
    await client.query('SELECT * FROM own', 'SELECT 1', 'DISCARD TEMP', 'SELECT 2');
    await client.query('CREATE TEMP TABLE own (a int)', 'SELECT * FROM own');
    await client.terminate();
    const outcomes = await outcomesOf(8);
    assert.deepEqual(differences(outcomes), []);
    assert.deepEqual(tally(outcomes), { replayed: 5, 'failed/dependsOnSession': 3 });
  });
});
