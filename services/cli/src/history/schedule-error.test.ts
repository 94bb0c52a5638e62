// Quantiles of lateness, within a twentieth; what was not planned or not sent is left out.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ScheduleErrors } from './schedule-error.ts';

test('half, nearly all, and the latest', () => {
  const errors = new ScheduleErrors();
  for (let number = 1; number <= 1000; number++) errors.add(1_000_000n, 1_000_000n + BigInt(number * 10));
  errors.add(0n, 5_000_000n);
  errors.add(1_000_000n, 0n);
  const { p50Ms = 0, p99Ms = 0, maxMs } = errors.summary() ?? {};
  assert.ok(Math.abs(p50Ms - 5) <= 5 / 20, `${p50Ms}`);
  assert.ok(Math.abs(p99Ms - 9.9) <= 9.9 / 20, `${p99Ms}`);
  assert.equal(maxMs, 10);
});

test('on time is 0, early is not late, and nothing is nothing', () => {
  const errors = new ScheduleErrors();
  assert.equal(errors.summary(), null);
  errors.add(2_000_000n, 2_000_000n);
  errors.add(2_000_000n, 1_999_000n);
  assert.deepEqual(errors.summary(), { p50Ms: 0, p99Ms: 0, maxMs: 0 });
});
