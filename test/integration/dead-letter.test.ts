// `mirrorstream dead-letter` against a real broker and a running comparer: what was set aside is listed, shown, and counted once when it
// can be read after all.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { deadLetterTopic, resultsTopic } from '@mirrorstream/domain';
import { encodeResultBatch, ResultOutcome } from '@mirrorstream/envelope';
import { removeDirectory, sharedKafka, temporaryDirectory, waitFor } from '@mirrorstream/testkit';
import { type Ended, run } from '../e2e/up-process.ts';
import { ComparerScene, resolved } from './comparer-scene.ts';

describe('mirrorstream dead-letter', { timeout: 180_000 }, () => {
  let scene: ComparerScene;
  let folder: string;

  before(async () => {
    scene = await ComparerScene.open((await sharedKafka()).bootstrap);
    folder = await temporaryDirectory('dead-letter');
  });
  after(async () => {
    await scene.close();
    await removeDirectory(folder);
  });

  const call = (mirror: string, ...words: readonly string[]): Promise<Ended> =>
    run(['dead-letter', ...words, '--mirror', mirror, '--brokers', scene.brokers], folder);

  it('says what was set aside, and counts results that can be read after all for what they are, once', async (t) => {
    const mirror = await scene.newMirror();
    const value = encodeResultBatch({
      ...{ environment: 'default', mirror, run: 'live', replayer: 'test', partition: 2 },
      results: [1n, 2n].map((sessionSeq, index) => ({
        ref: { offset: 7n, index, sessionId: 'session-a', sessionSeq, part: 0, lastPart: true },
        outcome: ResultOutcome.REPLAYED,
        transactions: 1,
      })),
    });
    const settles = JSON.stringify({ upTo: '7', sessions: { 'session-a': [2, 1, 2] } });
    const [topic, letters] = [resultsTopic('default', mirror), deadLetterTopic('default', mirror)];
    // What an older comparer set aside, and this version can read: there is none, so the test writes the letter first.
    const origin = { topic, partition: '2', offset: '0', reason: 'a schema of the future', settles, counted: '2' };
    await scene.producer.send([{ topic: letters, partition: 0, key: null, value, headers: origin }]);
    const spoiled = Buffer.from('spoiled results');
    await scene.producer.send([{ topic, partition: 2, key: null, value: spoiled, headers: { settles } }]);
    const comparer = await scene.startComparer(mirror);
    t.after(() => comparer.kill9());
    await scene.waitForResolved(mirror, 2);
    assert.deepEqual([...(await scene.totals(mirror))], [['failed', 2]]);

    const list = await call(mirror, 'list', '--json');
    assert.equal(list.code, 0, list.stderr);
    const [listed] = list.stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as Record<string, unknown>);
    assert.deepEqual([listed?.['offset'], listed?.['transactions'], listed?.['kind']], ['0', 2, 'results']);
    assert.deepEqual(listed?.['from'], { topic, partition: 2, offset: '0' });

    const shown = await call(mirror, 'show', '0', '--bytes', '0');
    assert.match(shown.stdout, /This version can read it:\n.*\nsession session-a transaction 1: 0 statements/);

    for (let i = 0; i < 2; i++) {
      const retried = await call(mirror, 'retry', '0');
      assert.equal(retried.code, 0, retried.stderr);
      assert.match(retried.stdout, /its 2 transactions count for what they are/);
    }
    await waitFor(async () => (await scene.totals(mirror)).get('duplicates') === 2, {
      what: 'the second try to be seen',
    });
    const totals = await scene.totals(mirror);
    assert.equal(resolved(totals), 2);
    assert.equal(totals.get('replayed'), 2);
    assert.equal(totals.get('failed'), undefined);
  });

  it('shows bytes that nobody can read, and says that trying again does not help', async (t) => {
    const mirror = await scene.newMirror();
    assert.match((await call(mirror)).stdout, /No dead letters/);
    const spoiled = {
      topic: resultsTopic('default', mirror),
      partition: 1,
      key: null,
      value: Buffer.from('spoiled results'),
    };
    await scene.producer.send([spoiled]);
    const comparer = await scene.startComparer(mirror);
    t.after(() => comparer.kill9());
    await waitFor(async () => (await scene.readAll(deadLetterTopic('default', mirror))).length > 0, {
      what: 'the letter',
    });
    const listed = await call(mirror, 'list', '--json');
    const { offset } = JSON.parse(listed.stdout) as { offset: string };
    const shown = await call(mirror, 'show', offset);
    assert.match(shown.stdout, /This version cannot read it: result batch is not valid protobuf/);
    assert.match(shown.stdout, /73 70 6f 69 6c 65 64 .* spoiled results/);
    const retried = await call(mirror, 'retry', '--all');
    assert.equal(retried.code, 3);
    assert.match(retried.stderr, /1 of 1 letters cannot be read by this version/);
    assert.equal((await call(mirror, 'show', '77')).code, 2);
  });
});
