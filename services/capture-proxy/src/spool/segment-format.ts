// The format of a spool segment: records as they go to Kafka, each behind its length and checksum.
//
//   segment = "MSSPOOL1" frame*
//   frame   = u32 length of the body · u32 CRC-32 of the body · body
//   body    = u32 transactions · u32 exchanges · f64 number · i32 partition · u8 headers · text topic · text key ·
//             headers × (text name · text value) · value
//   text    = u32 bytes (0xffffffff: null) · UTF-8
// Integers are big-endian. A frame that is cut short or whose checksum is wrong ends the segment: what follows was never completed.
import { crc32 } from 'node:zlib';
import type { OutgoingRecord } from '@mirrorstream/kafka';

/** A record as the spool keeps it: what Kafka gets, and what it counts for. */
export interface SpoolRecord extends OutgoingRecord {
  readonly key: string | null;
  readonly value: Uint8Array;
  readonly headers: Readonly<Record<string, string>>;
  /** Increases within incarnation and partition. */
  readonly number: number;
  readonly transactions: number;
  readonly exchanges: number;
  /** Of the value. */
  readonly sizeBytes: number;
}

export const segmentMagic: Uint8Array = Buffer.from('MSSPOOL1');
export const frameHeaderBytes = 8;
const fixedBytes = 4 + 4 + 8 + 4 + 1;
const nullText = 0xffffffff;
/** No frame is longer: a length beyond it is not one. */
const maxBodyBytes = 64 * 1024 * 1024;

const textBytes = (text: string | null): number => 4 + (text === null ? 0 : Buffer.byteLength(text));

/** What encodeFrame makes of it. */
export function frameBytes(record: SpoolRecord): number {
  return frameHeaderBytes + metaBytes(record) + record.value.length;
}

function metaBytes({ topic, key, headers }: SpoolRecord): number {
  let bytes = fixedBytes + textBytes(topic) + textBytes(key);
  for (const name in headers) bytes += textBytes(name) + textBytes(headers[name] as string);
  return bytes;
}

/** The frame in two pieces; the second is the record's value itself, not a copy. */
export function encodeFrame(record: SpoolRecord): readonly [Buffer, Uint8Array] {
  const head = Buffer.allocUnsafe(frameHeaderBytes + metaBytes(record));
  const names = Object.keys(record.headers);
  let at = head.writeUInt32BE(record.transactions, frameHeaderBytes);
  at = head.writeUInt32BE(record.exchanges, at);
  at = head.writeDoubleBE(record.number, at);
  at = head.writeInt32BE(record.partition, at);
  at = head.writeUInt8(names.length, at);
  at = writeText(head, at, record.topic);
  at = writeText(head, at, record.key);
  for (const name of names) at = writeText(head, writeText(head, at, name), record.headers[name] as string);
  head.writeUInt32BE(head.length - frameHeaderBytes + record.value.length, 0);
  head.writeUInt32BE(crc32(record.value, crc32(head.subarray(frameHeaderBytes))), 4);
  return [head, record.value];
}

function writeText(target: Buffer, at: number, text: string | null): number {
  if (text === null) return target.writeUInt32BE(nullText, at);
  const length = Buffer.byteLength(text);
  const from = target.writeUInt32BE(length, at);
  target.write(text, from, length, 'utf8');
  return from + length;
}

export interface Decoded {
  readonly records: readonly SpoolRecord[];
  /** Bytes of whole, valid frames. */
  readonly consumed: number;
  /** `more`: the rest is the beginning of a frame (or nothing); at a segment's end that is a torn tail. */
  readonly rest: 'more' | 'invalid';
  /** With `more`: bytes of the frame that has begun, when that is known. */
  readonly wantedBytes: number;
}

/** Frames from the beginning of `bytes`. Values are views of it. */
export function decodeFrames(bytes: Buffer): Decoded {
  const records: SpoolRecord[] = [];
  let at = 0;
  while (at + frameHeaderBytes <= bytes.length) {
    const length = bytes.readUInt32BE(at);
    if (length < fixedBytes || length > maxBodyBytes) return { records, consumed: at, rest: 'invalid', wantedBytes: 0 };
    const end = at + frameHeaderBytes + length;
    if (end > bytes.length) return { records, consumed: at, rest: 'more', wantedBytes: end - at };
    const body = bytes.subarray(at + frameHeaderBytes, end);
    const record = crc32(body) === bytes.readUInt32BE(at + 4) ? decodeBody(body) : null;
    if (record === null) return { records, consumed: at, rest: 'invalid', wantedBytes: 0 };
    records.push(record);
    at = end;
  }
  return { records, consumed: at, rest: 'more', wantedBytes: frameHeaderBytes };
}

/** Null: the checksum fits, but not the content (a later format). */
function decodeBody(body: Buffer): SpoolRecord | null {
  const reader = new TextReader(body, fixedBytes);
  const topic = reader.text();
  const key = reader.text();
  const headers: Record<string, string> = {};
  for (let left = body.readUInt8(fixedBytes - 1); left > 0; left--) {
    const name = reader.text();
    headers[name ?? ''] = reader.text() ?? '';
  }
  if (reader.overrun || topic === null) return null;
  const value = body.subarray(reader.at);
  return {
    topic,
    partition: body.readInt32BE(16),
    key,
    value,
    sizeBytes: value.length,
    headers,
    number: body.readDoubleBE(8),
    transactions: body.readUInt32BE(0),
    exchanges: body.readUInt32BE(4),
  };
}

class TextReader {
  at: number;
  overrun = false;
  readonly #body: Buffer;

  constructor(body: Buffer, at: number) {
    this.#body = body;
    this.at = at;
  }

  text(): string | null {
    if (this.at + 4 > this.#body.length) return this.#beyond();
    const length = this.#body.readUInt32BE(this.at);
    this.at += 4;
    if (length === nullText) return null;
    if (this.at + length > this.#body.length) return this.#beyond();
    this.at += length;
    return this.#body.toString('utf8', this.at - length, this.at);
  }

  #beyond(): null {
    this.overrun = true;
    return null;
  }
}
