// `mirrorstream up` with TLS on both legs of its proxy, and with several workers of it.
import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import {
  createCertificateAuthority,
  createDatabase,
  execute,
  sharedKafka,
  sharedPostgres,
  startPostgres,
  uniqueName,
  withClient,
} from '@mirrorstream/testkit';
import pg from 'pg';
import { untilReady } from './up-process.ts';
import { drainedStatus, scratch, stackTimeoutMs, start } from './up-scene.ts';

test('clients and the source speak TLS with the proxy and its workers, and every transaction is replayed', {
  timeout: stackTimeoutMs,
}, async (t) => {
  const folder = await scratch(t);
  const dataDir = join(folder, 'data');
  const authority = await createCertificateAuthority();
  const [own, servers] = await Promise.all([authority.issue(), authority.issue()]);
  const production = await startPostgres({
    name: 'production',
    settings: { ssl: 'on', ssl_cert_file: servers.certFile, ssl_key_file: servers.keyFile },
  });
  t.after(() => production.stop());
  const kafka = await sharedKafka();
  const mirror = await createDatabase(await sharedPostgres('control'), t);
  const table = 'CREATE TABLE items (id int PRIMARY KEY, price int)';
  for (const { url } of [production, mirror]) await execute(url, table);
  const source = new URL(production.url);
  source.search = `sslmode=verify-full&sslrootcert=${encodeURIComponent(authority.caFile)}`;
  const name = uniqueName('shop');
  const config = join(folder, 'mirrorstream.yaml');
  await writeFile(
    config,
    `source: {name: ${name}, url: "${source.href}"}
environment: ${name}
kafka: {brokers: ["${kafka.bootstrap}"]}
partitions: 2
tls: {mode: require, certFile: "${own.certFile}", keyFile: "${own.keyFile}"}
mirrors:
  copy: {url: "${mirror.url}", pacing: asap}
`,
  );
  const flags = ['--workload', 'none', '--json', '--workers', '2', '--listen', '127.0.0.1:0', '--for', '8s'];
  const up = start(t, ['up', '-f', config, '--data-dir', dataDir, ...flags], folder);
  const { addresses } = await untilReady(up, dataDir);
  const through = new URL(production.url);
  through.host = addresses['proxy'] ?? '';
  const ca = await readFile(authority.caFile, 'utf8');

  const plain = new pg.Client({ connectionString: through.href });
  await assert.rejects(plain.connect(), { code: '28000' });
  // One after the other while the first stays open: each goes to another worker.
  const clients = [1, 2].map(() => new pg.Client({ connectionString: through.href, ssl: { ca } }));
  for (const [id, client] of clients.entries()) {
    await client.connect();
    await client.query('INSERT INTO items VALUES ($1, $2)', [id, 10 * id]);
    const { rows } = await client.query('SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()');
    assert.deepEqual(rows, [{ ssl: true }], "the source's leg is encrypted, too");
  }
  for (const client of clients) await client.end();

  const status = drainedStatus(await up.ended);
  assert.equal(status.source.transactions, 4);
  const { copy } = status.mirrors;
  assert.deepEqual([copy?.transactions.captured, copy?.transactions.replayed], [4, 4]);
  await withClient(mirror.url, async (client) => {
    const { rows } = await client.query('SELECT id, price FROM items ORDER BY id');
    assert.deepEqual(rows, [
      { id: 0, price: 0 },
      { id: 1, price: 10 },
    ]);
  });
  const log = await readFile(join(dataDir, 'logs', 'capture-proxy.log'), 'utf8');
  assert.equal(log.match(/a worker process is ready/g)?.length, 2);
  await up.noneLeft();
});
