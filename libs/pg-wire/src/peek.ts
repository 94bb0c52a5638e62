// Single fields read straight out of a whole frame, for hot paths that do not need the message.
//
// Every function takes the frame `buffer[start, end)` from its type byte on, as the splitter delivers it, trusts that the caller has
// looked at the type byte, never throws, never reads past `end`, and allocates nothing but the string it answers with. What is not
// there reads as '', 0 or -1, as each says. The grammars stand above the codecs of the families.
import { HEADER_BYTES, int32At, uint16At } from './frame-header.ts';
import { decodeText } from './text.ts';
import { B } from './type-bytes.ts';

const ZERO = 0x30;
const NINE = 0x39;
const SPACE = 0x20;
const READY_FOR_QUERY_BYTES = 6;
const STATUS_IDLE = 0x49;
/** Names are short: up to here a loop beats the call into native code. */
const SHORT_STRING_BYTES = 32;

/** Index of the zero byte that ends the String at `from`, or -1. */
export function stringEnd(buffer: Uint8Array, from: number, end: number): number {
  const shortEnd = Math.min(end, from + SHORT_STRING_BYTES);
  for (let at = from; at < shortEnd; at++) if (buffer[at] === 0) return at;
  if (shortEnd === end) return -1;
  const zero = buffer.indexOf(0, shortEnd);
  return zero < end ? zero : -1;
}

function stringAt(buffer: Uint8Array, from: number, end: number): string {
  return decodeText(buffer, from, stringEnd(buffer, from, end));
}

/** Start of what follows the String at `from`; `end` when it is not terminated. */
function afterString(buffer: Uint8Array, from: number, end: number): number {
  const zero = stringEnd(buffer, from, end);
  return zero < 0 ? end : zero + 1;
}

/** ReadyForQuery: the status byte (TransactionStatusByte), or 0 when the frame has none. */
export function readyForQueryStatus(buffer: Uint8Array, start: number, end = start + READY_FOR_QUERY_BYTES): number {
  return end - start === READY_FOR_QUERY_BYTES && end <= buffer.length ? (buffer[start + HEADER_BYTES] as number) : 0;
}

/** Whether a chunk from the server ends in ReadyForQuery with status I: the first half of a quiet point. */
export function endsWithIdleReadyForQuery(buffer: Uint8Array, start: number, end: number): boolean {
  const at = end - READY_FOR_QUERY_BYTES;
  return (
    at >= start && buffer[at] === B.ReadyForQuery && int32At(buffer, at + 1) === 5 && buffer[end - 1] === STATUS_IDLE
  );
}

/** CommandComplete: the tag. */
export function commandTag(buffer: Uint8Array, start: number, end: number): string {
  return stringAt(buffer, start + HEADER_BYTES, end);
}

/** CommandComplete: the number the tag ends in (rows; `INSERT 0 5` is 5), or -1 when it ends in none (`BEGIN`). */
export function commandTagRows(buffer: Uint8Array, start: number, end: number): number {
  const tagStart = start + HEADER_BYTES;
  const tagEnd = stringEnd(buffer, tagStart, end);
  let rows = 0;
  let power = 1;
  for (let at = tagEnd - 1; at >= tagStart; at--) {
    const byte = buffer[at] as number;
    if (byte === SPACE) return power > 1 ? rows : -1;
    if (byte < ZERO || byte > NINE) return -1;
    rows += (byte - ZERO) * power;
    power *= 10;
  }
  return -1;
}

/** Query: the SQL text. */
export function queryText(buffer: Uint8Array, start: number, end: number): string {
  return stringAt(buffer, start + HEADER_BYTES, end);
}

/** Parse: the statement's name, '' for the unnamed one. */
export function parseStatementName(buffer: Uint8Array, start: number, end: number): string {
  return stringAt(buffer, start + HEADER_BYTES, end);
}

/** Parse: where the query text begins; it ends at `stringEnd` from there. */
export function parseQueryStart(buffer: Uint8Array, start: number, end: number): number {
  return afterString(buffer, start + HEADER_BYTES, end);
}

/** Parse: the SQL text. */
export function parseQueryText(buffer: Uint8Array, start: number, end: number): string {
  return stringAt(buffer, parseQueryStart(buffer, start, end), end);
}

/** Parse: view of all but the name (query text, type OIDs): equal bodies prepare the same statement. */
export function parseMessageBody(buffer: Uint8Array, start: number, end: number): Uint8Array {
  return buffer.subarray(parseQueryStart(buffer, start, end), end);
}

/** Bind: the portal's name, '' for the unnamed one. */
export function bindPortal(buffer: Uint8Array, start: number, end: number): string {
  return stringAt(buffer, start + HEADER_BYTES, end);
}

/** Bind: the statement's name, '' for the unnamed one. */
export function bindStatement(buffer: Uint8Array, start: number, end: number): string {
  return stringAt(buffer, afterString(buffer, start + HEADER_BYTES, end), end);
}

/** Bind: both names. Allocates the pair; `bindPortal` and `bindStatement` do not. */
export function bindNames(
  buffer: Uint8Array,
  start: number,
  end: number,
): { readonly portal: string; readonly statement: string } {
  return { portal: bindPortal(buffer, start, end), statement: bindStatement(buffer, start, end) };
}

/** Execute: the portal's name, '' for the unnamed one. */
export function executePortal(buffer: Uint8Array, start: number, end: number): string {
  return stringAt(buffer, start + HEADER_BYTES, end);
}

/** Execute: the row limit, 0 for none, -1 when it is missing. */
export function executeMaxRows(buffer: Uint8Array, start: number, end: number): number {
  const at = afterString(buffer, start + HEADER_BYTES, end);
  return at + 4 <= end ? int32At(buffer, at) : -1;
}

/** What a Close or Describe names. */
export const TargetByte = { Statement: 0x53, Portal: 0x50 } as const;

/** Close: TargetByte.Statement or .Portal, or 0 when the frame has none. */
export function closeTarget(buffer: Uint8Array, start: number, end: number): number {
  return end - start > HEADER_BYTES ? (buffer[start + HEADER_BYTES] as number) : 0;
}

/** Close: the name of the statement or portal. */
export function closeName(buffer: Uint8Array, start: number, end: number): string {
  return stringAt(buffer, start + HEADER_BYTES + 1, end);
}

/** Describe: TargetByte.Statement or .Portal, or 0 when the frame has none. */
export function describeTarget(buffer: Uint8Array, start: number, end: number): number {
  return closeTarget(buffer, start, end);
}

/** Describe: the name of the statement or portal. */
export function describeName(buffer: Uint8Array, start: number, end: number): string {
  return closeName(buffer, start, end);
}

/** ErrorResponse, NoticeResponse: the field with this code letter, '' when there is none. */
export function errorField(code: string, buffer: Uint8Array, start: number, end: number): string {
  const wanted = code.charCodeAt(0);
  let at = start + HEADER_BYTES;
  while (at < end && buffer[at] !== 0) {
    if (buffer[at] === wanted) return stringAt(buffer, at + 1, end);
    at = afterString(buffer, at + 1, end);
  }
  return '';
}

/** ErrorResponse, NoticeResponse: the SQLSTATE, five characters; '' when there is none. */
export function sqlState(buffer: Uint8Array, start: number, end: number): string {
  return errorField('C', buffer, start, end);
}

/** ErrorResponse: the severity that is never localized (ERROR, FATAL, PANIC), '' from servers before 9.6. */
export function errorSeverity(buffer: Uint8Array, start: number, end: number): string {
  return errorField('V', buffer, start, end);
}

/** ParameterStatus: the parameter's name. */
export function parameterStatusName(buffer: Uint8Array, start: number, end: number): string {
  return stringAt(buffer, start + HEADER_BYTES, end);
}

/** ParameterStatus: the parameter's value. */
export function parameterStatusValue(buffer: Uint8Array, start: number, end: number): string {
  return stringAt(buffer, afterString(buffer, start + HEADER_BYTES, end), end);
}

/** DataRow, RowDescription: how many columns, or -1 when the count is missing. */
export function columnCount(buffer: Uint8Array, start: number, end: number): number {
  return end - start >= HEADER_BYTES + 2 ? uint16At(buffer, start + HEADER_BYTES) : -1;
}
