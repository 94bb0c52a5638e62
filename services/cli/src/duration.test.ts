// Tests of durations.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatDuration, parseDuration } from './duration.ts';

test('durations are read with their unit and never without', () => {
  assert.deepEqual(
    ['500ms', '30s', '5m', '1.5h', '2d'].map(parseDuration),
    [500, 30_000, 300_000, 5_400_000, 172_800_000],
  );
  assert.deepEqual(['', '5', 's', '-1s', '1 s', '0s', '1e3s', '5M'].map(parseDuration), Array(8).fill(undefined));
});

test('durations are shown as precisely as they matter', () => {
  assert.deepEqual([0, 850, 12_340, 59_949, 250_000, 7_500_000].map(formatDuration), [
    '0 ms',
    '850 ms',
    '12.3 s',
    '59.9 s',
    '4 min 10 s',
    '2 h 05 min',
  ]);
});
