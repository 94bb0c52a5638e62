// Timed pacing through the real services: the plan keeps production's distances, and what came of it is in the snapshot.
import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { statusSchema } from '@mirrorstream/domain';
import { removeDirectory, sharedKafka, temporaryDirectory, waitFor, withClient } from '@mirrorstream/testkit';
import { run } from '../e2e/up-process.ts';
import { type Mirror, ReplayerScene } from './replayer-scene.ts';

describe('timed pacing', { timeout: 240_000 }, () => {
  it('plans production’s moments, divided by the speed, sends nothing before its moment, and says how late it was', async (t) => {
    const scene = await ReplayerScene.open((await sharedKafka()).bootstrap);
    t.after(() => scene.close());
    const queries = 25;
    await withClient(scene.proxyUrl, async (client) => {
      for (let i = 0; i < queries; i++) {
        await client.query('SELECT 1');
        await pause(20 + (i % 5) * 10);
      }
    });
    const mirror = await scene.newMirror();
    const speed = 4;
    const replayer = await scene.startReplayer(mirror, '--speed', String(speed));
    const outcomes = await scene.waitForAll(mirror, queries);
    await statusSays(t, scene, mirror, queries);
    assert.equal((await replayer.stop()).code, 0);
    const results = [...outcomes.values()].flat().sort((a, b) => Number(a.capturedAtUs - b.capturedAtUs));
    const [first] = results;
    assert.ok(first);
    let late = 0;
    for (const { capturedAtUs, scheduledAtUs, sentAtUs } of results) {
      const planned = Number(scheduledAtUs - first.scheduledAtUs);
      assert.ok(Math.abs(planned - Number(capturedAtUs - first.capturedAtUs) / speed) <= 2, `${planned} µs`);
      assert.ok(sentAtUs >= scheduledAtUs);
      if (sentAtUs - scheduledAtUs > 1_000n) late += 1;
    }
    const pacing = (await scene.snapshot(mirror))?.pacing;
    assert.equal(pacing?.mode, 'timed');
    assert.ok((pacing?.scheduleLagMs.sends ?? 0) >= queries);
    t.diagnostic(`${late} of ${queries} more than 1 ms late; ${JSON.stringify(pacing?.scheduleLagMs)}`);
  });
});

/** `mirrorstream status` tells how punctual the replayer that runs is, for people too. */
async function statusSays(t: TestContext, scene: ReplayerScene, mirror: Mirror, sends: number): Promise<void> {
  const folder = await temporaryDirectory('timed-status');
  t.after(() => removeDirectory(folder));
  const ask = async (...more: readonly string[]) => {
    const place = ['--brokers', scene.brokers, '--source-name', scene.source];
    const { code, stdout, stderr } = await run(['status', ...place, ...more], folder);
    assert.equal(code, 0, stderr);
    return stdout;
  };
  const pacing = await waitFor(
    async () => {
      const said = statusSchema.parse(JSON.parse(await ask('--json'))).mirrors[mirror.name]?.pacing;
      return said !== undefined && said.scheduleLagMs.sends >= sends ? said : null;
    },
    { what: 'the status to tell of all sends', deadlineMs: 30_000, everyMs: 100 },
  );
  const { mode, scheduleLagMs, orderGivenUp } = pacing;
  assert.deepEqual([mode, orderGivenUp], ['timed', 0]);
  assert.ok(scheduleLagMs.p50 <= scheduleLagMs.p99 && scheduleLagMs.p99 <= scheduleLagMs.max * 1.1 + 1);
  assert.match(await ask(), /timed, 99 % of sends within \d/);
}
