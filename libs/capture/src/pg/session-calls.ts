// Reads SELECTs that change the session by calling functions: set_config and the advisory locks. Only calls that can be read whole count.
//
//   SELECT [pg_catalog.]function(argument, …) [[AS] alias] [, …]      argument: literal | number | true | false | $n, each with ::type
import { B, decodeText, HEADER_BYTES, int32At, stringEnd, uint16At } from '@mirrorstream/pg-wire';
import { firstTokens, literalText, type SqlToken, tokensOf } from './sql-tokens.ts';

/** `parameter` counts from 0. */
export type CallArgument =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'parameter'; readonly parameter: number }
  | { readonly kind: 'unknown' };

export interface SessionCall {
  readonly name: string;
  readonly args: readonly CallArgument[];
}

const MAX_TOKENS = 400;
const UNKNOWN: CallArgument = { kind: 'unknown' };

/** The calls of a statement's select list, in order; null when the statement is anything more. */
export function callsOf(sql: string): readonly SessionCall[] | null {
  const tokens = firstTokens(sql, MAX_TOKENS);
  if (tokens[0]?.value !== 'select' || tokens.length === MAX_TOKENS) return null;
  const calls: SessionCall[] = [];
  let at = 1;
  for (;;) {
    if (tokens[at]?.value === 'pg_catalog' && isSymbol(tokens[at + 1], '.')) at += 2;
    const name = tokens[at];
    if (name === undefined || !isIdentifier(name) || !isSymbol(tokens[at + 1], '(')) return null;
    const close = closingAt(tokens, at + 1);
    if (close < 0) return null;
    calls.push({ name: name.value, args: argumentsOf(tokens.slice(at + 2, close)) });
    at = afterAlias(tokens, close + 1);
    if (at === tokens.length) return calls;
    if (!isSymbol(tokens[at], ',')) return null;
    at += 1;
  }
}

/** Arguments of EXECUTE name (argument, …). */
export function executeArgumentsOf(sql: string): readonly CallArgument[] {
  const tokens = firstTokens(sql, MAX_TOKENS);
  const close = isSymbol(tokens[2], '(') ? closingAt(tokens, 2) : -1;
  return close < 0 ? [] : argumentsOf(tokens.slice(3, close));
}

/** Whether a call of a function whose name fits stands anywhere in the statement; `inBodies`: in its literals too (DO). */
export function mentionsCall(sql: string, name: RegExp, inBodies: boolean): boolean {
  for (const token of tokensOf(sql)) {
    if (token.kind === 'literal' ? inBodies && name.test(token.value) : isIdentifier(token) && name.test(token.value))
      return true;
  }
  return false;
}

function isSymbol(token: SqlToken | undefined, value: string): boolean {
  return token?.kind === 'symbol' && token.value === value;
}

function isIdentifier(token: SqlToken | undefined): boolean {
  return token?.kind === 'word' || token?.kind === 'name';
}

function closingAt(tokens: readonly SqlToken[], open: number): number {
  let depth = 0;
  for (let at = open; at < tokens.length; at++) {
    if (isSymbol(tokens[at], '(')) depth += 1;
    if (isSymbol(tokens[at], ')')) depth -= 1;
    if (depth === 0) return at;
  }
  return -1;
}

function afterAlias(tokens: readonly SqlToken[], from: number): number {
  const named = tokens[from]?.value === 'as' ? from + 1 : from;
  const alias = tokens[named];
  if (alias === undefined || !isIdentifier(alias)) return named;
  return alias.kind === 'word' && alias.value === 'from' ? named : named + 1;
}

function argumentsOf(tokens: readonly SqlToken[]): readonly CallArgument[] {
  const args: CallArgument[] = [];
  let from = 0;
  let depth = 0;
  for (let at = 0; at <= tokens.length; at++) {
    if (isSymbol(tokens[at], '(')) depth += 1;
    if (isSymbol(tokens[at], ')')) depth -= 1;
    if (at < tokens.length && (depth > 0 || !isSymbol(tokens[at], ','))) continue;
    if (at > from) args.push(argumentOf(tokens.slice(from, at)));
    from = at + 1;
  }
  return args;
}

function argumentOf(tokens: readonly SqlToken[]): CallArgument {
  const negative = isSymbol(tokens[0], '-');
  const first = tokens[negative ? 1 : 0];
  let at = negative ? 2 : 1;
  let argument: CallArgument = UNKNOWN;
  if (first?.kind === 'literal') {
    const text = literalText(first.value);
    if (text !== null && !negative) argument = { kind: 'text', text };
  } else if (first?.kind === 'number') {
    argument = { kind: 'text', text: `${negative ? '-' : ''}${first.value}` };
  } else if (first?.kind === 'word' && (first.value === 'true' || first.value === 'false')) {
    argument = { kind: 'text', text: first.value };
  } else if (isSymbol(first, '$') && tokens[1]?.kind === 'number') {
    argument = { kind: 'parameter', parameter: Number(tokens[1].value) - 1 };
    at = 2;
  }
  const cast = isSymbol(tokens[at], ':') && isSymbol(tokens[at + 1], ':');
  return at === tokens.length || (cast && tokens.slice(at + 2).every(isIdentifier)) ? argument : UNKNOWN;
}

/** Value of parameter `index` of a whole Bind frame as text, from either format; null: SQL NULL, or not there. */
export function bindParameter(frame: Uint8Array, index: number): string | null {
  const value = bindValues(frame)[index];
  if (value === undefined || value.start < 0) return null;
  const { start, end, binary } = value;
  return valueText(frame, start, end, binary);
}

export interface BindValue {
  readonly start: number;
  readonly end: number;
  readonly binary: boolean;
}

/**
 * Where the parameters of a Bind lie in it: `start` -1 for NULL. What does not add up is left out.
 *
 *   B Int32 length | String portal | String statement | Int16 n, n × Int16 format | Int16 m, m × (Int32 size, bytes) | result formats
 */
export function bindValues(frame: Uint8Array): readonly BindValue[] {
  const end = frame.length;
  const portalEnd = stringEnd(frame, HEADER_BYTES, end);
  const nameEnd = portalEnd < 0 ? -1 : stringEnd(frame, portalEnd + 1, end);
  if (nameEnd < 0 || nameEnd + 3 > end) return [];
  const formats = uint16At(frame, nameEnd + 1);
  const formatsAt = nameEnd + 3;
  let at = formatsAt + formats * 2;
  if (at + 2 > end) return [];
  const count = uint16At(frame, at);
  at += 2;
  const values: BindValue[] = [];
  for (let i = 0; i < count && at + 4 <= end; i++) {
    const sizeBytes = int32At(frame, at);
    const start = at + 4;
    at = start + Math.max(0, sizeBytes);
    if (at > end) break;
    const format = formats === 0 ? 0 : uint16At(frame, formatsAt + (formats === 1 ? 0 : i) * 2);
    values.push({ start: sizeBytes < 0 ? -1 : start, end: at, binary: format === 1 });
  }
  return values;
}

/** Columns of a DataRow as text; null for NULL. A binary bool reads as t or f. */
export function rowValues(row: Uint8Array): readonly (string | null)[] {
  const values: (string | null)[] = [];
  if (row.length < HEADER_BYTES + 2 || row[0] !== B.DataRow) return values;
  const count = uint16At(row, HEADER_BYTES);
  let at = HEADER_BYTES + 2;
  for (let i = 0; i < count && at + 4 <= row.length; i++) {
    const sizeBytes = int32At(row, at);
    at += 4;
    values.push(sizeBytes < 0 ? null : valueText(row, at, at + sizeBytes, sizeBytes === 1));
    at += Math.max(0, sizeBytes);
  }
  return values;
}

/** Binary integers and bools as text; text is the same in both formats. */
function valueText(bytes: Uint8Array, start: number, end: number, binary: boolean): string {
  const sizeBytes = end - start;
  if (binary && sizeBytes === 1 && (bytes[start] as number) <= 1) return bytes[start] === 1 ? 't' : 'f';
  const hasControls = binary && bytes.subarray(start, end).some((byte) => byte < 0x20);
  if (hasControls && sizeBytes === 4) return String(int32At(bytes, start));
  if (hasControls && sizeBytes === 8) {
    const value = (BigInt(int32At(bytes, start)) << 32n) | BigInt(int32At(bytes, start + 4) >>> 0);
    return String(value);
  }
  return decodeText(bytes, start, end);
}
