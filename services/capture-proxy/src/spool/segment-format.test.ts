// A segment gives back exactly the records that were completed, whatever happened to its end.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { seededRandom } from '@mirrorstream/testkit';
import { decodeFrames, encodeFrame, frameBytes, type SpoolRecord } from './segment-format.ts';

const record = (number: number, valueBytes: number, key: string | null = 'session'): SpoolRecord => ({
  topic: 'shop.envelopes',
  partition: number % 7,
  key,
  value: Buffer.alloc(valueBytes, number),
  headers: { transactions: '3', schema: '1', incarnation: 'größe', record: String(number) },
  number,
  transactions: 3,
  exchanges: 9,
  sizeBytes: valueBytes,
});

const encoded = (records: readonly SpoolRecord[]): Buffer => Buffer.concat(records.flatMap((one) => encodeFrame(one)));
const plain = (records: readonly SpoolRecord[]) =>
  records.map((one) => ({ ...one, value: Buffer.from(one.value).toString('hex') }));

describe('the segment format', () => {
  it('gives back what was written: empty values, no key, large numbers', () => {
    const records = [record(1, 0), record(2, 100, null), record(2 ** 40, 70_000, ''), record(3, 1)];
    const bytes = encoded(records);
    const decoded = decodeFrames(bytes);
    assert.deepEqual(plain(decoded.records), plain(records));
    assert.deepEqual([decoded.consumed, decoded.rest], [bytes.length, 'more']);
    assert.equal(
      bytes.length,
      records.reduce((sum, one) => sum + frameBytes(one), 0),
    );
  });

  it('cut at every byte, gives the whole frames before the cut and how long the next one is', () => {
    const records = [record(1, 5), record(2, 40), record(3, 0)];
    const bytes = encoded(records);
    for (let cut = 0; cut <= bytes.length; cut++) {
      const { records: found, consumed, rest, wantedBytes } = decodeFrames(bytes.subarray(0, cut));
      let whole = 0;
      let end = 0;
      while (whole < records.length && end + frameBytes(records[whole] as SpoolRecord) <= cut)
        end += frameBytes(records[whole++] as SpoolRecord);
      assert.deepEqual([found.length, consumed, rest], [whole, end, 'more'], `cut at ${cut}`);
      if (cut - end >= 8) assert.equal(wantedBytes, frameBytes(records[whole] as SpoolRecord));
    }
  });

  it('with any one byte changed, never gives a changed record', () => {
    const records = [record(1, 30), record(2, 30), record(3, 30)];
    const bytes = encoded(records);
    const random = seededRandom(11);
    for (let at = 0; at < bytes.length; at++) {
      const damaged = Buffer.from(bytes);
      damaged[at] = (damaged[at] as number) ^ random.integer(1, 255);
      const found = plain(decodeFrames(damaged).records);
      assert.deepEqual(found, plain(records).slice(0, found.length), `byte ${at}`);
      assert.ok(found.length < records.length);
    }
  });

  it('ends at zeros, which is what a file system leaves of a lost tail', () => {
    const bytes = Buffer.concat([encoded([record(1, 10)]), Buffer.alloc(4096)]);
    const decoded = decodeFrames(bytes);
    assert.deepEqual([decoded.records.length, decoded.rest], [1, 'invalid']);
  });
});
