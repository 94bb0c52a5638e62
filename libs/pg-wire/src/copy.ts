// Copy family: the three responses that begin a copy, and its data, end and failure. CopyData and CopyDone travel both ways.
import { decodeFormats, encodeFormats, type Format } from './extended-query.ts';
import { B, F } from './type-bytes.ts';
import type { WireReader } from './wire-reader.ts';
import type { WireWriter } from './wire-writer.ts';

type CopyResponse<Kind extends string> = {
  readonly kind: Kind;
  /** Overall format: 0 text, 1 binary. */
  readonly format: Format;
  readonly columnFormats: readonly Format[];
};
export type CopyInResponse = CopyResponse<'copyInResponse'>;
export type CopyOutResponse = CopyResponse<'copyOutResponse'>;
/** Only for replication, in both directions at once. */
export type CopyBothResponse = CopyResponse<'copyBothResponse'>;
/** `data` is a view of the input. Frontends cut it anywhere; backends send whole rows, one each (binary: header and first row together). */
export type CopyData = { readonly kind: 'copyData'; readonly data: Uint8Array };
export type CopyDone = { readonly kind: 'copyDone' };
/** `reason` is the client's text. */
export type CopyFail = { readonly kind: 'copyFail'; readonly reason: string };

const responseTypes = {
  copyInResponse: B.CopyInResponse,
  copyOutResponse: B.CopyOutResponse,
  copyBothResponse: B.CopyBothResponse,
} as const;

// CopyInResponse 'G', CopyOutResponse 'H', CopyBothResponse 'W':
//   Byte1 type, Int32 length, Int8 overall format, Int16 count, then Int16 format of each column
export function decodeCopyResponse<Kind extends keyof typeof responseTypes>(
  kind: Kind,
  reader: WireReader,
): CopyResponse<Kind> {
  return { kind, format: reader.byte(), columnFormats: decodeFormats(reader) };
}

export function encodeCopyResponse(
  message: CopyInResponse | CopyOutResponse | CopyBothResponse,
  writer: WireWriter,
): void {
  writer.beginFrame(responseTypes[message.kind]);
  writer.byte(message.format);
  encodeFormats(message.columnFormats, writer);
  writer.endFrame();
}

// CopyData: Byte1('d'), Int32 length, Byten data
export function decodeCopyData(reader: WireReader): CopyData {
  return { kind: 'copyData', data: reader.rest() };
}

export function encodeCopyData(message: CopyData, writer: WireWriter): void {
  writer.beginFrame(F.CopyData);
  writer.bytes(message.data);
  writer.endFrame();
}

// CopyDone: Byte1('c'), Int32(4)
export function decodeCopyDone(): CopyDone {
  return { kind: 'copyDone' };
}

export function encodeCopyDone(_message: CopyDone, writer: WireWriter): void {
  writer.beginFrame(F.CopyDone);
  writer.endFrame();
}

// CopyFail: Byte1('f'), Int32 length, String reason
export function decodeCopyFail(reader: WireReader): CopyFail {
  return { kind: 'copyFail', reason: reader.string() };
}

export function encodeCopyFail(message: CopyFail, writer: WireWriter): void {
  writer.beginFrame(F.CopyFail);
  writer.string(message.reason);
  writer.endFrame();
}
