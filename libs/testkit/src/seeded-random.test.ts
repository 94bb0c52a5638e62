import assert from 'node:assert/strict';
import { test } from 'node:test';
import { seededRandom } from './seeded-random.ts';

const draw = (seed: number, count = 100): number[] => {
  const random = seededRandom(seed);
  return Array.from({ length: count }, () => random.next());
};

test('the same seed gives the same numbers, another seed others', () => {
  assert.deepEqual(draw(1), draw(1));
  assert.notDeepEqual(draw(1), draw(2));
  assert.equal(seededRandom(1).next(), 0.6270739405881613);
});

test('numbers spread evenly over their range', () => {
  const random = seededRandom(3);
  const counts = [0, 0, 0, 0, 0, 0];
  for (let i = 0; i < 60_000; i++) {
    const side = random.integer(0, 5);
    counts[side] = (counts[side] ?? 0) + 1;
  }
  // 3 standard deviations of a binomial with n = 60 000 and p = 1/6.
  for (const count of counts)
    assert.ok(Math.abs(count - 10_000) < 3 * Math.sqrt(60_000 * (1 / 6) * (5 / 6)), String(counts));
});

test('shuffling keeps every item and leaves the original alone', () => {
  const items = Array.from({ length: 50 }, (_, i) => i);
  const shuffled = seededRandom(5).shuffle(items);
  assert.notDeepEqual(shuffled, items);
  assert.deepEqual(
    [...shuffled].sort((a, b) => a - b),
    items,
  );
  assert.deepEqual(items[0], 0);
});

test('a fork draws its own numbers whatever its parent draws afterwards', () => {
  const one = seededRandom(9);
  const other = seededRandom(9);
  const forkOfOne = one.fork();
  const forkOfOther = other.fork();
  other.next();
  assert.equal(forkOfOne.next(), forkOfOther.next());
});
