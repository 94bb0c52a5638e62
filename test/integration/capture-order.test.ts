// The order that capture claims across sessions never contradicts the server's own commit order.
//
// The server's truth, from its answers and from track_commit_timestamp:
// - versions of a contended row: commit order per row, exactly;
// - xids: assigned in ascending order, A's before A's update was answered, B's after B's update was sent;
// - commit timestamps: taken before the commit is visible, so among overlapping commits they prove nothing. But A's is taken before
//   A is answered and B's after B's COMMIT was sent: where A is claimed before B, A's must not be above B's. One machine, one clock.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { envelopesTopic } from '@mirrorstream/domain';
import { createOrderMerge, decodeEnvelopeBatch, type EnvelopeBatch } from '@mirrorstream/envelope';
import { connectKafka } from '@mirrorstream/kafka';
import type { PostgresServer } from '@mirrorstream/local';
import {
  removeDirectory,
  type SpawnedService,
  sharedKafka,
  spawnService,
  startPostgres,
  uniqueName,
  withClient,
} from '@mirrorstream/testkit';
import {
  brokenPromises,
  byNumber,
  byTime,
  type CapturedTransaction,
  checkGrowing,
  checkVersions,
  committedTransactions,
  misplaced,
  sourceOf,
} from './captured-order.ts';
import { createHotRows, hotVersions, runContendedLoad } from './contended-load.ts';

const rows = 6;
const partitions = [0, 1, 2, 3];

describe('the order across sessions', { timeout: 280_000 }, () => {
  let server: PostgresServer;
  before(async () => {
    server = await startPostgres({
      name: 'ordered',
      settings: { track_commit_timestamp: 'on', synchronous_commit: 'off', autovacuum: 'off' },
    });
  });
  after(async () => {
    await server.stop();
    await removeDirectory(server.dataDir);
  });

  it('holds for more than 100 000 contended transactions through one proxy', async (t) => {
    const { batches, transactions } = await capture(server, { proxies: 1, transactions: 100_000, seed: 11 });
    assert.ok(transactions.length >= 100_000);
    const versions = checkVersions(transactions, byNumber);
    const share = versions.ordered / versions.pairs;
    t.diagnostic(
      `${transactions.length} transactions, ${(share * 100).toFixed(2)} % of ${versions.pairs} pairs ordered`,
    );
    assert.deepEqual(versions.contradictions.slice(0, 3), [], `${versions.contradictions.length} contradictions`);
    await agreesWithServer(server, transactions, byNumber);
    assert.ok(share > 0.9, 'what overlaps has no order, but few pairs of a row overlap');
    checkMerge(batches);
  });

  it('holds over two proxies with two workers each, merged by their heartbeats', async (t) => {
    const { batches, transactions } = await capture(server, { proxies: 2, transactions: 20_000, seed: 12 });
    const sources = new Set(batches.map(sourceOf));
    assert.equal(sources.size, 4);
    const versions = checkVersions(transactions, byTime);
    const share = versions.ordered / versions.pairs;
    t.diagnostic(
      `${transactions.length} transactions, ${(share * 100).toFixed(2)} % of ${versions.pairs} pairs ordered`,
    );
    assert.deepEqual(versions.contradictions.slice(0, 3), [], `${versions.contradictions.length} contradictions`);
    await agreesWithServer(server, transactions, byTime);
    assert.ok(share > 0.9);
    for (const source of sources) {
      const own = transactions.filter((transaction) => transaction.source === source);
      assert.ok(own.length > 0, 'each worker captured something');
      assert.deepEqual(checkVersions(own, byNumber).contradictions, []);
      await agreesWithServer(server, own, byNumber);
    }
    checkMerge(batches);
  });
});

interface Captured {
  /** In the order of each partition. */
  readonly batches: readonly EnvelopeBatch[];
  readonly transactions: readonly CapturedTransaction[];
}

async function capture(
  server: PostgresServer,
  options: { readonly proxies: number; readonly transactions: number; readonly seed: number },
): Promise<Captured> {
  const { bootstrap } = await sharedKafka();
  const database = uniqueName('ordered').replaceAll('-', '_');
  await withClient(server.url, (client) => client.query(`CREATE DATABASE ${database}`));
  const url = new URL(server.url);
  url.pathname = `/${database}`;
  await createHotRows(url.href, rows);
  const source = uniqueName('ordered');
  const proxies: SpawnedService[] = [];
  const urls: string[] = [];
  try {
    for (let i = 0; i < options.proxies; i++) {
      const workers = options.proxies === 1 ? [] : ['--workers', '2'];
      const proxy = await spawnService([
        'capture-proxy',
        ...['--listen', '127.0.0.1:0', '--source', `${server.host}:${server.port}`, '--source-name', source],
        ...['--brokers', bootstrap, '--node', `node-${i}`, '--partitions', String(partitions.length), ...workers],
      ]);
      proxies.push(proxy);
      const { listen } = JSON.parse(await proxy.waitForLine(/"ready":true/)) as { listen: string };
      const via = new URL(url.href);
      via.host = listen;
      urls.push(via.href);
    }
    const { transactions, seed } = options;
    const committed = await runContendedLoad({ urls, sessions: 24, rows, transactions, seed });
    for (const proxy of proxies) assert.equal((await proxy.stop({ graceMs: 60_000 })).code, 0);
    const batches = await readAll(bootstrap, source);
    const captured = committedTransactions(batches);
    assert.equal(captured.length, committed, 'every committed transaction is captured');
    assertEveryVersion(captured, await hotVersions(url.href));
    return { batches, transactions: captured };
  } finally {
    for (const proxy of proxies) await proxy.kill9();
  }
}

async function readAll(bootstrap: string, source: string): Promise<EnvelopeBatch[]> {
  const topic = envelopesTopic(source);
  const client = connectKafka({ brokers: [bootstrap], clientId: 'test' });
  const batches: EnvelopeBatch[] = [];
  try {
    const admin = await client.admin();
    const ranges = (await admin.offsets(topic)).map(({ partition, low, high }) => ({ partition, from: low, to: high }));
    await client.readRange(topic, ranges, ({ records }) => {
      for (const { value } of records) if (value !== null) batches.push(decodeEnvelopeBatch(value));
    });
    await admin.deleteTopics([topic]);
  } finally {
    await client.close();
  }
  return batches;
}

/** The captured versions of each row are 1, 2, … up to the row's own. */
function assertEveryVersion(transactions: readonly CapturedTransaction[], expected: ReadonlyMap<number, number>): void {
  for (const [row, last] of expected) {
    const seen = new Set<number>();
    for (const { updates } of transactions) for (const it of updates) if (it.row === row) seen.add(it.version);
    let missing = 0;
    for (let version = 1; version <= last; version++) if (!seen.has(version)) missing += 1;
    assert.deepEqual([seen.size, missing], [last, 0], `versions of row ${row}`);
  }
}

async function agreesWithServer(
  server: PostgresServer,
  transactions: readonly CapturedTransaction[],
  claim: typeof byNumber,
): Promise<void> {
  const committedUs = await commitTimestamps(server, transactions);
  const byXid = checkGrowing(
    transactions,
    claim,
    ({ write }) => write,
    ({ xid }) => xid,
  );
  assert.deepEqual(byXid.slice(0, 3), [], `${byXid.length} contradictions by xid`);
  const byTimestamp = checkGrowing(
    transactions,
    claim,
    ({ commit }) => commit,
    ({ xid }) => committedUs.get(xid) as number,
  );
  assert.deepEqual(byTimestamp.slice(0, 3), [], `${byTimestamp.length} contradictions by commit timestamp`);
}

/** xid → µs since the epoch. */
async function commitTimestamps(
  server: PostgresServer,
  transactions: readonly CapturedTransaction[],
): Promise<ReadonlyMap<number, number>> {
  let [first, last] = [Number.POSITIVE_INFINITY, 0];
  for (const { xid } of transactions) [first, last] = [Math.min(first, xid), Math.max(last, xid)];
  const { rows: found } = await withClient(server.url, (client) =>
    client.query<{ xid: number; us: string }>(
      `SELECT xid, us FROM (SELECT i AS xid, (extract(epoch FROM pg_xact_commit_timestamp(i::text::xid)) * 1000000)::bigint::text AS us
                            FROM generate_series($1::int, $2::int) i) AS all_of_them WHERE us IS NOT NULL`,
      [first, last],
    ),
  );
  const committedUs = new Map(found.map(({ xid, us }) => [xid, Number(us)]));
  assert.ok(transactions.every(({ xid }) => committedUs.has(xid)));
  return committedUs;
}

/** What the heartbeats promised is true, and the merge built on them is in real time's order and complete. */
function checkMerge(batches: readonly EnvelopeBatch[]): void {
  const { heartbeats, broken } = brokenPromises(batches);
  assert.ok(heartbeats >= 2 * partitions.length);
  assert.equal(broken, 0);
  const merge = createOrderMerge({
    partitions,
    clockOf: () => 'this host',
    maxBufferedBytes: Number.POSITIVE_INFINITY,
  });
  for (const batch of batches) merge.expect(batch);
  const merged = [];
  for (const batch of batches) {
    merge.add(batch);
    for (const exchange of merge.ready()) merged.push(exchange);
  }
  let exchanges = 0;
  for (const { records } of batches)
    for (const { record } of records) if (record.case === 'envelope') exchanges += record.value.exchanges.length;
  assert.deepEqual([merged.length, merge.counts, merge.bufferedBytes], [exchanges, { late: 0, forced: 0 }, 0]);
  assert.equal(misplaced(merged), 0);
}
