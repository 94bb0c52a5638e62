// The page: what a run without a part shows of it, and what the targets say.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { markdown } from './report.ts';
import type { BenchResult, RateSample } from './result.ts';
import { judge } from './targets.ts';

const replay = {
  transactions: 1000,
  notReplayed: 0,
  statements: 7000,
  differing: 0,
  perSecond: 900,
  wholePerSecond: 850,
  cpuMainUs: 250,
  cpuRestUs: 30,
  rssBeforeMb: 100,
  rssPeakMb: 200,
};
const sample = (contender: RateSample['contender'], perSecond: number): RateSample => ({
  contender,
  round: 1,
  perSecond,
  replay: contender === 'pgbench' ? null : replay,
});

const result: BenchResult = {
  bench: 'replay',
  startedAt: '2026-01-02T03:04:05.000Z',
  commit: 'abc',
  settings: { rounds: 1, seconds: 3 },
  machine: { cpu: '2' },
  versions: { node: 'v24' },
  loadAverageBefore: [0, 0, 0],
  foreignShares: [0.01, 0.02],
  throughput: [
    {
      load: { workload: 'tpcb', protocol: 'simple', clients: 8 },
      samples: [sample('pgbench', 1000), sample('mirror', 790)],
    },
  ],
  schedule: [
    {
      speed: 1,
      seconds: 20,
      transactions: 8000,
      p50Us: 100,
      p99Us: 21_000,
      maxUs: 30_000,
      driftUs: 5,
      driftByMinuteUs: [],
    },
  ],
  catchUp: { pausedSeconds: 20, capturedPerSecond: 400, perSecond: 8000, caughtUpAfterSeconds: null },
  laneMemory: { lanes: 400, heapBytes: 16_384, externalBytes: 0, rssBytes: 28_000 },
  scale: [1, 4].map((replayers) => ({
    ...{ replayers, delayMs: 20, connections: 16, transactions: 100, notReplayed: 0 },
    ...{ perSecond: 100 * replayers, wholePerSecond: 90 * replayers },
  })),
};

test('a target is met, missed, or not told by this run', () => {
  const verdicts = judge(result).map(({ target, measured, met }) => `${target}: ${measured} ${met}`);
  assert.deepEqual(verdicts, [
    'rate in asap ≥ 0.8 × pgbench: 0.79 (0.79–0.79) false',
    'CPU per statement ≤ 40 µs: 40.0 µs true',
    'schedule error p50 ≤ 2 ms: 0.10 ms true',
    'schedule error p99 ≤ 20 ms: 21.00 ms false',
    'drift over 10 minutes ≤ 10 ms: 0.01 ms null',
    '1 → 4 replayers ≥ 3.6 ×: 4.00 × true',
  ]);
});

test('the page shows each part that was measured and no other', () => {
  const whole = markdown(result);
  for (const heading of [
    '## pgbench TPC-B, simple, 8 clients',
    '## Schedule',
    '## Catching up',
    '## Replayers on',
    '16.0 KB of heap',
  ])
    assert.ok(whole.includes(heading), heading);
  assert.match(whole, /20 × as fast|20\.0 × as fast/);
  const empty = markdown({ ...result, throughput: [], schedule: [], catchUp: null, scale: [], laneMemory: null });
  assert.ok(!/## (pgbench|Schedule|Catching|Replayers|Memory)/.test(empty));
});

test('minutes of drift, a real pause and pgreplay-go are shown where they were measured', () => {
  const [cell] = result.throughput;
  const [schedule] = result.schedule;
  assert.ok(cell && schedule);
  const peer = { contender: 'pgreplay-go', round: 1, perSecond: 4600, replay: null } as const;
  const page = markdown({
    ...result,
    throughput: [{ ...cell, samples: [...cell.samples, { ...peer, peer: { cpuUs: 139, transactions: 12_000 } }] }],
    schedule: [{ ...schedule, seconds: 180, driftByMinuteUs: [12, -7.4] }],
    catchUp: { pausedSeconds: 300, capturedPerSecond: 400, perSecond: 6000, caughtUpAfterSeconds: 21.44 },
  });
  assert.match(page, /\| pgreplay-go +\| 4,600 +\| 4\.60 +\| 139\.0 +\|/);
  assert.match(page, /Drift by minute against the first, at speed 1: 12, -7 µs\./);
  assert.match(page, /After 300 s away.*21\.4 s after its start/);
});
