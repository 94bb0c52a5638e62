// Runs over the past that suffer: one of several replayers is killed, retention cuts into the window, an import is killed half-way.
import assert from 'node:assert/strict';
import { stat } from 'node:fs/promises';
import { describe, it, type TestContext } from 'node:test';
import { envelopesTopic } from '@mirrorstream/domain';
import {
  execute,
  seededRandom,
  sharedKafka,
  startFaultyKafka,
  uniqueName,
  waitFor,
  withClient,
} from '@mirrorstream/testkit';
import { readWindowFile } from '../../services/cli/src/history/window-file-io.ts';
import { HistoryScene, reportOf } from './history-scene.ts';
import type { Mirror } from './replayer-scene.ts';

const sessions = 8;
const perSession = 12;

describe('a run over the past', { timeout: 600_000 }, () => {
  it('goes on with the other when one of its two replayers is killed with -9, and counts each transaction once', async (t) => {
    const { history, mirror } = await openScene(t);
    const window = await recordSideBySide(history);
    const command = history.startReplay(mirror, '--run', 'two', '--speed', '0.1', '--replayers', '2', ...window.flags);
    await history.scene.waitForOwners(mirror, 2);
    await untilSome(mirror, sessions);
    const victim = command.left().find((line) => line.includes(`replayer ${mirror.name} two 2`));
    assert.ok(victim !== undefined, command.left().join('\n'));
    process.kill(Number(victim.split(' ')[0]), 'SIGKILL');
    const ended = await command.ended;
    assert.equal(ended.code, 0, ended.stderr);
    assert.match(ended.stderr, /The run goes on with 1 of 2 replayers/);
    const report = reportOf(ended);
    assert.equal(report.state, 'finished');
    assert.deepEqual(report.transactions, account({ captured: window.words.length, replayed: window.words.length }));
    assert.deepEqual(report.inFlightByPartition, {});
    assert.deepEqual([...new Set(await words(mirror.url))], window.words);
  });

  it('is shared by a replayer that joins it from elsewhere, and outlives that one’s kill -9', async (t) => {
    const { history, mirror } = await openScene(t);
    const window = await recordSideBySide(history);
    const pace = ['--pacing', 'timed', '--speed', '0.1'];
    const command = history.startReplay(mirror, '--run', 'joined', ...pace, ...window.flags);
    await untilSome(mirror, 1);
    const joined = await history.scene.startReplayer(mirror, '--run', 'joined', ...pace);
    await history.scene.waitForOwners(mirror, 2);
    await untilSome(mirror, (await words(mirror.url)).length + sessions);
    await joined.kill9();
    const ended = await command.ended;
    assert.equal(ended.code, 0, ended.stderr);
    const { transactions } = reportOf(ended);
    assert.deepEqual(transactions, account({ captured: window.words.length, replayed: window.words.length }));
    assert.deepEqual([...new Set(await words(mirror.url))], window.words);
  });

  it('fails when its only replayer is killed, and says how to go on', async (t) => {
    const { history, mirror } = await openScene(t);
    const window = await recordSideBySide(history);
    const command = history.startReplay(mirror, '--run', 'lost', '--speed', '0.1', ...window.flags);
    await untilSome(mirror, 1);
    const victim = command.left().find((line) => line.includes(`replayer ${mirror.name} lost`));
    process.kill(Number(victim?.split(' ')[0]), 'SIGKILL');
    const ended = await command.ended;
    assert.equal(ended.code, 3, ended.stderr);
    assert.match(ended.stderr, /Go on with: mirrorstream replay --mirror \S+=URL --run lost/);
    const rest = await history.replay(mirror, '--run', 'lost');
    assert.deepEqual(rest.transactions, account({ captured: window.words.length, replayed: window.words.length }));
  });

  for (const { how, keeps } of [
    { how: 'a part', keeps: 6n },
    { how: 'all that was left', keeps: 0n },
  ]) {
    it(`plays what is there when retention takes ${how} of its window meanwhile, and says what is missing`, async (t) => {
      const { history, mirror } = await openScene(t, { MIRRORSTREAM_MAX_QUEUE_BYTES: String(1024 * 1024) });
      const window = await recordLarge(history);
      // Nothing comes behind the window, either.
      await history.scene.stopProxy();
      const command = history.startReplay(mirror, '--run', 'cut', '--speed', '0.5', ...window.flags);
      await untilSome(mirror, 1);
      const { partition, leftFrom } = await deleteUpTo(history, keeps);
      const ended = await command.ended;
      assert.equal(ended.code, 2, ended.stderr);
      const report = reportOf(ended);
      assert.equal(report.state, 'failed');
      const { captured = 0, replayed = 0, inFlight = 0, ...others } = report.transactions;
      assert.deepEqual(others, { filtered: 0, unexposed: 0, shed: 0, failed: 0 });
      assert.equal(captured, window.words.length);
      assert.equal(replayed + inFlight, captured);
      assert.ok(inFlight > 0 && replayed > 0, JSON.stringify(report.transactions));
      assert.deepEqual(report.inFlightByPartition, { [partition]: inFlight });
      const said = new RegExp(
        `retention has cut into the window while run cut played it: ${inFlight} of ${captured} transactions have no result; ` +
          `of \\S+\\.envelopes partition ${partition} is left from offset ${leftFrom} on, .* ${inFlight} transactions are missing`,
      );
      assert.match(ended.stderr, said);
      assert.match(report.detail ?? '', said);
      assert.doesNotMatch(ended.stderr, /Go on with/);
      // What ran is what has a result, each once.
      const ran = await words(mirror.url);
      assert.equal(ran.length, replayed);
      assert.equal(new Set(ran).size, replayed);
      const again = await history.startReplay(mirror, '--run', 'cut').ended;
      assert.deepEqual(
        [again.code, /has read all that is left of its window/.test(again.stderr)],
        [2, true],
        again.stderr,
      );
    });
  }
});

describe('an import', { timeout: 300_000 }, () => {
  it('that was killed with -9 half-way is refused by replay, and repeated holds each record once', async (t) => {
    const kafka = await startFaultyKafka(t);
    const { history, mirror } = await openScene(t, {}, kafka.broker.bootstrap);
    const window = await recordLarge(history);
    await history.scene.stopProxy();
    const original = await history.replay(mirror, '--run', 'original', '--pacing', 'asap', ...window.flags);
    const [file, back] = [`${history.folder}/window`, `${history.folder}/back`];
    const exported = await history.run(
      'export',
      '--output',
      file,
      '--source-name',
      history.scene.source,
      ...window.flags,
    );
    assert.equal(exported.code, 0, exported.stderr);

    const copy = uniqueName('copy');
    const place = ['import', '--input', file, '--source-name', copy];
    kafka.proxy.set('up', { bytesPerSecond: (await stat(file)).size / 20 });
    const killed = history.startAt(kafka.throughProxy, ...place);
    const there = await waitFor(
      async () => {
        const count = await recordsIn(history, copy);
        return count > 0 ? count : null;
      },
      { what: 'the first records', deadlineMs: 60_000, everyMs: 20 },
    );
    await killed.clear();
    kafka.proxy.heal();
    const records = await recordsOf(file);
    assert.ok(there < records.length - 1, `${there} of ${records.length} had arrived`);

    const early = await history.startReplay(mirror, '--source-name', copy, ...window.flags).ended;
    assert.deepEqual(
      [early.code, /the import of \S+ has not come to its end/.test(early.stderr)],
      [2, true],
      early.stderr,
    );
    const half = await history.run(...place);
    assert.deepEqual([half.code, /--replace/.test(half.stderr)], [2, true], half.stderr);
    const repeated = await history.run(...place, '--replace');
    assert.equal(repeated.code, 0, repeated.stderr);

    assert.equal((await history.run('export', '--output', back, '--source-name', copy, ...window.flags)).code, 0);
    assert.deepEqual(await recordsOf(back), records);
    await execute(mirror.url, 'TRUNCATE words');
    const played = await history.replay(mirror, '--pacing', 'asap', '--source-name', copy, ...window.flags);
    assert.deepEqual(played.transactions, original.transactions);
    assert.deepEqual(await words(mirror.url), window.words);
  });
});

async function openScene(
  t: TestContext,
  env: Readonly<Record<string, string>> = {},
  brokers?: string,
): Promise<{ readonly history: HistoryScene; readonly mirror: Mirror }> {
  const history = await HistoryScene.open(brokers ?? (await sharedKafka()).bootstrap, env);
  t.after(() => history.close());
  const mirror = await history.scene.newMirror();
  for (const url of [history.scene.sourceUrl, mirror.url])
    await execute(url, 'CREATE TABLE words (word text, ballast text)');
  return { history, mirror };
}

interface Recorded {
  readonly flags: readonly string[];
  readonly words: readonly string[];
}

/** Several sessions that say a word now and then, for about a second. */
async function recordSideBySide(history: HistoryScene): Promise<Recorded> {
  const clients = await Promise.all(Array.from({ length: sessions }, () => history.session()));
  const said: string[] = [];
  const from = await history.moment();
  await Promise.all(
    clients.map(async (client, session) => {
      for (let n = 0; n < perSession; n++) {
        const word = `session ${session} word ${String(n).padStart(3, '0')}`;
        said.push(word);
        await client.query('INSERT INTO words SELECT $1 FROM pg_sleep(0.08)', [word]);
      }
    }),
  );
  const to = await history.moment();
  await history.scene.stopProxy();
  return { flags: ['--from', from, '--to', to], words: said.sort() };
}

/** One session whose words are so heavy that a replayer that may hold 1 MiB has but a few of them at a time. */
async function recordLarge(history: HistoryScene): Promise<Recorded> {
  const random = seededRandom(1);
  const client = await history.session();
  const said = Array.from({ length: 40 }, (_, n) => `word ${String(n).padStart(3, '0')}`);
  const from = await history.moment();
  for (const word of said) {
    // Not to be compressed.
    const ballast = Array.from({ length: 20_000 }, () => random.integer(0, 2 ** 31).toString(36)).join('');
    await client.query('INSERT INTO words SELECT $1, left($2, 1) FROM pg_sleep(0.04)', [word, ballast]);
  }
  const to = await history.moment();
  await history.endSessions();
  return { flags: ['--from', from, '--to', to], words: said };
}

/** As retention does: all but the last so many records of the partition that holds the window. */
async function deleteUpTo(
  { scene }: HistoryScene,
  keeps: bigint,
): Promise<{ readonly partition: number; readonly leftFrom: bigint }> {
  const topic = envelopesTopic(scene.source);
  const logs = await scene.admin.offsets(topic);
  const { partition, high } = logs.reduce((a, b) => (b.high > a.high ? b : a));
  await scene.admin.deleteRecords(topic, new Map([[partition, high - keeps]]));
  return { partition, leftFrom: high - keeps };
}

async function recordsIn({ scene }: HistoryScene, source: string): Promise<number> {
  const topic = envelopesTopic(source);
  if ((await scene.admin.partitionCounts([topic])).size === 0) return 0;
  return (await scene.admin.offsets(topic)).reduce((sum, { low, high }) => sum + Number(high - low), 0);
}

/** What an exported file holds, its offsets aside. */
async function recordsOf(path: string): Promise<unknown[]> {
  const records: unknown[] = [];
  await readWindowFile(path, {
    onHeader: () => {},
    onRecord: ({ offset: _, ...record }) => void records.push(record),
    onProgress: () => {},
  });
  return records;
}

async function untilSome(mirror: Mirror, least: number): Promise<void> {
  await waitFor(async () => (await words(mirror.url)).length >= least, {
    what: `${least} words on the mirror`,
    deadlineMs: 60_000,
    everyMs: 20,
  });
}

function words(url: string): Promise<string[]> {
  return withClient(url, async (client) => {
    const { rows } = await client.query<{ word: string }>('SELECT word FROM words ORDER BY word COLLATE "C"');
    return rows.map(({ word }) => word);
  });
}

function account(of: Readonly<Record<string, number>>): Record<string, number> {
  return { captured: 0, replayed: 0, filtered: 0, unexposed: 0, shed: 0, failed: 0, inFlight: 0, ...of };
}
