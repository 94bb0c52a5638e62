// The noise rule on simulated mirrors: how often it cries wolf, how often it misses, how often it calls a regression noise.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { seeded } from './aggregate.fixture.ts';
import type { Decision } from './model.ts';
import { decide, percentOf } from './noise.ts';

/** Of `cases` pairs of a mirror and a control with these true rates and sizes: the share of each decision. */
function simulate(
  raw: number,
  noise: number,
  n: number,
  m: number,
  seed: number,
  cases = 1_500,
): Record<Decision, number> {
  const random = seeded(seed);
  const draw = (size: number, p: number): number => {
    let count = 0;
    for (let i = 0; i < size; i++) if (random() < p) count += 1;
    return count;
  };
  const shares = { real: 0, noise: 0, undecided: 0 };
  for (let i = 0; i < cases; i++) {
    const [a, b] = [draw(n, raw), draw(m, noise)];
    if (a > 0) shares[decide({ count: a, compared: n }, { count: b, compared: m }).decision] += 1 / cases;
    else shares.undecided += 1 / cases;
  }
  return shares;
}

const say = (name: string, shares: Record<Decision, number>) =>
  `${name}: real ${percentOf(shares.real)}, noise ${percentOf(shares.noise)}, undecided ${percentOf(shares.undecided)}`;

describe('the noise rule', () => {
  it('calls pure noise real in less than 1 % of cases, whatever its rate and the number of calls', (test) => {
    for (const [i, [rate, n, m]] of (
      [
        [0.03, 1_000, 1_000],
        [0.03, 300, 3_000],
        [0.3, 200, 200],
        [0.001, 5_000, 5_000],
        [0.01, 60, 40],
      ] as const
    ).entries()) {
      const shares = simulate(rate, rate, n, m, 100 + i);
      test.diagnostic(say(`noise ${percentOf(rate)}, n = ${n} / ${m}`, shares));
      // 0.5 % on this side of the interval, and 3 σ of it over 1 500 cases.
      assert.ok(shares.real <= 0.005 + 0.0055, say('pure noise', shares));
    }
  });

  it('recognises noise as such where there are enough calls', (test) => {
    for (const [i, [rate, n, least]] of (
      [
        [0.03, 3_000, 0.9],
        [0.3, 300, 0.9],
        [0.01, 10_000, 0.9],
      ] as const
    ).entries()) {
      const shares = simulate(rate, rate, n, n, 200 + i, 600);
      test.diagnostic(say(`noise ${percentOf(rate)}, n = ${n}`, shares));
      assert.ok(shares.noise >= least, say('noise', shares));
    }
  });

  it('finds what is really more, and calls it noise hardly ever', (test) => {
    for (const [i, [raw, noise, n, least]] of (
      [
        [0.06, 0.02, 1_000, 0.9], // three times the noise
        [0.05, 0, 200, 0.5], // a few in two hundred, and never on the control
        [1, 0, 30, 1], // always
        [0.5, 0.25, 200, 0.95],
        [0.003, 0, 5_000, 0.9], // rare, but only here
      ] as const
    ).entries()) {
      const shares = simulate(raw, noise, n, n, 300 + i, 600);
      test.diagnostic(say(`raw ${percentOf(raw)}, noise ${percentOf(noise)}, n = ${n}`, shares));
      assert.ok(shares.real >= least, say('a regression', shares));
      assert.ok(shares.noise <= 0.01, say('a regression called noise', shares));
    }
  });

  it('decides nothing without a control, or with too few statements there, and says so', () => {
    const alone = decide({ count: 100, compared: 100 }, null);
    assert.equal(alone.decision, 'undecided');
    assert.equal(alone.noise, null);
    assert.match(alone.why, /no control mirror/);
    const few = decide({ count: 100, compared: 100 }, { count: 0, compared: 29 });
    assert.equal(few.decision, 'undecided');
    assert.match(few.why, /too few on the control/);
    assert.equal(decide({ count: 100, compared: 100 }, { count: 0, compared: 30 }).decision, 'real');
  });

  it('leaves out what does not matter: less than 0.03 % of all, or within a fifth of the noise', () => {
    assert.notEqual(decide({ count: 200, compared: 1_000_000 }, { count: 0, compared: 1_000_000 }).decision, 'real');
    assert.equal(decide({ count: 400, compared: 1_000_000 }, { count: 0, compared: 1_000_000 }).decision, 'real');
    // 1.4 times the noise, known exactly: (14 − 10) / (14 + 10) = 17 %.
    assert.equal(
      decide({ count: 140_000, compared: 1_000_000 }, { count: 100_000, compared: 1_000_000 }).decision,
      'noise',
    );
    assert.equal(
      decide({ count: 160_000, compared: 1_000_000 }, { count: 100_000, compared: 1_000_000 }).decision,
      'real',
    );
  });

  it('says rates, noise and numbers with the decision', () => {
    const { why } = decide({ count: 31, compared: 1_000 }, { count: 29, compared: 1_000 });
    assert.match(why, /^raw 3\.1 % \[2\.0 %, 4\.8 %\], noise 2\.9 % \[1\.8 %, 4\.6 %\], n = 1000 \/ 1000: /);
  });
});
