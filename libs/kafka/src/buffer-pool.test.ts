import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { BufferPool } from './buffer-pool.ts';

describe('the buffer pool', () => {
  it('gives memory of at least the size asked for', () => {
    const pool = new BufferPool(1024 * 1024);
    for (const bytes of [0, 1, 8_192, 8_193, 100_000]) assert.ok(pool.take(bytes).length >= Math.max(1, bytes));
  });

  it('uses again what a view of it gave back, whole, and holds nothing meanwhile', () => {
    const pool = new BufferPool(1024 * 1024);
    const first = pool.take(20_000);
    pool.giveBack(first.subarray(512, 700));
    assert.equal(pool.heldBytes, first.length);
    const second = pool.take(17_000);
    assert.equal(second.buffer, first.buffer);
    assert.equal(second.length, first.length);
    assert.equal(pool.heldBytes, 0);
  });

  it('never gives the same memory to two, not even when it was given back twice', () => {
    const pool = new BufferPool(1024 * 1024);
    const taken = pool.take(10_000);
    pool.giveBack(taken);
    pool.giveBack(taken.subarray(3));
    assert.notEqual(pool.take(10_000).buffer, pool.take(10_000).buffer);
  });

  it('keeps no more than it may', () => {
    const pool = new BufferPool(16 * 1024);
    const taken = [pool.take(8_000), pool.take(8_000), pool.take(8_000), pool.take(100_000)];
    for (const buffer of taken) pool.giveBack(buffer);
    assert.equal(pool.heldBytes, 16 * 1024);
  });

  it("leaves memory that is not its own alone: Node's shared slab is no whole buffer", () => {
    const pool = new BufferPool(1024 * 1024);
    pool.giveBack(Buffer.from('a short string in the slab').subarray(2));
    pool.giveBack(new Uint8Array(100));
    pool.giveBack(new Uint8Array(8 * 1024)); // of the right size, but somebody else's
    assert.equal(pool.heldBytes, 0);
  });
});
