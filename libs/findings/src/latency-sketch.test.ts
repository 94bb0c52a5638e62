// The sketch: quantiles within its stated error on several distributions, merges that lose nothing, bounded size.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { normal, seeded } from './aggregate.fixture.ts';
import { emptySketch, LatencySketch, mergeSketches, quantile, relativeError, sketchCount } from './latency-sketch.ts';

const sketchOf = (values: readonly number[]) => {
  const sketch = new LatencySketch();
  for (const value of values) sketch.add(value);
  return sketch;
};

/** Of the sorted values, by the same definition as the sketch's: the value at rank q (n − 1), rounded down. */
const exact = (values: readonly number[], q: number): number =>
  [...values].sort((a, b) => a - b)[Math.floor(q * (values.length - 1))] ?? 0;

describe('latency sketch', () => {
  const random = seeded(7);
  const distributions: Readonly<Record<string, () => number>> = {
    uniform: () => 1 + random() * 100_000,
    lognormal: () => Math.exp(6 + 1.5 * normal(random)),
    bimodal: () => (random() < 0.9 ? 200 + 20 * random() : 900_000 + 50_000 * random()),
    constant: () => 1_234,
  };
  for (const [name, draw] of Object.entries(distributions))
    it(`answers every quantile of ${name} values within ${relativeError * 100} %`, () => {
      const values = Array.from({ length: 20_000 }, () => Math.max(1, draw()));
      const data = sketchOf(values).toData();
      for (const q of [0, 0.01, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.999, 1]) {
        const truth = exact(values, q);
        assert.ok(Math.abs(quantile(data, q) - truth) <= relativeError * truth * 1.000001, `${q}: ${truth}`);
      }
    });

  it('is the same whether values came together, in parts that were merged, or over saving and restoring', () => {
    const values = Array.from({ length: 3_000 }, () => 1 + random() * 5_000_000);
    const whole = sketchOf(values).toData();
    const parts = [0, 1, 2].map((part) => sketchOf(values.filter((_, i) => i % 3 === part)).toData());
    const restored = new LatencySketch(sketchOf(values.slice(0, 1_000)).toData());
    for (const value of values.slice(1_000)) restored.add(value);
    assert.deepEqual(parts.reduce(mergeSketches, emptySketch), whole);
    assert.deepEqual(restored.toData(), whole);
    assert.equal(sketchCount(whole), 3_000);
  });

  it('stays within 4 KiB whatever comes, and takes what is out of range for the nearest in range', () => {
    const sketch = sketchOf([
      0,
      -5,
      1,
      Number.MAX_SAFE_INTEGER,
      ...Array.from({ length: 50_000 }, () => 10 ** (random() * 10)),
    ]);
    assert.ok(sketch.sizeBytes <= 4_096, String(sketch.sizeBytes));
    assert.equal(sketchCount(sketch.toData()), 50_004);
    assert.ok(quantile(sketch.toData(), 1) <= 10_800_000_000 * (1 + relativeError));
  });

  it('answers 0 of nothing', () => {
    assert.equal(quantile(emptySketch, 0.5), 0);
  });
});
