// The circuit breaker of one address: every transition, with a clock and a chance of the test's own.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { admits, type Breaker, closed, failed, nextTryMs, trying } from './breaker.ts';

const options = { retryMinMs: 100, retryMaxMs: 1000 };

describe('breaker', () => {
  it('opens at the first failure, admits one probe when the wait is over, and closes when that succeeds', () => {
    assert.equal(admits(closed, 0), true);
    assert.equal(trying(closed), closed);
    const open = failed(closed, options, 0, 0);
    assert.equal(admits(open, 99), false);
    assert.equal(nextTryMs(open, 0), 100);
    assert.equal(admits(open, 100), true);
    const halfOpen = trying(open);
    assert.equal(halfOpen.kind, 'halfOpen');
    assert.equal(admits(halfOpen, 10_000), false);
    assert.equal(nextTryMs(halfOpen, 10_000), Number.POSITIVE_INFINITY);
  });

  it('waits twice as long after each probe that failed, up to a bound, and remembers since when', () => {
    let breaker: Breaker = closed;
    let nowMs = 5;
    const waits: number[] = [];
    for (let i = 0; i < 40; i++) {
      breaker = failed(trying(breaker), options, nowMs, 0);
      const untilMs = nextTryMs(breaker, nowMs);
      waits.push(untilMs - nowMs);
      nowMs = untilMs;
    }
    assert.deepEqual(waits.slice(0, 6), [100, 200, 400, 800, 1000, 1000]);
    assert.equal(waits.at(-1), 1000);
    assert.equal(breaker.kind === 'open' && breaker.sinceMs, 5);
  });

  it('shortens each wait by chance, by half at most', () => {
    const waitOf = (chance: number): number => nextTryMs(failed(closed, options, 0, chance), 0);
    assert.deepEqual([waitOf(0), waitOf(0.5), waitOf(0.999_999)].map(Math.round), [100, 75, 50]);
  });

  it('takes no notice of failures of tries that began before it opened', () => {
    const open = failed(closed, options, 0, 0);
    assert.equal(failed(open, options, 50, 0), open);
  });
});
