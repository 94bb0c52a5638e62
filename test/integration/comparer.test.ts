// The comparer as a process on a real broker: exact counts, over repeats, poison, kill -9 in mid-stream and a changing group.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { deadLetterTopic, resultsTopic } from '@mirrorstream/domain';
import { type SpawnedService, sharedKafka, spawnService } from '@mirrorstream/testkit';
import { ComparerScene, resolved, stopInOrder } from './comparer-scene.ts';

describe('the comparer', () => {
  let scene: ComparerScene;
  before(async () => {
    scene = await ComparerScene.open((await sharedKafka()).bootstrap);
  });
  after(() => scene.close());

  it('counts every transaction and statement once, repeated results too, and publishes one verdict each', async () => {
    const mirror = await scene.newMirror();
    const expected = await scene.produceStream(mirror, 1, 50);
    const service = await scene.startComparer(mirror);
    await scene.waitForResolved(mirror, resolved(expected.counts));
    await stopInOrder(service);
    await scene.assertExact(mirror, expected);
    assert.ok([...(await scene.verdictsOf(mirror)).values()].every((count) => count === 1));
  });

  it('comes to the same exact counts when it is killed with -9 in mid-stream, again and again', async () => {
    const mirror = await scene.newMirror();
    let service = await scene.startComparer(mirror);
    let kills = 0;
    const expected = await scene.produceStream(mirror, 100, 160, async (round) => {
      if (round % 50 !== 49) return;
      await scene.waitForResolved(mirror, resolved(await scene.totals(mirror)) + 1);
      await service.kill9();
      kills += 1;
      service = await scene.startComparer(mirror);
    });
    await scene.waitForResolved(mirror, resolved(expected.counts));
    await stopInOrder(service);
    assert.equal(kills, 3);
    await scene.assertExact(mirror, expected);
  });

  it('keeps the counts exact while a second comparer joins, works and dies', async () => {
    const mirror = await scene.newMirror();
    const first = await scene.startComparer(mirror);
    let second: SpawnedService | undefined;
    const expected = await scene.produceStream(mirror, 200, 120, async (round) => {
      if (round === 30) second = await scene.startComparer(mirror);
      if (round === 80) await second?.kill9();
    });
    await scene.waitForResolved(mirror, resolved(expected.counts));
    await stopInOrder(first);
    await scene.assertExact(mirror, expected);
  });

  it('sets a poisoned record aside in the dead letter topic and goes on', async () => {
    const mirror = await scene.newMirror();
    const poison = Buffer.from('this is no result batch');
    await scene.producer.send([{ topic: resultsTopic('default', mirror), partition: 2, key: null, value: poison }]);
    const expected = await scene.produceStream(mirror, 300, 10);
    const service = await scene.startComparer(mirror);
    await scene.waitForResolved(mirror, resolved(expected.counts));
    await stopInOrder(service);
    await scene.assertExact(mirror, expected);
    const [dead, ...others] = await scene.readAll(deadLetterTopic('default', mirror));
    assert.equal(others.length, 0);
    assert.deepEqual(dead?.value, poison);
    const { partition, offset, reason } = dead?.headers ?? {};
    assert.deepEqual([partition, offset, reason], ['2', '0', 'undecodable']);
  });

  it('refuses a missing mirror name with exit code 2', async () => {
    const service = await spawnService(['comparer', '--brokers', scene.brokers]);
    const exit = await service.exited;
    assert.equal(exit.code, 2);
    assert.match(service.lines().join('\n'), /--mirror/);
  });
});
