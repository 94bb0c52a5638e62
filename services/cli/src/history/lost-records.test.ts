import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { LostRecordsWatch } from './lost-records.ts';

const log = (partition: number, low: bigint) => ({ partition, low, high: 1000n });
const watch = () => new LostRecordsWatch({ 0: { from: '10', to: '50' }, 1: { from: '5', to: '5' } });

describe('what retention takes from a window that is played', () => {
  it('is nothing while the log begins before what the run has come to', () => {
    const it = watch();
    it.look([log(0, 0n), log(1, 900n), log(2, 900n)], new Map());
    it.look([log(0, 10n), log(1, 900n)], new Map([[0, 30n]]));
    it.look([log(0, 30n)], new Map([[0, 50n]]));
    it.look([log(0, 999n)], new Map([[0, 50n]]));
    assert.deepEqual(it.lost, []);
  });

  it('is what lay between the run and the log, even if the run has gone on behind it since the last look', () => {
    const it = watch();
    it.look([log(0, 0n)], new Map([[0, 20n]]));
    it.look([log(0, 40n)], new Map([[0, 45n]]));
    assert.deepEqual(it.lost, [{ partition: 0, reached: 20n, leftFrom: 40n }]);
    it.look([log(0, 49n)], new Map([[0, 45n]]));
    it.look([log(0, 700n)], new Map([[0, 49n]]));
    assert.deepEqual(it.lost, [{ partition: 0, reached: 20n, leftFrom: 700n }]);
  });

  it('begins at the window where nothing was committed yet', () => {
    const it = watch();
    it.look([log(0, 11n)], new Map());
    assert.deepEqual(it.lost, [{ partition: 0, reached: 10n, leftFrom: 11n }]);
  });
});
