// Drift: what is counted as such, and what is not.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Played } from './replay-run.ts';
import { driftUs } from './schedule.ts';

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
