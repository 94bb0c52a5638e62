// Intervals: known values, and the share of simulated cases in which they hold the truth.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { normal, seeded } from './aggregate.fixture.ts';
import { meanDifference, meanInterval, newcombe, wilson } from './intervals.ts';
import { mergeMoments, RunningMoments } from './moments.ts';

const near = (actual: number, expected: number, within: number) =>
  assert.ok(Math.abs(actual - expected) <= within, `${actual} is not near ${expected}`);

const z95 = 1.959963984540054;

describe('intervals', () => {
  it('of a rate are those of Newcombe 1998, table I', () => {
    for (const [count, n, low, high] of [
      [81, 263, 0.2553, 0.3662],
      [15, 148, 0.0624, 0.1605],
      [0, 20, 0, 0.1611],
      [1, 29, 0.0061, 0.1718],
    ] as const) {
      const rate = wilson(count, n, z95);
      near(rate.low, low, 5e-5);
      near(rate.high, high, 5e-5);
    }
  });

  it('of a difference of rates are those of Newcombe 1998, method 10', () => {
    const found = newcombe(wilson(56, 70, z95), wilson(48, 80, z95));
    near(found.value, 0.2, 1e-9);
    near(found.low, 0.0524, 5e-5);
    near(found.high, 0.3339, 5e-5);
  });

  it('of nothing say that nothing is known', () => {
    assert.deepEqual(wilson(0, 0), { value: 0, low: 0, high: 1 });
    assert.equal(meanInterval(new RunningMoments()).high, Number.POSITIVE_INFINITY);
  });

  it('of a difference of rates hold the truth in 99 % of cases, also for rare things', () => {
    const random = seeded(11);
    for (const [p, q, n, m] of [
      [0.03, 0.03, 500, 400],
      [0.001, 0.0005, 5_000, 5_000],
      [0.5, 0.4, 60, 45],
    ] as const) {
      const cases = 2_000;
      let held = 0;
      for (let i = 0; i < cases; i++) {
        const { low, high } = newcombe(wilson(binomial(random, n, p), n), wilson(binomial(random, m, q), m));
        if (low <= p - q && p - q <= high) held += 1;
      }
      // 3 σ of a share of 0.99 over 2 000 cases: 0.0067.
      assert.ok(held / cases > 0.99 - 0.0067, `${p} − ${q}: ${held / cases}`);
    }
  });

  it('of a mean, and of a difference of means, hold the truth in 99 % of cases from 15 values on', () => {
    const random = seeded(12);
    const draw = (n: number, mean: number, spread: number) => {
      const moments = new RunningMoments();
      for (let i = 0; i < n; i++) moments.add(mean + spread * normal(random));
      return moments;
    };
    const cases = 3_000;
    let [mean, difference] = [0, 0];
    for (let i = 0; i < cases; i++) {
      const [a, b] = [draw(15, 3, 2), draw(40, 1, 0.5)];
      const one = meanInterval(a);
      const both = meanDifference(a, b);
      if (one.low <= 3 && 3 <= one.high) mean += 1;
      if (both.low <= 2 && 2 <= both.high) difference += 1;
    }
    assert.ok(mean / cases > 0.99 - 0.0055, String(mean / cases));
    assert.ok(difference / cases > 0.99 - 0.0055, String(difference / cases));
  });

  it('moments that are merged are those of all values together', () => {
    const random = seeded(13);
    const values = Array.from({ length: 1_000 }, () => normal(random) * 5 + 100);
    const of = (some: readonly number[]) => {
      const moments = new RunningMoments();
      for (const value of some) moments.add(value);
      return moments.toData();
    };
    const [whole, merged] = [of(values), mergeMoments(of(values.slice(0, 137)), of(values.slice(137)))];
    assert.equal(merged.n, 1_000);
    near(merged.mean, whole.mean, 1e-9);
    near(merged.m2, whole.m2, 1e-6);
  });
});

function binomial(random: () => number, n: number, p: number): number {
  let count = 0;
  for (let i = 0; i < n; i++) if (random() < p) count += 1;
  return count;
}
