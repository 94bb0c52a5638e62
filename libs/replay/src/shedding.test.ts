// The stages of shedding: when they begin, how far they go, and that nothing flutters at a threshold.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { neverShed, type ShedSettings } from '@mirrorstream/domain';
import { mayShed, nextShedding, notShedding, type SheddingState } from './shedding.ts';

const settings: ShedSettings = {
  ...neverShed,
  ...{ readsBehindMs: 1_000, sessionsBehindMs: 4_000, skipBehindMs: 20_000 },
  ...{ readsQueueBytes: 100, sessionsQueueBytes: 400 },
  stepMs: 500,
};

/** One look every 100 ms; what changed, in words. */
function watch(lags: readonly (number | { readonly queueBytes: number })[], given = settings): string[] {
  let state: SheddingState = notShedding;
  const said: string[] = [];
  lags.forEach((lag, at) => {
    const before = state;
    const both = typeof lag === 'number' ? { behindMs: lag, queueBytes: 0 } : { behindMs: 0, ...lag };
    state = nextShedding(state, both, given, at * 100);
    if (state !== before) said.push(`${at * 100} ${state.stage} ${state.share} ${state.cause}`);
  });
  return said;
}

const times = (count: number, lag: number): number[] => new Array<number>(count).fill(lag);

describe('shedding', () => {
  it('is off without thresholds, however far behind', () => {
    assert.equal(mayShed(neverShed), false);
    assert.deepEqual(watch([1e9, { queueBytes: 1e12 }], neverShed), []);
  });

  it('begins at a threshold, ends below half of it, and does not flutter between the two', () => {
    assert.deepEqual(watch([999, 1_000, 999, 500, 1_000, 501, 499, 999]), [
      '100 reads 0 behindSource',
      '600 none 0 behindSource',
    ]);
  });

  it('is held by either measure, and says which', () => {
    assert.deepEqual(watch([{ queueBytes: 99 }, { queueBytes: 100 }, 600, { queueBytes: 60 }, { queueBytes: 49 }]), [
      '100 reads 0 queueBytes',
      '200 reads 0 behindSource',
      '300 reads 0 queueBytes',
      '400 none 0 behindSource',
    ]);
  });

  it('sheds a quarter of the sessions, more with each step, and lets them come back as gradually', () => {
    assert.deepEqual(watch([...times(17, 5_000), ...times(5, 2_500), ...times(20, 1_500), ...times(3, 100)]), [
      '0 sessions 0.25 behindSource',
      '500 sessions 0.5 behindSource',
      '1000 sessions 0.75 behindSource',
      '1500 sessions 1 behindSource',
      '2200 sessions 0.75 behindSource',
      '2700 sessions 0.5 behindSource',
      '3200 sessions 0.25 behindSource',
      '3700 reads 0 behindSource',
      '4200 none 0 behindSource',
    ]);
  });

  it('goes to the highest stage at once, and from skipping straight back when it has caught up', () => {
    assert.deepEqual(watch([30_000, 15_000, 10_000, 9_999]), [
      '0 skip 0.25 behindSource',
      '300 sessions 0.25 behindSource',
    ]);
    assert.deepEqual(watch([30_000, 0]), ['0 skip 0.25 behindSource', '100 none 0 behindSource']);
  });

  it('skips to the moment of the last look at which it was still too far behind', () => {
    let state = nextShedding(notShedding, { behindMs: 30_000, queueBytes: 0 }, settings, 1_000);
    assert.equal(state.skipBeforeUs, 1_000_000);
    state = nextShedding(state, { behindMs: 20_000, queueBytes: 0 }, settings, 2_000);
    assert.equal(state.skipBeforeUs, 2_000_000);
    state = nextShedding(state, { behindMs: 15_000, queueBytes: 0 }, settings, 3_000);
    assert.equal(state.skipBeforeUs, 2_000_000);
  });

  it('passes over stages without a threshold', () => {
    const skipOnly = { ...neverShed, skipBehindMs: 1_000 };
    assert.deepEqual(watch([1_000, 0], skipOnly), ['0 skip 0 behindSource', '100 none 0 behindSource']);
  });
});
