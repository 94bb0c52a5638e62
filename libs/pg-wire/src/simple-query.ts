// Simple query family: Query, the end of a command and of an exchange, and the end of the session.
import { B, F } from './type-bytes.ts';
import type { WireReader } from './wire-reader.ts';
import type { WireWriter } from './wire-writer.ts';

export type Query = { readonly kind: 'query'; readonly query: string };
export type Terminate = { readonly kind: 'terminate' };
export type EmptyQueryResponse = { readonly kind: 'emptyQueryResponse' };
export type CommandComplete = { readonly kind: 'commandComplete'; readonly tag: string };
/** I: idle. T: in a transaction block. E: in a failed one. */
export type TransactionStatus = 'I' | 'T' | 'E';
export type ReadyForQuery = { readonly kind: 'readyForQuery'; readonly status: TransactionStatus };

/** The status as it stands on the wire, for `readyForQueryStatus`. */
export const TransactionStatusByte = { Idle: 0x49, Open: 0x54, Failed: 0x45 } as const;

// Query: Byte1('Q'), Int32 length, String query
export function decodeQuery(reader: WireReader): Query {
  return { kind: 'query', query: reader.string() };
}

export function encodeQuery(message: Query, writer: WireWriter): void {
  writer.beginFrame(F.Query);
  writer.string(message.query);
  writer.endFrame();
}

// Terminate: Byte1('X'), Int32(4)
export function decodeTerminate(): Terminate {
  return { kind: 'terminate' };
}

export function encodeTerminate(_message: Terminate, writer: WireWriter): void {
  writer.beginFrame(F.Terminate);
  writer.endFrame();
}

// EmptyQueryResponse: Byte1('I'), Int32(4)
export function decodeEmptyQueryResponse(): EmptyQueryResponse {
  return { kind: 'emptyQueryResponse' };
}

export function encodeEmptyQueryResponse(_message: EmptyQueryResponse, writer: WireWriter): void {
  writer.beginFrame(B.EmptyQueryResponse);
  writer.endFrame();
}

// CommandComplete: Byte1('C'), Int32 length, String tag
export function decodeCommandComplete(reader: WireReader): CommandComplete {
  return { kind: 'commandComplete', tag: reader.string() };
}

export function encodeCommandComplete(message: CommandComplete, writer: WireWriter): void {
  writer.beginFrame(B.CommandComplete);
  writer.string(message.tag);
  writer.endFrame();
}

// ReadyForQuery: Byte1('Z'), Int32(5), Byte1 status: 'I' idle, 'T' in a transaction block, 'E' in a failed one
export function decodeReadyForQuery(reader: WireReader): ReadyForQuery {
  return { kind: 'readyForQuery', status: decodeStatus(reader) };
}

function decodeStatus(reader: WireReader): TransactionStatus {
  const status = reader.byte();
  if (status === TransactionStatusByte.Open) return 'T';
  if (status === TransactionStatusByte.Failed) return 'E';
  if (status !== TransactionStatusByte.Idle) reader.fail('invalidValue');
  return 'I';
}

export function encodeReadyForQuery(message: ReadyForQuery, writer: WireWriter): void {
  writer.beginFrame(B.ReadyForQuery);
  writer.byte(message.status.charCodeAt(0));
  writer.endFrame();
}
