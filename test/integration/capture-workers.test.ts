// Several worker processes behind one port, several proxies for one source: nobody notices, and the account is that of all of them.
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { isAlive, repositoryRoot } from '@mirrorstream/local';
import {
  createDatabase,
  createTpcbTables,
  queryFrame,
  runTpcb,
  sharedKafka,
  sharedPostgres,
  tpcbSums,
  uniqueName,
  WireConnection,
  waitFor,
  withClient,
} from '@mirrorstream/testkit';
import {
  cancelledRequests,
  endProxies,
  published,
  snapshotsOf,
  startProxy,
  stopInOrder,
  sumOf,
  sumOfMetric,
} from './capture-scene.ts';
import { cancelOnce } from './proxy-scene.ts';

after(endProxies);

const workers = ['--workers', '2'] as const;
const cancels = 8;
const pidOf = (line: string): number => (JSON.parse(line) as { workerPid: number }).workerPid;

const docs = new URL('../../docs/', import.meta.url);
const docOf = (name: string): string => readFileSync(new URL(name, docs), 'utf8');

describe('a capture proxy with several workers', { timeout: 240_000 }, () => {
  it('adds up over two proxies with two workers each, to the last transaction', async (t) => {
    const database = await createDatabase(await sharedPostgres('source'), t);
    await createTpcbTables(database.url, 2);
    const sourceName = uniqueName('proxy');
    const proxies = await Promise.all(['a', 'b'].map((node) => startProxy({ sourceName, node, flags: workers })));
    const url = proxies.map((proxy) => proxy.via(database.url));
    const load = await runTpcb({ url, clients: 8, transactions: 100, scale: 2, seed: 3, reconnectEvery: 20 });
    assert.deepEqual(load.errors, {});
    assert.equal((await tpcbSums(database.url)).historyRows, 800);
    for (const proxy of proxies) await stopInOrder(proxy);
    const [first] = proxies;
    assert.ok(first);
    const snapshots = await snapshotsOf(first);
    const found = await published(first);
    assert.deepEqual(snapshots.map(({ captureNode, worker }) => `${captureNode}${worker}`).sort(), [
      'a0',
      'a1',
      'b0',
      'b1',
    ]);
    for (const { captureNode, worker, transactions, sessions, final, dropped, pending } of snapshots) {
      assert.deepEqual([final, dropped.transactions, pending.transactions], [true, 0, 0]);
      // 4 clients per proxy, 5 connections each: every worker had its share.
      assert.ok(sessions.total >= 5 && sessions.total <= 15, `${captureNode}${worker} had ${sessions.total} sessions`);
      assert.ok(transactions > 0);
    }
    assert.equal(
      sumOf(snapshots, ({ transactions }) => transactions),
      800,
    );
    assert.equal(
      sumOf(snapshots, ({ sessions }) => sessions.total),
      40,
    );
    assert.equal(found.transactions, 800);
    const origins = new Set(found.batches.map(({ captureNode, worker }) => `${captureNode}${worker}`));
    assert.deepEqual([...origins].sort(), ['a0', 'a1', 'b0', 'b1']);
  });

  it('goes on when a worker is killed: the others notice nothing, it is started anew, its books are closed', async (t) => {
    const database = await createDatabase(await sharedPostgres('source'), t);
    await createTpcbTables(database.url);
    const proxy = await startProxy({ flags: workers });
    const victim = pidOf(await proxy.service.waitForLine(/"worker":1,.*a worker process is ready/));
    const clients = [
      await WireConnection.connect(proxy.via(database.url)),
      await WireConnection.connect(proxy.via(database.url)),
    ];
    const select = Buffer.from('Q\0\0\0\x0dSELECT 1\0', 'latin1');
    for (const client of clients) await client.exchange(select);
    await waitFor(async () => sumOf(await snapshotsOf(proxy), ({ transactions }) => transactions) === 2, {
      what: 'both workers to have published',
    });
    process.kill(victim, 'SIGKILL');
    const died = JSON.parse(await proxy.service.waitForLine(/a worker process died/)) as Record<string, unknown>;
    assert.deepEqual([died['level'], died['worker'], died['workerPid'], died['how']], ['error', 1, victim, 'SIGKILL']);
    const answered = await Promise.allSettled(clients.map((client) => client.exchange(select)));
    assert.deepEqual(answered.map(({ status }) => status).sort(), ['fulfilled', 'rejected']);
    await waitFor(() => proxy.service.lines().filter((line) => /"worker":1,.*is ready/.test(line)).length === 2, {
      what: 'the worker to be ready again',
    });
    await proxy.service.waitForLine(/closed the books/);
    const load = await runTpcb({ url: proxy.via(database.url), clients: 4, transactions: 25, seed: 5 });
    assert.deepEqual(load.errors, {});
    for (const client of clients) await client.close();
    await stopInOrder(proxy);
    const snapshots = await snapshotsOf(proxy);
    assert.deepEqual(snapshots.map(({ worker, final }) => [worker, final]).sort(), [
      [0, true],
      [1, true],
      [1, true],
    ]);
    assert.equal(
      sumOf(snapshots, ({ transactions }) => transactions),
      103,
    );
    assert.equal((await published(proxy)).transactions, 103);
  });

  it('leaves no client hanging that was on its way to a worker when that was killed', async (t) => {
    const database = await createDatabase(await sharedPostgres('source'), t);
    const proxy = await startProxy({ flags: workers });
    const victim = pidOf(await proxy.service.waitForLine(/"worker":1,.*a worker process is ready/));
    // It takes nobody any more, and nobody knows.
    process.kill(victim, 'SIGSTOP');
    const connecting = Array.from({ length: 6 }, () => WireConnection.connect(proxy.via(database.url), 60_000));
    // Clients of both workers in turn: when three are served, the other three have been handed over or wait for that.
    const served = connecting.map((client) => client.then((connection) => connection.exchange(queryFrame('SELECT 1'))));
    let answers = 0;
    for (const one of served)
      one.then(
        () => (answers += 1),
        () => {},
      );
    await waitFor(() => answers === 3, { what: 'the clients of the other worker to be served' });
    process.kill(victim, 'SIGKILL');
    const ended = await Promise.allSettled(served);
    const failures = ended.flatMap((one) => (one.status === 'rejected' ? [String(one.reason)] : []));
    // One was on its way. The others had not left the supervisor, and were given to who was there.
    assert.equal(failures.length, 1);
    assert.match(String(failures), /closed the connection|ECONNRESET/);
    for (const client of await Promise.allSettled(connecting))
      if (client.status === 'fulfilled') await client.value.close();
    await stopInOrder(proxy);
  });

  it('notes a cancel at its session, whichever worker it went through', async (t) => {
    const database = await createDatabase(await sharedPostgres('source'), t);
    const proxy = await startProxy({ flags: [...workers, '--health', '127.0.0.1:0'] });
    // One client is there already: the cancel is the other worker's.
    const port = Number(new URL(proxy.via(database.url)).port);
    await withClient(proxy.via(database.url), async (client) => {
      for (let i = 0; i < cancels; i++) assert.equal(await cancelOnce(client, database.url, port), '57014');
      // A cancel is not held up for the note's sake: on a busy machine the note can be here after its statement was published, and is
      // counted then. Never is it another statement's.
      const late = (): Promise<number> => sumOfMetric(proxy, 'cancel_notes_lost_total{reason="late"');
      await waitFor(async () => (await cancelledRequests(proxy)).length + (await late()) === cancels, {
        what: 'each cancel to be noted or counted',
      });
      t.diagnostic(`${await late()} of ${cancels} notes came too late`);
    });
    await stopInOrder(proxy);
    for (const request of await cancelledRequests(proxy)) assert.match(request, /pg_sleep/);
  });

  it('lets transactions end and then ends itself when its supervisor is killed', async (t) => {
    const source = await sharedPostgres('source');
    const database = await createDatabase(source, t);
    const scene = { brokers: (await sharedKafka()).bootstrap, sourceName: uniqueName('proxy') };
    // Not tied to this process as a service is: with its first process a tied group is killed whole.
    const supervisor = spawn(
      process.execPath,
      [
        join(repositoryRoot, 'services', 'cli', 'bin', 'mirrorstream.js'),
        ...['capture-proxy', ...workers, '--listen', '127.0.0.1:0', '--source', `${source.host}:${source.port}`],
        ...['--source-name', scene.sourceName, '--node', 'test', '--partitions', '4', '--brokers', scene.brokers],
      ],
      { stdio: ['ignore', 'pipe', 'pipe'], detached: true },
    );
    let output = '';
    for (const stream of [supervisor.stdout, supervisor.stderr])
      stream.on('data', (chunk) => (output += String(chunk)));
    t.after(() => spawnSync('kill', ['-KILL', '--', `-${supervisor.pid}`]));
    const ready = await waitFor(() => /^\{"ready":true.*$/m.exec(output), { what: 'the proxy to be ready' });
    const pids = output
      .split('\n')
      .flatMap((line) => (line.includes('a worker process is ready') ? [pidOf(line)] : []));
    assert.equal(pids.length, 2);
    const through = new URL(database.url);
    through.host = (JSON.parse(ready[0]) as { listen: string }).listen;
    await withClient(through.href, async (client) => {
      await client.query('BEGIN');
      supervisor.kill('SIGKILL');
      await waitFor(() => pids.filter(isAlive).length === 1, { what: 'the idle worker to end' });
      await client.query('COMMIT');
    });
    await waitFor(() => pids.filter(isAlive).length === 0, { what: 'both workers to end' });
    const snapshots = await snapshotsOf(scene);
    assert.deepEqual(
      snapshots.map(({ final }) => final),
      [true, true],
    );
    assert.equal(
      sumOf(snapshots, ({ transactions }) => transactions),
      1,
    );
  });

  it('serves the metrics that the documentation names, by worker, and no others', async (t) => {
    const database = await createDatabase(await sharedPostgres('source'), t);
    const proxy = await startProxy({ flags: [...workers, '--health', '0'] });
    const { port } = JSON.parse(await proxy.service.waitForLine(/the health endpoint listens/)) as { port: number };
    await withClient(proxy.via(database.url), (client) => client.query('SELECT 1'));
    const metrics = async (): Promise<string> => (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
    await waitFor(async () => /_sessions_total\{worker="[01]"\} 1$/m.test(await metrics()), { what: 'the numbers' });
    const prefix = 'mirrorstream_capture_proxy_';
    const served = [...(await metrics()).matchAll(/^# TYPE (\S+)/gm)].map(([, name]) => name ?? '');
    const operations = docOf('operations.md');
    const named = operations.match(/\bmirrorstream_capture_proxy_\w+/g) ?? [];
    assert.deepEqual(
      named.filter((name) => !served.includes(name)),
      [],
      'documented, not served',
    );
    const pages = readdirSync(docs).filter((name) => name.endsWith('.md'));
    const words = new Set(pages.map(docOf).join('\n').match(/\w+/g));
    assert.deepEqual(
      served.filter((name) => !words.has(name) && !words.has(name.slice(prefix.length))),
      [],
      'served, not documented',
    );
  });

  it('ends with 2 and says why when the workers cannot be what the flags say', async () => {
    await assert.rejects(startProxy({ flags: [...workers, '--kafka-tls-ca', '/nowhere/ca.pem'] }), /nowhere/);
  });
});
