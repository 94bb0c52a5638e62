// A load's samples as one row per contender: medians over the rounds, and how they compare.
import type { Cell, Sample } from './result.ts';
import { median, type Ratio, ratioByRound, spread } from './statistics.ts';

export interface Latency {
  readonly p50Us: number;
  readonly p99Us: number;
  readonly p999Us: number;
}

export interface Row {
  readonly contender: string;
  readonly perSecond: number;
  readonly spread: number;
  readonly ofDirect: Ratio | null;
  readonly ofPgbouncer: Ratio | null;
  readonly latency: Latency | null;
  /** Over the direct connection's; null without one. */
  readonly addedLatency: Latency | null;
  readonly forwardingUs: number;
  readonly captureUs: number;
  readonly restUs: number;
  readonly brokerUs: number;
  readonly rssBeforeMb: number;
  readonly rssPeakMb: number;
}

export interface CellSummary {
  readonly rows: readonly Row[];
}

/** What a contender reached, by round. */
export function perRound(cell: Cell, contender: string, pick: (sample: Sample) => number): ReadonlyMap<number, number> {
  const own = cell.samples.filter((sample) => sample.contender === contender);
  return new Map(own.map((sample) => [sample.round, pick(sample)]));
}

/** Contenders in the order in which they were given their first turn's samples. */
export function summariseCell(cell: Cell, order: readonly string[] = []): CellSummary {
  const present = [...new Set(cell.samples.map(({ contender }) => contender))];
  const names = [...order.filter((name) => present.includes(name)), ...present.filter((name) => !order.includes(name))];
  const direct = latencyOf(cell, 'direct');
  return { rows: names.map((name) => rowOf(cell, name, direct)) };
}

function rowOf(cell: Cell, contender: string, direct: Latency | null): Row {
  const own = cell.samples.filter((sample) => sample.contender === contender);
  const of = (pick: (sample: Sample) => number): number => median(own.map(pick));
  const rate = (sample: Sample): number => sample.perSecond;
  const ratio = (base: string): Ratio | null =>
    ratioByRound(perRound(cell, contender, rate), perRound(cell, base, rate));
  const latency = latencyOf(cell, contender);
  return {
    contender,
    perSecond: of(rate),
    spread: spread(own.map(rate)),
    ofDirect: ratio('direct'),
    ofPgbouncer: ratio('pgbouncer'),
    latency,
    addedLatency: latency === null || direct === null ? null : difference(latency, direct),
    forwardingUs: of(({ cpuUs }) => cpuUs.forwarding),
    captureUs: of(({ cpuUs }) => cpuUs.capture),
    restUs: of(({ cpuUs }) => cpuUs.rest),
    brokerUs: of(({ brokerUs }) => brokerUs),
    rssBeforeMb: own[0]?.rssBeforeMb ?? Number.NaN,
    rssPeakMb: Math.max(...own.map(({ rssPeakMb }) => rssPeakMb)),
  };
}

function latencyOf(cell: Cell, contender: string): Latency | null {
  const all = cell.samples.flatMap((sample) =>
    sample.contender === contender && sample.latency !== null ? [sample.latency] : [],
  );
  if (all.length === 0) return null;
  return {
    p50Us: median(all.map(({ p50Us }) => p50Us)),
    p99Us: median(all.map(({ p99Us }) => p99Us)),
    p999Us: median(all.map(({ p999Us }) => p999Us)),
  };
}

const difference = (one: Latency, other: Latency): Latency => ({
  p50Us: one.p50Us - other.p50Us,
  p99Us: one.p99Us - other.p99Us,
  p999Us: one.p999Us - other.p999Us,
});
