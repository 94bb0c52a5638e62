// Results records that nobody can read: with an account beside them they count, also for what has no session; without one, from the log.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { deadLetterTopic, envelopesTopic, replayerGroup, resultsTopic } from '@mirrorstream/domain';
import { decodeResultBatch } from '@mirrorstream/envelope';
import type { IncomingRecord } from '@mirrorstream/kafka';
import { removeDirectory, sharedKafka, temporaryDirectory, waitFor, withClient } from '@mirrorstream/testkit';
import { run } from '../e2e/up-process.ts';
import { ComparerScene, resolved } from './comparer-scene.ts';
import { ReplayerScene } from './replayer-scene.ts';

const sessions = 12;
/** A record of envelopes that nobody can decode says that it holds so many. */
const poisoned = 3;

describe('results that nobody can read', { timeout: 180_000 }, () => {
  it('count once, by their account or by what no other result is about, also over a kill -9 of the comparer', async (t) => {
    const { bootstrap } = await sharedKafka();
    const scene = await ReplayerScene.open(bootstrap);
    t.after(() => scene.close());
    const comparers = await ComparerScene.open(bootstrap);
    t.after(() => comparers.close());
    const original = await recordResults(scene);
    const mirror = await comparers.newMirror();
    const { lost, accounted } = await copySpoiled(scene, comparers, original, mirror);
    assert.ok(lost > 0);

    const folder = await temporaryDirectory('settle');
    t.after(() => removeDirectory(folder));
    const call = async (...words: readonly string[]): Promise<string> => {
      const place = ['--mirror', mirror, '--brokers', bootstrap, '--source-name', scene.source];
      const { code, stdout, stderr } = await run(['dead-letter', ...words, ...place], folder);
      assert.equal(code, 0, stderr);
      return stdout;
    };
    const comparer = await comparers.startComparer(mirror);
    t.after(() => comparer.kill9());
    const captured = 2 * sessions + poisoned;
    await comparers.waitForResolved(mirror, captured - lost);
    const letters = async () => (await comparers.readAll(deadLetterTopic('default', mirror))).length;
    await waitFor(async () => (await letters()) === original.size + 1, { what: 'the letters' });
    const before = await comparers.totals(mirror);
    assert.deepEqual([resolved(before), before.get('failed')], [captured - lost, accounted]);
    assert.ok(accounted >= poisoned);
    assert.equal((await call('list')).match(/transactions unknown/g)?.length, original.size);

    const counted = (said: string): number =>
      [...said.matchAll(/partition \d: (\d+) transactions/g)].reduce((sum, [, count]) => sum + Number(count), 0);
    assert.equal(counted(await call('settle')), lost);
    await comparers.waitForResolved(mirror, captured);
    await comparer.kill9();
    const next = await comparers.startComparer(mirror);
    t.after(() => next.kill9());
    assert.equal(counted(await call('settle')), 0);
    const after = await comparers.totals(mirror);
    assert.deepEqual([resolved(after), after.get('failed')], [captured, accounted + lost]);
    assert.equal(after.get('replayed'), captured - accounted - lost);
    assert.equal(after.get('duplicates'), undefined);
  });
});

/** Two transactions of each session, in two records of results at least of each partition, and a record that cannot be decoded. */
async function recordResults(scene: ReplayerScene): Promise<ReadonlyMap<number, readonly IncomingRecord[]>> {
  const mirror = await scene.newMirror();
  await scene.startReplayer(mirror, '--pacing', 'asap');
  const clients = Array.from({ length: sessions }, () => scene.proxyUrl);
  const release = Promise.withResolvers<void>();
  const second = Promise.all(
    clients.map((url) =>
      withClient(url, async (client) => {
        await client.query('SELECT 1');
        await release.promise;
        await client.query('SELECT 2');
      }),
    ),
  );
  await scene.waitForAll(mirror, sessions);
  const producer = await scene.client.producer();
  const headers = { transactions: String(poisoned), poison: 'yes' };
  const value = Buffer.from('no envelope at all');
  await producer.send([{ topic: envelopesTopic(scene.source), partition: 1, key: null, value, headers }]);
  await waitFor(async () => (await scene.results(mirror)).some(({ ref }) => ref?.sessionId === ''), {
    what: 'the result of what cannot be decoded',
  });
  release.resolve();
  await second;
  await scene.waitForAll(mirror, 2 * sessions);
  await scene.waitForCommits(mirror);
  const records = new Map<number, IncomingRecord[]>();
  const topic = resultsTopic('default', mirror.name);
  const ranges = (await scene.admin.offsets(topic)).filter(({ low, high }) => low < high);
  await scene.client.readRange(
    topic,
    ranges.map(({ partition, low, high }) => ({ partition, from: low, to: high })),
    (batch) => records.set(batch.partition, [...(records.get(batch.partition) ?? []), ...batch.records]),
  );
  return records;
}

/**
 * The same results for another mirror, but: the first record of each partition is spoiled and says nothing of itself, and one with what
 * has no session is spoiled beside its account. Returns the transactions that only the former were about, and those of the latter.
 */
async function copySpoiled(
  scene: ReplayerScene,
  comparers: ComparerScene,
  original: ReadonlyMap<number, readonly IncomingRecord[]>,
  mirror: string,
): Promise<{ readonly lost: number; readonly accounted: number }> {
  let [lost, accounted] = [0, 0];
  const topic = resultsTopic('default', mirror);
  const spoiled = Buffer.from('spoiled results');
  for (const [partition, records] of original) {
    let isFirst = true;
    for (const { value, headers } of records) {
      const results = decodeResultBatch(value ?? new Uint8Array(0)).results.filter(({ sessionEnd }) => !sessionEnd);
      const transactions = results.reduce((sum, result) => sum + result.transactions, 0);
      const anonymous = results.some(({ ref }) => ref?.sessionId === '');
      const copy = anonymous
        ? { value: spoiled, headers }
        : isFirst
          ? { value: spoiled, headers: {} }
          : { value, headers };
      if (anonymous) accounted += transactions;
      else if (isFirst) lost += transactions;
      isFirst &&= anonymous;
      await comparers.producer.send([{ topic, partition, key: null, ...copy }]);
    }
  }
  const group = (name: string) => replayerGroup('default', name);
  const envelopes = envelopesTopic(scene.source);
  const ends = (await scene.admin.offsets(envelopes)).map(({ partition, high: offset }) => ({
    topic: envelopes,
    partition,
    offset,
  }));
  await scene.admin.setCommitted(group(mirror), ends);
  return { lost, accounted };
}
