// The body of a Produce request (versions 3 to 7), compressed where wanted.
//
//   transactionalId string? · acks i16 · timeoutMs i32 · [topic string · [partition i32 · batch i32+bytes]]
import { promisify } from 'node:util';
import { gzip } from 'node:zlib';
import type { BufferPool } from './buffer-pool.ts';
import type { Compression, OutgoingRecord, PartitionRecords } from './port.ts';
import { batchHeaderBytes, recordsBytes, writeBatchHeader, writeRecords } from './record-batch.ts';
import { compressZstd } from './zstd.ts';

const codecs: Readonly<Record<Compression, number>> = { none: 0, gzip: 1, zstd: 4 };
const gzipped = promisify(gzip);
/** For the wire, not for the archive. */
const gzipOptions = { level: 1 };

/** Room left in front of the body for the frame round the request: its fixed fields and a client id of any sensible length. */
const frameRoomBytes = 512;

/** A request's body, in memory that has `roomInFront` unused bytes before it. */
export interface RequestBody {
  readonly buffer: Buffer;
  readonly roomInFront: number;
}

export interface ProduceSettings {
  readonly compression: Compression;
  readonly timeoutMs: number;
  readonly timestampMs: number;
}

interface Section extends PartitionRecords {
  /** Base of the batch; records that bring none of their own have it. */
  readonly timestampMs: number;
  readonly compressed: Buffer | undefined;
  readonly sizeBytes: number;
}

/** Written once, into memory of the pool: whoever has the answer gives `buffer` back. */
export async function produceRequestBody(
  parts: readonly PartitionRecords[],
  settings: ProduceSettings,
  pool: BufferPool,
): Promise<RequestBody> {
  const sections = await Promise.all(parts.map((part) => prepare(part, settings)));
  const topics = new Map<string, Section[]>();
  let sizeBytes = 2 + 2 + 4 + 4;
  for (const section of sections) {
    const sharing = topics.get(section.topic);
    if (sharing === undefined) {
      topics.set(section.topic, [section]);
      sizeBytes += 2 + Buffer.byteLength(section.topic) + 4;
    } else sharing.push(section);
    sizeBytes += 4 + 4 + batchHeaderBytes + section.sizeBytes;
  }
  const body = pool.take(frameRoomBytes + sizeBytes).subarray(frameRoomBytes, frameRoomBytes + sizeBytes);
  let at = body.writeInt16BE(-1, 0);
  at = body.writeInt16BE(-1, at); // acks: all in-sync replicas
  at = body.writeInt32BE(settings.timeoutMs, at);
  at = body.writeInt32BE(topics.size, at);
  for (const [topic, sharing] of topics) {
    at = body.writeInt16BE(Buffer.byteLength(topic), at);
    at += body.write(topic, at);
    at = body.writeInt32BE(sharing.length, at);
    for (const section of sharing) at = writeSection(body, at, section, settings);
  }
  return { buffer: body, roomInFront: frameRoomBytes };
}

async function prepare(part: PartitionRecords, { compression, ...settings }: ProduceSettings): Promise<Section> {
  const timestampMs = part.records[0]?.timestampMs ?? settings.timestampMs;
  const sizeBytes = recordsBytes(part.records, timestampMs);
  if (compression === 'none') return { ...part, timestampMs, compressed: undefined, sizeBytes };
  const plain = recordsSection(part.records, sizeBytes, timestampMs);
  const compressed = await (compression === 'zstd' ? compressZstd(plain) : gzipped(plain, gzipOptions));
  return { ...part, timestampMs, compressed, sizeBytes: compressed.length };
}

function recordsSection(records: readonly OutgoingRecord[], sizeBytes: number, timestampMs: number): Buffer {
  const section = Buffer.allocUnsafe(sizeBytes);
  writeRecords(section, 0, records, timestampMs);
  return section;
}

function writeSection(body: Buffer, from: number, section: Section, settings: ProduceSettings): number {
  const batchAt = from + 8;
  const recordsAt = batchAt + batchHeaderBytes;
  const end = recordsAt + section.sizeBytes;
  body.writeInt32BE(section.partition, from);
  body.writeInt32BE(end - batchAt, from + 4);
  if (section.compressed === undefined) writeRecords(body, recordsAt, section.records, section.timestampMs);
  else section.compressed.copy(body, recordsAt);
  const recordCount = section.records.length;
  const { timestampMs } = section;
  let maxTimestampMs = timestampMs;
  for (const record of section.records)
    if (record.timestampMs !== undefined && record.timestampMs > maxTimestampMs) maxTimestampMs = record.timestampMs;
  const compression = codecs[settings.compression];
  writeBatchHeader(body, batchAt, end, { recordCount, timestampMs, maxTimestampMs, compression });
  return end;
}
