import assert from 'node:assert/strict';
import { test } from 'node:test';
import { foreignShare } from './foreign-load.ts';
import { median, percentile, ratioByRound, spread } from './statistics.ts';

test('a percentile is the value that so large a share lies below', () => {
  const hundred = Float64Array.from({ length: 100 }, (_, index) => index);
  assert.equal(percentile(hundred, 0.5), 50);
  assert.equal(percentile(hundred, 0.99), 99);
  assert.equal(percentile(hundred, 1), 99);
  assert.equal(percentile([], 0.5), Number.NaN);
});

test('a median is the middle, or the mean of the two in the middle, in whatever order the values come', () => {
  assert.equal(median([9, 1, 5]), 5);
  assert.equal(median([10, 1, 9, 2]), 5.5);
  assert.equal(median([]), Number.NaN);
});

test('spread is what lies between the extremes as a share of the median', () => {
  assert.equal(spread([90, 100, 120]), 0.3);
});

test('ratios are taken round by round, so that a slow round of both changes nothing', () => {
  const own = new Map([
    [1, 90],
    [2, 45],
    [3, 88],
  ]);
  const base = new Map([
    [1, 100],
    [2, 50],
    [3, 110],
    [4, 7],
  ]);
  assert.deepEqual(ratioByRound(own, base), { median: 0.9, min: 0.8, max: 0.9 });
});

test('without a round in common, or with a base of nothing, there is no ratio', () => {
  assert.equal(ratioByRound(new Map([[1, 5]]), new Map([[2, 5]])), null);
  assert.equal(ratioByRound(new Map([[1, 5]]), new Map([[1, 0]])), null);
});

test('what others took is what the machine was busy with beyond ourselves, and never less than nothing', () => {
  const before = { atMs: 0, busyMs: 0, ownMs: 0 };
  const oneSecond = (busyMs: number, ownMs: number): number => foreignShare(before, { atMs: 1_000, busyMs, ownMs }, 2);
  assert.equal(oneSecond(1_500, 1_000), 0.25);
  assert.equal(oneSecond(990, 1_000), 0);
});
