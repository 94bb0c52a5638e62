import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { OffsetTracker } from './offset-tracker.ts';

/** mulberry32: the same numbers everywhere. */
function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

describe('offset tracker', () => {
  it('commits the oldest unresolved record, and the next to be delivered when there is none', () => {
    const tracker = new OffsetTracker(10n);
    assert.deepEqual(tracker.commitPoint(0n), { offset: 10n, resultsFrom: 0n });
    tracker.deliver(10n, 2, 1, 5n);
    tracker.deliver(11n, 0, 2, 5n);
    tracker.deliver(12n, 1, 3, 6n);
    tracker.resolve(12n);
    tracker.resolve(10n);
    assert.deepEqual(tracker.commitPoint(9n), { offset: 10n, resultsFrom: 5n });
    tracker.resolve(10n);
    assert.deepEqual(tracker.commitPoint(9n), { offset: 13n, resultsFrom: 9n });
    assert.equal(tracker.unresolvedRecords, 0);
  });

  it('refuses what was delivered before, and skips offsets that the log does not have', () => {
    const tracker = new OffsetTracker(5n);
    assert.equal(tracker.deliver(4n, 1, 0, 0n), false);
    assert.equal(tracker.deliver(7n, 1, 0, 0n), true);
    assert.equal(tracker.deliver(7n, 1, 0, 0n), false);
    assert.equal(tracker.commitPoint(0n).offset, 7n);
  });

  it('says how old the oldest record with work to do is, not one that is only held', () => {
    const tracker = new OffsetTracker(0n);
    assert.equal(tracker.oldestCapturedAtMs(), null);
    tracker.deliver(0n, 1, 100, 0n);
    tracker.deliver(1n, 1, 200, 0n);
    tracker.hold(0n);
    assert.equal(tracker.oldestCapturedAtMs(), 200);
    assert.equal(tracker.commitPoint(0n).offset, 0n);
    tracker.resolve(1n);
    assert.equal(tracker.oldestCapturedAtMs(), null);
    tracker.resolve(0n);
    assert.equal(tracker.commitPoint(0n).offset, 2n);
  });

  it('keeps the results of earlier owners in reach until all they were about is behind the commit', () => {
    const tracker = new OffsetTracker(3n, { upTo: 5n, resultsFrom: 40n });
    assert.deepEqual(tracker.commitPoint(90n), { offset: 3n, resultsFrom: 40n });
    tracker.deliver(3n, 1, 0, 90n);
    tracker.deliver(4n, 0, 0, 90n);
    tracker.resolve(3n);
    assert.deepEqual(tracker.commitPoint(91n), { offset: 5n, resultsFrom: 40n });
    tracker.deliver(5n, 0, 0, 91n);
    assert.deepEqual(tracker.commitPoint(91n), { offset: 6n, resultsFrom: 91n });
  });

  it('commits at every moment what a model of all units says, for seeded orders of resolving', () => {
    for (let seed = 1; seed <= 50; seed++) {
      const random = seeded(seed);
      const tracker = new OffsetTracker(0n);
      const open: bigint[] = [];
      let next = 0n;
      for (let step = 0; step < 300; step++) {
        if (random() < 0.5 || open.length === 0) {
          const units = Math.floor(random() * 4);
          tracker.deliver(next, units, Number(next), next * 2n);
          for (let unit = 0; unit < units; unit++) open.push(next);
          next += 1n;
        } else {
          const [offset] = open.splice(Math.floor(random() * open.length), 1);
          tracker.resolve(offset as bigint);
        }
        const oldest = open.toSorted((a, b) => Number(a - b))[0] ?? next;
        const resultsFrom = oldest === next ? 7777n : oldest * 2n;
        assert.deepEqual(tracker.commitPoint(7777n), { offset: oldest, resultsFrom });
        assert.equal(tracker.unresolvedUnits, open.length);
        assert.equal(tracker.unresolvedRecords, new Set(open).size);
      }
    }
  });

  it('tells what only waits for the rest of a transaction from what is still to be done', () => {
    const tracker = new OffsetTracker(0n);
    assert.equal(tracker.onlyHeld, true);
    tracker.deliver(0n, 1, 0, 0n);
    tracker.deliver(1n, 1, 0, 0n);
    tracker.hold(0n);
    assert.equal(tracker.onlyHeld, false);
    tracker.resolve(1n);
    assert.equal(tracker.onlyHeld, true);
    assert.equal(tracker.commitPoint(0n).offset, 0n);
  });
});
