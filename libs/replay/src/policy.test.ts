import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { decideSession, type ReplayPolicy } from './policy.ts';

const all: ReplayPolicy = {
  exposure: 1,
  includeDatabases: [],
  excludeDatabases: [],
  includeUsers: [],
  excludeUsers: [],
};
const facts = { database: 'shop', user: 'app', samplingDraw: 0.3 };

describe('policy', () => {
  it('plays everything by default and nothing at exposure 0', () => {
    assert.deepEqual(decideSession(facts, all), { kind: 'replay' });
    assert.deepEqual(decideSession({ ...facts, samplingDraw: 0.999999 }, all), { kind: 'replay' });
    assert.deepEqual(decideSession({ ...facts, samplingDraw: 0 }, { ...all, exposure: 0 }), { kind: 'unexposed' });
  });

  it('only adds sessions when exposure grows', () => {
    for (let draw = 0; draw < 1; draw += 0.01) {
      let played = false;
      for (const exposure of [0.05, 0.1, 0.5, 1]) {
        const plays = decideSession({ ...facts, samplingDraw: draw }, { ...all, exposure }).kind === 'replay';
        assert.ok(plays || !played);
        played = plays;
      }
    }
  });

  it('names the filter that kept a session out; exclusion wins over inclusion', () => {
    const decide = (policy: Partial<ReplayPolicy>) => decideSession(facts, { ...all, ...policy });
    assert.deepEqual(decide({ excludeDatabases: ['shop'] }), { kind: 'filtered', reason: 'database' });
    assert.deepEqual(decide({ includeDatabases: ['other'] }), { kind: 'filtered', reason: 'database' });
    assert.deepEqual(decide({ includeDatabases: ['shop'], excludeDatabases: ['shop'] }).kind, 'filtered');
    assert.deepEqual(decide({ excludeUsers: ['app'] }), { kind: 'filtered', reason: 'user' });
    assert.deepEqual(decide({ includeUsers: ['app'], includeDatabases: ['shop'] }), { kind: 'replay' });
  });

  it('counts a filtered session as filtered whatever its draw', () => {
    assert.equal(decideSession(facts, { ...all, exposure: 0, excludeUsers: ['app'] }).kind, 'filtered');
  });
});
