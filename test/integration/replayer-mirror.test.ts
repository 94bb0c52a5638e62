// Mirrors that are not what they should be: the source itself, full, elsewhere, read-only, in recovery, behind other users and passwords.
import assert from 'node:assert/strict';
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import type { ProcessExit } from '@mirrorstream/local';
import { parseTargetUrl, systemIdentifier } from '@mirrorstream/pg-target';
import {
  createTpcbTables,
  execute,
  FaultProxy,
  runTpcb,
  type SpawnedService,
  sharedKafka,
  sharedPostgres,
  startPostgres,
  temporaryDirectory,
  tpcbSums,
  waitFor,
  withClient,
} from '@mirrorstream/testkit';
import pg from 'pg';
import { differences, ReplayerScene, tally } from './replayer-scene.ts';

const target = { host: '127.0.0.1', superuser: 'postgres' };

describe('a mirror', { timeout: 420_000 }, () => {
  it('that is the captured source by its address is refused at the start: exit code 4, and nothing is played', {
    timeout: 90_000,
  }, async (t) => {
    const scene = await openScene(t);
    await execute(scene.proxyUrl, 'CREATE TABLE played (n int)', 'INSERT INTO played VALUES (1)');
    const replayer = await scene.spawnReplayer({ name: 'itself', url: scene.sourceUrl });
    const exit = await ended(replayer);
    assert.equal(exit.code, 4, exit.lastLogLines.join('\n'));
    const said = replayer.lines().join('\n');
    assert.match(said, /the mirror's server is the captured source: its address is the source's/);
    assert.equal(await countOf(scene.sourceUrl, 'played'), 1);
  });

  it("that has the source's system identifier is refused, wherever it is and as whom it is asked", {
    timeout: 90_000,
  }, async (t) => {
    const source = await sharedPostgres('source');
    const asked = { user: 'postgres', database: 'postgres' };
    const identifier = await systemIdentifier(parseTargetUrl(source.url, 'the test'), asked, 10_000);
    const scene = await openScene(t, '--source-system-identifier', identifier ?? '');
    const other = await FaultProxy.start({ upstream: source }, t);
    const url = new URL(scene.sourceUrl);
    url.host = other.address;
    const role = `role_${scene.source.replaceAll('-', '_')}`;
    await execute(source.url, `CREATE ROLE ${role} LOGIN`);
    t.after(() => execute(source.url, `DROP ROLE ${role}`));
    await execute(scene.proxyUrl, 'CREATE TABLE played (n int)', 'INSERT INTO played VALUES (1)');
    url.username = role;
    const mirror = { name: 'alias', url: url.href };
    const replayer = await scene.startReplayer(mirror);
    const exit = await ended(replayer);
    assert.equal(exit.code, 4, exit.lastLogLines.join('\n'));
    assert.match(replayer.lines().join('\n'), /is the captured source: its system identifier is the source's/);
    assert.equal(await countOf(scene.sourceUrl, 'played'), 1);
    assert.equal((await scene.outcomes(mirror)).size, 0);
  });

  it('that has fewer connections than there are sessions is played with those it has: nothing fails', {
    timeout: 90_000,
  }, async (t) => {
    const scene = await openScene(t);
    const settings = { max_connections: '8', superuser_reserved_connections: '0', reserved_connections: '0' };
    const server = await startPostgres({ name: 'few', settings });
    t.after(() => server.stop());
    const mirror = await scene.newMirror({ ...server });
    await Promise.all([createTpcbTables(scene.sourceUrl), createTpcbTables(mirror.url)]);
    const replayer = await scene.startReplayer(mirror, '--pacing', 'asap');
    await runTpcb({ url: scene.proxyUrl, protocol: 'simple', clients: 20, transactions: 20, seed: 3 });
    const outcomes = await scene.waitForAll(mirror, 400);
    assert.deepEqual(tally(outcomes), { replayed: 400 });
    assert.deepEqual(await tpcbSums(mirror.url), await tpcbSums(scene.sourceUrl));
    assert.ok(replayer.lines().some((line) => line.includes('the mirror is full')));
  });

  it('never has more connections than the cap', { timeout: 90_000 }, async (t) => {
    const scene = await openScene(t);
    const mirror = await scene.newMirror();
    await Promise.all([createTpcbTables(scene.sourceUrl), createTpcbTables(mirror.url)]);
    await scene.startReplayer(mirror, '--pacing', 'asap', '--max-connections', '3');
    const database = new URL(mirror.url).pathname.slice(1);
    const counts = await watchConnections(mirror.url, database, async () => {
      await runTpcb({ url: scene.proxyUrl, protocol: 'simple', clients: 12, transactions: 20, seed: 4 });
      assert.deepEqual(tally(await scene.waitForAll(mirror, 240)), { replayed: 240 });
    });
    assert.ok(Math.max(...counts) <= 3, `up to ${Math.max(...counts)} connections`);
    assert.ok(Math.max(...counts) > 0);
  });

  it('with fewer connections than sessions is played over shared ones: equal, each session as it was, and none loses what it has', async (t) => {
    const scene = await openScene(t);
    const mirror = await scene.newMirror();
    await Promise.all([createTpcbTables(scene.sourceUrl), createTpcbTables(mirror.url)]);
    const replayer = await scene.startReplayer(
      mirror,
      '--pacing',
      'asap',
      '--lanes',
      'pooled',
      '--max-connections',
      '8',
    );
    const database = new URL(mirror.url).pathname.slice(1);
    const sessions = 40;
    const rounds = 4;
    const counts = await watchConnections(mirror.url, database, async () => {
      const clients = Array.from(
        { length: sessions },
        () => new pg.Client({ connectionString: scene.proxyUrl, application_name: 'load' }),
      );
      await Promise.all(clients.map((client) => client.connect()));
      for (let round = 0; round < rounds; round++)
        await Promise.all(
          clients.map(async (client, i) => {
            if (round === 0) {
              await client.query(`SET search_path TO schema_${i}, public`);
              if (i % 20 === 0) await client.query(`CREATE TEMP TABLE own AS SELECT ${i} AS n`);
            }
            await client.query({ name: 'balance', text: 'SELECT $1::int + $2::int', values: [i, round] });
            await client.query('BEGIN');
            await client.query(`UPDATE pgbench_accounts SET abalance = abalance + ${i} WHERE aid = ${i + 1}`);
            await client.query('COMMIT');
            await client.query("SHOW search_path; SELECT current_setting('application_name')");
            if (i % 20 === 0) await client.query('SELECT n FROM own');
          }),
        );
      await Promise.all(clients.map((client) => client.end()));
      const transactions = rounds * (sessions * 3 + 2) + sessions + 2;
      const outcomes = await scene.waitForAll(mirror, transactions);
      assert.deepEqual(tally(outcomes), { replayed: transactions });
      assert.deepEqual(differences(outcomes), []);
      assert.deepEqual(notCompared(outcomes), []);
    });
    assert.deepEqual(await tpcbSums(mirror.url), await tpcbSums(scene.sourceUrl));
    assert.ok(Math.max(...counts) <= 8, `up to ${Math.max(...counts)} connections`);
    await replayer.stop();
  });

  it('that does not answer at its first address is played at the next, and at the first again when it is there', {
    timeout: 90_000,
  }, async (t) => {
    const scene = await openScene(t);
    const mirror = await scene.newMirror();
    const { hostname, port, pathname } = new URL(mirror.url);
    const upstream = { host: hostname, port: Number(port) };
    const away = await FaultProxy.start({ upstream }, t);
    const spare = await FaultProxy.start({ upstream }, t);
    away.refuse();
    const url = `postgres://postgres@${away.address},${spare.address}${pathname}`;
    await scene.startReplayer({ ...mirror, url });
    await withClient(scene.proxyUrl, (client) => client.query('SELECT 1'));
    assert.deepEqual(tally(await scene.waitForAll(mirror, 1)), { replayed: 1 });
    assert.equal(away.accepted, 0);
    assert.equal(spare.accepted, 1);
    await away.heal();
    for (let asked = 1; away.accepted === 0; asked++) {
      await withClient(scene.proxyUrl, (client) => client.query('SELECT 2'));
      assert.deepEqual(tally(await scene.waitForAll(mirror, asked + 1)), { replayed: asked + 1 });
    }
  });

  it('that refuses the password is not asked again and again, and comes back by itself when the password is right', {
    timeout: 90_000,
  }, async (t) => {
    const scene = await openScene(t);
    const server = await startPostgres({ name: 'locked', auth: 'scram-sha-256', password: 'right' });
    t.after(() => server.stop());
    const dir = await temporaryDirectory('password');
    const file = join(dir, 'password');
    await writeFile(file, 'wrong\n');
    const mirror = { name: 'locked', url: `postgres://postgres@${target.host}:${server.port}/postgres` };
    const replayer = await scene.startReplayer(mirror, '--target-password-file', file, '--retry-max-ms', '500');
    for (let i = 0; i < 5; i++) await withClient(scene.proxyUrl, (client) => client.query('SELECT 1'));
    assert.deepEqual(tally(await scene.waitForAll(mirror, 5)), { 'failed/authenticationFailed': 5 });
    await writeFile(file, 'right\n');
    let sent = 5;
    await waitFor(
      async () => {
        await withClient(scene.proxyUrl, (client) => client.query('SELECT 1'));
        sent += 1;
        return (tally(await scene.waitForAll(mirror, sent))['replayed'] ?? 0) > 0;
      },
      { what: 'a session that is let in', everyMs: 100 },
    );
    assert.ok(!replayer.lines().some((line) => line.includes('wrong') || line.includes('"right')));
  });

  it('is played as its own users, with their passwords; none of them is ever shown', { timeout: 90_000 }, async (t) => {
    const scene = await openScene(t);
    const server = await startPostgres({ name: 'mapped', auth: 'scram-sha-256', password: 'root-secret' });
    t.after(() => server.stop());
    await execute(server.url, "CREATE ROLE app_copy LOGIN PASSWORD 'copy-secret'");
    await execute(server.url, 'CREATE TABLE who (name text, mirror text)', 'GRANT ALL ON who TO app_copy');
    await execute(scene.sourceUrl, 'CREATE TABLE who (name text, mirror text)');
    const mirror = { name: 'mapped', url: `postgres://${target.host}:${server.port}/postgres` };
    const replayer = await scene.spawnReplayer(
      mirror,
      ['--user-map', 'postgres=app_copy', '--user-password-env', 'app_copy=COPY_PASSWORD'],
      { COPY_PASSWORD: 'copy-secret' },
    );
    await replayer.waitForLine(/"ready":true/);
    const insert = "INSERT INTO who VALUES (current_user, current_setting('mirrorstream.mirror', true))";
    await execute(scene.proxyUrl, insert);
    assert.deepEqual(tally(await scene.waitForAll(mirror, 1)), { replayed: 1 });
    await withClient(server.url, async (client) => {
      const { rows } = await client.query('SELECT * FROM who');
      assert.deepEqual(rows, [{ name: 'app_copy', mirror: 'mapped' }]);
    });
    const shown = `${replayer.lines().join('\n')}${JSON.stringify(await scene.snapshot(mirror))}`;
    assert.ok(!/-secret/.test(shown));
  });

  it('that is read-only refuses writes with 25006, and each is a replayed transaction that differs', {
    timeout: 90_000,
  }, async (t) => {
    const scene = await openScene(t);
    const mirror = await scene.newMirror();
    for (const url of [scene.sourceUrl, mirror.url]) await execute(url, 'CREATE TABLE kept (n int)');
    await scene.startReplayer(mirror, '--read-only');
    await execute(scene.proxyUrl, 'INSERT INTO kept VALUES (1)', 'SELECT count(*) > 5 FROM kept');
    const outcomes = await scene.waitForAll(mirror, 2);
    assert.deepEqual(tally(outcomes), { replayed: 2 });
    assert.deepEqual(sqlStates(outcomes), ['25006']);
    assert.equal(await countOf(mirror.url, 'kept'), 0);
  });

  it('that is in recovery is waited for while it starts, then played read-only; promoted, it takes writes', {
    timeout: 90_000,
  }, async (t) => {
    const scene = await openScene(t);
    await execute(scene.sourceUrl, 'CREATE TABLE kept (n int)');
    const first = await startPostgres({ name: 'standby' });
    await execute(first.url, 'CREATE TABLE kept (n int)');
    const { dataDir, port } = first;
    await first.stop();
    await writeFile(join(dataDir, 'standby.signal'), '');
    const mirror = { name: 'standby', url: `postgres://postgres@${target.host}:${port}/postgres` };
    await scene.startReplayer(mirror, '--connect-give-up-ms', '100000');
    await execute(scene.proxyUrl, 'SELECT 1');
    const standby = await startPostgres({ name: 'standby', dataDir, port });
    t.after(() => standby.stop());
    assert.deepEqual(tally(await scene.waitForAll(mirror, 1)), { replayed: 1 });
    await execute(scene.proxyUrl, 'INSERT INTO kept VALUES (1)');
    const outcomes = await scene.waitForAll(mirror, 2);
    assert.deepEqual(tally(outcomes), { replayed: 2 });
    assert.deepEqual(sqlStates(outcomes), ['25006']);
    await execute(standby.url, 'SELECT pg_promote()');
    await rm(join(dataDir, 'standby.signal'), { force: true });
    await execute(scene.proxyUrl, 'INSERT INTO kept VALUES (2)');
    assert.deepEqual(tally(await scene.waitForAll(mirror, 3)), { replayed: 3 });
    assert.equal(await countOf(standby.url, 'kept'), 1);
  });

  it('that hangs is waited for, takes nothing from the others, and goes on where it was', {
    timeout: 90_000,
  }, async (t) => {
    const scene = await openScene(t);
    const server = await startPostgres({ name: 'hung' });
    t.after(() => server.stop());
    const mirror = await scene.newMirror({ ...server });
    await execute(mirror.url, 'CREATE TABLE kept (n int)');
    await execute(scene.sourceUrl, 'CREATE TABLE kept (n int)');
    const flags = ['--connect-timeout-ms', '300', '--connect-give-up-ms', '100000'];
    const replayer = await scene.startReplayer(mirror, ...flags);
    await execute(scene.proxyUrl, 'INSERT INTO kept VALUES (1)');
    await scene.waitForAll(mirror, 1);
    process.kill(server.pid, 'SIGSTOP');
    try {
      await execute(scene.proxyUrl, 'INSERT INTO kept VALUES (2)');
      await replayer.waitForLine(/the mirror is down/);
    } finally {
      process.kill(server.pid, 'SIGCONT');
    }
    assert.deepEqual(tally(await scene.waitForAll(mirror, 2)), { replayed: 2 });
    assert.equal(await countOf(mirror.url, 'kept'), 2);
  });
});

/** With its last words, should it not end by itself. */
async function ended(replayer: SpawnedService): Promise<ProcessExit> {
  let exit: ProcessExit | undefined;
  void replayer.exited.then((how) => {
    exit = how;
  });
  return waitFor(() => exit, { what: 'the replayer to end', deadlineMs: 20_000 }).catch((error: Error) => {
    throw new Error(`${error.message}; it says:\n${replayer.lines().join('\n')}`);
  });
}

async function openScene(t: TestContext, ...proxyFlags: readonly string[]): Promise<ReplayerScene> {
  const scene = await ReplayerScene.open((await sharedKafka()).bootstrap, undefined, undefined, proxyFlags);
  t.after(() => scene.close());
  return scene;
}

function countOf(url: string, table: string): Promise<number> {
  return withClient(url, async (client) => {
    const { rows } = await client.query(`SELECT count(*)::int AS n FROM ${table}`);
    return rows[0].n as number;
  });
}

/** Of statements that failed on the mirror, and did not in production. */
function sqlStates(outcomes: Awaited<ReturnType<ReplayerScene['outcomes']>>): readonly string[] {
  return [...outcomes.values()].flatMap((results) =>
    results.flatMap(({ statements }) =>
      statements.filter(({ equal }) => !equal).map(({ replayed }) => replayed?.sqlState ?? ''),
    ),
  );
}

function notCompared(outcomes: Awaited<ReturnType<ReplayerScene['outcomes']>>): readonly string[] {
  return [...outcomes.values()].flatMap((results) =>
    results.flatMap(({ statements }) => statements.map((it) => it.notCompared).filter((why) => why !== '')),
  );
}

/** How many of the replayer's sessions the server shows, looked at again and again while the work is done. */
async function watchConnections(url: string, database: string, work: () => Promise<void>): Promise<readonly number[]> {
  const server = new URL(url);
  server.pathname = '/postgres';
  const counts: number[] = [];
  await withClient(server.href, async (client) => {
    let over = false;
    const looking = (async () => {
      while (!over) {
        const { rows } = await client.query(
          "SELECT count(*)::int AS n FROM pg_stat_activity WHERE datname = $1 AND backend_type = 'client backend'",
          [database],
        );
        counts.push(rows[0].n as number);
      }
    })();
    try {
      await work();
    } finally {
      over = true;
      await looking;
    }
  });
  return counts;
}
