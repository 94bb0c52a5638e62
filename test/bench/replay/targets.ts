// What replay is to reach, and whether this run shows it.
import { titleOf } from '../proxy/plan.ts';
import { median, type Ratio, ratioByRound } from '../proxy/statistics.ts';
import type { BenchResult, RateSample, ScaleSample, ScheduleSample, ThroughputCell } from './result.ts';

export interface Verdict {
  readonly target: string;
  readonly load: string;
  readonly measured: string;
  /** Null: this run does not tell. */
  readonly met: boolean | null;
}

/** Of pgbench's rate on the same mirror. */
const rateShare = { select: 0.5, tpcb: 0.8 };
/** Twice what pgreplay-go spends on a statement without Kafka and digests. */
const maxStatementUs = 40;

const maxErrorUs = { p50Us: 2_000, p99Us: 20_000 };
const maxDriftUs = 10_000;
/** Drift is judged where it had time to show. */
const driftAfterSeconds = 600;
const leastSpeedUp = 3.6;

export type Measured = Pick<BenchResult, 'throughput' | 'schedule' | 'scale'>;

export function judge({ throughput, schedule, scale }: Measured): Verdict[] {
  return [
    ...throughput.flatMap((cell) => [judgeRate(cell), judgeCpu(cell)]),
    ...schedule.flatMap(judgeSchedule),
    ...judgeScale(scale),
  ];
}

const milliseconds = (us: number): string => `${(us / 1000).toFixed(2)} ms`;

function judgeSchedule(sample: ScheduleSample): Verdict[] {
  const { speed, seconds, p50Us, p99Us, driftUs } = sample;
  const load = `speed ${speed}, ${seconds} s of traffic`;
  const isLongEnough = seconds >= driftAfterSeconds;
  return [
    { target: 'schedule error p50 ≤ 2 ms', load, measured: milliseconds(p50Us), met: p50Us <= maxErrorUs.p50Us },
    { target: 'schedule error p99 ≤ 20 ms', load, measured: milliseconds(p99Us), met: p99Us <= maxErrorUs.p99Us },
    {
      target: 'drift over 10 minutes ≤ 10 ms',
      load,
      measured: milliseconds(driftUs),
      met: isLongEnough ? Math.abs(driftUs) <= maxDriftUs : null,
    },
  ];
}

function judgeScale(samples: readonly ScaleSample[]): Verdict[] {
  const rate = (count: number): number | undefined => samples.find(({ replayers }) => replayers === count)?.perSecond;
  const [one, four] = [rate(1), rate(4)];
  if (one === undefined || four === undefined) return [];
  const factor = four / one;
  const load = `a target that answers after ${samples[0]?.delayMs} ms`;
  return [{ target: '1 → 4 replayers ≥ 3.6 ×', load, measured: `${factor.toFixed(2)} ×`, met: factor >= leastSpeedUp }];
}

export const samplesOf = ({ samples }: ThroughputCell, contender: RateSample['contender']): readonly RateSample[] =>
  samples.filter((sample) => sample.contender === contender);

/** Round by round. */
export function ofPgbench(cell: ThroughputCell, contender: RateSample['contender']): Ratio | null {
  const rates = (name: RateSample['contender']) =>
    new Map(samplesOf(cell, name).map(({ round, perSecond }) => [round, perSecond]));
  return ratioByRound(rates(contender), rates('pgbench'));
}

/** Median over the rounds, all threads. */
export function cpuPerStatementUs(cell: ThroughputCell, contender: RateSample['contender']): number {
  const each = samplesOf(cell, contender).flatMap(({ replay }) =>
    replay === null ? [] : [((replay.cpuMainUs + replay.cpuRestUs) * replay.transactions) / replay.statements],
  );
  return median(each);
}

function judgeRate(cell: ThroughputCell): Verdict {
  const least = rateShare[cell.load.workload === 'select' ? 'select' : 'tpcb'];
  const ratio = ofPgbench(cell, 'mirror');
  return {
    target: `rate in asap ≥ ${least} × pgbench`,
    load: titleOf(cell.load),
    measured:
      ratio === null ? 'nothing' : `${ratio.median.toFixed(2)} (${ratio.min.toFixed(2)}–${ratio.max.toFixed(2)})`,
    met: ratio === null ? null : ratio.median >= least,
  };
}

function judgeCpu(cell: ThroughputCell): Verdict {
  const us = cpuPerStatementUs(cell, 'mirror');
  return {
    target: `CPU per statement ≤ ${maxStatementUs} µs`,
    load: titleOf(cell.load),
    measured: Number.isNaN(us) ? 'nothing' : `${us.toFixed(1)} µs`,
    met: Number.isNaN(us) ? null : us <= maxStatementUs,
  };
}
