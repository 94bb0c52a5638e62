// Ordered pacing where it is arranged otherwise: two capture proxies, sessions that share connections, a replayer that is killed, a window
// of the past. The load is a relay: each session goes on from the answer of the one before, so there is one order, and nothing overlaps.
import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import {
  execute,
  queryFrame,
  sharedKafka,
  sharedPostgres,
  WireConnection,
  waitFor,
  withClient,
} from '@mirrorstream/testkit';
import { HistoryScene } from './history-scene.ts';
import { differences, type Mirror, ReplayerScene, repeated, tally } from './replayer-scene.ts';

const ordered = ['--pacing', 'ordered'];
const sessions = 8;

describe('ordered pacing, arranged otherwise', { timeout: 240_000 }, () => {
  it('keeps the order between two capture proxies of one source', async (t) => {
    const scene = await openScene(t);
    const otherUrl = await scene.startOtherProxy();
    const mirror = await newMirror(scene);
    await scene.startReplayer(mirror, ...ordered);
    await relay([scene.proxyUrl, otherUrl], 60, counting);
    await scene.stopProxy();
    const outcomes = await scene.waitForAll(mirror, 120);
    assert.deepEqual([tally(outcomes), differences(outcomes)], [{ replayed: 120 }, []]);
    const origins = new Set((await scene.batches()).map(({ captureNode }) => captureNode));
    assert.deepEqual([...origins].sort(), ['other', 'test']);
    assert.equal((await scene.snapshot(mirror))?.pacing?.orderGivenUp, 0);
  });

  it('keeps the order of sessions that share fewer connections than they are', async (t) => {
    const scene = await openScene(t);
    const mirror = await newMirror(scene);
    await relay([scene.proxyUrl], 150, counting);
    await scene.stopProxy();
    await scene.startReplayer(mirror, ...ordered, '--lanes', 'pooled', '--max-connections', '2');
    const outcomes = await scene.waitForAll(mirror, 300);
    assert.deepEqual([tally(outcomes), differences(outcomes)], [{ replayed: 300 }, []]);
    assert.equal((await scene.snapshot(mirror))?.pacing?.orderGivenUp, 0);
  });

  it('goes on in order after kill -9 in mid-run: every transaction once in the account, and the copy is whole', async (t) => {
    const scene = await openScene(t);
    const mirror = await newMirror(scene);
    const rounds = 300;
    await relay([scene.proxyUrl], rounds, setting);
    await scene.stopProxy();
    const window = ['--duplicate-window', '1'];
    const first = await scene.startReplayer(mirror, ...ordered, ...window);
    await waitFor(async () => (await cellOf(mirror.url)) > 40, { what: 'a part of it', everyMs: 5 });
    await first.kill9();
    const reached = await cellOf(mirror.url);
    assert.ok(reached < rounds, 'it was killed in mid-run');
    await scene.startReplayer(mirror, ...ordered, ...window);
    const outcomes = await scene.waitForAll(mirror, 2 * rounds);
    assert.deepEqual(tally(outcomes), { replayed: 2 * rounds });
    assert.equal(repeated(outcomes), 0);
    // At most what had run without its result being in Kafka ran once more: a transaction of each session, and what had been read in between.
    assert.ok(differences(outcomes).length <= sessions, differences(outcomes).join());
    assert.equal(await cellOf(mirror.url), rounds);
  });

  it('plays a window of the past in order, and to its end', async (t) => {
    const history = await HistoryScene.open((await sharedKafka()).bootstrap);
    t.after(() => history.close());
    await execute(history.scene.sourceUrl, ...table);
    const before = await history.moment();
    await relay([history.scene.proxyUrl], 100, counting);
    const after = await history.moment();
    const startsWith = await newMirror(history.scene);
    // Traffic goes on behind the window: its end is not the log's.
    await relay([history.scene.proxyUrl], 20, counting);
    await history.scene.stopProxy();
    const report = await history.replay(startsWith, '--run', 'relay', '--from', before, '--to', after, ...ordered);
    const { captured, replayed } = report.transactions;
    assert.deepEqual([captured, replayed, report.state], [200, 200, 'finished']);
    assert.deepEqual(report.statements, { ...report.statements, ...onlyMatches(200) });
    assert.equal(await cellOf(startsWith.url), 100);
  });

  it('has a transaction that loses a race on the mirror alone played again: nothing differs, and nothing is lost', async (t) => {
    const scene = await openScene(t);
    const mirror = await newMirror(scene);
    const session = await WireConnection.connect(scene.proxyUrl);
    for (const sql of [
      'BEGIN ISOLATION LEVEL SERIALIZABLE',
      'SELECT count(*) FROM cells',
      'UPDATE cells SET value = value + 1 WHERE id = 1 RETURNING value',
      'COMMIT',
    ])
      assert.equal((await session.exchange(queryFrame(sql))).sqlState, undefined);
    await session.close();
    await scene.stopProxy();
    await withClient(mirror.url, async (rival) => {
      await rival.query('BEGIN');
      await rival.query('UPDATE cells SET value = value WHERE id = 1');
      await scene.startReplayer(mirror, ...ordered);
      // Not the rival: a transaction sees the activity as it was when it looked first.
      await withClient(mirror.url, (observer) =>
        waitFor(async () => (await observer.query(waitingForLocks)).rowCount === 1, {
          what: 'the replayed UPDATE to wait for the rival',
          everyMs: 20,
        }),
      );
      await rival.query('COMMIT');
    });
    const outcomes = await scene.waitForAll(mirror, 1);
    assert.deepEqual([tally(outcomes), differences(outcomes)], [{ replayed: 1 }, []]);
    assert.deepEqual(
      [...outcomes.values()].map(([result]) => result?.order),
      ['retried'],
    );
    assert.equal(await cellOf(mirror.url), 1);
    await waitFor(async () => (await scene.snapshot(mirror))?.pacing?.retried === 1, {
      what: 'the count',
      everyMs: 100,
    });
  });
});

const table = ['CREATE TABLE cells (id int PRIMARY KEY, value int NOT NULL)', 'INSERT INTO cells VALUES (1, 0)'];

const counting = (): string => 'UPDATE cells SET value = value + 1 WHERE id = 1 RETURNING value';
/** May run twice. */
const setting = (round: number): string => `UPDATE cells SET value = ${round} WHERE id = 1 RETURNING value`;

const waitingForLocks =
  "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";

const onlyMatches = (statements: number): Record<string, number> => ({
  match: statements,
  value: 0,
  rowCount: 0,
  notCompared: 0,
});

/** In each round one session writes, and the next one reads what it wrote, through the proxies in turn. */
async function relay(urls: readonly string[], rounds: number, write: (round: number) => string): Promise<void> {
  const connections: WireConnection[] = [];
  try {
    for (let i = 0; i < sessions; i++) connections.push(await WireConnection.connect(urls[i % urls.length] ?? ''));
    let turn = 0;
    const say = async (sql: string): Promise<void> => {
      const connection = connections[turn++ % sessions];
      assert.equal((await connection?.exchange(queryFrame(sql)))?.sqlState, undefined);
    };
    for (let round = 1; round <= rounds; round++) {
      await say(write(round));
      await say('SELECT value FROM cells WHERE id = 1');
    }
  } finally {
    for (const connection of connections) await connection.close();
  }
}

const cellOf = (url: string): Promise<number> =>
  withClient(
    url,
    async (client) => (await client.query<{ value: number }>('SELECT value FROM cells')).rows[0]?.value ?? -1,
  );

async function newMirror(scene: ReplayerScene): Promise<Mirror> {
  const mirror = await scene.newMirror();
  await execute(mirror.url, ...table);
  return mirror;
}

async function openScene(t: TestContext): Promise<ReplayerScene> {
  const scene = await ReplayerScene.open((await sharedKafka()).bootstrap, await sharedPostgres('source'));
  t.after(() => scene.close());
  await execute(scene.sourceUrl, ...table);
  return scene;
}
