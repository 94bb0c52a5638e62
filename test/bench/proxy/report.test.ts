import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Load } from './plan.ts';
import { markdown } from './report.ts';
import type { Arrival, BenchResult, Cell, Sample } from './result.ts';
import { summariseCell } from './summary.ts';
import { judge, type Verdict } from './targets.ts';

const select8: Load = { workload: 'select', protocol: 'simple', clients: 8 };

interface Figures {
  readonly perSecond: number;
  readonly p50Us?: number;
  readonly p99Us?: number;
  readonly forwarding?: number;
  readonly capture?: number;
}

function sample(contender: string, round: number, figures: Figures): Sample {
  const { perSecond, p50Us = 100, p99Us = 1_000, forwarding = 0, capture = 0 } = figures;
  return {
    contender,
    round,
    perSecond,
    units: perSecond * 3,
    latency: { p50Us, p99Us, p999Us: 2 * p99Us },
    cpuUs: { forwarding, capture, rest: 1 },
    brokerUs: 2,
    foreignShare: 0.012,
    rssBeforeMb: contender === 'direct' ? 0 : 20,
    rssPeakMb: contender === 'direct' ? 0 : 30,
  };
}

/** The same figures in each of three rounds. */
const steady = (contender: string, figures: Figures): Sample[] =>
  [1, 2, 3].map((round) => sample(contender, round, figures));

const cellOf = (samples: readonly Sample[], arrivals: readonly Arrival[] = [], load = select8): Cell => ({
  load,
  samples,
  arrivals,
});

const direct = steady('direct', { perSecond: 20_000, p50Us: 100, p99Us: 1_000 });
const pgbouncer = steady('pgbouncer', { perSecond: 10_000, p50Us: 200, p99Us: 1_400, forwarding: 20 });

function verdictOn(target: string, verdicts: readonly Verdict[]): Verdict {
  const found = verdicts.find((verdict) => verdict.target.startsWith(target));
  assert.ok(found, `no verdict on ${target}`);
  return found;
}

test('a proxy that is as fast and as cheap as asked for meets every target', () => {
  const own = { perSecond: 9_500, p50Us: 225, p99Us: 1_550, forwarding: 25, capture: 15 };
  const verdicts = judge([
    cellOf([
      ...direct,
      ...pgbouncer,
      ...steady('mirrorstream', own),
      ...steady('mirrorstream Kafka away', own),
      ...steady('pgdog mirroring', { perSecond: 5_000 }),
    ]),
  ]);
  assert.deepEqual(
    verdicts.filter(({ met }) => met !== true),
    [],
  );
  assert.match(verdictOn('throughput ≥ 0.9', verdicts).measured, /^0\.95 /);
  assert.match(verdictOn('added p50', verdicts).measured, /^1\.25 \(125 µs against 100 µs\)/);
  assert.match(verdictOn('CPU of the whole process', verdicts).measured, /^1\.95 /);
});

test('a proxy that is a little worse than asked for misses every target', () => {
  const own = { perSecond: 8_900, p50Us: 235, p99Us: 1_650, forwarding: 28, capture: 20 };
  const verdicts = judge([
    cellOf([
      ...direct,
      ...pgbouncer,
      ...steady('mirrorstream', own),
      ...steady('mirrorstream Kafka away', { ...own, p99Us: 1_800 }),
      ...steady('pgdog mirroring', { perSecond: 5_700 }),
    ]),
  ]);
  assert.deepEqual(
    verdicts.filter(({ met }) => met !== false),
    [],
  );
});

test('what nobody measured is neither met nor missed', () => {
  const verdicts = judge([cellOf(steady('mirrorstream', { perSecond: 9_000 }))]);
  assert.ok(verdicts.every(({ met, measured }) => met === null && measured === 'nothing, or only noise'));
  assert.equal(judge([]).length, verdicts.length);
});

test('a target that some rounds meet and others miss is said to be so', () => {
  const rounds = [8_000, 9_500, 9_600].map((perSecond, index) => sample('mirrorstream', index + 1, { perSecond }));
  const verdict = verdictOn('throughput ≥ 0.9', judge([cellOf([...pgbouncer, ...rounds])]));
  assert.equal(verdict.met, true);
  assert.equal(verdict.isWithinNoise, true);
});

test('a latency that is below that of the direct connection is noise, and meets no target', () => {
  const verdicts = judge([cellOf([...direct, ...pgbouncer, ...steady('mirrorstream', { perSecond: 1, p99Us: 900 })])]);
  assert.equal(verdictOn('added p99', verdicts).met, null);
});

test('a latency that only some rounds show is said to be so', () => {
  const own = [210, 220, 260].map((p50Us, index) => sample('mirrorstream', index + 1, { perSecond: 1, p50Us }));
  const verdict = verdictOn('added p50', judge([cellOf([...direct, ...pgbouncer, ...own])]));
  assert.deepEqual([verdict.met, verdict.isWithinNoise], [true, true]);
});

test('one transaction that is missing, or dropped, misses the target of capture, at any load', () => {
  const arrivals = (arrived: number, dropped: number): Arrival[] => [
    { contender: 'mirrorstream', sent: 1_000, arrived, dropped },
    { contender: 'pgdog mirroring', sent: 1_000, arrived: 10, dropped: null },
  ];
  const load: Load = { workload: 'tpcb', protocol: 'extended', clients: 200 };
  const met = (arrived: number, dropped: number): boolean | null =>
    verdictOn('mirrorstream: 100 %', judge([cellOf([], arrivals(arrived, dropped), load)])).met;
  assert.equal(met(1_002, 0), true);
  assert.equal(met(999, 0), false);
  assert.equal(met(1_002, 1), false);
});

test('rows come in the order of the contenders, not of their turns', () => {
  const { rows } = summariseCell(cellOf([...pgbouncer, ...direct]), ['direct', 'haproxy', 'pgbouncer']);
  assert.deepEqual(
    rows.map(({ contender }) => contender),
    ['direct', 'pgbouncer'],
  );
});

test('what a proxy adds is counted over the direct connection, and unknown without one', () => {
  const [, proxy] = summariseCell(cellOf([...direct, ...pgbouncer])).rows;
  assert.deepEqual(proxy?.addedLatency, { p50Us: 100, p99Us: 400, p999Us: 800 });
  assert.equal(summariseCell(cellOf(pgbouncer)).rows[0]?.addedLatency, null);
});

const resultOf = (cells: readonly Cell[]): BenchResult => ({
  bench: 'proxy',
  startedAt: '2030-01-02T03:04:05.000Z',
  commit: 'abc1234',
  settings: { rounds: 3, seconds: 3, megabytes: 100 },
  machine: { cpu: '2 × some' },
  versions: { pgbouncer: '1.18.0' },
  missing: { pgdog: 'PGDOG_BIN does not name its binary' },
  loadAverageBefore: [0.5, 0.25, 0],
  contenders: ['direct', 'pgbouncer'],
  cells,
});

test('the page names the figures, what is missing, and how much others disturbed', () => {
  const page = markdown(resultOf([cellOf([...direct, ...pgbouncer])]));
  assert.match(page, /\| direct \| 20,000 \| 1\.00 \(1\.00–1\.00\) \| 2\.00 \(2\.00–2\.00\) \|/);
  assert.match(
    page,
    /\| pgbouncer \| 10,000 \|.*\| 200 \/ 1,400 \/ 2,800 \| 100 \/ 400 \/ 800 \| 21\.0 \| 20\.0 \+ 0\.0 \+ 1\.0 \|/,
  );
  assert.match(page, /- pgdog is missing: PGDOG_BIN does not name its binary/);
  assert.match(page, /CPU taken by others while it measured: 1\.2 %/);
});

test('a share just below the whole is not shown as the whole', () => {
  const arrivals = [{ contender: 'pgdog mirroring', sent: 100_000, arrived: 99_999, dropped: null }];
  assert.match(markdown(resultOf([cellOf(direct, arrivals)])), /99,999 \(99\.9 %\) reached its mirror/);
});

test('loads of large results are shown per MB', () => {
  const large = direct.map((one) => ({
    ...one,
    perSecond: 200,
    latency: null,
    cpuUs: { forwarding: 600, capture: 0, rest: 0 },
  }));
  const named = large.map((one) => ({ ...one, contender: 'haproxy', rssPeakMb: 40 }));
  const load: Load = { workload: 'copy-out', protocol: 'simple', clients: 1 };
  const page = markdown(resultOf([cellOf([...large, ...named], [], load)]));
  assert.match(page, /\| haproxy \| 200 \| .* \| 0\.60 \| 0\.60 \+ 0\.00 \+ 0\.00 \|/);
});
