// A proxy that is asked to stop breaks no transaction, loses none, and lets go of its port at once.
import assert from 'node:assert/strict';
import { after, describe, it, type TestContext } from 'node:test';
import { TransactionOutcome } from '@mirrorstream/envelope';
import {
  createDatabase,
  queryFrame,
  sharedPostgres,
  type TestDatabase,
  WireConnection,
  waitFor,
  withClient,
} from '@mirrorstream/testkit';
import {
  createKept,
  endProxies,
  kept,
  Load,
  type ProxyOptions,
  type ProxyScene,
  published,
  snapshotsOf,
  startProxy,
  stopInOrder,
  sumOf,
} from './capture-scene.ts';

after(endProxies);

async function scene(
  t: TestContext,
  options: ProxyOptions = {},
): Promise<{ readonly database: TestDatabase; readonly proxy: ProxyScene }> {
  const database = await createDatabase(await sharedPostgres('source'), t);
  await createKept(database.url);
  return { database, proxy: await startProxy(options) };
}

const open = async (url: string): Promise<WireConnection> => {
  const connection = await WireConnection.connect(url);
  assert.equal((await connection.exchange(queryFrame('SELECT 1'))).sqlState, undefined);
  return connection;
};

/** Whether the other side has ended it: asking a connection that lives would be answered. */
const isEnded = (connection: WireConnection): Promise<boolean> =>
  connection.exchange(queryFrame('SELECT 1')).then(
    () => false,
    () => true,
  );

describe('a proxy that drains', { timeout: 240_000 }, () => {
  for (const workers of [1, 2]) {
    it(`ends busy clients between two transactions, with ${workers} worker${workers > 1 ? 's' : ''}: what committed is in the topic`, async (t) => {
      const { database, proxy } = await scene(t, { flags: ['--workers', String(workers), '--drain-deadline', '60'] });
      const load = await Load.start(proxy.via(database.url), 8);
      await load.more(100);
      await stopInOrder(proxy);
      const committed = await load.stop();
      assert.deepEqual(load.cutAt, Array(8).fill(0), 'every client was ended when it had nothing open');
      assert.deepEqual(
        proxy.service.lines().filter((line) => line.includes('closed at the drain deadline')),
        [],
      );
      assert.equal(await kept(database.url), committed);
      assert.equal((await published(proxy)).transactions, committed);
      const snapshots = await snapshotsOf(proxy);
      assert.equal(
        sumOf(snapshots, ({ transactions }) => transactions),
        committed,
      );
      assert.ok(snapshots.every(({ final, dropped }) => final && dropped.transactions === 0));
    });
  }

  it('is not ready at once and frees its port at once, ends what is idle and waits for what is open', async (t) => {
    const { database, proxy } = await scene(t, { flags: ['--health', '0'] });
    const { port } = JSON.parse(await proxy.service.waitForLine(/the health endpoint listens/)) as { port: number };
    const ready = async (): Promise<number> => (await fetch(`http://127.0.0.1:${port}/ready`)).status;
    assert.equal(await ready(), 200);
    const idle = await open(proxy.via(database.url));
    const busy = await open(proxy.via(database.url));
    await busy.exchange(queryFrame('BEGIN'));
    const stopped = stopInOrder(proxy);
    await proxy.service.waitForLine(/"stopping"/);
    assert.equal(await ready(), 503);
    const successor = await startProxy({ listen: proxy.listen, node: 'successor' });
    await waitFor(() => isEnded(idle), { what: 'the idle session to be ended' });
    await withClient(successor.via(database.url), (client) => client.query('SELECT 1'));
    await busy.exchange(queryFrame('INSERT INTO kept VALUES (1)'));
    assert.equal((await busy.exchange(queryFrame('COMMIT'))).sqlState, undefined);
    await stopped;
    await stopInOrder(successor);
    assert.equal(await kept(database.url), 1);
  });

  it('lets a pipeline be answered to its end', async (t) => {
    const { database, proxy } = await scene(t);
    const client = await open(proxy.via(database.url));
    const pipeline = ['SELECT 2', 'BEGIN', 'INSERT INTO kept VALUES (1)', 'SELECT pg_sleep(1)', 'COMMIT', 'SELECT 3'];
    // Answered up to the first ReadyForQuery, which says idle: the rest is under way.
    await client.exchange(Buffer.concat(pipeline.map(queryFrame)));
    await stopInOrder(proxy);
    const outcomes = (await published(proxy)).batches
      .flatMap(({ records }) => records)
      .flatMap(({ record }) =>
        record.case === 'envelope' ? [[record.value.outcome, record.value.exchanges.length]] : [],
      );
    const { COMMITTED } = TransactionOutcome;
    assert.deepEqual(outcomes, [
      [COMMITTED, 1],
      [COMMITTED, 1],
      [COMMITTED, 4],
      [COMMITTED, 1],
    ]);
  });

  it('knows open from idle where it captures nothing', async (t) => {
    const { database, proxy } = await scene(t, { flags: ['--capture', 'off'] });
    const idle = await open(proxy.via(database.url));
    const busy = await open(proxy.via(database.url));
    await busy.exchange(queryFrame('BEGIN'));
    const stopped = stopInOrder(proxy);
    await waitFor(() => isEnded(idle), { what: 'the idle session to be ended' });
    await busy.exchange(queryFrame('INSERT INTO kept VALUES (1)'));
    assert.equal((await busy.exchange(queryFrame('COMMIT'))).sqlState, undefined);
    await stopped;
    assert.equal(await kept(database.url), 1);
  });

  it('cuts what is open at the deadline, and at a second signal, and still ends in order', async (t) => {
    for (const deadline of ['0.5', '600']) {
      const { database, proxy } = await scene(t, { flags: ['--drain-deadline', deadline] });
      const busy = await open(proxy.via(database.url));
      await busy.exchange(queryFrame('BEGIN'));
      const stopped = stopInOrder(proxy);
      await proxy.service.waitForLine(/"stopping"/);
      if (deadline === '600') proxy.service.signal('SIGTERM');
      await stopped;
      assert.ok(proxy.service.lines().some((line) => /"sessions":1,.*closed at the drain deadline/.test(line)));
      assert.ok(await isEnded(busy));
      const [snapshot] = await snapshotsOf(proxy);
      assert.deepEqual([snapshot?.final, snapshot?.pending.transactions], [true, 0]);
    }
  });
});
