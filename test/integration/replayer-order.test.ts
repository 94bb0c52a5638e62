// Ordered pacing: contended traffic, captured through the real proxy, played to identical copies by one replayer and by two.
//
// MIRRORSTREAM_ORDER_TRANSACTIONS=100000 makes it a long run; …_PROCESSES, _RULES, _SESSIONS, _ROWS and _SERIALIZABLE vary it. What
// came out is a diagnostic of the test.
import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import { type SpawnedService, sharedKafka } from '@mirrorstream/testkit';
import { createRacingTables, racingTables, runRacingLoad } from './racing-load.ts';
import { explainDifferences } from './replayed-order.ts';
import { type Mirror, ReplayerScene } from './replayer-scene.ts';

const setting = (name: string, otherwise: string): string => process.env[`MIRRORSTREAM_ORDER_${name}`] ?? otherwise;
const transactions = Number(setting('TRANSACTIONS', '600'));
const sessions = Number(setting('SESSIONS', '16'));
const rows = Number(setting('ROWS', '12'));
const serializable = Number(setting('SERIALIZABLE', '0.1'));
const rules = setting('RULES', 'mixed').split(',');
const processes = setting('PROCESSES', '1,2').split(',').map(Number);

interface Copy {
  readonly rule: string;
  readonly count: number;
  readonly mirror: Mirror;
  readonly replayers: readonly SpawnedService[];
}

describe('ordered pacing', { timeout: Math.max(240_000, transactions * 40) }, () => {
  it('plays contended traffic in production’s order: nothing differs that no overlap explains', async (t) => {
    const scene = await openScene(t);
    await createRacingTables(scene.sourceUrl, rows);
    const copies: Copy[] = [];
    for (const rule of rules) for (const count of processes) copies.push(await startCopy(scene, rule, count));
    const load = { url: scene.proxyUrl, sessions, rows, transactions, serializable, seed: 21 };
    const { failures } = await runRacingLoad(load);
    const source = await racingTables(scene.sourceUrl);
    await scene.stopProxy();
    const batches = await scene.batches();
    for (const { rule, count, mirror, replayers } of copies) {
      await scene.waitForResults(mirror, transactions);
      const order = explainDifferences(batches, await scene.results(mirror));
      const copy = await racingTables(mirror.url);
      for (const replayer of replayers) assert.equal((await replayer.stop()).code, 0);
      const { unexplained, ...counts } = order;
      t.diagnostic(
        `${rule}, ${count} replayers: ${JSON.stringify(counts)}, ${unexplained.length} unexplained, ${failures} failures ` +
          `in production, tables ${sameness(copy.all, source.all)}, what is determined of them ${sameness(copy.determined, source.determined)}`,
      );
      if (rule !== 'mixed') continue;
      assert.deepEqual(unexplained.slice(0, 5), [], `${unexplained.length} unexplained`);
      assert.deepEqual([order.transactions, order.notReplayed], [transactions, 0]);
      if (order.diverged === 0) assert.equal(copy.all, source.all);
    }
  });
});

const sameness = (a: string, b: string): string => (a === b ? 'equal' : 'different');

/** They share the partitions before there is any traffic: what is under way when partitions change hands may run twice. */
async function startCopy(scene: ReplayerScene, rule: string, count: number): Promise<Copy> {
  const mirror = await scene.newMirror();
  await createRacingTables(mirror.url, rows);
  const flags = ['--pacing', 'ordered', '--order-overlaps', rule];
  const replayers: SpawnedService[] = [];
  for (let i = 0; i < count; i++)
    replayers.push(await scene.startReplayer(mirror, ...flags, '--instance', `replayer-${i}`));
  await scene.waitForOwners(mirror, count);
  return { rule, count, mirror, replayers };
}

async function openScene(t: TestContext): Promise<ReplayerScene> {
  const scene = await ReplayerScene.open((await sharedKafka()).bootstrap);
  t.after(() => scene.close());
  return scene;
}
