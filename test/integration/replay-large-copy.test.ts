// A COPY that is larger than the replayer's memory may become streams through it, also while the mirror does not take it.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { describe, it } from 'node:test';
import { B } from '@mirrorstream/pg-wire';
import { execute as run, sharedKafka, waitFor, withClient } from '@mirrorstream/testkit';
import { data, done, query } from '../../libs/capture/src/conversation-script.fixture.ts';
import { RecordedClient } from './capture-exact-scene.ts';
import { differences, ReplayerScene, tally } from './replayer-scene.ts';

const megabyte = 1024 * 1024;
const copiedBytes = 100 * megabyte;
const queueBytes = 4 * megabyte;

describe('a COPY of 100 MiB', { timeout: 240_000 }, () => {
  it('passes through a replayer that may hold 4 MiB, waits while the mirror does, and arrives whole', async (t) => {
    const scene = await ReplayerScene.open((await sharedKafka()).bootstrap);
    t.after(() => scene.close());
    const mirror = await scene.newMirror();
    for (const url of [scene.sourceUrl, mirror.url]) await run(url, 'CREATE TABLE big (a text)');
    const limits = ['--max-queue-bytes', String(queueBytes), '--max-lane-bytes', String(queueBytes)];
    const replayer = await scene.startReplayer(mirror, '--pacing', 'asap', ...limits);
    await copy(scene, 8 * megabyte); // What a process grows by when it first works is not the matter here.
    await scene.waitForAll(mirror, 1);
    const before = await peakBytes(replayer.pid);
    await withClient(mirror.url, async (holder) => {
      await holder.query('BEGIN; LOCK TABLE big IN ACCESS EXCLUSIVE MODE');
      await copy(scene, copiedBytes);
      // All of it is in the log, and the mirror has not begun.
      await scene.stopProxy();
      await holder.query('ROLLBACK');
    });
    // Looking at the results alone: the log is 100 MiB, and read anew at each look.
    const outcomes = await waitFor(
      async () => {
        const found = await scene.outcomes(mirror);
        return found.size === 2 ? found : null;
      },
      { what: 'both to be replayed', deadlineMs: 120_000, everyMs: 200 },
    );
    assert.deepEqual([tally(outcomes), differences(outcomes)], [{ replayed: 2 }, []]);
    const sum = 'SELECT count(*)::int AS lines, sum(length(a)) AS bytes FROM big';
    const [there, here] = await Promise.all(
      [scene.sourceUrl, mirror.url].map((url) => withClient(url, async (it) => (await it.query(sum)).rows[0])),
    );
    assert.deepEqual(here, there);
    assert.equal(here.lines, (copiedBytes + 8 * megabyte) / 1024);
    const grown = (await peakBytes(replayer.pid)) - before;
    t.diagnostic(`the replayer grew by ${Math.round(grown / megabyte)} MiB at most`);
    assert.ok(grown < copiedBytes, `${grown} bytes`);
    await waitFor(async () => (await scene.positions(mirror)).every(({ committed, high }) => committed === high), {
      what: 'the last commits',
      everyMs: 100,
    });
  });
});

async function copy(scene: ReplayerScene, sizeBytes: number): Promise<void> {
  const client = await RecordedClient.connect(scene.proxyUrl);
  await client.send([query('COPY big FROM STDIN')], { type: B.CopyInResponse });
  const line = `${'x'.repeat(1023)}\n`;
  const piece = data(line.repeat(megabyte / line.length));
  for (let i = 0; i < sizeBytes / megabyte; i++) {
    await client.send([piece]);
    await client.drained();
  }
  await client.send([done], { ready: 1 });
  await client.terminate();
}

/** The most memory that a process ever had, in bytes. */
async function peakBytes(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'latin1');
  return Number(/^VmHWM:\s+(\d+) kB$/m.exec(status)?.[1]) * 1024;
}
