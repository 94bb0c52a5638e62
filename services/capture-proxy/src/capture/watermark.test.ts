// What a heartbeat promises is true: nothing that was done earlier comes later.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { watermarkOf } from './watermark.ts';

describe('the watermark of a worker', () => {
  it('is just before the last chunk when nothing is held: the next may bear the same microsecond', () => {
    assert.deepEqual(watermarkOf(1_000, 7, []), { monoUs: 999, doneSeq: 7 });
  });

  it('stays before the oldest completion that waits for the rest of its transaction', () => {
    const held = [
      { doneUs: 900, doneSeq: 6 },
      { doneUs: 400, doneSeq: 3 },
    ];
    assert.deepEqual(watermarkOf(1_000, 7, held), { monoUs: 399, doneSeq: 2 });
  });
});
