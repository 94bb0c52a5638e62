import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { nextPlanAtMs, planCost, planKey, planLines, planQuotaMs, planShape, type StoredPlan } from './plan.ts';

const tree = (cost: number, index: string) => [
  {
    Plan: {
      'Node Type': 'Limit',
      'Total Cost': cost,
      'Plan Rows': 1,
      'Plan Width': 8,
      Plans: [
        {
          'Node Type': 'Index Scan',
          'Index Name': index,
          'Relation Name': 'item',
          'Total Cost': 1,
          'Index Cond': "(name = 'secret')",
        },
      ],
    },
  },
];
const stored = (atMs: number, side: 'mirror' | 'source' = 'mirror', plan: unknown = tree(1, 'a')): StoredPlan => ({
  schema: 'mirrorstream.plan/1',
  fingerprint: 'f',
  side,
  atMs,
  envelope: '0:1:0',
  serverVersion: 'PostgreSQL 18',
  normalizedSql: 'SELECT 1',
  plan,
});

describe('stored plans', () => {
  it('are two per statement and side in a quarter of an hour', () => {
    const nowMs = 10 * planQuotaMs;
    assert.equal(nextPlanAtMs([], 'f', 'mirror', nowMs), null);
    assert.equal(nextPlanAtMs([stored(nowMs - 10)], 'f', 'mirror', nowMs), null);
    const two = [stored(nowMs - 10), stored(nowMs - 20)];
    assert.equal(nextPlanAtMs(two, 'f', 'mirror', nowMs), nowMs - 20 + planQuotaMs);
    assert.equal(nextPlanAtMs(two, 'f', 'source', nowMs), null);
    assert.equal(nextPlanAtMs(two, 'g', 'mirror', nowMs), null);
    assert.equal(nextPlanAtMs([stored(nowMs - 10), stored(nowMs - planQuotaMs)], 'f', 'mirror', nowMs), null);
  });

  it('take each other’s places', () => {
    assert.equal(planKey([], 'f', 'mirror'), 'f/mirror/0');
    assert.equal(planKey([stored(1)], 'f', 'mirror'), 'f/mirror/1');
    assert.equal(planKey([stored(1), stored(2, 'source')], 'f', 'source'), 'f/source/1');
  });

  it('are told as a tree, conditions only where values may be shown', () => {
    assert.deepEqual(planLines(stored(1), false), [
      'Limit  (cost 1, rows 1, width 8)',
      '  Index Scan on item using a  (cost 1, rows ?, width ?)',
    ]);
    assert.match(planLines(stored(1), true).join('\n'), /Index Cond: \(name = 'secret'\)/);
    assert.equal(planCost(stored(1)), 1);
    assert.equal(planCost(stored(1, 'mirror', 'nonsense')), null);
    assert.deepEqual(planLines(stored(1, 'mirror', { Plan: 7 }), true), []);
  });

  it('have one shape whatever they cost', () => {
    assert.equal(planShape(stored(1, 'mirror', tree(1, 'a'))), planShape(stored(2, 'source', tree(900, 'a'))));
    assert.notEqual(planShape(stored(1, 'mirror', tree(1, 'a'))), planShape(stored(2, 'source', tree(1, 'b'))));
  });
});
