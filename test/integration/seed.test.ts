// `mirrorstream seed` under traffic: the mirror begins as a copy, its replay begins behind it, and nothing is missing or played twice.
import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { statusSchema } from '@mirrorstream/domain';
import {
  createTpcbTables,
  execute,
  FaultProxy,
  runTpcb,
  sharedKafka,
  spawnService,
  temporaryDirectory,
  tpcbSums,
  waitFor,
  withClient,
} from '@mirrorstream/testkit';
import { run } from '../e2e/up-process.ts';
import { type Mirror, ReplayerScene } from './replayer-scene.ts';

interface Said {
  readonly code: number | null;
  readonly text: string;
  readonly report: {
    readonly transactionsBefore: number;
    readonly underWay: number;
    readonly unresolved: readonly string[];
    readonly tables: number;
    readonly sequences: number;
  } | null;
}

async function open(t: TestContext) {
  const kafka = await sharedKafka();
  const scene = await ReplayerScene.open(kafka.bootstrap);
  t.after(() => scene.close());
  const mirror = await scene.newMirror();
  const schema = 'CREATE TABLE ids (id serial PRIMARY KEY, who int, doubled int GENERATED ALWAYS AS (who * 2) STORED)';
  for (const url of [scene.sourceUrl, mirror.url]) {
    await createTpcbTables(url);
    await execute(url, schema, 'CREATE SEQUENCE "Never Used"');
  }
  const seed = (...flags: string[]): Promise<Said> => seedTo(mirror.url, ...flags);
  const seedTo = async (url: string, ...flags: string[]): Promise<Said> => {
    const command = await spawnService([
      'seed',
      ...['--source', scene.sourceUrl, '--proxy', new URL(scene.proxyUrl).host, '--mirror', `${mirror.name}=${url}`],
      ...['--brokers', kafka.bootstrap, '--source-name', scene.source, '--json', ...flags],
    ]);
    const { code } = await command.exited;
    const line = command.lines().find((one) => one.startsWith('{"schema":"mirrorstream.seed/1"'));
    return { code, text: command.lines().join('\n'), report: line === undefined ? null : JSON.parse(line) };
  };
  return { kafka, scene, mirror, seed, seedTo };
}

/** Rows, and the last value that the sequence gave out. */
async function idsOf(url: string): Promise<{ readonly rows: unknown; readonly given: number }> {
  return withClient(url, async (client) => {
    const { rows } = await client.query('SELECT count(*)::int, sum(who)::int, sum(doubled)::int, max(who) FROM ids');
    const sequence = await client.query<{ last: number }>('SELECT last_value::int AS last FROM ids_id_seq');
    return { rows, given: sequence.rows[0]?.last ?? 0 };
  });
}

describe('seeding a mirror', { timeout: 240_000 }, () => {
  it('under load: copy and replay together make the mirror equal, and every transaction is accounted for', async (t) => {
    const { kafka, scene, mirror, seed } = await open(t);
    let sent = 0;
    let over = false;
    const tpcb = async (): Promise<void> => {
      for (let round = 1; !over; round++) {
        const done = await runTpcb({ url: scene.proxyUrl, clients: 2, transactions: 25, seed: round });
        assert.deepEqual(done.errors, {});
        sent += done.transactions;
      }
    };
    const ids = (): Promise<void> =>
      withClient(scene.proxyUrl, async (client) => {
        for (let who = 1; !over; who++) {
          await client.query('INSERT INTO ids (who) VALUES ($1)', [who]);
          sent += 1;
          await setTimeout(2); // thinks: not every moment of the source is the end of a transaction
        }
      });
    const load = Promise.all([tpcb(), ids()]);
    await waitFor(async () => (await scene.captured()).size > 100, { what: 'traffic before the snapshot' });
    const said = await withClient(scene.proxyUrl, async (client) => {
      await client.query('BEGIN');
      await client.query('UPDATE pgbench_branches SET bbalance = bbalance + 1000000');
      await client.query('SAVEPOINT a');
      await client.query('ROLLBACK TO a');
      return await holding(client, () => seed('--truncate', '--snapshots', '30'));
    });
    sent += 1;
    assert.equal(said.code, 0, said.text);
    const before = (await scene.captured()).size;
    await waitFor(async () => (await scene.captured()).size > before + 100, { what: 'traffic behind the snapshot' });
    over = true;
    await load;
    assert.ok(said.report);
    const { transactionsBefore, underWay, unresolved, tables } = said.report;
    assert.deepEqual([unresolved, tables], [[], 5]);
    assert.ok(transactionsBefore > 100 && transactionsBefore < before);
    assert.ok(underWay >= 1, 'the transaction that was held open');
    await scene.startReplayer(mirror, '--pacing', 'asap');
    const comparer = await spawnService(['comparer', '--mirror', mirror.name, '--brokers', kafka.bootstrap]);
    t.after(() => comparer.kill9());
    await scene.stopProxy();
    const status = await drained(kafka.bootstrap, scene.source, mirror);
    assert.equal(status.filtered + status.replayed, status.captured);
    assert.ok(status.filtered >= transactionsBefore && status.replayed > 100);
    assert.ok(status.captured >= sent);
    assert.deepEqual(await tpcbSums(mirror.url), await tpcbSums(scene.sourceUrl));
    const [here, there] = [await idsOf(mirror.url), await idsOf(scene.sourceUrl)];
    assert.deepEqual(here.rows, there.rows);
    // What was under way had drawn its ids before, and draws them again.
    const ahead = here.given - there.given;
    assert.ok(ahead >= 0 && ahead <= underWay, `${ahead} ids ahead, ${underWay} were under way`);
  });

  it('refuses, before it touches anything, what cannot become equal', async (t) => {
    const { scene, mirror, seed, seedTo } = await open(t);
    const { hostname, port } = new URL(scene.sourceUrl);
    const disguise = await FaultProxy.start({ upstream: { host: hostname, port: Number(port) } }, t);
    const disguised = new URL(scene.sourceUrl);
    disguised.host = disguise.address;
    const itself = await seedTo(disguised.href, '--truncate');
    assert.deepEqual([itself.code, /is the source itself/.test(itself.text)], [2, true], itself.text);
    const filled = await seed();
    assert.deepEqual([filled.code, /has rows in .*Give --truncate/s.test(filled.text)], [2, true], filled.text);
    await execute(scene.sourceUrl, 'CREATE TABLE only_here (a int, b int)');
    const missing = await seed('--truncate');
    assert.deepEqual([missing.code, /no table public.only_here/.test(missing.text)], [2, true], missing.text);
    await execute(mirror.url, 'CREATE TABLE only_here (a int)');
    const narrow = await seed('--truncate');
    assert.deepEqual([narrow.code, /no column public.only_here.b/.test(narrow.text)], [2, true], narrow.text);
    await execute(mirror.url, 'DROP TABLE only_here');
    await execute(scene.sourceUrl, 'DROP TABLE only_here');
    for (const url of [scene.sourceUrl, mirror.url])
      assert.equal((await tpcbSums(url)).accounts, '0', 'its rows are as they were');
    await scene.startReplayer(mirror);
    const running = await seed('--truncate', '--snapshots', '1');
    assert.deepEqual(
      [running.code, /has 1 replayers that run.*Stop them first/s.test(running.text)],
      [2, true],
      running.text,
    );
  });
});

/** Commits when the work is done. */
async function holding<T>(client: { query(sql: string): Promise<unknown> }, work: () => Promise<T>): Promise<T> {
  const result = await work();
  await client.query('COMMIT');
  return result;
}

async function drained(brokers: string, source: string, mirror: Mirror) {
  const folder = await temporaryDirectory('seed');
  return waitFor(
    async () => {
      const { stdout } = await run(['status', '--json', '--brokers', brokers, '--source-name', source], folder);
      const status = stdout === '' ? undefined : statusSchema.parse(JSON.parse(stdout)).mirrors[mirror.name];
      return status?.transactions.inFlight === 0 ? status.transactions : null;
    },
    { what: 'nothing in flight', deadlineMs: 90_000, everyMs: 300 },
  );
}
