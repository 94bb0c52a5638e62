// Values made of values: arrays, ranges, multiranges and rows, in both formats (utils/adt: arrayfuncs.c, rangetypes.c, rowtypes.c).
import type { Canonical } from './canonical.ts';
import { viewOf } from './numbers.ts';

/** Reads one element; null: it cannot be read. */
export type ReadText = (text: string) => Canonical | null;
export type ReadBinary = (value: Uint8Array, typeOid: number) => Canonical | null;

const NULL_ELEMENT = '∅';
const MAX_DIMENSIONS = 6;
const MAX_ELEMENTS = 1_000_000;
const RANGE_EMPTY = 0x01;
const LOWER_INCLUSIVE = 0x02;
const UPPER_INCLUSIVE = 0x04;
const LOWER_INFINITE = 0x08;
const UPPER_INFINITE = 0x10;

/** `{1,NULL,{…}}`, with bounds before it where they do not begin at 1: `[0:1]={…}`. */
export function arrayFromText(text: string, delimiter: string, read: ReadText): Canonical | null {
  const bounds = /^((?:\[-?\d+:-?\d+\])+)=/.exec(text);
  const cursor = { text, at: bounds?.[0].length ?? 0 };
  const value = readBraces(cursor, delimiter, read, 0);
  if (value === null || cursor.at !== text.length) return null;
  return [`a${lowerBounds(bounds?.[1] ?? '')}`, value];
}

const lowerBounds = (bounds: string): string =>
  [...bounds.matchAll(/\[(-?\d+):/g)]
    .map(([, lower]) => lower)
    .join(' ')
    .replace(/^1(?: 1)*$/, '');

interface Cursor {
  readonly text: string;
  at: number;
}

function readBraces(cursor: Cursor, delimiter: string, read: ReadText, depth: number): Canonical | null {
  if (cursor.text[cursor.at] !== '{' || depth > MAX_DIMENSIONS) return null;
  cursor.at += 1;
  const parts: Canonical[] = [];
  while (cursor.at < cursor.text.length) {
    if (cursor.text[cursor.at] === '}') {
      cursor.at += 1;
      return parts;
    }
    if (parts.length > 0) {
      if (cursor.text[cursor.at] !== delimiter) return null;
      cursor.at += 1;
    }
    const element =
      cursor.text[cursor.at] === '{'
        ? readBraces(cursor, delimiter, read, depth + 1)
        : readElement(cursor, `${delimiter}}`, read);
    if (element === null) return null;
    parts.push(element);
  }
  return null;
}

function readElement(cursor: Cursor, ends: string, read: ReadText): Canonical | null {
  const { text, quoted } = readWord(cursor, ends);
  return !quoted && text === 'NULL' ? NULL_ELEMENT : read(text);
}

/** Up to one of the signs that end it. Quotes may stand around it, backslashes before any sign; in rows and ranges quotes are doubled. */
function readWord(cursor: Cursor, ends: string): { readonly text: string; readonly quoted: boolean } {
  const { text } = cursor;
  let word = '';
  let quoted = false;
  let inQuotes = false;
  for (; cursor.at < text.length; cursor.at++) {
    const sign = text[cursor.at] as string;
    if (sign === '\\') {
      cursor.at += 1;
      word += text[cursor.at] ?? '';
    } else if (sign === '"') {
      if (inQuotes && text[cursor.at + 1] === '"') {
        word += '"';
        cursor.at += 1;
      } else inQuotes = !inQuotes;
      quoted = true;
    } else if (!inQuotes && ends.includes(sign)) break;
    else word += sign;
  }
  return { text: word, quoted };
}

/** int32 dimensions, flags and element type; per dimension int32 size and lower bound; then each element with its length. */
export function arrayFromBinary(value: Uint8Array, read: ReadBinary): Canonical | null {
  if (value.length < 12) return null;
  const view = viewOf(value);
  const dimensions = view.getInt32(0);
  const flags = view.getInt32(4);
  const typeOid = view.getUint32(8);
  if (dimensions < 0 || dimensions > MAX_DIMENSIONS || (flags !== 0 && flags !== 1)) return null;
  if (value.length < 12 + dimensions * 8) return null;
  const sizes: number[] = [];
  const lower: number[] = [];
  for (let i = 0; i < dimensions; i++) {
    sizes.push(view.getInt32(12 + i * 8));
    lower.push(view.getInt32(16 + i * 8));
  }
  const count = dimensions === 0 ? 0 : sizes.reduce((product, size) => product * size, 1);
  if (sizes.some((size) => size < 0) || count > MAX_ELEMENTS) return null;
  const elements = fieldsFrom(value, 12 + dimensions * 8, count, (bytes) => read(bytes, typeOid));
  if (elements === null) return null;
  const written = lower.every((bound) => bound === 1) ? '' : lower.join(' ');
  return [`a${written}`, nest(elements, sizes)];
}

/** `[1,10)`, `empty`, `(,"a b"]`. */
export function rangeFromText(text: string, read: ReadText): Canonical | null {
  const cursor = { text, at: 0 };
  const value = readRange(cursor, read);
  return cursor.at === text.length ? value : null;
}

/** `{[1,3),[5,8)}`. */
export function multirangeFromText(text: string, read: ReadText): Canonical | null {
  if (!text.startsWith('{') || !text.endsWith('}')) return null;
  const cursor = { text, at: 1 };
  const parts: Canonical[] = ['R'];
  while (cursor.at < text.length - 1) {
    if (parts.length > 1) cursor.at += 1;
    const range = readRange(cursor, read);
    if (range === null) return null;
    parts.push(range);
  }
  return parts;
}

function readRange(cursor: Cursor, read: ReadText): Canonical | null {
  if (cursor.text.startsWith('empty', cursor.at)) {
    cursor.at += 5;
    return 'rempty';
  }
  const opens = cursor.text[cursor.at];
  if (opens !== '[' && opens !== '(') return null;
  cursor.at += 1;
  const lower = readBound(cursor, ',', read);
  cursor.at += 1;
  const upper = readBound(cursor, ')]', read);
  const closes = cursor.text[cursor.at];
  if (lower === null || upper === null || (closes !== ']' && closes !== ')')) return null;
  cursor.at += 1;
  return [`r${opens}${closes}`, lower, upper];
}

function readBound(cursor: Cursor, ends: string, read: ReadText): Canonical | null {
  const { text, quoted } = readWord(cursor, ends);
  return text === '' && !quoted ? NULL_ELEMENT : read(text);
}

/** int8 flags, then each finite bound with its length. */
export function rangeFromBinary(value: Uint8Array, read: (value: Uint8Array) => Canonical | null): Canonical | null {
  const flags = value[0];
  if (flags === undefined) return null;
  if ((flags & RANGE_EMPTY) !== 0) return value.length === 1 ? 'rempty' : null;
  const finite = [(flags & LOWER_INFINITE) === 0, (flags & UPPER_INFINITE) === 0];
  const bounds = fieldsFrom(value, 1, finite.filter(Boolean).length, read);
  if (bounds === null) return null;
  const lower = finite[0] ? (bounds[0] as Canonical) : NULL_ELEMENT;
  const upper = finite[1] ? (bounds.at(-1) as Canonical) : NULL_ELEMENT;
  const opens = (flags & LOWER_INCLUSIVE) !== 0 ? '[' : '(';
  return [`r${opens}${(flags & UPPER_INCLUSIVE) !== 0 ? ']' : ')'}`, lower, upper];
}

/** int32 count, then each range with its length. */
export function multirangeFromBinary(
  value: Uint8Array,
  read: (value: Uint8Array) => Canonical | null,
): Canonical | null {
  if (value.length < 4) return null;
  const count = viewOf(value).getUint32(0);
  if (count > MAX_ELEMENTS) return null;
  const ranges = fieldsFrom(value, 4, count, (bytes) => rangeFromBinary(bytes, read));
  return ranges === null ? null : ['R', ...ranges];
}

/** int32 count, then type and value of each column. The types of users are named by numbers that mean nothing on another server. */
export function rowFromBinary(value: Uint8Array, firstUserOid: number, read: ReadBinary): Canonical | null {
  if (value.length < 4) return null;
  const view = viewOf(value);
  const count = view.getInt32(0);
  if (count < 0 || count > 1664) return null;
  const parts: Canonical[] = ['c'];
  let at = 4;
  for (let i = 0; i < count; i++) {
    if (at + 8 > value.length) return null;
    const typeOid = view.getUint32(at);
    const field = fieldAt(value, at + 4);
    if (field === null) return null;
    const cell = field.bytes === null ? NULL_ELEMENT : read(field.bytes, typeOid);
    if (cell === null) return null;
    parts.push(`o${typeOid < firstUserOid ? typeOid : 'user'}`, cell);
    at = field.end;
  }
  return at === value.length ? parts : null;
}

/** So many fields, each int32 length (-1: NULL) and bytes; they must fill the value to its end. */
function fieldsFrom(
  value: Uint8Array,
  from: number,
  count: number,
  read: (bytes: Uint8Array) => Canonical | null,
): Canonical[] | null {
  const parts: Canonical[] = [];
  let at = from;
  for (let i = 0; i < count; i++) {
    const field = fieldAt(value, at);
    if (field === null) return null;
    const part = field.bytes === null ? NULL_ELEMENT : read(field.bytes);
    if (part === null) return null;
    parts.push(part);
    at = field.end;
  }
  return at === value.length ? parts : null;
}

function fieldAt(value: Uint8Array, at: number): { readonly bytes: Uint8Array | null; readonly end: number } | null {
  if (at + 4 > value.length) return null;
  const length = viewOf(value).getInt32(at);
  if (length === -1) return { bytes: null, end: at + 4 };
  const end = at + 4 + length;
  return length < 0 || end > value.length ? null : { bytes: value.subarray(at + 4, end), end };
}

/** Elements in row-major order as nested lists. */
function nest(elements: readonly Canonical[], sizes: readonly number[]): readonly Canonical[] {
  if (sizes.length <= 1) return elements;
  const [size = 0, ...rest] = sizes;
  const each = size === 0 ? 0 : elements.length / size;
  return Array.from({ length: size }, (_, i) => nest(elements.slice(i * each, (i + 1) * each), rest));
}
