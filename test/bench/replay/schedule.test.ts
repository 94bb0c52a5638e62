// Drift: what is counted as such, and what is not.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Played } from './replay-run.ts';
import { driftByMinuteUs, driftUs } from './schedule.ts';

const played = (count: number, sentAtUs: (capturedAtUs: number) => number): Played[] =>
  Array.from({ length: count }, (_, i) => {
    const sent = sentAtUs(i * 1000);
    return { capturedAtUs: i * 1000, scheduledAtUs: sent, sentAtUs: sent, doneAtUs: sent };
  });

test('a fixed delay, at any speed, is no drift', () => {
  assert.equal(
    driftUs(
      played(100, (at) => at + 5_000_000),
      1,
    ),
    0,
  );
  assert.equal(
    driftUs(
      played(100, (at) => 7000 + at / 10),
      10,
    ),
    0,
  );
});

test('a clock that runs slower drifts, whatever its schedule says of itself', () => {
  assert.equal(
    Math.round(
      driftUs(
        played(1000, (at) => at * 1.01),
        1,
      ),
    ),
    9000,
  );
});

test('drift is told of each minute against the first, of none where there is one', () => {
  const minutes = (count: number, sentAtUs: (capturedAtUs: number) => number): Played[] =>
    Array.from({ length: count * 60 }, (_, second) => {
      const sent = sentAtUs(second * 1_000_000);
      return { capturedAtUs: second * 1_000_000, scheduledAtUs: sent, sentAtUs: sent, doneAtUs: sent };
    });
  assert.deepEqual(
    driftByMinuteUs(
      minutes(1, (at) => at),
      1,
    ),
    [],
  );
  assert.deepEqual(
    driftByMinuteUs(
      minutes(3, (at) => 9 + at / 10),
      10,
    ).map(Math.round),
    [0, 0],
  );
  // 0.1 % slow: 60 ms more each minute.
  assert.deepEqual(
    driftByMinuteUs(
      minutes(3, (at) => at * 1.001),
      1,
    ).map(Math.round),
    [60_000, 120_000],
  );
  assert.deepEqual(driftByMinuteUs([], 1), []);
});
