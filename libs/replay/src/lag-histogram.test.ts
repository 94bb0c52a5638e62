import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { LagHistogram } from './lag-histogram.ts';

describe('the histogram of schedule lag', () => {
  it('gives quantiles to a tenth, from a µs to minutes, and nothing for nothing', () => {
    const histogram = new LagHistogram();
    assert.deepEqual([histogram.quantileUs(0.5), histogram.quantileUs(1)], [0, 0]);
    for (let i = 1; i <= 1000; i++) histogram.add(i * 100);
    for (const share of [0.01, 0.5, 0.99]) {
      const ratio = histogram.quantileUs(share) / (share * 100_000);
      assert.ok(ratio > 0.9 && ratio < 1.1, `${share}: ${ratio}`);
    }
    assert.deepEqual([histogram.total, histogram.largestUs, histogram.sumUs], [1000, 100_000, 50_050_000]);
  });

  it('takes what was on time for no lag, and what is beyond an hour for an hour or more', () => {
    const histogram = new LagHistogram();
    for (const lagUs of [-5, 0, 1]) histogram.add(lagUs);
    assert.equal(histogram.quantileUs(1), 0);
    histogram.add(1e13);
    assert.ok(histogram.quantileUs(1) > 3e9);
  });
});
