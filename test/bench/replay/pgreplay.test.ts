// What pgreplay-go says of itself.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { goDurationSeconds } from './pgreplay.ts';

test('durations are read as Go writes them', () => {
  const said = ['512.5ms', '1.25s', '1m2.5s', '1h0m3s', '250µs'].map(goDurationSeconds);
  assert.deepEqual(said, [0.5125, 1.25, 62.5, 3603, 0.00025]);
});
