import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { seededRandom } from '@mirrorstream/testkit';
import { crc32c } from '@node-rs/crc32';
import { BufferPool } from './buffer-pool.ts';
import { kafkajsRequire } from './kafkajs-internals.ts';
import { kafkajs } from './patches.ts';
import type { Compression, OutgoingRecord, PartitionRecords } from './port.ts';
import { produceRequestBody } from './produce-request.ts';
import { batchHeaderBytes, recordsBytes, writeBatchHeader, writeRecords } from './record-batch.ts';

interface Decoded {
  readonly records: readonly {
    readonly offset: string;
    readonly timestamp: string;
    readonly key: Buffer | null;
    readonly value: Buffer | null;
    readonly headers: Record<string, Buffer>;
  }[];
}

/** kafkajs's decoder, the only other codec at hand. */
async function decode(batch: Buffer): Promise<Decoded> {
  kafkajs();
  const Decoder = kafkajsRequire('kafkajs/src/protocol/decoder') as new (bytes: Buffer) => object;
  const decodeBatch = kafkajsRequire('kafkajs/src/protocol/recordBatch/v0/decoder') as (
    decoder: object,
  ) => Promise<Decoded>;
  return decodeBatch(new Decoder(batch));
}

function randomRecords(seed: number): OutgoingRecord[] {
  const random = seededRandom(seed);
  const bytesOrNull = (max: number): Buffer | null =>
    random.next() < 0.2 ? null : random.bytes(random.integer(0, max));
  return Array.from({ length: random.integer(1, 200) }, () => ({
    topic: 't',
    partition: 0,
    key: random.next() < 0.3 ? `schlüssel-${random.integer(0, 99)}` : bytesOrNull(70),
    value: bytesOrNull(random.pick([0, 63, 64, 127, 128, 8_191, 8_192, 20_000])),
    ...(random.next() < 0.3 ? { timestampMs: random.pick([0, nowMs - 70, nowMs + 3 * 10 ** 9, nowMs * 2]) } : {}),
    ...(random.next() < 0.3
      ? { headers: { traceparent: `00-${seed}`, größe: 'ß'.repeat(random.integer(0, 80)) } }
      : {}),
  }));
}

const nowMs = 1_764_000_000_123;

describe('record batches', () => {
  it('are the bytes the manual says', () => {
    const records: OutgoingRecord[] = [
      { topic: 't', partition: 0, key: 'k', value: Buffer.from('v1') },
      { topic: 't', partition: 0, key: null, value: null, headers: { a: 'b' } },
    ];
    const batch = Buffer.alloc(batchHeaderBytes + recordsBytes(records, 1_000));
    const end = writeRecords(batch, batchHeaderBytes, records, 1_000);
    assert.equal(end, batch.length);
    writeBatchHeader(batch, 0, end, { recordCount: 2, timestampMs: 1_000, maxTimestampMs: 1_000, compression: 0 });
    const fields: readonly (readonly [string, string])[] = [
      ['base offset', '0000000000000000'],
      ['length', '00000046'],
      ['leader epoch', 'ffffffff'],
      ['magic', '02'],
      ['crc', crc32c(batch.subarray(21)).toString(16).padStart(8, '0')],
      ['attributes', '0000'],
      ['last offset delta', '00000001'],
      ['timestamps', '00000000000003e8'.repeat(2)],
      ['producer', `${'ff'.repeat(8)}ffffffffffff`],
      ['count', '00000002'],
      ['record 0', '12000000026b04763100'],
      ['record 1', '14000002010102026102' + '62'],
    ];
    assert.equal(batch.toString('hex'), fields.map(([, hex]) => hex).join(''));
  });

  it('come back from another decoder as they were, and fill their memory exactly', async () => {
    for (let seed = 1; seed <= 40; seed++) {
      const records = randomRecords(seed);
      const batch = Buffer.alloc(batchHeaderBytes + recordsBytes(records, nowMs));
      assert.equal(writeRecords(batch, batchHeaderBytes, records, nowMs), batch.length);
      writeBatchHeader(batch, 0, batch.length, {
        recordCount: records.length,
        timestampMs: nowMs,
        maxTimestampMs: nowMs,
        compression: 0,
      });
      const decoded = await decode(batch);
      assert.equal(decoded.records.length, records.length);
      for (const [at, { key, value, headers, timestampMs = nowMs }] of records.entries()) {
        const back = decoded.records[at];
        assert.equal(back?.offset, String(at));
        assert.equal(back?.timestamp, String(timestampMs));
        assert.deepEqual(back?.key, key === null ? null : Buffer.from(key));
        assert.deepEqual(back?.value, value);
        const texts = Object.entries(back?.headers ?? {}).map(([name, text]) => [name, text.toString()]);
        assert.deepEqual(Object.fromEntries(texts), headers ?? {});
      }
    }
  });

  for (const compression of ['none', 'gzip', 'zstd'] as const satisfies readonly Compression[]) {
    it(`stand in a request of their topics and partitions, compression ${compression}`, async () => {
      const parts: PartitionRecords[] = [
        { topic: 'a', partition: 3, records: randomRecords(1) },
        { topic: 'bé', partition: 0, records: randomRecords(2) },
        { topic: 'a', partition: 1, records: randomRecords(3) },
      ];
      const settings = { compression, timeoutMs: 1_234, timestampMs: 5 };
      const { buffer: body, roomInFront } = await produceRequestBody(parts, settings, new BufferPool(0));
      assert.ok(body.byteOffset >= roomInFront);
      assert.equal(body.subarray(0, 12).toString('hex'), 'ffffffff000004d200000002');
      let at = 12;
      const found: [string, number, number][] = [];
      for (let topics = 0; topics < 2; topics++) {
        const nameBytes = body.readInt16BE(at);
        const topic = body.toString('utf8', at + 2, at + 2 + nameBytes);
        at += 2 + nameBytes;
        const partitions = body.readInt32BE(at);
        at += 4;
        for (let each = 0; each < partitions; each++) {
          const partition = body.readInt32BE(at);
          const sizeBytes = body.readInt32BE(at + 4);
          const { records } = await decode(body.subarray(at + 8, at + 8 + sizeBytes));
          found.push([topic, partition, records.length]);
          at += 8 + sizeBytes;
        }
      }
      assert.equal(at, body.length);
      assert.deepEqual(found, [
        ['a', 3, parts[0]?.records.length],
        ['a', 1, parts[2]?.records.length],
        ['bé', 0, parts[1]?.records.length],
      ]);
    });
  }
});
