// Intervals of rates and of means, in closed form.
//
// Wilson (1927) for a rate: holds its level for small counts and for rates near 0, where the textbook interval does not. Newcombe (1998,
// method 10) for the difference of two rates, made of two Wilson intervals.
import type { Moments, Rate } from './model.ts';
import { standardErrorOf } from './moments.ts';

/** Two-sided 99 %: of many findings looked at together few shall be wrong by chance. */
export const z99 = 2.5758293035489004;

/** count of n; with n = 0 nothing is known: [0, 1]. */
export function wilson(count: number, n: number, z = z99): Rate {
  if (n <= 0) return { value: 0, low: 0, high: 1 };
  const p = count / n;
  const z2 = z * z;
  const middle = (p + z2 / (2 * n)) / (1 + z2 / n);
  const half = (z / (1 + z2 / n)) * Math.sqrt((p * (1 - p)) / n + z2 / (4 * n * n));
  return {
    value: p,
    low: count === 0 ? 0 : Math.max(0, middle - half),
    high: count === n ? 1 : Math.min(1, middle + half),
  };
}

/** a − b. */
export function newcombe(a: Rate, b: Rate): Rate {
  const value = a.value - b.value;
  return {
    value,
    low: value - Math.hypot(a.value - a.low, b.high - b.value),
    high: value + Math.hypot(a.high - a.value, b.value - b.low),
  };
}

/** Of a mean, by Student's distribution. Infinitely wide below two values. */
export function meanInterval(of: Moments, z = z99): Rate {
  const half = studentOf(z, of.n - 1) * standardErrorOf(of);
  return { value: of.mean, low: of.mean - half, high: of.mean + half };
}

/** a − b of two independent means, Welch's way. */
export function meanDifference(a: Moments, b: Moments, z = z99): Rate {
  const value = a.mean - b.mean;
  const [ea, eb] = [standardErrorOf(a) ** 2, standardErrorOf(b) ** 2];
  const freedom = (ea + eb) ** 2 / (ea ** 2 / (a.n - 1) + eb ** 2 / (b.n - 1));
  const half = studentOf(z, Number.isNaN(freedom) ? a.n + b.n - 2 : freedom) * Math.sqrt(ea + eb);
  return { value, low: value - half, high: value + half };
}

/** Student's quantile from the normal one (Abramowitz and Stegun 26.7.5): within 1 % from five degrees of freedom on. */
function studentOf(z: number, freedom: number): number {
  const f = Math.max(1, freedom);
  const first = (z ** 3 + z) / 4;
  const second = (5 * z ** 5 + 16 * z ** 3 + 3 * z) / 96;
  return z + first / f + second / f ** 2;
}
