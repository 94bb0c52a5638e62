// Capture is switched and sampled while the proxy runs: no client notices, and what is left out is counted, never taken for captured.
import assert from 'node:assert/strict';
import { after, describe, it } from 'node:test';
import type { CaptureSnapshot } from '@mirrorstream/domain';
import { AnswerStorage, DependencyReason, type EnvelopeBatch, GapReason } from '@mirrorstream/envelope';
import {
  createDatabase,
  queryFrame,
  sharedKafka,
  sharedPostgres,
  spawnService,
  uniqueName,
  WireConnection,
  waitFor,
  withClient,
} from '@mirrorstream/testkit';
import {
  control,
  createKept,
  endProxies,
  kept,
  Load,
  type ProxyScene,
  published,
  snapshotsOf,
  startProxy,
  stopInOrder,
  writeControl,
} from './capture-scene.ts';

after(endProxies);

/** What a proxy with one worker says last; it may not have said anything yet. */
async function snapshotOf(proxy: ProxyScene): Promise<CaptureSnapshot> {
  const snapshots = await waitFor(
    async () => {
      const found = await snapshotsOf(proxy);
      return found.length > 0 && found;
    },
    { what: 'a status' },
  );
  assert.equal(snapshots.length, 1);
  return snapshots[0] as CaptureSnapshot;
}

/** Of each session, in order: what follows the last gap is marked, and the numbers of its transactions leave nothing out. */
function checkSessions(batches: readonly EnvelopeBatch[]): void {
  const lastSeq = new Map<string, bigint>();
  const afterGap = new Set<string>();
  for (const { record } of batches.flatMap(({ records }) => records)) {
    if (record.case === 'gap') afterGap.add(record.value.sessionId);
    if (record.case !== 'envelope') continue;
    const { sessionId, sessionSeq, dependsOnSession } = record.value;
    assert.ok(sessionSeq === (lastSeq.get(sessionId) ?? 0n) + 1n, 'transactions are numbered without a hole');
    lastSeq.set(sessionId, sessionSeq);
    if (afterGap.has(sessionId)) assert.ok(dependsOnSession.includes(DependencyReason.AFTER_GAP));
  }
}

describe('capture under control', { timeout: 240_000 }, () => {
  it('is switched off and on twenty times under load: no client notices, everything is accounted for', async (t) => {
    const database = await createDatabase(await sharedPostgres('source'), t);
    await createKept(database.url);
    const proxy = await startProxy();
    const load = await Load.start(proxy.via(database.url), 4);
    for (let round = 0; round < 10; round++) {
      await load.more(20);
      await control(proxy, { capture: 'off' });
      await load.more(20);
      await control(proxy, { capture: 'on' });
    }
    await load.more(20);
    const committed = await load.stop();
    await stopInOrder(proxy);
    assert.equal(await kept(database.url), committed);
    const snapshot = await snapshotOf(proxy);
    const found = await published(proxy);
    assert.equal(found.transactions, snapshot.transactions);
    assert.equal(found.gapTransactions, snapshot.dropped.transactions);
    assert.deepEqual(snapshot.dropped.byReason, { captureOff: snapshot.dropped.transactions });
    assert.deepEqual(snapshot.pending.transactions, 0);
    assert.ok(snapshot.transactions > 100 && snapshot.transactions < committed - 100);
    assert.ok((snapshot.leftOut?.captureOff.bytes ?? 0) > 10 * 20 * 50);
    checkSessions(found.batches);
  });

  it('copies nothing while it is off, and counts the sessions that begin meanwhile', async (t) => {
    const database = await createDatabase(await sharedPostgres('source'), t);
    await createKept(database.url);
    const proxy = await startProxy();
    const seen = async (): Promise<number> => {
      const { transactions, dropped, pending } = await snapshotOf(proxy);
      return transactions + dropped.transactions + pending.transactions;
    };
    const load = await Load.start(proxy.via(database.url), 2);
    await load.more(10);
    await control(proxy, { capture: 'off' });
    // Snapshots are half a second apart: the first one that says off may count what was on its way.
    await waitFor(async () => (await snapshotOf(proxy)).control?.capture === 'off', {
      what: 'the status to say off',
    });
    await waitFor(async () => (await snapshotOf(proxy)).pending.transactions === 0, {
      what: 'Kafka to have it all',
    });
    const before = await seen();
    await withClient(proxy.via(database.url), (client) => client.query('SELECT 1'));
    await load.more(50);
    const passed = (await snapshotOf(proxy)).leftOut?.captureOff.bytes ?? 0;
    await waitFor(async () => ((await snapshotOf(proxy)).leftOut?.captureOff.bytes ?? 0) > passed, {
      what: 'a later status',
    });
    assert.equal(await seen(), before);
    await load.stop();
    await stopInOrder(proxy);
    assert.equal((await snapshotOf(proxy)).leftOut?.captureOff.sessions, 1);
  });

  it('starts as the control topic says, keeps the last good record when one is not usable', async (t) => {
    const database = await createDatabase(await sharedPostgres('source'), t);
    const scene = { brokers: (await sharedKafka()).bootstrap, sourceName: uniqueName('proxy') };
    await writeControl(scene, { capture: 'off' });
    const proxy = await startProxy({ sourceName: scene.sourceName });
    const ask = (): Promise<unknown> => withClient(proxy.via(database.url), (client) => client.query('SELECT 1'));
    await ask();
    const bad = await writeControl(proxy, '{"version": 7, "capture": "on"}');
    const complaint = await proxy.service.waitForLine(
      new RegExp(`"level":"error".*"offset":"${bad}".*the last good one`),
    );
    assert.match(complaint, /version/);
    await ask();
    await control(proxy, { capture: 'on', sampling: 1 });
    await ask();
    await stopInOrder(proxy);
    const { transactions, leftOut } = await snapshotOf(proxy);
    assert.deepEqual([transactions, leftOut?.captureOff.sessions], [1, 2]);
  });

  it('captures the share of the sessions that it is told to: a larger share adds sessions, a smaller one lets them go', async (t) => {
    const database = await createDatabase(await sharedPostgres('source'), t);
    const proxy = await startProxy({ flags: ['--sampling', '0.5'] });
    const sessions = 40;
    const clients = await Promise.all(
      Array.from({ length: sessions }, () => WireConnection.connect(proxy.via(database.url))),
    );
    const askAll = async (): Promise<void> => {
      for (const client of clients) await client.exchange(queryFrame('SELECT 1'));
    };
    const captured = async (): Promise<number> => {
      await waitFor(async () => (await snapshotOf(proxy)).pending.transactions === 0, {
        what: 'all to be published',
      });
      return (await snapshotOf(proxy)).transactions;
    };
    await askAll();
    await waitFor(async () => (await captured()) > 0, { what: 'the sample to be published' });
    const half = await captured();
    assert.ok(half >= 8 && half <= 32, `${half} of ${sessions} sessions are in a sample of one half`);
    const unsampled = (await snapshotOf(proxy)).leftOut?.unsampled;
    assert.equal(unsampled?.sessions, sessions - half);
    assert.ok(unsampled.bytes > 0);

    await control(proxy, { sampling: 1 });
    // Those that join are followed from their next quiet point: what they say before it is a gap.
    await askAll();
    await askAll();
    await waitFor(async () => (await captured()) === half * 2 + sessions, { what: 'all sessions to be captured' });

    await clients[0]?.exchange(queryFrame('BEGIN'));
    await control(proxy, { sampling: 0 });
    await clients[0]?.exchange(queryFrame('COMMIT'));
    await askAll();
    for (const client of clients) await client.close();
    await stopInOrder(proxy);
    const { transactions, dropped } = await snapshotOf(proxy);
    assert.equal(transactions, half * 2 + sessions);
    assert.equal(dropped.byReason.unsampled, dropped.transactions);
    const found = await published(proxy);
    assert.equal(found.gapTransactions, dropped.transactions);
    const records = found.batches.flatMap((batch) => batch.records.map(({ record }) => record));
    const reasons = new Set(records.flatMap((record) => (record.case === 'gap' ? [record.value.reason] : [])));
    assert.deepEqual([...reasons], [GapReason.UNSAMPLED]);
    const draws = records.flatMap((record) => (record.case === 'sessionStart' ? [record.value.samplingDraw] : []));
    assert.equal(draws.filter((draw) => draw < 0.5).length, half);
    assert.equal(draws.length, sessions);
  });

  it('keeps of answers what it is told to, from the next exchange on, in sessions that are open', async (t) => {
    const database = await createDatabase(await sharedPostgres('source'), t);
    const proxy = await startProxy();
    await withClient(proxy.via(database.url), async (client) => {
      for (const settings of [
        { answers: 'digest' },
        { answers: 'none' },
        { answers: 'full' },
        { answers: 'full', answerCapBytes: 10 },
      ] as const) {
        await client.query('SELECT 1');
        const revision = await writeControl(proxy, settings);
        // The capture worker says so itself: it is what keeps the answers.
        await waitFor(async () => (await snapshotOf(proxy)).control?.revision === revision, { what: 'the change' });
      }
      await client.query('SELECT 1');
    });
    await stopInOrder(proxy);
    const storages = (await published(proxy)).batches
      .flatMap(({ records }) => records)
      .flatMap(({ record }) => (record.case === 'envelope' ? record.value.exchanges : []))
      .map(({ answer }) => answer?.storage);
    const { FULL, DIGEST, NONE } = AnswerStorage;
    assert.deepEqual(storages, [FULL, DIGEST, NONE, FULL, DIGEST]);
  });

  it('does what mirrorstream capture says, which waits until every worker has said so', async () => {
    const proxy = await startProxy({ flags: ['--workers', '2', '--capture', 'off'] });
    await waitFor(async () => (await snapshotsOf(proxy)).length === 2, { what: 'both workers to be heard of' });
    const say = async (...words: string[]): Promise<CaptureAnswer> => {
      const command = await spawnService([
        'capture',
        ...words,
        ...['--json', '--brokers', proxy.brokers, '--source-name', proxy.sourceName],
      ]);
      assert.equal((await command.exited).code, 0, command.lines().join('\n'));
      return JSON.parse(command.lines().find((line) => line.startsWith('{')) ?? '{}') as CaptureAnswer;
    };
    const inForce = ({ proxies }: CaptureAnswer): unknown[] =>
      proxies.map(({ worker, capture, sampling, answers, acknowledged }) => [
        worker,
        capture,
        sampling,
        answers,
        acknowledged,
      ]);
    assert.deepEqual(inForce(await say('status')), [
      [0, 'off', 1, 'full', true],
      [1, 'off', 1, 'full', true],
    ]);
    const on = await say('on', '--sampling', '0.25', '--answers', 'digest');
    assert.deepEqual(inForce(on), [
      [0, 'on', 0.25, 'digest', true],
      [1, 'on', 0.25, 'digest', true],
    ]);
    const cleared = await say('clear');
    assert.equal(cleared.control, null);
    assert.deepEqual(inForce(cleared), inForce(await say('status')));
    assert.deepEqual(inForce(cleared)[0], [0, 'off', 1, 'full', true]);
    await stopInOrder(proxy);
    const ended = await say('off');
    assert.deepEqual([ended.proxies, ended.control?.capture], [[], 'off']);
  });
});

interface CaptureAnswer {
  readonly control: { readonly capture?: string } | null;
  readonly proxies: readonly {
    readonly worker: number;
    readonly capture: string;
    readonly sampling: number;
    readonly answers: string;
    readonly acknowledged: boolean;
  }[];
}
