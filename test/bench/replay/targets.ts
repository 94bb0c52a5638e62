// What replay is to reach, and whether this run shows it.
import { titleOf } from '../proxy/plan.ts';
import { median, type Ratio, ratioByRound } from '../proxy/statistics.ts';
import type { BenchResult, RateSample, ThroughputCell } from './result.ts';

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

export function judge({ throughput }: Pick<BenchResult, 'throughput'>): Verdict[] {
  return throughput.flatMap((cell) => [judgeRate(cell), judgeCpu(cell)]);
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
