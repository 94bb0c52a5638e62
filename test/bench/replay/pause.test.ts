// When a replayer that was away counts as caught up.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { catchUpOf } from './pause.ts';
import type { Played } from './replay-run.ts';

const second = 1_000_000;
const at = (capturedAt: number, doneAt: number): Played => ({
  ...{ capturedAtUs: capturedAt * second, doneAtUs: doneAt * second },
  ...{ scheduledAtUs: capturedAt * second, sentAtUs: doneAt * second },
});
/** One a second is captured. Away from 10 to 20; from then on four a second are played until it has caught up. */
const traffic = (until: number): Played[] =>
  Array.from({ length: until }, (_, i) => at(i, i < 10 ? i + 0.1 : Math.max(20 + (i - 9) / 4, i + 0.1)));

test('it has caught up with the last answer that was a second late or more', () => {
  const sample = catchUpOf(traffic(60), 20 * second, 10);
  // 20 + (i − 9) / 4 is less than a second behind i from i = 23 on, and 22 is the last before.
  assert.equal(sample.caughtUpAfterSeconds, 3.25);
  assert.equal(sample.perSecond, 13 / 3.25);
  assert.equal(sample.capturedPerSecond, 60 / 59);
});

test('traffic that is over before does not tell', () => {
  const sample = catchUpOf(traffic(20), 20 * second, 10);
  assert.equal(sample.caughtUpAfterSeconds, null);
  assert.equal(sample.perSecond, 10 / 2.5);
});
