// Extended query family: Parse, Bind, Describe, Execute, Close, Flush, Sync and the replies that are theirs alone.
import { B, F } from './type-bytes.ts';
import type { WireReader } from './wire-reader.ts';
import type { WireWriter } from './wire-writer.ts';

/** Format code: 0 text, 1 binary. Others are kept as sent; the server refuses them. */
export type Format = number;

export type Parse = {
  readonly kind: 'parse';
  /** '' is the unnamed statement. */
  readonly statement: string;
  readonly query: string;
  /** OIDs; 0 leaves the type to the server. May be shorter than the list of parameters. */
  readonly parameterTypes: readonly number[];
};
export type Bind = {
  readonly kind: 'bind';
  /** '' is the unnamed portal. */
  readonly portal: string;
  readonly statement: string;
  /** None: all text. One: for all. Else one each. */
  readonly parameterFormats: readonly Format[];
  /** Views of the input; null is SQL NULL. */
  readonly parameters: readonly (Uint8Array | null)[];
  readonly resultFormats: readonly Format[];
};
/** S: prepared statement. P: portal. */
export type TargetKind = 'S' | 'P';
export type Describe = { readonly kind: 'describe'; readonly target: TargetKind; readonly name: string };
export type Close = { readonly kind: 'close'; readonly target: TargetKind; readonly name: string };
/** `maxRows` 0 is no limit. */
export type Execute = { readonly kind: 'execute'; readonly portal: string; readonly maxRows: number };
export type Flush = { readonly kind: 'flush' };
export type Sync = { readonly kind: 'sync' };
export type ParseComplete = { readonly kind: 'parseComplete' };
export type BindComplete = { readonly kind: 'bindComplete' };
export type CloseComplete = { readonly kind: 'closeComplete' };
export type ParameterDescription = {
  readonly kind: 'parameterDescription';
  readonly parameterTypes: readonly number[];
};
export type NoData = { readonly kind: 'noData' };
export type PortalSuspended = { readonly kind: 'portalSuspended' };

const STATEMENT = 0x53; // S
const PORTAL = 0x50; // P

// Parse: Byte1('P'), Int32 length, String statement, String query, Int16 count, then Int32 type OID each
export function decodeParse(reader: WireReader): Parse {
  return { kind: 'parse', statement: reader.string(), query: reader.string(), parameterTypes: decodeOids(reader) };
}

export function encodeParse(message: Parse, writer: WireWriter): void {
  writer.beginFrame(F.Parse);
  writer.string(message.statement);
  writer.string(message.query);
  encodeOids(message.parameterTypes, writer);
  writer.endFrame();
}

function decodeOids(reader: WireReader): number[] {
  const count = reader.count16(4);
  const oids: number[] = [];
  for (let i = 0; i < count; i++) oids.push(reader.uint32());
  return oids;
}

function encodeOids(oids: readonly number[], writer: WireWriter): void {
  writer.count16(oids.length);
  for (const oid of oids) writer.int32(oid);
}

/** Int16 count, then Int16 format code each. Shared with the copy and function call families. */
export function decodeFormats(reader: WireReader): Format[] {
  const count = reader.count16(2);
  const formats: Format[] = [];
  for (let i = 0; i < count; i++) formats.push(reader.int16());
  return formats;
}

export function encodeFormats(formats: readonly Format[], writer: WireWriter): void {
  writer.count16(formats.length);
  for (const format of formats) writer.int16(format);
}

/** Int16 count, then Int32 length (-1: NULL) and Byten each. Shared with the row and function call families. */
export function decodeValues(reader: WireReader): (Uint8Array | null)[] {
  const count = reader.count16(4);
  const values: (Uint8Array | null)[] = [];
  for (let i = 0; i < count && reader.ok; i++) values.push(reader.value());
  return values;
}

export function encodeValues(values: readonly (Uint8Array | null)[], writer: WireWriter): void {
  writer.count16(values.length);
  for (const value of values) writer.value(value);
}

// Bind: Byte1('B'), Int32 length, String portal, String statement,
//       Int16 count, then Int16 parameter format each,
//       Int16 count, then Int32 length (-1: NULL) and Byten value of each parameter,
//       Int16 count, then Int16 result format each
export function decodeBind(reader: WireReader): Bind {
  return {
    kind: 'bind',
    portal: reader.string(),
    statement: reader.string(),
    parameterFormats: decodeFormats(reader),
    parameters: decodeValues(reader),
    resultFormats: decodeFormats(reader),
  };
}

export function encodeBind(message: Bind, writer: WireWriter): void {
  writer.beginFrame(F.Bind);
  writer.string(message.portal);
  writer.string(message.statement);
  encodeFormats(message.parameterFormats, writer);
  encodeValues(message.parameters, writer);
  encodeFormats(message.resultFormats, writer);
  writer.endFrame();
}

function decodeTarget(reader: WireReader): TargetKind {
  const target = reader.byte();
  if (target === PORTAL) return 'P';
  if (target !== STATEMENT) reader.fail('invalidValue');
  return 'S';
}

// Describe: Byte1('D'), Int32 length, Byte1 'S' statement or 'P' portal, String name
export function decodeDescribe(reader: WireReader): Describe {
  return { kind: 'describe', target: decodeTarget(reader), name: reader.string() };
}

export function encodeDescribe(message: Describe, writer: WireWriter): void {
  writer.beginFrame(F.Describe);
  writer.byte(message.target === 'S' ? STATEMENT : PORTAL);
  writer.string(message.name);
  writer.endFrame();
}

// Close: Byte1('C'), Int32 length, Byte1 'S' statement or 'P' portal, String name
export function decodeClose(reader: WireReader): Close {
  return { kind: 'close', target: decodeTarget(reader), name: reader.string() };
}

export function encodeClose(message: Close, writer: WireWriter): void {
  writer.beginFrame(F.Close);
  writer.byte(message.target === 'S' ? STATEMENT : PORTAL);
  writer.string(message.name);
  writer.endFrame();
}

// Execute: Byte1('E'), Int32 length, String portal, Int32 maximum number of rows (0: no limit)
export function decodeExecute(reader: WireReader): Execute {
  return { kind: 'execute', portal: reader.string(), maxRows: reader.int32() };
}

export function encodeExecute(message: Execute, writer: WireWriter): void {
  writer.beginFrame(F.Execute);
  writer.string(message.portal);
  writer.int32(message.maxRows);
  writer.endFrame();
}

// ParameterDescription: Byte1('t'), Int32 length, Int16 count, then Int32 type OID each
export function decodeParameterDescription(reader: WireReader): ParameterDescription {
  return { kind: 'parameterDescription', parameterTypes: decodeOids(reader) };
}

export function encodeParameterDescription(message: ParameterDescription, writer: WireWriter): void {
  writer.beginFrame(B.ParameterDescription);
  encodeOids(message.parameterTypes, writer);
  writer.endFrame();
}

const bareTypes = {
  flush: F.Flush,
  sync: F.Sync,
  parseComplete: B.ParseComplete,
  bindComplete: B.BindComplete,
  closeComplete: B.CloseComplete,
  noData: B.NoData,
  portalSuspended: B.PortalSuspended,
} as const;

// Flush 'H', Sync 'S', ParseComplete '1', BindComplete '2', CloseComplete '3', NoData 'n', PortalSuspended 's': Byte1 type, Int32(4)
export function encodeBare(message: { readonly kind: keyof typeof bareTypes }, writer: WireWriter): void {
  writer.beginFrame(bareTypes[message.kind]);
  writer.endFrame();
}
