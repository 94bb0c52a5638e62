import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type Filters, noFilters } from '@mirrorstream/domain';
import { decideSession, type ReplayPolicy } from './policy.ts';

const all: ReplayPolicy = { exposure: 1, filters: noFilters };
const facts = { database: 'shop', user: 'app', application: 'web', samplingDraw: 0.3 };

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
    const decide = (filters: Partial<Filters>) =>
      decideSession(facts, { exposure: 1, filters: { ...noFilters, ...filters } });
    assert.deepEqual(decide({ excludeDatabases: ['shop'] }), { kind: 'filtered', reason: 'database' });
    assert.deepEqual(decide({ includeDatabases: ['other'] }), { kind: 'filtered', reason: 'database' });
    assert.deepEqual(decide({ includeDatabases: ['shop'], excludeDatabases: ['shop'] }).kind, 'filtered');
    assert.deepEqual(decide({ excludeUsers: ['app'] }), { kind: 'filtered', reason: 'user' });
    assert.deepEqual(decide({ excludeApplications: ['web'] }), { kind: 'filtered', reason: 'application' });
    assert.deepEqual(decide({ includeApplications: ['batch'] }), { kind: 'filtered', reason: 'application' });
    assert.deepEqual(decide({ includeUsers: ['app'], includeDatabases: ['shop'] }), { kind: 'replay' });
  });

  it('counts a filtered session as filtered whatever its draw', () => {
    assert.equal(
      decideSession(facts, { exposure: 0, filters: { ...noFilters, excludeUsers: ['app'] } }).kind,
      'filtered',
    );
  });
});
