// What is slower and what is faster on the mirror, how sure that is, and what it comes to over all calls.
import { meanDifference, meanInterval } from './intervals.ts';
import { quantile } from './latency-sketch.ts';
import type { Aggregate, LatencyData, Percentiles, PerformanceDecision, PerformanceEntry, Rate } from './model.ts';

export interface PerformanceRule {
  /** Fewer calls say nothing. */
  readonly minSamples: number;
  /** A ratio within 1 ± this is called the same, where it is known that well. */
  readonly tolerance: number;
}

export const performanceRule: PerformanceRule = { minSamples: 15, tolerance: 0.1 };

/** Of every shape with a time on both sides; the most time lost first, the most time gained last. */
export function performanceOf(
  aggregates: readonly Aggregate[],
  controls: ReadonlyMap<string, Aggregate>,
  rule: PerformanceRule = performanceRule,
): readonly PerformanceEntry[] {
  return aggregates
    .filter(({ latency }) => latency.differenceUs.n > 0)
    .map((aggregate) => entryOf(aggregate, controls.get(aggregate.fingerprint) ?? null, rule))
    .sort((a, b) => b.totalLostUs - a.totalLostUs);
}

/** Regressions by the time they cost in all. */
export const regressionsIn = (entries: readonly PerformanceEntry[]): readonly PerformanceEntry[] =>
  entries.filter(({ decision }) => decision === 'regression');

/** Improvements by the time they save in all. */
export const improvementsIn = (entries: readonly PerformanceEntry[]): readonly PerformanceEntry[] =>
  entries.filter(({ decision }) => decision === 'improvement').reverse();

function entryOf(aggregate: Aggregate, control: Aggregate | null, rule: PerformanceRule): PerformanceEntry {
  const { latency } = aggregate;
  const samples = latency.differenceUs.n;
  const ratio = exponential(meanInterval(latency.logRatio));
  const differenceUs = meanInterval(latency.differenceUs);
  const controlLatency = control !== null && control.latency.logRatio.n >= rule.minSamples ? control.latency : null;
  const netRatio =
    controlLatency === null ? ratio : exponential(meanDifference(latency.logRatio, controlLatency.logRatio));
  const decision = samples < rule.minSamples ? 'tooFew' : decideRatio(netRatio, rule);
  return {
    fingerprint: aggregate.fingerprint,
    normalizedSql: aggregate.normalizedSql,
    verb: aggregate.verb,
    tables: aggregate.tables,
    samples,
    captured: percentilesOf(latency.captured),
    replayed: percentilesOf(latency.replayed),
    ratio: finite(ratio),
    differenceUs: finite(differenceUs),
    totalLostUs: latency.differenceUs.mean * samples,
    control:
      controlLatency === null
        ? null
        : { samples: controlLatency.logRatio.n, ratio: finite(exponential(meanInterval(controlLatency.logRatio))) },
    netRatio: finite(netRatio),
    decision,
    why: whyOf(decision, netRatio, samples, controlLatency !== null, rule),
  };
}

/** The interval must lie beyond 1, and the ratio itself beyond what is tolerated. */
function decideRatio({ value, low, high }: Rate, { tolerance }: PerformanceRule): PerformanceDecision {
  if (low > 1 && value > 1 + tolerance) return 'regression';
  if (high < 1 && value < 1 / (1 + tolerance)) return 'improvement';
  return low >= 1 / (1 + tolerance) && high <= 1 + tolerance ? 'same' : 'undecided';
}

function whyOf(
  decision: PerformanceDecision,
  { value, low, high }: Rate,
  samples: number,
  isNet: boolean,
  { minSamples }: PerformanceRule,
): string {
  if (decision === 'tooFew') return `${samples} calls; ${minSamples} are needed`;
  const against = isNet ? 'beside the control mirror' : 'against production; without a control mirror';
  return `× ${value.toFixed(2)} [${low.toFixed(2)}, ${high.toFixed(2)}] ${against}, n = ${samples}`;
}

const percentilesOf = (sketch: LatencyData['captured']): Percentiles => ({
  p50Us: quantile(sketch, 0.5),
  p95Us: quantile(sketch, 0.95),
  p99Us: quantile(sketch, 0.99),
});

const exponential = ({ value, low, high }: Rate): Rate => ({
  value: Math.exp(value),
  low: Math.exp(low),
  high: Math.exp(high),
});

/** JSON has no infinity: an interval nobody knows is as wide as numbers go. */
const finite = ({ value, low, high }: Rate): Rate => ({
  value,
  low: clamp(low),
  high: clamp(high),
});

const clamp = (value: number): number =>
  Number.isFinite(value)
    ? value
    : value > 0
      ? Number.MAX_SAFE_INTEGER
      : Number.isNaN(value)
        ? 0
        : -Number.MAX_SAFE_INTEGER;
