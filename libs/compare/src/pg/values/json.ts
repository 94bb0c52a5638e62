// The value of a JSON text: white space, the order of keys, escapes and the notation of numbers do not count.
//
// Numbers keep all their digits. Of a key that comes twice the last one counts, as jsonb has it.
import type { Canonical } from './canonical.ts';
import { plainDecimal } from './numbers.ts';

const MAX_DEPTH = 200;
const number = /-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/y;
const string = /"(?:[^"\\]|\\.)*"/y;
const space = /[ \t\n\r]*/y;

/** null: it is no JSON, or nested too deep. */
export function jsonFromText(text: string): Canonical | null {
  const cursor = { text, at: 0 };
  const value = readValue(cursor, 0);
  skipSpace(cursor);
  return value === null || cursor.at !== text.length ? null : value;
}

interface Cursor {
  readonly text: string;
  at: number;
}

function readValue(cursor: Cursor, depth: number): Canonical | null {
  skipSpace(cursor);
  if (depth > MAX_DEPTH) return null;
  switch (cursor.text[cursor.at]) {
    case '{':
      return readObject(cursor, depth);
    case '[':
      return readArray(cursor, depth);
    case '"': {
      const found = readString(cursor);
      return found === null ? null : `j"${found}`;
    }
    default:
      return readWord(cursor);
  }
}

function readWord(cursor: Cursor): Canonical | null {
  for (const word of ['true', 'false', 'null']) {
    if (!cursor.text.startsWith(word, cursor.at)) continue;
    cursor.at += word.length;
    return `j${word}`;
  }
  const found = take(cursor, number);
  const plain = found === null ? null : plainDecimal(found);
  return plain === null ? null : `j#${plain}`;
}

function readString(cursor: Cursor): string | null {
  const found = take(cursor, string);
  if (found === null) return null;
  try {
    return JSON.parse(found) as string;
  } catch {
    return null;
  }
}

function readObject(cursor: Cursor, depth: number): Canonical | null {
  const members = new Map<string, Canonical>();
  cursor.at += 1;
  for (let first = true; !passes(cursor, '}'); first = false) {
    if (!first && !passes(cursor, ',')) return null;
    skipSpace(cursor);
    const key = readString(cursor);
    if (key === null || !passes(cursor, ':')) return null;
    const value = readValue(cursor, depth + 1);
    if (value === null) return null;
    members.set(key, value);
  }
  const sorted = [...members].sort(([a], [b]) => (a < b ? -1 : 1));
  return ['j{', ...sorted.flatMap(([key, value]) => [`k${key}`, value])];
}

function readArray(cursor: Cursor, depth: number): Canonical | null {
  const parts: Canonical[] = ['j['];
  cursor.at += 1;
  for (let first = true; !passes(cursor, ']'); first = false) {
    if (!first && !passes(cursor, ',')) return null;
    const value = readValue(cursor, depth + 1);
    if (value === null) return null;
    parts.push(value);
  }
  return parts;
}

function skipSpace(cursor: Cursor): void {
  take(cursor, space);
}

function passes(cursor: Cursor, sign: string): boolean {
  skipSpace(cursor);
  if (cursor.text[cursor.at] !== sign) return false;
  cursor.at += 1;
  return true;
}

function take(cursor: Cursor, pattern: RegExp): string | null {
  pattern.lastIndex = cursor.at;
  const found = pattern.exec(cursor.text)?.[0] ?? null;
  if (found !== null) cursor.at += found.length;
  return found;
}
