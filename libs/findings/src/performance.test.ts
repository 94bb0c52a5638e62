// Regressions: planted ones are found, none is found where there is none, and what replay itself costs is taken off.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { aggregateOf, normal, seeded, seen, shape } from './aggregate.fixture.ts';
import { GrowingAggregate } from './aggregate.ts';
import type { Aggregate } from './model.ts';
import { improvementsIn, performanceOf, regressionsIn } from './performance.ts';

/** Calls around `baseUs`, spread by half an order of magnitude, on both sides alike but for `factor`. */
function timed(fingerprint: string, n: number, baseUs: number, factor: number, random: () => number): Aggregate {
  const growing = new GrowingAggregate(fingerprint, shape);
  for (let i = 0; i < n; i++) {
    const captured = baseUs * Math.exp(0.6 * normal(random));
    const replayed = captured * factor * Math.exp(0.3 * normal(random));
    growing.add(seen('match', { latencyUs: { captured: Math.round(captured), replayed: Math.round(replayed) } }));
  }
  return growing.toData();
}

const none: ReadonlyMap<string, Aggregate> = new Map();

describe('performance', () => {
  it('finds planted regressions and improvements, ranks them by the time they come to in all, and nothing else', () => {
    const random = seeded(21);
    const entries = performanceOf(
      [
        timed('a'.repeat(16), 100, 10_000, 2, random), // 1 s in all
        timed('b'.repeat(16), 5_000, 1_000, 1.5, random), // 2.5 s in all
        timed('c'.repeat(16), 2_000, 1_000, 1, random),
        timed('d'.repeat(16), 300, 20_000, 0.5, random),
        timed('e'.repeat(16), 14, 1_000, 5, random),
      ],
      none,
    );
    assert.deepEqual(
      regressionsIn(entries).map(({ fingerprint }) => fingerprint[0]),
      ['b', 'a'],
    );
    assert.deepEqual(
      improvementsIn(entries).map(({ fingerprint }) => fingerprint[0]),
      ['d'],
    );
    const decisions = new Map(entries.map(({ fingerprint, decision }) => [fingerprint[0], decision]));
    assert.equal(decisions.get('c'), 'same');
    assert.equal(decisions.get('e'), 'tooFew');
    const [slowest] = regressionsIn(entries);
    assert.ok(slowest !== undefined && slowest.ratio.low < 1.5 && 1.5 < slowest.ratio.high);
    assert.ok(Math.abs(slowest.totalLostUs - slowest.differenceUs.value * 5_000) < 1);
    assert.ok(slowest.replayed.p95Us > slowest.captured.p95Us);
  });

  it('calls a shape that is as fast as before slower in less than 1 % of cases', () => {
    const random = seeded(22);
    let wrong = 0;
    const cases = 1_500;
    for (let i = 0; i < cases; i++) {
      const n = 15 + Math.floor(random() * 60);
      const [entry] = performanceOf([timed('a'.repeat(16), n, 1_000, 1, random)], none);
      if (entry?.decision === 'regression') wrong += 1;
    }
    assert.ok(wrong / cases < 0.01, String(wrong / cases));
  });

  it('takes off what the control mirror shows: replay that is slower everywhere is no regression', () => {
    const random = seeded(23);
    const [a, b] = ['a'.repeat(16), 'b'.repeat(16)];
    const control = new Map([a, b].map((name) => [name, timed(name, 2_000, 1_000, 1.6, random)]));
    const entries = performanceOf([timed(a, 2_000, 1_000, 1.6, random), timed(b, 2_000, 1_000, 3.2, random)], control);
    const found = new Map(entries.map((entry) => [entry.fingerprint, entry]));
    assert.equal(found.get(a)?.decision, 'same');
    assert.equal(found.get(b)?.decision, 'regression');
    const net = found.get(b)?.netRatio;
    assert.ok(net !== undefined && net.low < 2 && 2 < net.high, JSON.stringify(net));
    assert.match(found.get(b)?.why ?? '', /beside the control mirror/);
  });

  it('leaves errors and what was not answered out of the times, and says nothing of a shape without any', () => {
    assert.deepEqual(performanceOf([aggregateOf([[20, seen('errorNew', { errorReplayed: '42P01' })]])], none), []);
  });
});
