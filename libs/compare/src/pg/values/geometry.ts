// Points, boxes, paths and the like: double precision numbers with signs between them, in both formats.
import { approximate, type Canonical, FLOAT8_RELATIVE } from './canonical.ts';
import { viewOf } from './numbers.ts';

const number = /[+-]?(?:\d+(?:\.\d*)?(?:[eE][+-]?\d+)?|infinity|nan)/gi;

/** The signs, and the numbers between them. */
export function geometryFromText(text: string): Canonical {
  const parts: Canonical[] = [`g${text.replace(number, '#')}`];
  for (const [found] of text.matchAll(number))
    parts.push(approximate(Number(found.replace(/infinity/i, 'Infinity')), FLOAT8_RELATIVE));
  return parts;
}

/** Paths and polygons begin with a mark and a count, all others are numbers alone. */
export function geometryFromBinary(value: Uint8Array): Canonical | null {
  const head = value.length % 8;
  const view = viewOf(value);
  const parts: Canonical[] = [`g${value.subarray(0, head).join(' ')}`];
  for (let at = head; at < value.length; at += 8) parts.push(approximate(view.getFloat64(at), FLOAT8_RELATIVE));
  return parts;
}
