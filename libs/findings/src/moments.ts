// Mean and spread of a stream of numbers, without keeping them: Welford's update, Chan's merge.
import type { Moments } from './model.ts';

export class RunningMoments implements Moments {
  n: number;
  mean: number;
  m2: number;

  constructor({ n, mean, m2 }: Moments = emptyMoments) {
    this.n = n;
    this.mean = mean;
    this.m2 = m2;
  }

  add(value: number): void {
    this.n += 1;
    const before = value - this.mean;
    this.mean += before / this.n;
    this.m2 += before * (value - this.mean);
  }

  /** A copy, as it stands in a record. */
  toData(): Moments {
    return { n: this.n, mean: this.mean, m2: this.m2 };
  }
}

export const emptyMoments: Moments = { n: 0, mean: 0, m2: 0 };

export function mergeMoments(a: Moments, b: Moments): Moments {
  if (a.n === 0) return b;
  if (b.n === 0) return a;
  const n = a.n + b.n;
  const apart = b.mean - a.mean;
  return { n, mean: a.mean + (apart * b.n) / n, m2: a.m2 + b.m2 + (apart * apart * a.n * b.n) / n };
}

/** Standard error of the mean; infinite below two values. */
export function standardErrorOf({ n, m2 }: Moments): number {
  return n < 2 ? Number.POSITIVE_INFINITY : Math.sqrt(m2 / (n - 1) / n);
}
