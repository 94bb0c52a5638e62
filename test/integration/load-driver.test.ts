// The load driver: the same seed leaves the same data, over every protocol, and it counts what it did.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  createDatabase,
  createTpcbTables,
  execute,
  runTpcb,
  sharedPostgres,
  type TpcbProtocol,
  tpcbSums,
  WireConnection,
} from '@mirrorstream/testkit';

const protocols: readonly TpcbProtocol[] = ['simple', 'extended', 'prepared'];

test('the same seed leaves the same sums over every protocol, however the clients interleave', async (t) => {
  const server = await sharedPostgres('source');
  const sums = [];
  for (const protocol of protocols) {
    const { url } = await createDatabase(server, t);
    await createTpcbTables(url, 1);
    const result = await runTpcb({ url, protocol, clients: 4, transactions: 50, seed: 42 });
    assert.deepEqual([result.transactions, result.exchanges, result.errors], [200, 1400, {}]);
    assert.equal(result.latency.count, 200);
    assert.ok(result.latency.p50Ms <= result.latency.p99Ms && result.latency.p99Ms <= result.latency.maxMs);
    sums.push(await tpcbSums(url));
  }
  const [first] = sums;
  assert.ok(first !== undefined && first.historyRows === 200);
  assert.equal(first.accounts, first.history);
  assert.equal(first.branches, first.history);
  for (const other of sums) assert.deepEqual(other, first);
});

test('reads alone change nothing, spread over several addresses and reconnecting', async (t) => {
  const server = await sharedPostgres('candidate');
  const { url } = await createDatabase(server, t);
  await createTpcbTables(url, 1);
  const result = await runTpcb({
    url: [url, url],
    protocol: 'prepared',
    clients: 3,
    transactions: 20,
    onlySelect: true,
    reconnectEvery: 7,
  });
  assert.deepEqual([result.transactions, result.exchanges], [60, 60]);
  assert.equal((await tpcbSums(url)).historyRows, 0);
});

test('a transaction the server refuses is counted by its SQLSTATE and the client goes on', async (t) => {
  const { url } = await createDatabase(await sharedPostgres('source'), t);
  await createTpcbTables(url, 1);
  await execute(url, 'ALTER TABLE pgbench_history ADD CHECK (delta % 2 = 0)');
  const result = await runTpcb({ url, clients: 2, transactions: 50, seed: 7 });
  assert.equal(result.transactions + (result.errors['23514'] ?? 0), 100);
  assert.ok(result.transactions > 0 && (result.errors['23514'] ?? 0) > 0);
  const sums = await tpcbSums(url);
  assert.equal(sums.historyRows, result.transactions);
  assert.equal(sums.accounts, sums.history);
});

test('a server that is not there, or does not know the database, is an error and not a hang', async () => {
  await assert.rejects(WireConnection.connect('postgres://postgres@127.0.0.1:1/postgres'), { code: 'ECONNREFUSED' });
  const server = await sharedPostgres('source');
  const url = new URL(server.url);
  url.pathname = '/no_such_database';
  await assert.rejects(WireConnection.connect(url.href), /3D000/);
});
