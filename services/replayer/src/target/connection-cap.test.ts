// The number of connections a mirror is asked for, after it had no more to give.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { ConnectionCap } from './connection-cap.ts';

const options = { maxConnections: 10, regrowMinMs: 100, regrowMaxMs: 300 };

describe('connection cap', () => {
  it('is what is configured until the mirror refuses one, then what was open', () => {
    const cap = new ConnectionCap(options);
    assert.equal(cap.limit(0), 10);
    assert.equal(cap.growsAtMs(0), Number.POSITIVE_INFINITY);
    cap.refused(4, 0);
    assert.equal(cap.limit(0), 4);
    cap.refused(3, 1);
    assert.equal(cap.limit(1), 3);
    assert.equal(cap.growsAtMs(1), 100);
  });

  it('tries one more after a while, and waits longer each time that is refused, up to a bound', () => {
    const cap = new ConnectionCap(options);
    const waits: number[] = [];
    let nowMs = 0;
    for (let i = 0; i < 4; i++) {
      cap.refused(4, nowMs);
      const growsAtMs = cap.growsAtMs(nowMs);
      waits.push(growsAtMs - nowMs);
      nowMs = growsAtMs;
      assert.equal(cap.limit(nowMs), 5);
    }
    assert.deepEqual(waits, [100, 200, 300, 300]);
  });

  it('grows one by one while the mirror gives, and forgets at the cap', () => {
    const cap = new ConnectionCap({ ...options, maxConnections: 6 });
    cap.refused(4, 0);
    cap.opened(4, 10);
    assert.equal(cap.limit(50), 4);
    cap.opened(5, 100);
    assert.equal(cap.limit(100), 5);
    assert.equal(cap.limit(200), 6);
    cap.opened(6, 200);
    assert.equal(cap.limit(201), 6);
    assert.equal(cap.growsAtMs(201), Number.POSITIVE_INFINITY);
  });

  it('never falls below one', () => {
    const cap = new ConnectionCap(options);
    cap.refused(0, 0);
    assert.equal(cap.limit(0), 1);
  });
});
