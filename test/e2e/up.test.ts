// `mirrorstream up` from the outside: what it prints, how it ends, and that nothing is left.
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { accountingProblems, divergenceClasses, type Status, statusSchema } from '@mirrorstream/domain';
import {
  createDatabase,
  execute,
  sharedKafka,
  sharedPostgres,
  uniqueName,
  waitFor,
  withClient,
} from '@mirrorstream/testkit';
import { run, untilReady } from './up-process.ts';
import { drainedStatus, scratch, stackTimeoutMs, start } from './up-scene.ts';

async function statusOf(dataDir: string, folder: string): Promise<Status> {
  const { code, stdout, stderr } = await run(['status', '--json', '--data-dir', dataDir], folder);
  assert.equal(code, 0, stderr);
  const status = statusSchema.parse(JSON.parse(stdout));
  assert.deepEqual(accountingProblems(status, { drained: false }), []);
  return status;
}

/** Waits until both mirrors have resolved something of what runs now. */
function untilTraffic(dataDir: string, folder: string): Promise<Status> {
  return waitFor(
    async () => {
      const status = await statusOf(dataDir, folder);
      return Object.values(status.mirrors).every((mirror) => mirror.transactions.replayed > 0) ? status : undefined;
    },
    { what: 'transactions to be replayed', deadlineMs: 60_000, everyMs: 200 },
  );
}

const divergences = (mirror: Status['mirrors'][string] | undefined): Record<string, number> =>
  Object.fromEntries(divergenceClasses.map((name) => [name, mirror?.statements[name] ?? -1]));

test('a timed run of the demo ends with an exact account, every plant found and a clean control', {
  timeout: stackTimeoutMs,
}, async (t) => {
  const folder = await scratch(t);
  const dataDir = join(folder, 'data');
  const up = start(t, ['up', '--for', '8s', '--json', '--listen', '127.0.0.1:0', '--data-dir', dataDir], folder);
  await untilReady(up, dataDir);

  const during = await untilTraffic(dataDir, folder);
  assert.ok(during.source.transactions > 0);
  const second = await run(['up', '--data-dir', dataDir], folder);
  assert.equal(second.code, 2);
  assert.match(second.stderr, /a stack is running on .* already/);

  const status = drainedStatus(await up.ended);
  assert.ok(status.source.transactions > 100, `only ${status.source.transactions} transactions`);
  assert.deepEqual(status.source.dropped, { transactions: 0, bytes: 0 });
  const { candidate, control } = status.mirrors;
  assert.ok((control?.statements.match ?? 0) > 100);
  assert.deepEqual(divergences(control), Object.fromEntries(divergenceClasses.map((name) => [name, 0])));
  assert.equal(control?.transactions.replayed, status.source.transactions);
  const found = divergences(candidate);
  for (const planted of ['errorNew', 'rowCount', 'value', 'orderOnly', 'columns'])
    assert.ok((found[planted] ?? 0) > 0, planted);
  assert.deepEqual([found['commandTag'], found['errorGone'], found['errorChanged']], [0, 0, 0]);
  await up.noneLeft();
  assert.equal(existsSync(join(dataDir, 'run.json')), false);
});

test('after SIGKILL nothing is left running, and the next run on the same data is exact again', {
  timeout: stackTimeoutMs,
}, async (t) => {
  const folder = await scratch(t);
  const dataDir = join(folder, 'data');
  const first = start(t, ['up', '--json', '--listen', '127.0.0.1:0', '--data-dir', dataDir], folder);
  await untilReady(first, dataDir);
  const before = await untilTraffic(dataDir, folder);
  assert.ok(first.left().length > 0);
  first.child.kill('SIGKILL');
  // At once, while the killed run's servers are still ending: it has to wait for them.
  const next = start(t, ['up', '--for', '4s', '--json', '--listen', '127.0.0.1:0', '--data-dir', dataDir], folder);
  await first.noneLeft();
  const status = drainedStatus(await next.ended);
  assert.ok(status.source.transactions > before.source.transactions);
  await next.noneLeft();
});

test('Ctrl-C ends everything in order, and a second run shows it all in words', {
  timeout: stackTimeoutMs,
}, async (t) => {
  const folder = await scratch(t);
  const dataDir = join(folder, 'data');
  const up = start(t, ['up', '--listen', '127.0.0.1:0', '--data-dir', dataDir], folder);
  await untilReady(up, dataDir);
  await untilTraffic(dataDir, folder);
  const words = await run(['status', '--data-dir', dataDir], folder);
  assert.equal(words.code, 0, words.stderr);
  assert.match(words.stdout, /captured = .* replayed/);
  const atMs = performance.now();
  up.child.kill('SIGINT');
  const { code, stdout, stderr } = await up.ended;
  assert.equal(code, 0, stderr);
  assert.ok(performance.now() - atMs < 20_000, 'stopped within its bound');
  assert.match(stdout, /candidate PostgreSQL 18/);
  assert.match(stdout, /captured = /);
  await up.noneLeft();
});

test('Ctrl-C while everything is still starting leaves nothing', { timeout: stackTimeoutMs }, async (t) => {
  const folder = await scratch(t);
  const dataDir = join(folder, 'data');
  const up = start(t, ['up', '--listen', '127.0.0.1:0', '--data-dir', dataDir], folder);
  await waitFor(() => up.left().length > 0, { what: 'the first process to start', deadlineMs: 60_000, everyMs: 5 });
  up.child.kill('SIGINT');
  const { code, stderr } = await up.ended;
  assert.equal(code, 0, stderr);
  await up.noneLeft();
  assert.equal(existsSync(join(dataDir, 'run.json')), false);
});

test('a part that is killed ends the run with its name and exit code 3', { timeout: stackTimeoutMs }, async (t) => {
  const folder = await scratch(t);
  const dataDir = join(folder, 'data');
  const up = start(t, ['up', '--json', '--listen', '127.0.0.1:0', '--data-dir', dataDir], folder);
  const { processes } = await untilReady(up, dataDir);
  const victim = processes.find((one) => one.name === 'replayer candidate');
  assert.ok(victim, JSON.stringify(processes));
  process.kill(victim.pid, 'SIGKILL');
  const { code, stderr } = await up.ended;
  assert.equal(code, 3);
  assert.match(stderr, /replayer candidate ended by SIGKILL/);
  await up.noneLeft();
});

test('own databases: traffic is replayed where it may be, differences are found, and no password gets out', {
  timeout: stackTimeoutMs,
}, async (t) => {
  const folder = await scratch(t);
  const dataDir = join(folder, 'data');
  const [kafka, ...servers] = await Promise.all([
    sharedKafka(),
    sharedPostgres('source'),
    sharedPostgres('candidate'),
    sharedPostgres('control'),
  ]);
  const [production, upgrade, spared] = await Promise.all(servers.map((server) => createDatabase(server, t)));
  assert.ok(production && upgrade && spared);
  const table = 'CREATE TABLE items (id int PRIMARY KEY, price int)';
  await execute(production.url, table, 'INSERT INTO items VALUES (1, 10), (2, 20)');
  await execute(upgrade.url, table, 'INSERT INTO items VALUES (1, 10), (2, 21)');
  const name = uniqueName('shop');
  const config = join(folder, 'mirrorstream.yaml');
  await writeFile(
    config,
    `source: {name: ${name}, url: "${production.url}"}
environment: ${name}
kafka: {brokers: ["${kafka.bootstrap}"]}
partitions: 2
mirrors:
  upgrade: {urlEnv: MIRROR_URL, pacing: asap}
  spared: {url: "${spared.url}", filters: {excludeDatabases: [${production.name}]}}
`,
  );
  const secret = 'hunter2';
  const mirrorUrl = new URL(upgrade.url);
  mirrorUrl.password = secret; // The server asks for none.
  const args = [
    'up',
    '-f',
    config,
    '--workload',
    'none',
    '--json',
    '--listen',
    '127.0.0.1:0',
    '--data-dir',
    dataDir,
    '--for',
    '6s',
  ];
  const up = start(t, args, folder, { MIRROR_URL: mirrorUrl.href });
  const { addresses, processes } = await untilReady(up, dataDir);
  const commandLines = await Promise.all(
    processes.map(({ pid }) => readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')),
  );

  const through = new URL(production.url);
  through.host = addresses['proxy'] ?? '';
  await withClient(through.href, async (client) => {
    await client.query('INSERT INTO items VALUES (3, 30)');
    const { rows } = await client.query<{ price: number }>('SELECT price FROM items WHERE id = $1', [2]);
    assert.equal(rows[0]?.price, 20);
  });

  const ended = await up.ended;
  const status = drainedStatus(ended);
  assert.equal(status.source.name, name);
  const { upgrade: played, spared: filtered } = status.mirrors;
  assert.deepEqual([played?.transactions.captured, played?.transactions.replayed], [2, 2]);
  assert.deepEqual([played?.statements.match, played?.statements.value], [1, 1]);
  assert.deepEqual([filtered?.transactions.filtered, filtered?.transactions.replayed], [2, 0]);
  await withClient(upgrade.url, async (client) => {
    assert.equal((await client.query('SELECT price FROM items WHERE id = 3')).rowCount, 1);
  });
  const logs = await Promise.all(
    (await readdir(join(dataDir, 'logs'))).map((file) => readFile(join(dataDir, 'logs', file), 'utf8')),
  );
  assert.ok(logs.join('').length > 0);
  for (const text of [...commandLines, ...logs, ended.stderr, ended.stdout]) assert.equal(text.includes(secret), false);
  await up.noneLeft();
});

test('what cannot be run is refused with exit code 2 before anything is started', async (t) => {
  const folder = await scratch(t);
  const foreign = join(folder, 'foreign');
  await mkdir(foreign);
  await writeFile(join(foreign, 'thesis.doc'), 'mine');
  const refused: readonly (readonly [args: readonly string[], says: RegExp])[] = [
    [['up', '--sorce', 'x'], /unknown flag --sorce\n.*Did you mean --source/],
    [['up', '--for', 'soon'], /--for is not a duration/],
    [['up', '--mirror', 'a=postgres://b'], /without a source/],
    [['up', '--source', 'postgres://a', '--mirror', 'b=postgres://a'], /is the source itself/],
    [['up', '--fresh', '--data-dir', foreign], /holds files that are not mirrorstream's/],
    [['up', '-f', join(folder, 'missing.yaml')], /cannot read .*missing\.yaml/],
    [['statsu'], /Did you mean status/],
    [['status', '--data-dir', folder], /no stack is running/],
    [['replayer', '--mirorr', 'x'], /mirorr/],
  ];
  const check = async ([args, says]: (typeof refused)[number]): Promise<void> => {
    const { code, stdout, stderr } = await run(args, folder);
    assert.equal(code, 2, `${args.join(' ')}: ${stderr}`);
    assert.equal(stdout, '');
    assert.match(stderr, says);
  };
  await Promise.all(refused.map(check));
  assert.equal(await readFile(join(foreign, 'thesis.doc'), 'utf8'), 'mine');
});

test('status says with exit code 3 that Kafka does not answer', async (t) => {
  const folder = await scratch(t);
  const { code, stderr } = await run(['status', '--brokers', '127.0.0.1:1'], folder);
  assert.equal(code, 3);
  assert.match(stderr, /Kafka on 127\.0\.0\.1:1 does not answer/);
});

test('help and version are told on stdout with exit code 0', async (t) => {
  const folder = await scratch(t);
  for (const args of [
    ['help'],
    ['--help'],
    ['up', '--help'],
    ['help', 'status'],
    ['capture-proxy', '--help'],
    ['comparer', '--help'],
  ]) {
    const { code, stdout, stderr } = await run(args, folder);
    assert.equal(code, 0, `${args.join(' ')}: ${stderr}`);
    assert.match(stdout, /Usage/i, args.join(' '));
  }
  assert.match((await run(['--version'], folder)).stdout, /^mirrorstream \d+\.\d+\.\d+\n$/);
});
