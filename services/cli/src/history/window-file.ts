// The format of an exported window: a header, Kafka records as they were, and an end that says how many there must be.
//
//   file   = "MSWINDOW" · u32 version (1) · frame*
//   frame  = u32 length of the body · u32 CRC-32 of the body · body
//   body   = u8 kind · (kind 1, header: JSON | kind 2: record | kind 3, end: JSON)
//   record = i32 partition · i64 offset where it was · i64 timestamp in ms · u16 headers · bytes key ·
//            headers × (bytes name · bytes value) · bytes value
//   bytes  = u32 length (0xffffffff: null) · that many bytes
// Integers are big-endian. The header is the first frame, the end the last one; a file without an end is not whole.
import { crc32 } from 'node:zlib';
import type { IncomingRecord } from '@mirrorstream/kafka';
import { z } from 'zod';

export const fileMagic: Uint8Array = Buffer.from('MSWINDOW\0\0\0\u0001', 'latin1');
export const frameHeadBytes = 8;
/** No frame is longer: Kafka's records are at most 1 MiB. */
export const maxBodyBytes = 64 * 1024 * 1024;

const count = z.number().int().nonnegative();
const kinds = { header: 1, record: 2, end: 3 } as const;
const nullLength = 0xffffffff;

export const fileHeaderSchema = z.object({
  schema: z.literal('mirrorstream.window/1'),
  source: z.string(),
  /** Transactions that began in [fromMs, toMs). */
  window: z.object({ fromMs: z.number(), toMs: z.number() }),
  exportedAtMs: z.number(),
  /** Of the envelopes topic: a session is bound to one. */
  partitions: z.number().int().positive(),
  /** Of the window; records may hold others beside them. */
  transactions: count,
  captureGaps: count,
  /** Capture processes that wrote the records. */
  incarnations: z.array(z.string()),
});
export type FileHeader = z.infer<typeof fileHeaderSchema>;

export const fileEndSchema = z.object({
  /** By partition. */
  records: z.record(z.string(), count),
});
export type FileEnd = z.infer<typeof fileEndSchema>;

export interface FileRecord extends Omit<IncomingRecord, 'headers'> {
  readonly partition: number;
  readonly headers: Readonly<Record<string, string>>;
}

export type FileFrame =
  | { readonly kind: 'header'; readonly header: FileHeader }
  | { readonly kind: 'record'; readonly record: FileRecord }
  | { readonly kind: 'end'; readonly end: FileEnd };

export function encodeHeader(header: FileHeader): Buffer {
  return framed(kinds.header, Buffer.from(JSON.stringify(header)));
}

export function encodeEnd(end: FileEnd): Buffer {
  return framed(kinds.end, Buffer.from(JSON.stringify(end)));
}

export function encodeRecord(partition: number, record: IncomingRecord): Buffer {
  const names = Object.keys(record.headers);
  const fixed = Buffer.allocUnsafe(22);
  fixed.writeInt32BE(partition, 0);
  fixed.writeBigInt64BE(record.offset, 4);
  fixed.writeBigInt64BE(BigInt(record.timestampMs), 12);
  fixed.writeUInt16BE(names.length, 20);
  const pieces = [fixed, ...sized(record.key)];
  for (const name of names) pieces.push(...sized(Buffer.from(name)), ...sized(Buffer.from(record.headers[name] ?? '')));
  pieces.push(...sized(record.value));
  return framed(kinds.record, ...pieces);
}

/** Null: the body is none of this format, whatever its checksum says. */
export function decodeBody(body: Buffer): FileFrame | null {
  switch (body[0]) {
    case kinds.header: {
      const header = fileHeaderSchema.safeParse(json(body.subarray(1)));
      return header.success ? { kind: 'header', header: header.data } : null;
    }
    case kinds.end: {
      const end = fileEndSchema.safeParse(json(body.subarray(1)));
      return end.success ? { kind: 'end', end: end.data } : null;
    }
    case kinds.record: {
      const record = decodeRecord(body);
      return record === null ? null : { kind: 'record', record };
    }
    default:
      return null;
  }
}

function decodeRecord(body: Buffer): FileRecord | null {
  if (body.length < 23) return null;
  let at = 23;
  let cut = false;
  const bytes = (): Buffer | null => {
    if (at + 4 > body.length) {
      cut = true;
      return null;
    }
    const length = body.readUInt32BE(at);
    at += 4;
    if (length === nullLength) return null;
    if (at + length > body.length) {
      cut = true;
      return null;
    }
    at += length;
    return body.subarray(at - length, at);
  };
  const key = bytes();
  const headers: Record<string, string> = {};
  for (let left = body.readUInt16BE(21); left > 0 && !cut; left--) {
    const name = bytes()?.toString() ?? '';
    headers[name] = bytes()?.toString() ?? '';
  }
  const value = bytes();
  if (cut || at !== body.length) return null;
  return {
    partition: body.readInt32BE(1),
    offset: body.readBigInt64BE(5),
    timestampMs: Number(body.readBigInt64BE(13)),
    key,
    headers,
    value,
  };
}

function sized(bytes: Buffer | null): Buffer[] {
  const length = Buffer.allocUnsafe(4);
  length.writeUInt32BE(bytes === null ? nullLength : bytes.length, 0);
  return bytes === null ? [length] : [length, bytes];
}

function framed(kind: number, ...pieces: readonly Buffer[]): Buffer {
  const frame = Buffer.concat([Buffer.alloc(frameHeadBytes + 1), ...pieces]);
  frame[frameHeadBytes] = kind;
  frame.writeUInt32BE(frame.length - frameHeadBytes, 0);
  frame.writeUInt32BE(crc32(frame.subarray(frameHeadBytes)), 4);
  return frame;
}

function json(bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString());
  } catch {
    return undefined;
  }
}
