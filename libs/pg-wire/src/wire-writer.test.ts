// The writer's own promises: growth, limit, ownership, unfinished frames.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { encodeFrontend } from './frontend.ts';
import { WireWriter } from './wire-writer.ts';

describe('wire writer', () => {
  it('grows to what is written and keeps what was there', () => {
    const writer = new WireWriter();
    const data = Buffer.alloc(100_000, 7);
    encodeFrontend({ kind: 'sync' }, writer);
    encodeFrontend({ kind: 'copyData', data }, writer);
    const bytes = Buffer.from(writer.take());
    assert.equal(bytes.length, 5 + 5 + data.length);
    assert.equal(bytes.subarray(0, 10).toString('hex'), '530000000464000186a4');
    assert.ok(bytes.subarray(10).equals(data));
  });
  it('refuses to grow above its limit and keeps the frames before', () => {
    const writer = new WireWriter({ maxBytes: 12 });
    encodeFrontend({ kind: 'sync' }, writer);
    assert.throws(() => encodeFrontend({ kind: 'query', query: 'SELECT 1' }, writer), /maxBytes/);
    encodeFrontend({ kind: 'flush' }, writer);
    assert.equal(writer.sizeBytes, 10);
  });
  it('take gives bytes that later writes do not touch; view does not copy', () => {
    const writer = new WireWriter();
    writer.byte(1);
    const taken = writer.take();
    writer.byte(2);
    const view = writer.view();
    writer.clear();
    writer.byte(3);
    assert.deepEqual([...taken], [1]);
    assert.deepEqual([...view], [3]);
  });
  it('a frame begun twice and an end without a beginning are bugs that are told', () => {
    const writer = new WireWriter();
    assert.throws(() => writer.endFrame(), /without beginFrame/);
    writer.beginFrame(0x51);
    assert.throws(() => writer.beginFrame(0x51), /not ended/);
  });
  it('numbers are signed or unsigned, and out of range is a RangeError', () => {
    const writer = new WireWriter();
    writer.int16(-1);
    writer.int16(65_535);
    writer.int32(-2);
    writer.int32(4_294_967_294);
    assert.equal(Buffer.from(writer.take()).toString('hex'), 'fffffffffffffffefffffffe');
    assert.throws(() => writer.int16(65_536), RangeError);
    assert.throws(() => writer.int32(-2_147_483_649), RangeError);
    assert.throws(() => writer.byte(256), RangeError);
    assert.throws(() => writer.count16(-1), RangeError);
    assert.throws(() => writer.int32(Number.NaN), RangeError);
  });
});
