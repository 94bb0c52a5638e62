// Whether a process's memory is flat: the rule the soak judges by.
//
// The first third is warm-up. Then the last third's 95th percentile must not lie above the middle third's by more than 5 % and 16 MiB
// together, and its median likewise. Percentiles, because faults make peaks on purpose; the middle third has the same faults.

export interface MemorySample {
  readonly atMs: number;
  readonly bytes: number;
}

export interface MemoryVerdict {
  readonly flat: boolean;
  /** Too few samples for a verdict: then `flat` says nothing. */
  readonly judged: boolean;
  readonly middle: { readonly p50: number; readonly p95: number };
  readonly last: { readonly p50: number; readonly p95: number };
}

const leastSamples = 120;
const share = 0.05;
const allowanceBytes = 16 * 1024 * 1024;

export function judgeMemory(samples: readonly MemorySample[]): MemoryVerdict {
  const third = Math.floor(samples.length / 3);
  const middle = percentiles(samples.slice(third, 2 * third));
  const last = percentiles(samples.slice(2 * third));
  const within = (before: number, after: number): boolean => after <= before * (1 + share) + allowanceBytes;
  return {
    flat: within(middle.p50, last.p50) && within(middle.p95, last.p95),
    judged: samples.length >= leastSamples,
    middle,
    last,
  };
}

function percentiles(samples: readonly MemorySample[]): { readonly p50: number; readonly p95: number } {
  const sorted = samples.map(({ bytes }) => bytes).sort((a, b) => a - b);
  const at = (part: number): number => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? 0;
  return { p50: at(0.5), p95: at(0.95) };
}
