// The replayer as a process: real traffic captured by the real proxy, played to a real mirror.
import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import { envelopesTopic } from '@mirrorstream/domain';
import {
  createTpcbTables,
  execute,
  type PostgresAddress,
  queryFrame,
  runTpcb,
  sharedKafka,
  startPostgres,
  tpcbSums,
  WireConnection,
  waitFor,
  withClient,
} from '@mirrorstream/testkit';
import { differences, ReplayerScene, repeated, tally } from './replayer-scene.ts';

/** What a client of the load driver prepares, each an exchange outside a transaction. */
const preparedStatements = 7;

describe('the replayer', { timeout: 240_000 }, () => {
  it('plays every transaction of every protocol once, to the same sums and the same answers', async (t) => {
    const scene = await openScene(t);
    const mirror = await scene.newMirror();
    await Promise.all([createTpcbTables(scene.sourceUrl), createTpcbTables(mirror.url)]);
    const replayer = await scene.startReplayer(mirror);
    for (const [seed, protocol] of (['simple', 'extended', 'prepared'] as const).entries())
      await runTpcb({ url: scene.proxyUrl, protocol, clients: 4, transactions: 40, seed: seed + 1 });
    const sums = await tpcbSums(scene.sourceUrl);
    await waitFor(async () => (await tpcbSums(mirror.url)).historyRows === sums.historyRows, {
      what: 'all rows on the mirror',
    });
    const outcomes = await scene.waitForAll(mirror, 3 * 160 + 4 * preparedStatements);
    assert.deepEqual(await tpcbSums(mirror.url), sums);
    assert.deepEqual(Object.keys(tally(outcomes)), ['replayed']);
    assert.equal(repeated(outcomes), 0);
    // Concurrent updates of one account can be read in another order; nothing else may differ.
    assert.deepEqual(
      differences(outcomes).filter((sql) => !sql.startsWith('SELECT abalance')),
      [],
    );
    await scene.waitForCommits(mirror);
    for (const { metadata } of await scene.positions(mirror)) assert.match(metadata, /^\{"r":"\d+"\}$|^$/);
    const exit = await replayer.stop();
    assert.equal(exit.code, 0, exit.lastLogLines.join('\n'));
    const snapshot = await scene.snapshot(mirror);
    assert.equal(snapshot?.final, true);
    assert.equal(snapshot?.pending, 0);
    assert.equal(snapshot?.read, outcomes.size);
  });

  it('plays COPY in parts, failing statements, savepoints, prepared statements and temporary tables as production did', async (t) => {
    const scene = await openScene(t);
    const mirror = await scene.newMirror();
    await scene.startReplayer(mirror);
    await execute(scene.sourceUrl, 'CREATE TABLE lines (n int, filler text)');
    await execute(mirror.url, 'CREATE TABLE lines (n int, filler text)');
    await withClient(scene.proxyUrl, async (client) => {
      await client.query('CREATE TEMP TABLE kept (n int)');
      await client.query({ name: 'insert', text: 'INSERT INTO kept VALUES ($1)', values: [1] });
      await client.query({ name: 'insert', text: 'INSERT INTO kept VALUES ($1)', values: [2] });
      await client.query('SELECT * FROM no_such_table').catch(() => {});
      await client.query('BEGIN; SAVEPOINT a');
      await client.query('INSERT INTO lines VALUES ($1, 1)', ['x']).catch(() => {});
      await client.query('ROLLBACK TO a');
      await client.query('SELECT sum(n) FROM kept');
      await client.query('COMMIT');
      await client.query("SET search_path TO pg_catalog; SELECT 1; SELECT 'two'");
    });
    await copyIn(scene.proxyUrl, 'COPY lines FROM STDIN', 40, 100_000);
    const outcomes = await scene.waitForAll(mirror, 7);
    assert.deepEqual(differences(outcomes), []);
    assert.deepEqual(Object.keys(tally(outcomes)), ['replayed']);
    const parts = (await scene.results(mirror)).filter(({ ref, statements }) =>
      ref?.lastPart ? statements.some(({ sql }) => sql === 'COPY lines FROM STDIN') : ref?.sessionId !== '',
    );
    assert.ok(parts.length > 4, `${parts.length} parts`);
    assert.deepEqual(await countAndSum(mirror.url), await countAndSum(scene.sourceUrl));
    assert.equal((await countAndSum(mirror.url)).count, 40);
  });

  it('loses nothing when it is killed with -9 in mid-run, again and again, and repeats only what had no result yet', async (t) => {
    const scene = await openScene(t);
    const mirror = await scene.newMirror();
    await Promise.all([createTpcbTables(scene.sourceUrl), createTpcbTables(mirror.url)]);
    const rounds = 3;
    const clients = 6;
    let replayer = await scene.startReplayer(mirror);
    for (let round = 0; round < rounds; round++) {
      const load = runTpcb({ url: scene.proxyUrl, protocol: 'simple', clients, transactions: 150, seed: 10 + round });
      const seen = (await scene.outcomes(mirror)).size;
      await waitFor(async () => (await scene.outcomes(mirror)).size > seen + 50, {
        what: 'replay in mid-run',
        everyMs: 50,
      });
      await replayer.kill9();
      replayer = await scene.startReplayer(mirror);
      await load;
    }
    const outcomes = await scene.waitForAll(mirror, rounds * clients * 150);
    assert.deepEqual(Object.keys(tally(outcomes)), ['replayed']);
    const rows = (await tpcbSums(mirror.url)).historyRows;
    const sourceRows = (await tpcbSums(scene.sourceUrl)).historyRows;
    assert.ok(rows >= sourceRows, `${rows} rows on the mirror, ${sourceRows} on the source`);
    // At each kill, what ran on the mirror and whose results Kafka had not taken yet runs again: a few per session.
    assert.ok(rows - sourceRows <= rounds * clients * 20, `${rows - sourceRows} transactions ran twice`);
    await replayer.stop();
  });

  it('says what failed while the mirror was away, connects again and goes on', async (t) => {
    const scene = await openScene(t);
    const server = await startPostgres({ name: 'away' });
    t.after(() => server.stop());
    const mirror = await scene.newMirror(addressOf(server));
    const replayer = await scene.startReplayer(mirror, '--connect-give-up-ms', '300');
    await withClient(scene.proxyUrl, async (client) => {
      await client.query('SELECT 1 AS before');
      await scene.waitForAll(mirror, 1);
      await server.stop();
      await client.query('SELECT 2 AS during');
      await waitFor(async () => (tally(await scene.outcomes(mirror))['failed/targetUnreachable'] ?? 0) > 0, {
        what: 'a transaction that failed',
        everyMs: 100,
      });
      const again = await startPostgres({ name: 'away', dataDir: server.dataDir, port: server.port });
      t.after(() => again.stop());
      await client.query('SELECT 3 AS afterwards');
    });
    const outcomes = await scene.waitForAll(mirror, 3);
    const counts = tally(outcomes);
    assert.ok((counts['failed/targetUnreachable'] ?? 0) >= 1);
    assert.equal(
      (counts['replayed'] ?? 0) + (counts['failed/targetUnreachable'] ?? 0) + (counts['failed/dependsOnSession'] ?? 0),
      outcomes.size,
    );
    const said = replayer.lines().filter((line) => line.includes('the mirror is down'));
    assert.ok(said.length >= 1 && said.length <= 3, said.join('\n'));
  });

  it('counts what a mirror that crashes under load cost, and plays everything else once', async (t) => {
    const scene = await openScene(t);
    const server = await startPostgres({ name: 'crash' });
    t.after(() => server.stop());
    const mirror = await scene.newMirror(addressOf(server));
    await Promise.all([createTpcbTables(scene.sourceUrl), createTpcbTables(mirror.url)]);
    await scene.startReplayer(mirror);
    const load = runTpcb({ url: scene.proxyUrl, protocol: 'extended', clients: 6, transactions: 200, seed: 5 });
    await waitFor(async () => (await scene.outcomes(mirror)).size > 100, { what: 'replay in mid-run', everyMs: 50 });
    await withClient(mirror.url, async (holder) => {
      holder.on('error', () => undefined); // the crash ends it, too
      await holder.query('BEGIN; LOCK TABLE pgbench_branches IN EXCLUSIVE MODE');
      const stuck = "SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()";
      await waitFor(async () => ((await holder.query(stuck)).rowCount ?? 0) > 0, { what: 'a transaction under way' });
      await server.kill9();
    });
    const again = await startPostgres({ name: 'crash', dataDir: server.dataDir, port: server.port });
    t.after(() => again.stop());
    await load;
    const outcomes = await scene.waitForAll(mirror, 6 * 200);
    const { replayed = 0, 'failed/connectionLost': lost = 0, ...others } = tally(outcomes);
    assert.deepEqual(others, {});
    assert.equal(repeated(outcomes), 0);
    assert.equal(replayed + lost, 6 * 200);
    // One per session at most was under way.
    assert.ok(lost >= 1 && lost <= 6, `${lost} lost`);
    const { historyRows } = await tpcbSums(mirror.url);
    assert.ok(historyRows >= replayed && historyRows <= replayed + lost, `${historyRows} rows, ${replayed} replayed`);
  });

  it('commits nothing beyond a transaction that is still open, and plays it from its beginning after kill -9', async (t) => {
    const scene = await openScene(t);
    const mirror = await scene.newMirror();
    for (const url of [scene.sourceUrl, mirror.url]) await execute(url, 'CREATE TABLE kept (n int)');
    const first = await scene.startReplayer(mirror);
    await withClient(scene.proxyUrl, async (open) => {
      await open.query('BEGIN');
      await open.query('INSERT INTO kept VALUES (1)');
      // Its first part is played; the others' transactions, before and after it, are settled.
      await waitFor(
        async () =>
          (await scene.results(mirror)).some(
            ({ ref }) => ref?.lastPart === false && ref.part === 0 && ref.sessionSeq > 0n,
          ),
        {
          what: 'the first part of the open transaction',
          everyMs: 100,
        },
      );
      for (let i = 0; i < 8; i++) await withClient(scene.proxyUrl, (client) => client.query('SELECT 1'));
      await scene.waitForAll(mirror, 8);
      await waitFor(async () => (await scene.positions(mirror)).some(({ committed, high }) => committed === high), {
        what: 'a commit of the other partitions',
        everyMs: 100,
      });
      assert.ok((await scene.positions(mirror)).some(({ committed, high }) => committed < high));
      await first.kill9();
      const second = await scene.startReplayer(mirror);
      await open.query('INSERT INTO kept VALUES (2)');
      await open.query('COMMIT');
      const outcomes = await scene.waitForAll(mirror, 9);
      assert.equal(repeated(outcomes), 0);
      assert.deepEqual(tally(outcomes), { replayed: 9 });
      await second.stop();
    });
    const { rows } = await withClient(mirror.url, (client) => client.query('SELECT n FROM kept ORDER BY n'));
    assert.deepEqual(rows, [{ n: 1 }, { n: 2 }]);
  });

  it('sends an undecodable record to the dead letter, counts its transactions as failed, and goes on', async (t) => {
    const scene = await openScene(t);
    const mirror = await scene.newMirror();
    const producer = await scene.client.producer();
    const value = Buffer.from('no envelope at all');
    const [ack] = await producer.send([
      {
        topic: envelopesTopic(scene.source),
        partition: 1,
        key: null,
        value,
        headers: { transactions: '3', poison: 'yes' },
      },
    ]);
    await withClient(scene.proxyUrl, (client) => client.query('SELECT 1 AS after_poison'));
    await scene.startReplayer(mirror, '--exposure', '0');
    await scene.waitForAll(mirror, 1);
    const [letter] = await waitFor(
      async () => ((await scene.deadLetters(mirror)).length > 0 ? scene.deadLetters(mirror) : null),
      {
        what: 'the dead letter',
      },
    );
    assert.deepEqual(letter?.value, value);
    assert.equal(letter?.headers['offset'], String(ack?.baseOffset));
    assert.equal(letter?.headers['partition'], '1');
    const results = (await scene.results(mirror)).filter(({ ref }) => ref?.sessionId === '');
    assert.deepEqual(
      results.map(({ reason, transactions }) => [reason, transactions]),
      [['undecodable', 3]],
    );
    await scene.waitForCommits(mirror);
  });

  it('plays the share of sessions that exposure says, and leaves filtered databases alone', async (t) => {
    const scene = await openScene(t);
    await withClient(scene.proxyUrl, (client) => client.query('SELECT 1'));
    const unexposed = await scene.newMirror();
    await scene.startReplayer(unexposed, '--exposure', '0');
    assert.deepEqual(Object.keys(tally(await scene.waitForAll(unexposed, 1))), ['unexposed']);
    const filtered = await scene.newMirror();
    await scene.startReplayer(filtered, '--exclude-database', new URL(scene.sourceUrl).pathname.slice(1));
    assert.deepEqual(Object.keys(tally(await scene.waitForAll(filtered, 1))), ['filtered/database']);
    assert.equal(repeated(await scene.outcomes(filtered)), 0);
  });

  it('shares the partitions with a second replayer that comes and goes', async (t) => {
    const scene = await openScene(t);
    const mirror = await scene.newMirror();
    await Promise.all([createTpcbTables(scene.sourceUrl), createTpcbTables(mirror.url)]);
    await scene.startReplayer(mirror, '--pacing', 'asap');
    await scene.waitForAll(mirror, 0);
    const run = (seed: number) =>
      runTpcb({ url: scene.proxyUrl, protocol: 'prepared', clients: 6, transactions: 80, seed });
    const load = run(31);
    const second = await scene.startReplayer(mirror, '--pacing', 'asap', '--instance', 'second');
    await load;
    const more = run(32);
    await second.stop();
    await more;
    const outcomes = await scene.waitForAll(mirror, 2 * 6 * (80 + preparedStatements));
    assert.deepEqual(Object.keys(tally(outcomes)), ['replayed']);
    const { historyRows } = await tpcbSums(mirror.url);
    assert.ok(historyRows >= (await tpcbSums(scene.sourceUrl)).historyRows);
  });
});

async function openScene(t: TestContext): Promise<ReplayerScene> {
  const scene = await ReplayerScene.open((await sharedKafka()).bootstrap);
  t.after(() => scene.close());
  return scene;
}

async function countAndSum(url: string): Promise<{ count: number; sum: string }> {
  const { rows } = await withClient(url, (client) =>
    client.query<{ count: number; sum: string }>('SELECT count(*)::int, sum(length(filler))::text FROM lines'),
  );
  return rows[0] as { count: number; sum: string };
}

function addressOf(server: Awaited<ReturnType<typeof startPostgres>>): PostgresAddress {
  const { host, port, url } = server;
  return { name: 'away', major: 17, host, port, superuser: 'postgres', url };
}

/** A COPY of `rows` long lines, over a bare connection. */
async function copyIn(url: string, sql: string, rows: number, lineBytes: number): Promise<void> {
  const connection = await WireConnection.connect(url);
  const line = (n: number) => frame('d', Buffer.from(`${n}\t${'x'.repeat(lineBytes)}\n`));
  const data = Array.from({ length: rows }, (_, n) => line(n));
  await connection.exchange(Buffer.concat([queryFrame(sql), ...data, frame('c', Buffer.alloc(0))]));
  await connection.close();
}

function frame(type: string, body: Buffer): Buffer {
  const head = Buffer.alloc(5);
  head.write(type, 'latin1');
  head.writeInt32BE(4 + body.length, 1);
  return Buffer.concat([head, body]);
}
