// Tests of the fold: the identity holds at every moment of every interleaving, and a real excess is reported.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { accountingProblems, defaultFoldLimits, foldStatus, StatusFolder } from './fold-status.ts';
import { statementClasses, transactionOutcomes } from './outcomes.ts';
import {
  type CaptureSnapshot,
  type ComparerSnapshot,
  type ReplayerSnapshot,
  type Snapshot,
  snapshotKey,
} from './snapshot.ts';
import { statusSchema } from './status.ts';

const scope = { source: 'shop', environment: 'default', mirrors: ['candidate'] };
const zeros = <T extends string>(names: readonly T[]): Record<T, number> =>
  Object.fromEntries(names.map((name) => [name, 0])) as Record<T, number>;

function capture(transactions: number, more: Partial<CaptureSnapshot> = {}): CaptureSnapshot {
  return {
    kind: 'capture',
    source: 'shop',
    captureNode: 'n',
    incarnation: '1',
    atMs: 0,
    final: false,
    sessions: { total: 1, open: 1 },
    transactions,
    exchanges: transactions * 2,
    bytes: transactions * 100,
    dropped: { transactions: 0, bytes: 0, byReason: {} },
    pending: { transactions: 0, bytes: 0 },
    publishedUpTo: {},
    ...more,
  };
}

function comparer(partition: number, replayed: number, more: Partial<ComparerSnapshot> = {}): ComparerSnapshot {
  return {
    kind: 'comparer',
    environment: 'default',
    mirror: 'candidate',
    partition,
    atMs: 0,
    nextOffset: String(replayed),
    outcomes: { ...zeros(transactionOutcomes), replayed },
    reasons: {},
    statements: { ...zeros(statementClasses), match: replayed },
    notCompared: {},
    duplicates: 0,
    sessions: {},
    ...more,
  };
}

function replayer(
  instance: string,
  atMs: number,
  partitions: ReplayerSnapshot['partitions'],
  final = false,
): ReplayerSnapshot {
  return {
    kind: 'replayer',
    environment: 'default',
    mirror: 'candidate',
    instance,
    atMs,
    final,
    read: 0,
    resolved: 0,
    pending: 0,
    lanes: 0,
    partitions,
  };
}

/** mulberry32: a small seeded generator. */
function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  };
}

test('captured is the sum over all incarnations of the source, and outcomes the sum over partitions', () => {
  const outcomes = { replayed: 3, filtered: 1, unexposed: 1, shed: 0, failed: 2 };
  const leftOut = { unsampled: { sessions: 9, bytes: 90 }, captureOff: { sessions: 1, bytes: 10 } };
  const status = foldStatus(
    [
      capture(6, { incarnation: '1', final: true, dropped: { transactions: 2, bytes: 20, byReason: { ringFull: 2 } } }),
      capture(7, { incarnation: '2', leftOut }),
      capture(100, { source: 'other' }),
      comparer(0, 0, { outcomes }),
      comparer(3, 4),
      comparer(3, 90, { mirror: 'unknown' }),
      comparer(3, 90, { environment: 'elsewhere' }),
    ],
    { ...scope, nowMs: 0 },
  );
  assert.deepEqual(statusSchema.parse(status), status);
  assert.equal(status.source.transactions, 13);
  assert.equal(status.source.sessions, 2);
  assert.deepEqual(status.source.dropped, { transactions: 2, bytes: 20 });
  assert.deepEqual(status.source.leftOut, { sessions: 10, bytes: 100 });
  assert.deepEqual(status.mirrors['candidate']?.transactions, {
    captured: 13,
    replayed: 7,
    filtered: 1,
    unexposed: 1,
    shed: 0,
    failed: 2,
    inFlight: 2,
  });
  assert.deepEqual(accountingProblems(status, { drained: false }), []);
});

test('a comparer ahead of capture is held back until capture has caught up', () => {
  const folder = new StatusFolder(scope);
  folder.add(capture(5));
  folder.add(comparer(0, 4));
  assert.equal(folder.status(0).mirrors['candidate']?.transactions.inFlight, 1);
  folder.add(comparer(0, 9));
  const held = folder.status(10).mirrors['candidate'];
  assert.deepEqual([held?.transactions.replayed, held?.transactions.inFlight, held?.statements.match], [4, 1, 4]);
  assert.equal(folder.holdsBack(), true);
  folder.add(capture(9));
  assert.equal(folder.status(20).mirrors['candidate']?.transactions.replayed, 9);
  assert.equal(folder.holdsBack(), false);
});

test('an excess that stays is a problem after the bound and not before', () => {
  const folder = new StatusFolder(scope);
  folder.add(capture(5));
  folder.add(comparer(0, 8));
  folder.status(1000);
  assert.deepEqual(folder.problems(1000 + defaultFoldLimits.excessBoundMs - 1), []);
  const [problem] = folder.problems(1000 + defaultFoldLimits.excessBoundMs);
  assert.match(problem?.message ?? '', /resolved 8 transactions but capture counts only 5/);
});

test('a comparer that is always a little ahead of a capture that moves on is no problem', () => {
  const folder = new StatusFolder(scope);
  for (let n = 1; n < 100; n++) {
    folder.add(comparer(0, n * 10 + 3));
    folder.add(capture(n * 10));
    folder.status(n * 1000);
    assert.deepEqual(folder.problems(n * 1000), []);
  }
});

test('every interleaving of capture and comparer snapshots shows statuses that add up and never go back', () => {
  for (let seed = 1; seed <= 300; seed++) {
    const random = seeded(seed);
    const folder = new StatusFolder({ ...scope, mirrors: ['candidate', 'control'] });
    const pick = (below: number): number => Math.floor(random() * below);
    const captured = [0, 0];
    const resolved = { candidate: [0, 0, 0], control: [0, 0, 0] };
    let last = { captured: 0, candidate: 0, control: 0 };
    const late: Snapshot[] = []; // capture snapshots under way: comparers may overtake them
    const check = (nowMs: number): void => {
      const status = folder.status(nowMs);
      statusSchema.parse(status);
      assert.deepEqual(accountingProblems(status, { drained: false }), [], `seed ${seed}`);
      const now = {
        captured: status.source.transactions,
        candidate: status.mirrors['candidate']?.transactions.replayed ?? -1,
        control: status.mirrors['control']?.transactions.replayed ?? -1,
      };
      for (const key of ['captured', 'candidate', 'control'] as const)
        assert.ok(now[key] >= last[key], `seed ${seed} ${key}`);
      last = now;
    };
    for (let step = 0; step < 60; step++) {
      const node = pick(2);
      captured[node] = (captured[node] ?? 0) + pick(5);
      late.push(capture(captured[node] ?? 0, { incarnation: String(node) }));
      const mirror = random() < 0.5 ? 'candidate' : 'control';
      const total = captured.reduce((sum, one) => sum + one, 0);
      const room = total - resolved[mirror].reduce((sum, one) => sum + one, 0);
      const partition = pick(3);
      resolved[mirror][partition] = (resolved[mirror][partition] ?? 0) + pick(room + 1);
      folder.add(comparer(partition, resolved[mirror][partition] ?? 0, { mirror }));
      if (random() < 0.4) for (const snapshot of late.splice(0, pick(late.length + 1))) folder.add(snapshot);
      if (random() < 0.7) check(step * 100);
    }
    for (const snapshot of late) folder.add(snapshot);
    check(10_000);
    for (const mirror of ['candidate', 'control'] as const) {
      assert.equal(
        last[mirror],
        resolved[mirror].reduce((sum, one) => sum + one, 0),
        `seed ${seed}: all released at the end`,
      );
    }
    assert.equal(folder.holdsBack(), false);
  }
});

test('what is held back stays within its bound and the newest is never forgotten', () => {
  const folder = new StatusFolder(scope, { ...defaultFoldLimits, heldBackPerPartition: 4 });
  for (let n = 1; n <= 1000; n++) folder.add(comparer(0, n));
  folder.add(capture(1000));
  assert.equal(folder.status(0).mirrors['candidate']?.transactions.replayed, 1000);
});

test('lag is that of the newest running replayer of each partition', () => {
  const status = foldStatus(
    [
      capture(10),
      replayer('a', 1000, { 0: { consumerLag: 50, behindSourceMs: 9000 }, 1: { consumerLag: 3, behindSourceMs: 700 } }),
      replayer('b', 2000, { 0: { consumerLag: 4, behindSourceMs: 800 } }),
      replayer('c', 3000, { 1: { consumerLag: 999, behindSourceMs: 99_999 } }, true),
    ],
    { ...scope, nowMs: 3000 },
  );
  assert.equal(status.mirrors['candidate']?.consumerLag, 7);
  assert.equal(status.mirrors['candidate']?.behindSourceMs, 800);
});

test('a replayer that fell silent falls further behind with every second', () => {
  const snapshots = [capture(10), replayer('a', 0, { 0: { consumerLag: 1, behindSourceMs: 500 } })];
  const behind = (nowMs: number): number | undefined =>
    foldStatus(snapshots, { ...scope, nowMs }).mirrors['candidate']?.behindSourceMs;
  assert.equal(behind(5000), 500);
  assert.equal(behind(60_000), 60_500);
});

test('a drained status must have nothing in flight and nothing unread', () => {
  const status = foldStatus(
    [capture(5), comparer(0, 3), replayer('a', 0, { 0: { consumerLag: 2, behindSourceMs: 1 } })],
    { ...scope, nowMs: 0 },
  );
  assert.deepEqual(
    accountingProblems(status, { drained: true }).map((one) => one.message),
    ['mirror candidate: 2 of 5 transactions are still in flight', 'mirror candidate: 2 records are still unread'],
  );
});

test('numbers that do not add up are named', () => {
  const status = foldStatus([capture(5), comparer(0, 3)], { ...scope, nowMs: 0 });
  const mirror = status.mirrors['candidate'];
  assert.ok(mirror);
  mirror.transactions.replayed = 4;
  assert.match(
    accountingProblems(status, { drained: false })[0]?.message ?? '',
    /captured 5 is not resolved 4 \+ in flight 2/,
  );
});

test('reasons and duplicates are added up over partitions', () => {
  const folder = new StatusFolder(scope);
  folder.add(capture(9));
  folder.add(comparer(0, 2, { reasons: { 'failed/timeout': 2 }, duplicates: 1 }));
  folder.add(comparer(1, 2, { reasons: { 'failed/timeout': 1 }, duplicates: 2 }));
  folder.status(0);
  assert.deepEqual([...folder.reasons('candidate')], [['failed/timeout', 3]]);
  assert.equal(folder.duplicates('candidate'), 3);
});

test('what a run over a window of the past counts is no part of the live account', () => {
  const status = foldStatus([capture(10), comparer(0, 10), comparer(0, 10, { run: 'last-week' })], {
    ...scope,
    nowMs: 0,
  });
  assert.equal(status.mirrors['candidate']?.transactions.replayed, 10);
  assert.notEqual(snapshotKey(comparer(0, 10)), snapshotKey(comparer(0, 10, { run: 'last-week' })));
});

test('what a mirror plays is that of its running replayers together', () => {
  const admission = (exposure: number, seen: number, played: number, stage: 'none' | 'reads' | 'skip') => ({
    ...{ revision: null, replay: 'on' as const, exposure, filters: {}, shed: {} },
    shedding: { stage, cause: 'behindSource' as const, share: 0 },
    sessions: { seen, played },
    transactions: { seen: seen * 10, played: played * 10 },
  });
  const said = (instance: string, atMs: number, value: ReturnType<typeof admission>, final = false) => ({
    ...replayer(instance, atMs, {}, final),
    admission: value,
  });
  const status = foldStatus(
    [
      said('a', 20_000, admission(0.5, 10, 4, 'reads')),
      said('b', 20_000, admission(0.5, 20, 11, 'none')),
      said('ended', 20_000, admission(1, 99, 99, 'skip'), true),
      said('silent', 0, admission(1, 99, 99, 'skip')),
    ],
    { ...scope, nowMs: 20_000 },
  );
  assert.deepEqual(Object.values(status.mirrors)[0]?.playing, {
    paused: false,
    exposure: 0.5,
    sessions: { seen: 30, played: 15 },
    transactions: { seen: 300, played: 150 },
    shedding: 'reads',
  });
});

test('how a mirror keeps time and order is added up over its running replayers, quantiles are the latest one’s', () => {
  const said = (instance: string, atMs: number, lag: number, counts: number, final = false) => ({
    ...replayer(instance, atMs, {}, final),
    pacing: {
      mode: 'timed' as const,
      scheduleLagMs: { sends: 100, p50: lag, p99: 10 * lag, max: 20 * lag },
      ...{ orderGivenUp: 0, outOfOrder: counts, divergedByOrder: 2 * counts },
    },
  });
  const snapshots = [said('a', 20_000, 0.5, 3), said('b', 20_000, 2, 4), said('ended', 20_000, 9, 90, true)];
  const [status] = Object.values(foldStatus(snapshots, { ...scope, nowMs: 20_000 }).mirrors);
  assert.deepEqual(status?.pacing, {
    mode: 'timed',
    scheduleLagMs: { sends: 200, p50: 2, p99: 20, max: 40 },
    ...{ orderGivenUp: 0, outOfOrder: 7, divergedByOrder: 14 },
  });
  assert.equal(
    foldStatus([replayer('a', 20_000, {})], { ...scope, nowMs: 20_000 }).mirrors['candidate']?.pacing,
    undefined,
  );
});
