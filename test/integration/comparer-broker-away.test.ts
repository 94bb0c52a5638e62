// The comparer while its broker dies and comes back: it waits, goes on by itself, and the counts stay exact.
import { it } from 'node:test';
import { removeDirectory, startKafka, temporaryDirectory } from '@mirrorstream/testkit';
import { ComparerScene, resolved, stopInOrder } from './comparer-scene.ts';

it('the comparer goes on exactly where it was when the broker is killed in mid-stream and started again', async (t) => {
  const dataDir = await temporaryDirectory('comparer-kafka');
  let broker = await startKafka({ dataDir, keepsParentAlive: false });
  const scene = await ComparerScene.open(broker.bootstrap);
  t.after(async () => {
    await scene.close();
    await broker.stop();
    await removeDirectory(dataDir);
  });
  const mirror = await scene.newMirror();
  const service = await scene.startComparer(mirror);
  const expected = await scene.produceStream(mirror, 500, 200, async (round) => {
    if (round !== 100) return;
    await broker.kill9();
    broker = await startKafka({ dataDir, port: broker.port, keepsParentAlive: false });
  });
  await scene.waitForResolved(mirror, resolved(expected.counts));
  await stopInOrder(service);
  await scene.assertExact(mirror, expected);
});
