// Record batches (magic 2), written once, into memory of exactly their size.
//
//   RecordBatch: baseOffset i64 · batchLength i32 · partitionLeaderEpoch i32 · magic i8 · crc u32 ·
//                attributes i16 · lastOffsetDelta i32 · baseTimestamp i64 · maxTimestamp i64 ·
//                producerId i64 · producerEpoch i16 · baseSequence i32 · recordCount i32 · records (compressed or not)
//   Record:      length v · attributes i8 · timestampDelta v · offsetDelta v · key v+bytes · value v+bytes · headers v[…]
//   Header:      key v+bytes · value v+bytes
// v: zigzag varint. The crc (CRC-32C) is over everything from `attributes` on. Kafka's manual, section "Message Format".
//
// kafkajs's own encoder copies a record five times through buffers that double and are cleared: 10 µs per KiB.
import { crc32c } from '@node-rs/crc32';
import type { OutgoingRecord } from './port.ts';

export const batchHeaderBytes = 61;
const attributesAt = 21;
const noProducer = -1;

/** zigzag(n) for 32 bits, as an unsigned number. */
const zigzag = (value: number): number => ((value << 1) ^ (value >> 31)) >>> 0;

function varintBytes(value: number): number {
  let rest = zigzag(value);
  let bytes = 1;
  while (rest > 0x7f) {
    rest >>>= 7;
    bytes++;
  }
  return bytes;
}

function writeVarint(target: Buffer, at: number, value: number): number {
  let rest = zigzag(value);
  let next = at;
  while (rest > 0x7f) {
    target[next++] = (rest & 0x7f) | 0x80;
    rest >>>= 7;
  }
  target[next++] = rest;
  return next;
}

const lengthOf = (bytes: Uint8Array | string): number =>
  typeof bytes === 'string' ? Buffer.byteLength(bytes) : bytes.length;

/** zigzag varint of 64 bits; what fits into 32, as nearly all does, takes the short way. */
function longVarintBytes(value: number): number {
  if (value === (value | 0)) return varintBytes(value);
  let bytes = 1;
  for (let rest = zigzag64(value); rest > 0x7fn; rest >>= 7n) bytes++;
  return bytes;
}

function writeLongVarint(target: Buffer, at: number, value: number): number {
  if (value === (value | 0)) return writeVarint(target, at, value);
  let next = at;
  let rest = zigzag64(value);
  for (; rest > 0x7fn; rest >>= 7n) target[next++] = Number(rest & 0x7fn) | 0x80;
  target[next++] = Number(rest);
  return next;
}

const zigzag64 = (value: number): bigint => BigInt.asUintN(64, (BigInt(value) << 1n) ^ (BigInt(value) >> 63n));

const fieldBytes = (bytes: Uint8Array | string | null): number => {
  if (bytes === null) return 1;
  const length = lengthOf(bytes);
  return varintBytes(length) + length;
};

function writeField(target: Buffer, at: number, bytes: Uint8Array | string | null): number {
  if (bytes === null) return writeVarint(target, at, -1);
  const length = lengthOf(bytes);
  const from = writeVarint(target, at, length);
  if (typeof bytes === 'string') target.write(bytes, from, length, 'utf8');
  else target.set(bytes, from);
  return from + length;
}

/** Bytes of a record behind its length. */
function bodyBytes({ key, value, headers }: OutgoingRecord, offsetDelta: number, timestampDelta: number): number {
  let bytes = 1 + longVarintBytes(timestampDelta) + varintBytes(offsetDelta) + fieldBytes(key) + fieldBytes(value);
  if (headers === undefined) return bytes + 1;
  const names = Object.keys(headers);
  bytes += varintBytes(names.length);
  for (const name of names) bytes += fieldBytes(name) + fieldBytes(headers[name] as string);
  return bytes;
}

/** Bytes of the records part of a batch, uncompressed. `timestampMs`: the batch's, of records that bring none. */
export function recordsBytes(records: readonly OutgoingRecord[], timestampMs: number): number {
  let bytes = 0;
  for (let delta = 0; delta < records.length; delta++) {
    const record = records[delta] as OutgoingRecord;
    const body = bodyBytes(record, delta, (record.timestampMs ?? timestampMs) - timestampMs);
    bytes += varintBytes(body) + body;
  }
  return bytes;
}

/** Writes the records part; returns where it ends. `timestampMs`: the batch's, of records that bring none. */
export function writeRecords(
  target: Buffer,
  at: number,
  records: readonly OutgoingRecord[],
  timestampMs: number,
): number {
  let next = at;
  for (let delta = 0; delta < records.length; delta++) {
    const record = records[delta] as OutgoingRecord;
    const timestampDelta = (record.timestampMs ?? timestampMs) - timestampMs;
    next = writeVarint(target, next, bodyBytes(record, delta, timestampDelta));
    target[next++] = 0; // attributes: none are defined
    next = writeLongVarint(target, next, timestampDelta);
    next = writeVarint(target, next, delta);
    next = writeField(target, next, record.key);
    next = writeField(target, next, record.value);
    next = writeHeaders(target, next, record.headers);
  }
  return next;
}

function writeHeaders(target: Buffer, at: number, headers: OutgoingRecord['headers']): number {
  const names = headers === undefined ? [] : Object.keys(headers);
  let next = writeVarint(target, at, names.length);
  for (const name of names) {
    next = writeField(target, next, name);
    next = writeField(target, next, headers?.[name] ?? '');
  }
  return next;
}

export interface BatchHeader {
  readonly recordCount: number;
  readonly timestampMs: number;
  /** Of its records. */
  readonly maxTimestampMs: number;
  /** Codec number, 0 for none. */
  readonly compression: number;
}

/** Writes the header in front of a records part that ends at `end`. `at` is where the batch begins. */
export function writeBatchHeader(target: Buffer, at: number, end: number, header: BatchHeader): void {
  const timestamp = BigInt(header.timestampMs);
  target.writeBigInt64BE(0n, at);
  target.writeInt32BE(end - at - 12, at + 8);
  target.writeInt32BE(-1, at + 12);
  target.writeInt8(2, at + 16);
  target.writeInt16BE(header.compression, at + attributesAt);
  target.writeInt32BE(header.recordCount - 1, at + 23);
  target.writeBigInt64BE(timestamp, at + 27);
  target.writeBigInt64BE(BigInt(header.maxTimestampMs), at + 35);
  target.writeBigInt64BE(BigInt(noProducer), at + 43);
  target.writeInt16BE(noProducer, at + 51);
  target.writeInt32BE(noProducer, at + 53);
  target.writeInt32BE(header.recordCount, at + 57);
  target.writeUInt32BE(crc32c(target.subarray(at + attributesAt, end)), at + 17);
}
