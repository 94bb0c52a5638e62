// What the capture proxy is to reach, and whether this run shows it.
import { type Load, titleOf } from './plan.ts';
import type { Arrival, Cell, Sample } from './result.ts';
import { ratioByRound } from './statistics.ts';
import { perRound, summariseCell } from './summary.ts';

export interface Verdict {
  readonly target: string;
  readonly load: string;
  /** In words, with the range over the rounds where there is one. */
  readonly measured: string;
  /** Null: this run does not tell. */
  readonly met: boolean | null;
  /** Some rounds say so, others the opposite. */
  readonly isWithinNoise: boolean;
}

const subject = 'mirrorstream';

/** The loads of the targets: pgbench -S, simple protocol, 8 and 32 clients. */
const isTargetLoad = ({ workload, protocol, clients }: Load): boolean =>
  workload === 'select' && protocol === 'simple' && (clients === 8 || clients === 32);

/** One verdict per target and load; a target that nothing in this run can tell about is listed as such. */
export function judge(cells: readonly Cell[]): Verdict[] {
  const verdicts = cells.filter(({ load }) => isTargetLoad(load)).flatMap(judgeSelect);
  const shown = verdicts.length > 0 ? verdicts : judgeSelect(nothingMeasured);
  return [...shown, ...cells.flatMap(judgeArrival)];
}

const nothingMeasured: Cell = {
  load: { workload: 'select', protocol: 'simple', clients: 8 },
  samples: [],
  arrivals: [],
};

function judgeSelect(cell: Cell): Verdict[] {
  const load = titleOf(cell.load);
  const verdict = (target: string, figure: Figure | null, holds: (value: number) => boolean): Verdict => ({
    target,
    load,
    measured: figure === null ? 'nothing, or only noise' : figure.text,
    met: figure === null ? null : holds(figure.value),
    isWithinNoise: figure !== null && holds(figure.min) !== holds(figure.max),
  });
  const atLeast = (limit: number) => (value: number) => value >= limit;
  const atMost = (limit: number) => (value: number) => value <= limit;
  const rate = (sample: Sample): number => sample.perSecond;
  const forwarding = (sample: Sample): number => sample.cpuUs.forwarding;
  const process = ({ cpuUs }: Sample): number => cpuUs.forwarding + cpuUs.capture + cpuUs.rest;
  const p99 = ({ latency }: Sample): number => latency?.p99Us ?? Number.NaN;
  const against = (base: string, pick: (sample: Sample) => number, pickBase = pick): Figure | null =>
    byRound(cell, [subject, pick], [base, pickBase]);
  return [
    verdict('throughput ≥ 0.9 × pgbouncer', against('pgbouncer', rate), atLeast(0.9)),
    verdict('throughput ≥ 1.6 × PgDog mirroring', against('pgdog mirroring', rate), atLeast(1.6)),
    verdict('added p50 ≤ 1.3 × pgbouncer', added(cell, 'p50Us'), atMost(1.3)),
    verdict('added p99 ≤ 1.5 × pgbouncer', added(cell, 'p99Us'), atMost(1.5)),
    verdict('CPU of the forwarding thread ≤ 1.3 × pgbouncer', against('pgbouncer', forwarding, process), atMost(1.3)),
    verdict('CPU of the whole process ≤ 2.2 × pgbouncer', against('pgbouncer', process), atMost(2.2)),
    verdict(
      'p99 with Kafka away ≤ 1.05 × p99 with Kafka',
      byRound(cell, ['mirrorstream Kafka away', p99], [subject, p99]),
      atMost(1.05),
    ),
  ];
}

interface Figure {
  readonly value: number;
  readonly min: number;
  readonly max: number;
  readonly text: string;
}

type Picked = readonly [contender: string, pick: (sample: Sample) => number];

function byRound(cell: Cell, [contender, pick]: Picked, [base, pickBase]: Picked): Figure | null {
  const ratio = ratioByRound(perRound(cell, contender, pick), perRound(cell, base, pickBase));
  if (ratio === null || Number.isNaN(ratio.median)) return null;
  const range = `${ratio.min.toFixed(2)}–${ratio.max.toFixed(2)}`;
  return { value: ratio.median, min: ratio.min, max: ratio.max, text: `${ratio.median.toFixed(2)} (rounds: ${range})` };
}

/**
 * A ratio of two differences is too noisy round by round to take its median: it is that of the medians. Where one of them is not
 * above nothing, noise was larger than what is asked for, and there is no figure.
 */
function added(cell: Cell, which: 'p50Us' | 'p99Us'): Figure | null {
  const { rows } = summariseCell(cell);
  const of = (name: string): number | null =>
    rows.find(({ contender }) => contender === name)?.addedLatency?.[which] ?? null;
  const own = of(subject);
  const base = of('pgbouncer');
  if (own === null || base === null || own <= 0 || base <= 0) return null;
  const value = own / base;
  const rounds = addedByRound(cell, which);
  const text = `${value.toFixed(2)} (${Math.round(own)} µs against ${Math.round(base)} µs)`;
  return { value, min: Math.min(value, ...rounds), max: Math.max(value, ...rounds), text };
}

/** Ratios of the rounds in which both added something. */
function addedByRound(cell: Cell, which: 'p50Us' | 'p99Us'): number[] {
  const latency = ({ latency }: Sample): number => latency?.[which] ?? Number.NaN;
  const [direct, own, base] = ['direct', subject, 'pgbouncer'].map((name) => perRound(cell, name, latency));
  return [...(direct ?? [])].flatMap(([round, us]) => {
    const ownUs = (own?.get(round) ?? Number.NaN) - us;
    const baseUs = (base?.get(round) ?? Number.NaN) - us;
    return ownUs > 0 && baseUs > 0 ? [ownUs / baseUs] : [];
  });
}

/** Everybody of us who publishes is held to it. */
function judgeArrival({ load, arrivals }: Cell): Verdict[] {
  return arrivals.filter(isOurs).map(({ contender, sent, arrived, dropped }) => ({
    target: `${contender}: 100 % captured`,
    load: titleOf(load),
    measured: `${arrived.toLocaleString('en')} of ${sent.toLocaleString('en')}, ${dropped ?? 0} dropped`,
    met: arrived >= sent && dropped === 0,
    isWithinNoise: false,
  }));
}

const isOurs = ({ contender }: Arrival): boolean => contender.startsWith(subject);
