// The capture proxy in front of a real PostgreSQL, publishing to a real Kafka: traffic is untouched, and every transaction is accounted for.
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { after, describe, it } from 'node:test';
import {
  createDatabase,
  createTpcbTables,
  runTpcb,
  sharedKafka,
  sharedPostgres,
  startKafka,
  temporaryDirectory,
  uniqueName,
  waitFor,
  withClient,
} from '@mirrorstream/testkit';
import {
  assertOneCancelNoted,
  endProxies,
  published,
  snapshotsOf,
  startProxy,
  stopInOrder,
  sumOf,
} from './capture-scene.ts';
import { cancelOnce } from './proxy-scene.ts';

const psqlCommand = 'psql';
const psqlMissing = spawnSync(psqlCommand, ['--version']).status !== 0;
after(endProxies);

describe('the capture proxy', { timeout: 240_000 }, () => {
  it('gives a client the same answers as the server itself: large results, errors', async (t) => {
    const database = await createDatabase(await sharedPostgres('source'), t);
    const proxy = await startProxy();
    const questions = [
      'SELECT i, md5(i::text) AS hash, repeat(chr(65 + i % 26), i % 500) AS pad FROM generate_series(1, 60000) i',
      "SELECT repeat('x', 9000000) AS wide",
      'CREATE TABLE copied (i int, t text)',
      "INSERT INTO copied SELECT i, 'row ' || i FROM generate_series(1, 1000) i",
      'TABLE copied ORDER BY i',
    ];
    const answers = async (url: string): Promise<string> =>
      await withClient(url, async (client) => {
        const hash = createHash('sha256');
        for (const question of questions) hash.update(JSON.stringify((await client.query(question)).rows));
        const failed = await client.query('SELECT 1 / 0').catch((error: { code: string; message: string }) => error);
        hash.update(JSON.stringify([(failed as { code: string }).code, (failed as { message: string }).message]));
        await client.query('DROP TABLE copied');
        return hash.digest('hex');
      });
    assert.equal(await answers(proxy.via(database.url)), await answers(database.url));
    await stopInOrder(proxy);
    const [snapshot] = await snapshotsOf(proxy);
    assert.equal(snapshot?.final, true);
    assert.equal(snapshot.transactions, 7);
    assert.deepEqual(snapshot.dropped.transactions, 0);
  });

  it('passes psql with COPY in both directions, a failing COPY included', { skip: psqlMissing }, async (t) => {
    const database = await createDatabase(await sharedPostgres('source'), t);
    const proxy = await startProxy();
    const rows = Array.from({ length: 20_000 }, (_, i) => `${i}\t${'row '.repeat(i % 30)}`).join('\n');
    const script = `CREATE TABLE c (i int PRIMARY KEY, t text);
COPY c FROM STDIN;
${rows}
\\.
COPY c FROM STDIN;
1\tagain
\\.
COPY (SELECT * FROM c ORDER BY i) TO STDOUT;
DROP TABLE c;
`;
    const psql = (url: string): string =>
      execFileSync(psqlCommand, ['-X', '-q', '-d', url], {
        input: script,
        encoding: 'utf8',
        stdio: ['pipe', 'pipe', 'pipe'],
        maxBuffer: 64 * 1024 * 1024,
      });
    const through = psql(proxy.via(database.url));
    assert.equal(through.split('\n').length, 20_001);
    assert.equal(through, psql(database.url));
    await stopInOrder(proxy);
    const [snapshot] = await snapshotsOf(proxy);
    assert.deepEqual([snapshot?.final, snapshot?.transactions, snapshot?.dropped.transactions], [true, 5, 0]);
    const copied = (await published(proxy)).batches
      .flatMap(({ records }) => records)
      .flatMap(({ record }) => (record.case === 'envelope' ? record.value.exchanges : []))
      .reduce((bytes, { request }) => bytes + request.length, 0);
    assert.ok(copied > rows.length, 'what was copied in is in the envelopes');
  });

  for (const protocol of ['simple', 'extended', 'prepared'] as const) {
    it(`captures each of N transactions sent in the ${protocol} protocol exactly once`, async (t) => {
      const database = await createDatabase(await sharedPostgres('source'), t);
      await createTpcbTables(database.url);
      const proxy = await startProxy();
      const load = await runTpcb({ url: proxy.via(database.url), protocol, clients: 5, transactions: 40, seed: 7 });
      assert.deepEqual(load.errors, {});
      await stopInOrder(proxy);
      const [snapshot] = await snapshotsOf(proxy);
      assert.ok(snapshot);
      const found = await published(proxy);
      // Prepared sessions parse before they begin: one transaction more per statement.
      const preparing = protocol === 'prepared' ? snapshot.transactions - load.transactions : 0;
      assert.ok(preparing % 5 === 0);
      assert.equal(found.transactions, 200 + preparing);
      assert.equal(snapshot.transactions, 200 + preparing);
      assert.deepEqual(
        [snapshot.final, snapshot.dropped.transactions, snapshot.pending.transactions, found.gaps, snapshot.sessions],
        [true, 0, 0, 0, { total: 5, open: 0 }],
      );
    });
  }

  it('forwards on when Kafka stops, counts what it cannot keep, tells the gaps and captures again', async (t) => {
    const database = await createDatabase(await sharedPostgres('source'), t);
    await createTpcbTables(database.url);
    const dataDir = await temporaryDirectory('kafka');
    const first = await startKafka({ dataDir });
    const proxy = await startProxy({ brokers: first.bootstrap, flags: ['--publish-buffer-bytes', '1048576'] });
    const load = async (transactions: number, seed: number): Promise<number> => {
      const result = await runTpcb({ url: proxy.via(database.url), clients: 4, transactions, seed });
      assert.deepEqual(result.errors, {});
      return result.transactions;
    };
    let sent = await load(50, 1);
    await first.kill9();
    sent += await load(1_000, 2);
    const second = await startKafka({ port: first.port, dataDir });
    await waitFor(async () => ((await snapshotsOf(proxy))[0]?.dropped.transactions ?? 0) > 0, {
      what: 'the proxy to tell Kafka what it dropped',
      deadlineMs: 60_000,
    });
    sent += await load(50, 3);
    await waitFor(async () => (await snapshotsOf(proxy))[0]?.pending.transactions === 0, {
      what: 'everything to be acknowledged',
      deadlineMs: 60_000,
    });
    await stopInOrder(proxy);
    const [snapshot] = await snapshotsOf(proxy);
    assert.ok(snapshot?.final);
    const found = await published(proxy);
    assert.equal(snapshot.transactions + snapshot.dropped.transactions, sent);
    assert.equal(found.transactions, snapshot.transactions);
    assert.equal(found.gapTransactions, snapshot.dropped.transactions);
    assert.ok(snapshot.transactions > 100, 'captured before, while the buffer lasted, and after');
    assert.deepEqual(snapshot.dropped.byReason, { publishBufferFull: snapshot.dropped.transactions });
    await second.stop();
  });

  it('forwards without Kafka from the start, and captures when Kafka comes', async (t) => {
    const database = await createDatabase(await sharedPostgres('source'), t);
    const dataDir = await temporaryDirectory('kafka');
    const early = await startKafka({ dataDir });
    await early.stop();
    const proxy = await startProxy({ brokers: early.bootstrap });
    await withClient(proxy.via(database.url), (client) => client.query('SELECT 1'));
    const broker = await startKafka({ port: early.port, dataDir });
    await proxy.service.waitForLine(/"publishing"/, 60_000);
    await withClient(proxy.via(database.url), (client) => client.query('SELECT 2'));
    await stopInOrder(proxy);
    const [snapshot] = await snapshotsOf(proxy);
    assert.deepEqual([snapshot?.final, snapshot?.transactions, snapshot?.dropped.transactions], [true, 2, 0]);
    await broker.stop();
  });

  it('has exact totals after kill -9 under load and a restart', async (t) => {
    const database = await createDatabase(await sharedPostgres('source'), t);
    await createTpcbTables(database.url);
    const brokers = (await sharedKafka()).bootstrap;
    const sourceName = uniqueName('proxy');
    let proxy = await startProxy({ brokers, sourceName });
    for (let round = 0; round < 3; round++) {
      const load = runTpcb({ url: proxy.via(database.url), clients: 4, durationMs: 60_000, seed: round }).catch(
        () => null,
      );
      await waitFor(
        async () => sumOf(await snapshotsOf(proxy), ({ transactions }) => transactions) > 100 * (round + 1),
        {
          what: 'some transactions to be captured',
          deadlineMs: 60_000,
        },
      );
      await proxy.service.kill9();
      await load;
      proxy = await startProxy({ brokers, sourceName });
      await proxy.service.waitForLine(/closed the books/);
    }
    await runTpcb({ url: proxy.via(database.url), clients: 2, transactions: 10, seed: 9 });
    await stopInOrder(proxy);
    const snapshots = await snapshotsOf(proxy);
    assert.equal(snapshots.length, 4);
    assert.ok(snapshots.every(({ final, pending }) => final && pending.transactions === 0));
    const { transactions } = await published(proxy);
    assert.equal(
      sumOf(snapshots, (snapshot) => snapshot.transactions),
      transactions,
    );
  });

  it('loses capture, not traffic, when the ring is full, and resynchronises', async (t) => {
    const database = await createDatabase(await sharedPostgres('source'), t);
    const proxy = await startProxy({ flags: ['--ring-bytes', '262144'] });
    await proxy.service.waitForLine(/"publishing"/); // the worker has started: it would empty a ring of ordinary size later, too
    const rows = await withClient(proxy.via(database.url), async (client) => {
      const big = await client.query("SELECT repeat('y', 1000) AS pad FROM generate_series(1, 60000)");
      for (let i = 0; i < 50; i++) await client.query('SELECT $1::int', [i]);
      return big.rows.length;
    });
    assert.equal(rows, 60_000);
    await stopInOrder(proxy);
    const [snapshot] = await snapshotsOf(proxy);
    assert.ok(snapshot?.final);
    assert.ok(snapshot.dropped.bytes > 0, 'this ring is far too small for 60 MB at once');
    assert.ok(snapshot.transactions >= 40, `${snapshot.transactions} of 50 were captured after it`);
    assert.ok((await published(proxy)).gaps > 0);
  });

  it('passes a cancel and notes it at the exchange it was for', async (t) => {
    const database = await createDatabase(await sharedPostgres('source'), t);
    const proxy = await startProxy();
    const port = Number(new URL(proxy.via(database.url)).port);
    await withClient(proxy.via(database.url), async (client) => {
      assert.equal(await cancelOnce(client, database.url, port), '57014');
    });
    await stopInOrder(proxy);
    await assertOneCancelNoted(proxy);
  });

  it('lets an open transaction end when it is asked to stop, and captures it', async (t) => {
    const database = await createDatabase(await sharedPostgres('source'), t);
    const proxy = await startProxy();
    let stopped = Promise.resolve();
    await withClient(proxy.via(database.url), async (client) => {
      await client.query('BEGIN');
      await client.query('CREATE TABLE kept (i int)');
      stopped = stopInOrder(proxy);
      await proxy.service.waitForLine(/"stopping"/);
      await client.query('INSERT INTO kept VALUES (1)');
      await client.query('COMMIT');
    });
    await stopped;
    await withClient(database.url, async (client) => {
      assert.equal((await client.query('TABLE kept')).rowCount, 1);
    });
    const [snapshot] = await snapshotsOf(proxy);
    assert.deepEqual([snapshot?.final, snapshot?.transactions, snapshot?.exchanges], [true, 1, 4]);
  });
});
