import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LatencyHistogram } from './latency-histogram.ts';

test('a percentile is at most one bucket above the true value', () => {
  const histogram = new LatencyHistogram();
  for (let latencyUs = 1; latencyUs <= 10_000; latencyUs++) histogram.record(latencyUs);
  for (const percentile of [50, 90, 99]) {
    const trueUs = percentile * 100;
    const seenUs = histogram.percentileUs(percentile);
    assert.ok(seenUs >= trueUs && seenUs <= trueUs * 1.045, `p${percentile}: ${seenUs}`);
  }
  assert.equal(histogram.percentileUs(100), 10_000);
  assert.deepEqual(
    [histogram.summary().count, histogram.summary().meanMs, histogram.summary().maxMs],
    [10_000, 5.001, 10],
  );
});

test('nothing recorded is zero everywhere', () => {
  assert.deepEqual(new LatencyHistogram().summary(), { count: 0, meanMs: 0, p50Ms: 0, p90Ms: 0, p99Ms: 0, maxMs: 0 });
});
