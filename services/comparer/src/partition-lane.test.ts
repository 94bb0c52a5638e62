// The lane: a checkpoint covers only what is acknowledged, records are taken once, and verdicts without room hold the lane.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { IncomingRecord, OutgoingRecord } from '@mirrorstream/kafka';
import { neverBehind, tableOf } from './findings.fixture.ts';
import { PartitionLedger } from './ledger.ts';
import { PartitionLane } from './partition-lane.ts';

const record = (offset: bigint): IncomingRecord => ({
  offset,
  timestampMs: 0,
  key: null,
  value: Buffer.alloc(10),
  headers: {},
});

const verdict = (name: string): OutgoingRecord => ({ topic: 'verdicts', partition: 0, key: name, value: null });

function openLane() {
  const ledger = new PartitionLedger(
    { environment: 'default', mirror: 'm', partition: 0 },
    { maxEnded: 10, maxBytes: 10_000 },
    null,
    5n,
  );
  const lane = new PartitionLane(0, ledger, tableOf(0, 5n), neverBehind, 0);
  const epochs: number[] = [];
  const offer = () => {
    lane.offerAll((_, epoch) => {
      epochs.push(epoch);
      return true;
    });
  };
  /** Counts one record whose verdict goes out. */
  const count = (offset: bigint) => {
    lane.enqueue([record(offset)]);
    const taken = lane.take();
    assert.equal(taken?.offset, offset);
    ledger.nextOffset = offset + 1n;
    lane.publish([verdict(String(offset))]);
    offer();
  };
  return { lane, ledger, count, epochs };
}

describe('partition lane', () => {
  it('has a checkpoint ready only when the verdicts it covers are settled', () => {
    const { lane, count, epochs } = openLane();
    count(5n);
    lane.freeze(100, 1_000);
    assert.equal(lane.ready(), null);
    count(6n);
    lane.settle(epochs[0] as number);
    assert.equal(lane.ready()?.nextOffset, 6n);
    lane.published(110);
    assert.equal(lane.isSettled, false);
    lane.freeze(120, 1_000);
    assert.equal(lane.ready(), null);
    lane.settle(epochs[1] as number);
    assert.equal(lane.ready()?.nextOffset, 7n);
    lane.published(130);
    assert.equal(lane.isSettled, true);
  });

  it('is not held up by verdicts that came after the checkpoint was frozen', () => {
    const { lane, count, epochs } = openLane();
    count(5n);
    lane.freeze(100, 1_000);
    count(6n);
    count(7n);
    lane.settle(epochs[2] as number);
    assert.equal(lane.ready(), null);
    lane.settle(epochs[0] as number);
    assert.equal(lane.ready()?.nextOffset, 6n);
  });

  it('freezes nothing while a verdict has found no room', () => {
    const { lane, ledger } = openLane();
    lane.enqueue([record(5n), record(6n)]);
    lane.take();
    ledger.nextOffset = 6n;
    lane.publish([verdict('a'), verdict('b')]);
    let room = 1;
    lane.offerAll(() => room-- > 0);
    lane.freeze(100, 1_000);
    assert.equal(lane.ready(), null);
    assert.equal(lane.take(), null);
    assert.equal(lane.isBlocked, true);
    const offered: unknown[] = [];
    lane.offerAll((one) => {
      offered.push(one.key);
      return true;
    });
    assert.deepEqual(offered, ['b']);
    assert.equal(lane.take()?.offset, 6n);
  });

  it('takes no record twice that is delivered twice', () => {
    const { lane } = openLane();
    lane.enqueue([record(4n), record(5n), record(6n)]);
    lane.enqueue([record(5n), record(6n), record(7n)]);
    const offsets: bigint[] = [];
    for (let next = lane.take(); next !== null; next = lane.take()) offsets.push(next.offset);
    assert.deepEqual(offsets, [5n, 6n, 7n]);
    assert.equal(lane.queuedBytes, 0);
    assert.equal(lane.hasWork, false);
  });

  it('publishes again what did not change, but not often', () => {
    const { lane } = openLane();
    lane.freeze(900, 1_000);
    assert.equal(lane.ready(), null);
    lane.freeze(1_000, 1_000);
    assert.equal(lane.ready()?.nextOffset, 5n);
  });
});
