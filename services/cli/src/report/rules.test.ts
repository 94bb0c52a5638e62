import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { allMetrics, metricNamed } from './metrics.ts';
import { judgeRule, parseRule } from './rules.ts';
import { sources } from './sources.fixture.ts';

const judged = (text: string, over: Parameters<typeof sources>[0] = {}) => {
  const rule = parseRule(text);
  return judgeRule(rule, metricNamed(rule.metric)?.of(sources(over)) ?? null);
};

describe('rules', () => {
  it('hold or fail by the metric’s value, in its unit', () => {
    const expected: Readonly<Record<string, boolean>> = {
      'errors.new==0': false,
      'errors.new == 9': true,
      'errors.new!=9': false,
      'p95.regression<10%': false,
      'p95.regression<=1.5': true,
      'divergence.rate<0.1%': true,
      'divergence.rate<0.0009': false,
      'findings.real>=2': true,
      'schedule.p99<50ms': true,
      'behindSource<0.3s': false,
      'time.lost<5s': true,
      'transactions.failed<=30': true,
      'notCompared.rate<1%': true,
    };
    for (const [text, holds] of Object.entries(expected))
      assert.equal(judged(text).passed, holds, `${text}: ${judged(text).said}`);
  });

  it('leave noise and suppressions out, and keep what is undecided', () => {
    // 37 values, 9 new errors, 2 undecided; neither the 58 of noise nor the 37 that are suppressed.
    assert.equal(judged('divergence.count==48').passed, true);
    assert.equal(judged('findings.count==3').passed, true);
    assert.equal(judged('findings.breaks==2').passed, true);
  });

  it('fail where nothing is known', () => {
    const { statements, fidelity } = sources();
    const none = Object.fromEntries(Object.keys(statements).map((name) => [name, 0])) as typeof statements;
    for (const [text, over] of [
      ['divergence.rate<100%', { statements: none }],
      ['p95.regression<100%', { performance: [] }],
      ['schedule.p99<1h', { fidelity: { ...fidelity, scheduleLagMs: null } }],
    ] as const) {
      const result = judged(text, over);
      assert.deepEqual([result.passed, result.actual], [false, null], text);
      assert.match(result.said, /is not known/);
    }
  });

  it('say what is wrong with them', () => {
    const wrong: readonly (readonly [string, RegExp])[] = [
      ['', /is no rule/],
      ['errors.new', /is no rule/],
      ['errors.new=0', /is no rule/],
      ['error.new==0', /there is no metric "error.new"/],
      ['errors.new<1%', /is a number of things/],
      ['divergence.rate<5ms', /is a share/],
      ['behindSource<5', /is a duration/],
      ['constructor==1', /there is no metric/],
    ];
    for (const [text, message] of wrong) assert.throws(() => parseRule(text), { code: 'badInput', message }, text);
    assert.throws(() => parseRule('error.new==0'), { hint: 'Did you mean errors.new?' });
  });

  it('can be written for every metric there is', () => {
    const all = allMetrics();
    assert.equal(new Set(all.map(({ name }) => name)).size, all.length);
    for (const { name, unit, means, of } of all) {
      assert.equal(parseRule(`${name}<1${unit === 'ms' ? 's' : ''}`).metric, name);
      assert.ok(means.length > 5);
      const value = of(sources());
      assert.ok(value === null || Number.isFinite(value), name);
    }
  });
});
