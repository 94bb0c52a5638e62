// Runs over windows of the past: real traffic captured by the real proxy, played later by `mirrorstream replay`.
import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { describe, it, type TestContext } from 'node:test';
import { envelopesTopic } from '@mirrorstream/domain';
import { execute, sharedKafka, uniqueName, waitFor, withClient } from '@mirrorstream/testkit';
import { readWindowFile } from '../../services/cli/src/history/window-file-io.ts';
import { HistoryScene, type RunReport, reportOf } from './history-scene.ts';
import type { Mirror } from './replayer-scene.ts';
import { repeated } from './replayer-scene.ts';

describe('history', { timeout: 900_000 }, () => {
  it('plays exactly the transactions that began in the window, also of sessions open across both its ends', async (t) => {
    const { history, mirror } = await openScene(t);
    const window = await recordAcross(history);
    await history.scene.stopProxy();
    const report = await history.replay(mirror, '--run', 'middle', '--speed', '20', ...window.flags);
    // Six inserts, one whose transaction ends behind the window, and a temporary table nobody can rebuild.
    assert.deepEqual(report.transactions, account({ captured: 8, replayed: 7, failed: 1 }));
    assert.deepEqual(report.reasons, { 'failed/dependsOnSession': 1 });
    assert.equal(report.state, 'finished');
    assert.deepEqual(await words(mirror.url), [
      'in a',
      'in b',
      'in c',
      'in d',
      'in e',
      'in the schema',
      'over the end',
    ]);
  });

  it('is not held up by a transaction that has no end yet, and does not count it', async (t) => {
    const { history, mirror } = await openScene(t);
    const [endless, other] = await Promise.all([history.session(), history.session()]);
    const from = await history.moment();
    await endless.query('BEGIN');
    await endless.query("INSERT INTO words VALUES ('never')");
    await other.query("INSERT INTO words VALUES ('done')");
    const to = await history.moment();
    await waitFor(async () => (await history.openParts()) > 0, {
      what: 'the first part of the open transaction',
      everyMs: 100,
    });
    const report = await history.replay(mirror, '--from', from, '--to', to);
    assert.deepEqual(report.transactions, account({ captured: 1, replayed: 1 }));
    assert.deepEqual(await words(mirror.url), ['done']);
  });

  it('gives the same counts when it is repeated, lists its runs, and forgets one that is deleted', async (t) => {
    const { history, mirror } = await openScene(t);
    const window = await recordAcross(history);
    await history.scene.stopProxy();
    const first = await history.replay(mirror, '--run', 'again', '--pacing', 'asap', ...window.flags);
    await execute(mirror.url, 'TRUNCATE words');
    const second = await history.replay(mirror, '--repeat', 'again');
    assert.equal(second.run, 'again-2');
    assert.deepEqual(countsOf(second), countsOf(first));
    assert.deepEqual(countsOf(await history.show('again')), countsOf(first));
    const listed = async () =>
      (await history.run('runs', '--json', '--mirror', mirror.name)).stdout
        .split('\n')
        .filter((line) => line !== '')
        .map((line) => (JSON.parse(line) as { run: string }).run);
    assert.deepEqual(await listed(), ['again-2', 'again']);
    const finished = await history.startReplay(mirror, '--run', 'again').ended;
    assert.equal(finished.code, 2);
    assert.match(finished.stderr, /finished/);
    assert.equal((await history.run('runs', 'delete', 'again')).code, 0);
    assert.deepEqual(await listed(), ['again-2']);
    // The name is free: nothing of the deleted run is in its way.
    await execute(mirror.url, 'TRUNCATE words');
    assert.deepEqual(
      countsOf(await history.replay(mirror, '--run', 'again', '--pacing', 'asap', ...window.flags)),
      countsOf(first),
    );
  });

  it('leaves the live replay of the same mirror alone', async (t) => {
    const { history, mirror } = await openScene(t);
    const live = { name: mirror.name, url: (await newWords(history)).url };
    await history.scene.startReplayer(live);
    const window = await recordAcross(history);
    const report = await history.replay(mirror, '--pacing', 'asap', ...window.flags);
    await insert(history, 'after the run');
    await history.endSessions();
    await history.scene.stopProxy();
    const captured = (await history.scene.captured()).size;
    const outcomes = await history.scene.waitForAll(live, captured);
    assert.equal(outcomes.size, captured);
    assert.equal(repeated(outcomes), 0);
    assert.equal(report.transactions['captured'], 8);
    assert.deepEqual(await words(live.url), await words(history.scene.sourceUrl));
  });

  it('is stopped and gone on with, each transaction played once', async (t) => {
    const { history, mirror } = await openScene(t);
    const window = await recordSteadily(history);
    // Ten times slower than it was recorded: there is time to stop it in its middle.
    const command = history.startReplay(mirror, '--run', 'paused', '--speed', '0.1', ...window.flags);
    await untilSome(mirror);
    command.child.kill('SIGINT');
    const stopped = await command.ended;
    assert.equal(stopped.code, 5, stopped.stderr);
    assert.match(stopped.stderr, /Go on with: mirrorstream replay --mirror \S+=URL --run paused/);
    const half = reportOf(stopped);
    assert.equal(half.state, 'stopped');
    const { captured = 0, replayed = 0, inFlight = 0 } = half.transactions;
    assert.deepEqual([captured, captured - replayed], [window.transactions, inFlight]);
    assert.ok(inFlight > 0 && replayed > 0, `${replayed} of ${captured}`);
    const other = await history.startReplay(mirror, '--run', 'paused', '--from', '-1h').ended;
    assert.deepEqual([other.code, /keeps its window/.test(other.stderr)], [2, true], other.stderr);
    // It keeps its pace: the rest is played as slowly. A second stop and a third start do no harm either.
    const again = history.startReplay(mirror, '--run', 'paused');
    await untilSome(mirror, (await words(mirror.url)).length + 3);
    again.child.kill('SIGINT');
    assert.equal((await again.ended).code, 5);
    const rest = await history.replay(mirror, '--run', 'paused');
    assert.equal(rest.starts, 3);
    assert.deepEqual(rest.transactions, account({ captured: window.transactions, replayed: window.transactions }));
    assert.equal(rest.duplicates, 0);
    assert.deepEqual(await words(mirror.url), window.words);
  });

  it('goes on after kill -9 of all its processes, and counts each transaction once', async (t) => {
    const { history, mirror } = await openScene(t);
    const window = await recordSteadily(history);
    const command = history.startReplay(mirror, '--run', 'killed', '--speed', '0.1', ...window.flags);
    await untilSome(mirror);
    // The services end with the process that started them, at once.
    await command.clear();
    const rest = await history.replay(mirror, '--run', 'killed');
    assert.equal(rest.starts, 2);
    assert.deepEqual(rest.transactions, account({ captured: window.transactions, replayed: window.transactions }));
    assert.equal(rest.state, 'finished');
    // What ran and left no result is run again: every word is there, and some may be there twice.
    assert.deepEqual([...new Set(await words(mirror.url))], window.words);
  });

  it('says what is left when retention has cut into the window', async (t) => {
    const { history, mirror } = await openScene(t);
    const window = await recordAcross(history);
    await history.scene.stopProxy();
    const whole = await history.replay(mirror, '--run', 'whole', '--pacing', 'asap', ...window.flags);
    await deleteLog(history);
    const cut = await history.startReplay(mirror, ...window.flags).ended;
    assert.equal(cut.code, 2, cut.stderr);
    assert.match(
      cut.stderr,
      /retention has deleted the beginning of the window: \S+\.envelopes is left from \d: \d{4}-/,
    );
    const from = /--from (\S+) on/.exec(cut.stderr)?.[1] ?? '';
    assert.ok(Date.parse(from) > Date.parse(window.flags[1] ?? ''), from);
    const repeatedRun = await history.startReplay(mirror, '--repeat', 'whole').ended;
    assert.deepEqual(
      [repeatedRun.code, /retention has cut into run whole/.test(repeatedRun.stderr)],
      [2, true],
      repeatedRun.stderr,
    );
    assert.deepEqual(countsOf(await history.show('whole')), countsOf(whole));
  });

  it('travels by file: exported, imported under another name, it is the same to the byte and plays the same', async (t) => {
    const { history, mirror } = await openScene(t);
    const window = await recordAcross(history);
    await history.scene.stopProxy();
    const original = await history.replay(mirror, '--run', 'original', '--pacing', 'asap', ...window.flags);
    const played = await words(mirror.url);
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
    const place = ['--input', file, '--source-name', copy];
    assert.equal((await history.run('import', ...place)).code, 0);
    const again = await history.run('import', ...place);
    assert.deepEqual([again.code, /exists already, made by an import/.test(again.stderr)], [2, true], again.stderr);
    const replaced = await history.run('import', ...place, '--replace');
    assert.equal(replaced.code, 0, replaced.stderr);
    assert.match(
      replaced.stdout,
      new RegExp(`--source-name ${copy} --from ${window.flags[1]} --to ${window.flags[3]}`),
    );
    await history.run('export', '--output', back, '--source-name', copy, ...window.flags);
    assert.deepEqual(await recordsOf(back), await recordsOf(file));
    await execute(mirror.url, 'TRUNCATE words');
    const replay = history.startReplay(
      mirror,
      '--run',
      'copied',
      '--pacing',
      'asap',
      ...window.flags,
      '--source-name',
      copy,
    );
    const ended = await replay.ended;
    assert.equal(ended.code, 0, ended.stderr);
    assert.deepEqual(countsOf(reportOf(ended)), countsOf(original));
    assert.deepEqual(await words(mirror.url), played);
  });

  it('imports nothing of a file that is damaged, and takes no name that is in use', async (t) => {
    const { history } = await openScene(t);
    const window = await recordAcross(history);
    await history.scene.stopProxy();
    const file = `${history.folder}/window`;
    const { source } = history.scene;
    assert.equal((await history.run('export', '--output', file, '--source-name', source, ...window.flags)).code, 0);
    const inUse = await history.run('import', '--input', file, '--replace');
    assert.deepEqual(
      [inUse.code, /exists already, and was not made by an import/.test(inUse.stderr)],
      [2, true],
      inUse.stderr,
    );
    const bytes = await readFile(file);
    await writeFile(file, bytes.subarray(0, bytes.length - 3));
    const copy = uniqueName('copy');
    const cut = await history.run('import', '--input', file, '--source-name', copy);
    assert.deepEqual([cut.code, /is damaged at byte \d+/.test(cut.stderr)], [2, true], cut.stderr);
    assert.equal((await history.scene.admin.partitionCounts([envelopesTopic(copy)])).size, 0);
  });
});

async function openScene(t: TestContext): Promise<{ readonly history: HistoryScene; readonly mirror: Mirror }> {
  const history = await HistoryScene.open((await sharedKafka()).bootstrap);
  t.after(() => history.close());
  await execute(history.scene.sourceUrl, ...tables);
  return { history, mirror: await newWords(history) };
}

async function newWords({ scene }: HistoryScene): Promise<Mirror> {
  const mirror = await scene.newMirror();
  await execute(mirror.url, ...tables);
  return mirror;
}

const tables = [
  'CREATE TABLE words (word text)',
  'CREATE SCHEMA app',
  'CREATE VIEW app.writable AS SELECT * FROM words',
];

/** Traffic before, in and after a window: 8 transactions begin in it. */
async function recordAcross(history: HistoryScene): Promise<{ readonly flags: readonly string[] }> {
  const [plain, early, late, schema, temporary] = await Promise.all(Array.from({ length: 5 }, () => history.session()));
  assert.ok(plain && early && late && schema && temporary);
  const say = (word: string) => plain.query('INSERT INTO words VALUES ($1)', [word]);
  await say('before');
  await early.query('BEGIN');
  await early.query("INSERT INTO words VALUES ('over the beginning')");
  await schema.query('SET search_path TO app');
  const prepared = { name: 'put', text: 'INSERT INTO writable VALUES ($1)' };
  await schema.query({ ...prepared, values: ['before in the schema'] });
  await temporary.query('CREATE TEMP TABLE own (n int)');
  const from = await history.moment();
  for (const word of ['in a', 'in b', 'in c', 'in d']) await say(word);
  await early.query("INSERT INTO words VALUES ('still of the beginning')");
  await early.query('COMMIT');
  await early.query("INSERT INTO words VALUES ('in e')");
  await schema.query({ ...prepared, values: ['in the schema'] });
  await temporary.query('INSERT INTO own VALUES (1)');
  await late.query('BEGIN');
  await late.query("INSERT INTO words VALUES ('over the end')");
  const to = await history.moment();
  await late.query('COMMIT');
  await say('after');
  return { flags: ['--from', from, '--to', to] };
}

/** One session that says a word now and then, in one to two seconds. */
async function recordSteadily(history: HistoryScene): Promise<{
  readonly flags: readonly string[];
  readonly transactions: number;
  readonly words: readonly string[];
}> {
  const session = await history.session();
  const said = Array.from({ length: 40 }, (_, number) => `word ${String(number).padStart(3, '0')}`);
  const from = await history.moment();
  for (const word of said) await session.query('INSERT INTO words SELECT $1 FROM pg_sleep(0.04)', [word]);
  const to = await history.moment();
  await history.scene.stopProxy();
  return { flags: ['--from', from, '--to', to], transactions: said.length, words: said };
}

async function untilSome(mirror: Mirror, least = 3): Promise<void> {
  await waitFor(async () => (await words(mirror.url)).length >= least, {
    what: `${least} words on the mirror`,
    deadlineMs: 60_000,
    everyMs: 20,
  });
}

/** As retention does: all but the last record of each partition. */
async function deleteLog({ scene }: HistoryScene): Promise<void> {
  const topic = envelopesTopic(scene.source);
  const ends = (await scene.admin.offsets(topic)).map(({ partition, high }) => [partition, high] as const);
  await scene.admin.deleteRecords(
    topic,
    new Map(ends.map(([partition, high]) => [partition, high > 0n ? high - 1n : 0n])),
  );
}

/** What an exported file holds, its offsets aside. */
async function recordsOf(path: string): Promise<unknown[]> {
  const records: unknown[] = [];
  await readWindowFile(path, {
    onHeader: ({ window, transactions, partitions }) => void records.push({ window, transactions, partitions }),
    onRecord: ({ offset: _, ...record }) => void records.push(record),
    onProgress: () => {},
  });
  return records;
}

async function insert(history: HistoryScene, word: string): Promise<void> {
  await withClient(history.scene.proxyUrl, (client) => client.query('INSERT INTO words VALUES ($1)', [word]));
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

function countsOf({ transactions, reasons, statements }: RunReport): unknown {
  return { transactions, reasons, statements };
}
