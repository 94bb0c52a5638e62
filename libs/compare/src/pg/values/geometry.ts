// Points, boxes, paths and the like: double precision numbers with signs between them, in both formats.
import { approximate, type Canonical, FLOAT8_RELATIVE } from './canonical.ts';
import { viewOf } from './numbers.ts';

const number = /[+-]?(?:\d+(?:\.\d*)?(?:[eE][+-]?\d+)?|infinity|nan)/gi;

/** Of a path also whether it is closed; every other type has its shape by its number of numbers. */
const PATH_OID = 602;

export function geometryFromText(text: string, typeOid: number): Canonical {
  const parts: Canonical[] = [`g${typeOid === PATH_OID && text.startsWith('[') ? 'open' : ''}`];
  for (const [found] of text.matchAll(number))
    parts.push(approximate(Number(found.replace(/infinity/i, 'Infinity')), FLOAT8_RELATIVE));
  return parts;
}

/** Paths begin with int8 closed and int32 count, polygons with the count, all others are numbers alone. */
export function geometryFromBinary(value: Uint8Array, typeOid: number): Canonical | null {
  const view = viewOf(value);
  const parts: Canonical[] = [`g${typeOid === PATH_OID && value[0] === 0 ? 'open' : ''}`];
  for (let at = value.length % 8; at < value.length; at += 8)
    parts.push(approximate(view.getFloat64(at), FLOAT8_RELATIVE));
  return parts;
}
