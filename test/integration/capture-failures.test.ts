// One fault at a time between a real PostgreSQL and a real Kafka: no client notices, a gap says what is missing and why, capture resumes.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { envelopesTopic } from '@mirrorstream/domain';
import { type Admin, connectKafka } from '@mirrorstream/kafka';
import { sourceTopics } from '@mirrorstream/service-kit';
import {
  createDatabase,
  sharedKafka,
  sharedPostgres,
  startKafka,
  uniqueName,
  waitFor,
  withClient,
} from '@mirrorstream/testkit';
import { closedBooks, createTraffic, gapTransactions, reasonsOf, waitForSnapshot } from './capture-fault-scene.ts';
import { endProxies, snapshotsOf, startProxy, stopInOrder, sumOf } from './capture-scene.ts';

let broker: Awaited<ReturnType<typeof startKafka>>;
before(async () => {
  broker = await startKafka();
});
after(async () => {
  await endProxies();
  await broker.stop();
});

async function withAdmin<T>(brokers: string, work: (admin: Admin) => Promise<T>): Promise<T> {
  const client = connectKafka({ brokers: [brokers], clientId: 'test' });
  try {
    return await work(await client.admin());
  } finally {
    await client.close();
  }
}

const partitions = 4; // of startProxy

describe('capture under faults', { timeout: 240_000 }, () => {
  it('ring full: the client gets every byte, a gap tells of it, and the session is followed again', async (t) => {
    const database = await createDatabase(await sharedPostgres('source'), t);
    const traffic = await createTraffic(t);
    const proxy = await startProxy({ flags: ['--ring-bytes', '262144'] });
    await proxy.service.waitForLine(/"publishing"/);
    const question =
      'SELECT sum(length(pad)) FROM (SELECT repeat(chr(65 + i % 26), 1000) AS pad FROM generate_series(1, 60000) i) t';
    const flood = async (url: string): Promise<string> =>
      await withClient(url, async (client) => {
        const { rows } = await client.query(question.replace('sum(length(pad))', 'pad'));
        return rows.map(({ pad }: { pad: string }) => pad).join('');
      });
    assert.equal(await flood(proxy.via(database.url)), await flood(database.url));
    const sent = await traffic.run(proxy, 200);
    await stopInOrder(proxy);
    const books = await closedBooks(proxy);
    assert.deepEqual(reasonsOf(books.gaps), ['RING_FULL']);
    assert.ok(books.captured >= sent * 0.9, `${books.captured} of the ${sent} after it`);
    assert.ok(books.captured + books.dropped <= sent + 1, 'a lower bound: what was never seen cannot be counted');
  });

  it('Kafka slow: what it does not take for some seconds waits, and nothing is lost', async (t) => {
    const traffic = await createTraffic(t);
    const proxy = await startProxy({ brokers: broker.bootstrap });
    await proxy.service.waitForLine(/"publishing"/);
    let sent = await traffic.run(proxy, 100);
    process.kill(broker.pid, 'SIGSTOP');
    t.after(() => process.kill(broker.pid, 'SIGCONT'));
    sent += await traffic.run(proxy, 800);
    process.kill(broker.pid, 'SIGCONT');
    sent += await traffic.run(proxy, 100);
    await stopInOrder(proxy);
    const books = await closedBooks(proxy);
    assert.deepEqual([books.captured, books.dropped, books.gaps.length], [sent, 0, 0]);
  });

  it('Kafka refuses a record: that one is told as a gap, those around it arrive', async (t) => {
    const brokers = (await sharedKafka()).bootstrap;
    const traffic = await createTraffic(t);
    const database = await createDatabase(await sharedPostgres('source'), t);
    const sourceName = uniqueName('proxy');
    const [spec] = sourceTopics(sourceName, { partitions });
    assert.ok(spec);
    const topic = { ...spec, config: { ...spec.config, 'max.message.bytes': '100000' } };
    await withAdmin(brokers, (admin) => admin.ensureTopics([topic]));
    const proxy = await startProxy({ brokers, sourceName });
    await proxy.service.waitForLine(/"publishing"/);
    let sent = await traffic.run(proxy, 100);
    // Nothing else shall lie in the record that is refused.
    await waitForSnapshot(proxy, 'these to be captured', ({ transactions }) => transactions === sent);
    const text = 'x'.repeat(200_000);
    const length = await withClient(proxy.via(database.url), (client) =>
      client.query('SELECT length($1) AS length', [text]),
    );
    assert.deepEqual(length.rows, [{ length: text.length }]);
    sent += 1;
    await waitForSnapshot(proxy, 'the refusal', ({ dropped }) => dropped.transactions > 0);
    sent += await traffic.run(proxy, 100);
    await stopInOrder(proxy);
    const books = await closedBooks(proxy);
    assert.equal(books.captured + books.dropped, sent);
    assert.deepEqual(books.byReason, { recordRefused: books.dropped });
    assert.deepEqual([reasonsOf(books.gaps), gapTransactions(books.gaps)], [['RECORD_REFUSED'], books.dropped]);
    assert.equal(books.dropped, 1);
  });

  it('worker dies: forwarding goes on, a new one captures, and the books of the dead one are closed', async (t) => {
    const traffic = await createTraffic(t);
    const killer = join(import.meta.dirname, 'capture-worker-killer.ts');
    const proxy = await startProxy({ env: { NODE_OPTIONS: `--import=${killer}` } });
    await proxy.service.waitForLine(/"publishing"/);
    let sent = await traffic.run(proxy, 100);
    const during = traffic.run(proxy, 1_500);
    await waitFor(async () => sumOf(await snapshotsOf(proxy), ({ transactions }) => transactions) > sent + 100, {
      what: 'the load to be captured',
    });
    proxy.service.signal('SIGUSR2');
    await proxy.service.waitForLine(/the capture worker died/);
    sent += await during;
    await proxy.service.waitForLine(/closed the books/);
    const before = sumOf(await snapshotsOf(proxy), ({ transactions }) => transactions);
    const later = await traffic.run(proxy, 100);
    sent += later;
    await stopInOrder(proxy);
    const books = await closedBooks(proxy);
    assert.equal((await snapshotsOf(proxy)).length, 2);
    assert.ok(books.captured >= before + later - 1, 'all of what came after it');
    t.diagnostic(
      `sent ${sent}, captured ${books.captured}, dropped ${books.dropped} ${JSON.stringify(books.byReason)}`,
    );
    assert.ok(books.captured < sent, 'it died in the middle');
    const sessions = 5;
    assert.ok(books.captured + books.dropped <= sent + sessions, 'what was under way may show on both sides');
    assert.deepEqual(Object.keys(books.byReason), ['workerRestart']);
  });

  it('the topic has another number of partitions: said with a remedy, and captured as soon as it is mended', async (t) => {
    const brokers = (await sharedKafka()).bootstrap;
    const traffic = await createTraffic(t);
    const sourceName = uniqueName('proxy');
    const topic = envelopesTopic(sourceName);
    await withAdmin(brokers, (admin) => admin.ensureTopics(sourceTopics(sourceName, { partitions: 3 })));
    const proxy = await startProxy({ brokers, sourceName });
    assert.match(await proxy.service.waitForLine(/has 3 partitions, configured are 4/), /"level":"error".*"hint"/);
    let sent = await traffic.run(proxy, 50);
    await withAdmin(brokers, (admin) => admin.deleteTopics([topic]));
    await proxy.service.waitForLine(/"publishing"/);
    sent += await traffic.run(proxy, 50);
    await stopInOrder(proxy);
    const books = await closedBooks(proxy);
    assert.deepEqual([books.captured, books.dropped, books.gaps.length], [sent, 0, 0]);
  });

  it('the topic is deleted while captured: records wait for somebody to make it again, none is dropped', async (t) => {
    const brokers = (await sharedKafka()).bootstrap;
    const traffic = await createTraffic(t);
    const proxy = await startProxy({ brokers });
    const topic = envelopesTopic(proxy.sourceName);
    await proxy.service.waitForLine(/"publishing"/);
    await withAdmin(brokers, (admin) => admin.deleteTopics([topic]));
    const sent = await traffic.run(proxy, 100);
    await proxy.service.waitForLine(/does not take records/);
    await withAdmin(brokers, (admin) => admin.ensureTopics(sourceTopics(proxy.sourceName, { partitions })));
    await waitForSnapshot(proxy, 'it to be captured', ({ transactions }) => transactions === sent);
    await stopInOrder(proxy);
    const books = await closedBooks(proxy);
    assert.deepEqual([books.captured, books.dropped, books.gaps.length], [sent, 0, 0]);
  });
});
