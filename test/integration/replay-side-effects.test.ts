// What reaches outside of the database does not happen a second time because a mirror plays it, unless that is allowed.
import assert from 'node:assert/strict';
import { chmod, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { it } from 'node:test';
import { envelopesTopic } from '@mirrorstream/domain';
import { decodeEnvelopeBatch } from '@mirrorstream/envelope';
import { execute, sharedKafka, temporaryDirectory, waitFor, withClient } from '@mirrorstream/testkit';
import { ReplayerScene, tally } from './replayer-scene.ts';

const exists = (file: string): Promise<boolean> =>
  stat(file).then(
    () => true,
    () => false,
  );

it('files are written, and sessions notified, by the source alone', { timeout: 120_000 }, async (t) => {
  const scene = await ReplayerScene.open((await sharedKafka()).bootstrap);
  t.after(() => scene.close());
  const [guarded, free] = [await scene.newMirror(), await scene.newMirror()];
  const schema = 'CREATE TABLE t (what text)';
  for (const url of [scene.sourceUrl, guarded.url, free.url]) await execute(url, schema);
  const folder = await temporaryDirectory('side-effects');
  await chmod(folder, 0o777);
  const [atOnce, late] = [join(folder, 'at-once'), join(folder, 'late')];
  const copyTo = (file: string): string => `COPY (SELECT 1) TO '${file}'`;
  await withClient(scene.proxyUrl, async (client) => {
    await client.query("INSERT INTO t VALUES ('plain')");
    await client.query("BEGIN; INSERT INTO t VALUES ('with NOTIFY')");
    await client.query("SELECT pg_notify('queue', 'x')");
    await client.query('COMMIT');
    await client.query(copyTo(atOnce));
    await client.query("PREPARE later AS SELECT pg_notify('queue', $1)");
    await client.query("EXECUTE later ('y')");
    await client.query("INSERT INTO t VALUES ('after')");
  });
  await withClient(scene.proxyUrl, async (client) => {
    await client.query('BEGIN');
    await client.query("INSERT INTO t VALUES ('long')");
    await waitFor(() => hasOpenPart(scene), { what: 'the first part to be captured' });
    await client.query(copyTo(late));
    await client.query('COMMIT');
    await client.query("INSERT INTO t VALUES ('after the long one')");
  });
  assert.ok((await exists(atOnce)) && (await exists(late)), 'the source has written them');
  await Promise.all([rm(atOnce), rm(late)]);
  await scene.startReplayer(guarded);
  const outcomes = await scene.waitForAll(guarded, 8);
  assert.deepEqual(tally(outcomes), { replayed: 3, 'filtered/sideEffect': 4, 'failed/sideEffect': 1 });
  assert.deepEqual([await exists(atOnce), await exists(late)], [false, false]);
  assert.deepEqual(await rowsOf(guarded.url), ['after', 'after the long one', 'plain']);
  await scene.startReplayer(free, '--allow-side-effect', 'serverFile', '--allow-side-effect', 'notify');
  assert.deepEqual(tally(await scene.waitForAll(free, 8)), { replayed: 8 });
  assert.deepEqual([await exists(atOnce), await exists(late)], [true, true]);
  assert.deepEqual(await rowsOf(free.url), await rowsOf(scene.sourceUrl));
});

const rowsOf = (url: string): Promise<readonly string[]> =>
  withClient(url, async (client) => {
    const { rows } = await client.query<{ what: string }>('SELECT what FROM t ORDER BY 1');
    return rows.map(({ what }) => what);
  });

/** Whether a transaction has been published in part. */
async function hasOpenPart(scene: ReplayerScene): Promise<boolean> {
  const topic = envelopesTopic(scene.source);
  const ranges = (await scene.admin.offsets(topic)).filter(({ low, high }) => low < high);
  let found = false;
  await scene.client.readRange(
    topic,
    ranges.map(({ partition, low, high }) => ({ partition, from: low, to: high })),
    ({ records }) => {
      for (const { value } of records)
        for (const { record } of decodeEnvelopeBatch(value ?? new Uint8Array(0)).records)
          if (record.case === 'envelope' && !record.value.lastPart) found = true;
    },
  );
  return found;
}
