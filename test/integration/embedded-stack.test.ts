// The embedded stack: real servers that keep their data, never outlive their parent, and say plainly what is wrong.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdir, readdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { MirrorstreamError } from '@mirrorstream/domain';
import {
  aliveBrokers,
  defaultCacheDir,
  ensureKafka,
  exitError,
  freePort,
  freePorts,
  isAlive,
  openDataDir,
  readRun,
  spawnTied,
  startKafkaBroker,
  startPostgres,
  startTicks,
  wipeDataDir,
  writeRun,
} from '@mirrorstream/local';
import { temporaryDirectory, waitFor, withClient } from '@mirrorstream/testkit';

const dir = await temporaryDirectory('stack');

async function rejection(work: Promise<unknown>): Promise<MirrorstreamError> {
  const error = await work.then(
    () => assert.fail('it succeeded'),
    (reason: unknown) => reason,
  );
  assert.ok(error instanceof MirrorstreamError, String(error));
  return error;
}

describe('kafka', () => {
  test('a broker answers, stops, and comes back on the same data with the same cluster id', async () => {
    const dataDir = join(dir, 'kafka');
    const first = await startKafkaBroker({ dataDir });
    assert.equal(await aliveBrokers(first.host, first.port, 5000), 1);
    const exit = await first.stop();
    assert.equal(exit.expected, true);
    assert.equal(await aliveBrokers(first.host, first.port, 1000), 0);
    const clusterId = async (): Promise<string | undefined> =>
      /^cluster\.id=(.+)$/m.exec(await readFile(join(dataDir, 'log', 'meta.properties'), 'utf8'))?.[1];
    const firstId = await clusterId();
    assert.ok(firstId);

    const [port = 0] = await freePorts(1);
    const second = await startKafkaBroker({ dataDir, port });
    after(() => second.stop());
    assert.equal(second.bootstrap, `127.0.0.1:${port}`);
    assert.equal(await clusterId(), firstId);
    assert.equal(await aliveBrokers(second.host, second.port, 5000), 1);
  });

  test('without Java the error says what to install', async () => {
    const error = await rejection(startKafkaBroker({ dataDir: join(dir, 'none'), env: { PATH: '/nonexistent' } }));
    assert.equal(error.code, 'missingPrerequisite');
    assert.match(error.message, /Java/);
    assert.match(error.hint ?? '', /apt-get install openjdk-17|brew install openjdk/);
  });

  test('a Java that is too old is named with its version', async () => {
    const bin = join(dir, 'old-java');
    await mkdir(bin);
    await writeFile(join(bin, 'java'), '#!/bin/sh\necho \'openjdk version "11.0.2" 2019-01-15\' >&2\n', {
      mode: 0o755,
    });
    const error = await rejection(
      startKafkaBroker({ dataDir: join(dir, 'none'), env: { PATH: `${bin}:/bin:/usr/bin` } }),
    );
    assert.equal(error.code, 'missingPrerequisite');
    assert.match(error.message, /Java 11 is too old/);
  });

  test('without Maven the error says what to install, and only a cache that lacks Kafka needs it', async () => {
    const env = { PATH: '/nonexistent' };
    const error = await rejection(ensureKafka({ cacheDir: join(dir, 'empty-cache'), env }));
    assert.equal(error.code, 'missingPrerequisite');
    assert.match(error.hint ?? '', /install maven/);
    assert.deepEqual(await readdir(join(dir, 'empty-cache')), []);
    await ensureKafka();
    const dist = await ensureKafka({ cacheDir: defaultCacheDir, env });
    assert.ok(dist.jars.length > 20);
  });

  test('a Maven that fails is asked twice, and its reason is in the error without any address', async () => {
    const bin = join(dir, 'failing-maven');
    await mkdir(bin);
    const script = `#!/bin/sh
[ "$1" = -version ] && exit 0
echo "$@" >> ${join(bin, 'calls')}
echo '[ERROR] Could not transfer artifact from https://repository.invalid/maven2: Connection refused'
exit 1
`;
    await writeFile(join(bin, 'mvn'), script, { mode: 0o755 });
    const cacheDir = join(dir, 'failing-cache');
    const error = await rejection(ensureKafka({ cacheDir, env: { PATH: `${bin}:/bin:/usr/bin` } }));
    assert.equal(error.code, 'downloadFailed');
    assert.match(error.message, /Connection refused/);
    assert.doesNotMatch(error.message, /repository\.invalid/);
    assert.deepEqual(await readdir(cacheDir), [], 'no half-made folder and no lock stay behind');
  });

  test('several that need Kafka at once fetch it once, past the lock and the half-made folder of one that died', async () => {
    const bin = join(dir, 'fake-maven');
    await mkdir(bin);
    const script = `#!/bin/sh
[ "$1" = -version ] && exit 0
echo call >> ${join(bin, 'calls')}
for arg; do case "$arg" in -DoutputDirectory=*) out="\${arg#*=}";; esac; done
mkdir -p "$out"
touch "$out/kafka-server-4.3.1.jar"
`;
    await writeFile(join(bin, 'mvn'), script, { mode: 0o755 });
    const cacheDir = join(dir, 'shared-cache');
    const dead = await spawnTied({ name: 'dead holder', command: 'true', args: [] });
    await dead.exited;
    await mkdir(join(cacheDir, 'kafka-4.3.1.lock'), { recursive: true });
    await writeFile(join(cacheDir, 'kafka-4.3.1.lock', 'pid'), String(dead.pid));
    await mkdir(join(cacheDir, 'kafka-4.3.1.0badcafe.part'));
    const env = { PATH: `${bin}:/bin:/usr/bin` };
    const dists = await Promise.all([1, 2, 3].map(() => ensureKafka({ cacheDir, env })));
    for (const dist of dists) assert.equal(dist.jars.length, 1);
    assert.equal(await readFile(join(bin, 'calls'), 'utf8'), 'call\n');
    assert.deepEqual(await readdir(cacheDir), ['kafka-4.3.1']);
  });
});

describe('postgres', () => {
  for (const major of [17, 18] as const) {
    test(`PostgreSQL ${major} keeps its data over a stop and over kill -9`, async () => {
      const options = { major, name: `pg${major}`, dataDir: join(dir, `pg${major}`) };
      const first = await startPostgres(options);
      await withClient(first.url, async (client) => {
        await client.query('CREATE TABLE kept (id integer)');
        await client.query('INSERT INTO kept VALUES (1)');
      });
      await first.stop();

      const second = await startPostgres(options);
      await withClient(second.url, (client) => client.query('INSERT INTO kept VALUES (2)'));
      const exit = await second.kill9();
      assert.deepEqual([exit.signal, exit.expected], ['SIGKILL', true]);

      const third = await startPostgres(options);
      after(() => third.stop());
      const { rows } = await withClient(third.url, (client) =>
        client.query(
          `SELECT array_agg(id ORDER BY id) AS ids, current_setting('server_version_num')::int / 10000 AS major FROM kept`,
        ),
      );
      assert.deepEqual(rows, [{ ids: [1, 2], major }]);
    });
  }

  test('a server with password authentication takes the right password and no other', async () => {
    for (const auth of ['scram-sha-256', 'md5', 'password'] as const) {
      const dataDir = join(dir, `auth-${auth}`);
      const server = await startPostgres({ major: 17, name: auth, dataDir, auth, password: 'first/secret' });
      after(() => server.stop());
      const { rows } = await withClient(server.url, (client) => client.query('SELECT 1 AS one'));
      assert.deepEqual(rows, [{ one: 1 }]);
      const wrong = new URL(server.url);
      wrong.password = 'another';
      await assert.rejects(
        withClient(wrong.href, (client) => client.query('SELECT 1')),
        { code: '28P01' },
      );
    }
  });

  test('data of another major version is refused with both versions in the message', async () => {
    const dataDir = join(dir, 'versions');
    await (await startPostgres({ major: 17, name: 'versions', dataDir })).stop();
    const error = await rejection(startPostgres({ major: 18, name: 'versions', dataDir }));
    assert.equal(error.code, 'badInput');
    assert.match(error.message, /made by PostgreSQL 17, not 18/);
  });

  test('a data folder below one that others cannot enter still serves, and is deleted with the rest', async () => {
    const closed = join(dir, 'closed');
    await mkdir(closed, { mode: 0o700 });
    const layout = await openDataDir(join(closed, 'stack'));
    const options = { major: 17, name: 'hidden', dataDir: layout.postgresDir('hidden') } as const;
    const server = await startPostgres(options);
    const { rows } = await withClient(server.url, (client) => client.query('SELECT 1 AS one'));
    assert.deepEqual(rows, [{ one: 1 }]);
    await server.stop();
    await (await startPostgres(options)).stop();
    await wipeDataDir(layout.root);
    await assert.rejects(readdir(server.dataDir), { code: 'ENOENT' });
  });

  test('a setting the server refuses is reported with its last lines', async () => {
    const error = await rejection(
      startPostgres({ major: 17, name: 'broken', dataDir: join(dir, 'broken'), settings: { shared_buffers: 'a lot' } }),
    );
    assert.equal(error.code, 'componentFailed');
    assert.match(error.message, /postgres broken ended with exit code 1[\s\S]*shared_buffers/);
  });
});

describe('ports', () => {
  test('a taken port is reported with what wanted it and who holds it', async () => {
    const port = await freePort();
    const holder = createServer();
    await new Promise<void>((listening) => holder.listen(port, '127.0.0.1', listening));
    after(() => holder.close());
    const wanting = [
      startPostgres({ major: 17, name: 'source', dataDir: join(dir, 'port'), port }),
      startKafkaBroker({ dataDir: join(dir, 'port-kafka'), port }),
    ];
    const [postgres, kafka] = await Promise.all(wanting.map((work) => rejection(work)));
    assert.deepEqual([postgres?.code, kafka?.code], ['portTaken', 'portTaken']);
    assert.match(
      postgres?.message ?? '',
      new RegExp(`^port ${port} for postgres source is taken by .*pid ${process.pid}`),
    );
    assert.match(kafka?.message ?? '', new RegExp(`^port ${port} for kafka is taken`));
  });
});

describe('processes', () => {
  test('kill -9 of the parent leaves no process of the stack', async () => {
    const script = join(import.meta.dirname, 'stack-parent.ts');
    const parent = spawn(process.execPath, [script, join(dir, 'orphans')], { stdio: ['ignore', 'pipe', 'inherit'] });
    after(() => parent.kill('SIGKILL'));
    let output = '';
    parent.stdout.on('data', (chunk: Buffer) => {
      output += chunk.toString();
    });
    await waitFor(() => output.includes('\n') || parent.exitCode !== null, {
      what: 'the stack to start',
      deadlineMs: 90_000,
    });
    const { servers, all } = JSON.parse(output) as { servers: number[]; all: number[] };
    assert.equal(servers.length, 4);
    assert.ok(servers.every((pid) => all.includes(pid) && isAlive(pid)));
    // 4 servers, 4 guardians, the backends of two PostgreSQL servers, the service's child.
    assert.ok(all.length >= 13, `only ${all.length} processes`);
    parent.kill('SIGKILL');
    await waitFor(() => !all.some(isAlive), { what: 'all processes of the stack to end', deadlineMs: 20_000 });
  });

  test('a child that crashes is reported by name, with how it ended and its last lines', async () => {
    const script = `for (let i = 1; i <= 100; i++) console.log('line ' + i); console.error('out of luck'); process.exitCode = 7;`;
    const child = await spawnTied({ name: 'unlucky', command: process.execPath, args: ['-e', script] });
    const exit = await child.exited;
    assert.deepEqual([exit.name, exit.code, exit.signal, exit.expected], ['unlucky', 7, null, false]);
    assert.equal(exit.lastLogLines.length, 40);
    assert.ok(exit.lastLogLines.includes('line 100'));
    assert.ok(exit.lastLogLines.includes('out of luck'));
    const error = exitError(exit);
    assert.equal(error.code, 'componentFailed');
    assert.match(error.message, /^unlucky ended with exit code 7; its last lines:[\s\S]*line 100/);
  });

  test('a server killed from outside is reported as an unexpected end', async () => {
    const server = await startPostgres({ major: 17, name: 'victim', dataDir: join(dir, 'victim') });
    process.kill(server.pid, 'SIGQUIT');
    const exit = await server.exited;
    assert.deepEqual([exit.name, exit.expected], ['postgres victim', false]);
  });

  test('a child that ignores the request to stop is killed with its own children', async () => {
    const script = `process.on('SIGTERM', () => {}); const { pid } = require('node:child_process').spawn('sleep', ['600']); console.log(pid); setInterval(() => {}, 1000);`;
    const child = await spawnTied({ name: 'stubborn', command: process.execPath, args: ['-e', script] });
    await waitFor(() => child.lastLogLines().length > 0, { what: 'the grandchild' });
    const grandchild = Number(child.lastLogLines()[0]);
    assert.ok(isAlive(grandchild));
    const exit = await child.stop({ graceMs: 200 });
    assert.deepEqual([exit.signal, exit.expected], ['SIGKILL', true]);
    await waitFor(() => !isAlive(grandchild), { what: 'the grandchild to end' });
  });

  test('a program that does not exist is named', async () => {
    const error = await rejection(spawnTied({ name: 'ghost', command: 'no-such-program', args: [] }));
    assert.equal(error.code, 'missingPrerequisite');
    assert.match(error.message, /ghost: cannot find .* the program no-such-program/);
  });
});

describe('data folder', () => {
  test('emptying it keeps what was fetched and refuses a folder with files of others', async () => {
    const root = join(dir, 'data');
    const layout = await openDataDir(root);
    await mkdir(layout.kafkaDir);
    await mkdir(join(root, 'cache'));
    await wipeDataDir(root);
    assert.deepEqual((await readdir(root)).sort(), ['.mirrorstream-data', 'cache']);

    const foreign = join(dir, 'foreign');
    await mkdir(foreign);
    await writeFile(join(foreign, 'thesis.txt'), 'years of work');
    for (const work of [openDataDir, wipeDataDir]) {
      assert.match((await rejection(work(foreign))).message, /holds files that are not mirrorstream's/);
    }
    assert.deepEqual(await readdir(foreign), ['thesis.txt']);
  });

  test('emptying it does not follow a link out of it', async () => {
    const layout = await openDataDir(join(dir, 'linked'));
    const outside = join(dir, 'outside');
    await mkdir(outside);
    await writeFile(join(outside, 'kept.txt'), '');
    await mkdir(join(layout.root, 'postgres'));
    await symlink(outside, layout.postgresDir('source'));
    await wipeDataDir(layout.root);
    assert.deepEqual(await readdir(outside), ['kept.txt']);
  });

  test('a folder in use by a living process is neither opened nor emptied, one left by a dead process is', async () => {
    const layout = await openDataDir(join(dir, 'used'));
    await writeRun(layout, { kafka: '127.0.0.1:1' }, 0);
    assert.deepEqual((await readRun(layout))?.addresses, { kafka: '127.0.0.1:1' });
    const other = await spawnTied({ name: 'other', command: 'sleep', args: ['600'] });
    const run = { pid: other.pid, startTicks: startTicks(other.pid), startedAtMs: 0, addresses: {} };
    await writeFile(layout.runFile, JSON.stringify(run));
    for (const work of [openDataDir, wipeDataDir]) {
      assert.match((await rejection(work(layout.root))).message, /a stack is running on .* already/);
    }
    await other.kill9();
    assert.equal(await readRun(layout), undefined);
    await openDataDir(layout.root);
  });
});
