// Medians, percentiles and ratios over rounds.

/** Of values in ascending order; NaN when there are none. */
export function percentile(sorted: ArrayLike<number>, share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
}

/** Of an even number of values: the mean of the middle two. */
export function median(values: readonly number[]): number {
  const sorted = Float64Array.from(values).sort();
  const middle = sorted.length / 2;
  if (sorted.length === 0) return Number.NaN;
  return sorted.length % 2 === 1
    ? (sorted[Math.floor(middle)] as number)
    : ((sorted[middle - 1] as number) + (sorted[middle] as number)) / 2;
}

/** Largest minus smallest, as a share of the median: how noisy it was. */
export function spread(values: readonly number[]): number {
  return (Math.max(...values) - Math.min(...values)) / median(values);
}

export interface Ratio {
  readonly median: number;
  readonly min: number;
  readonly max: number;
}

/** Round by round, since the rounds met different weather. Null where the two have no round in common. */
export function ratioByRound(values: ReadonlyMap<number, number>, bases: ReadonlyMap<number, number>): Ratio | null {
  const ratios = [...values].flatMap(([round, value]) => {
    const base = bases.get(round);
    return base === undefined || base === 0 ? [] : [value / base];
  });
  if (ratios.length === 0) return null;
  return { median: median(ratios), min: Math.min(...ratios), max: Math.max(...ratios) };
}
