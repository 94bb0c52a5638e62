// The value behind the bytes of one column, by the type's OID and the format. Types that are not known here have bytes, not values.
import { decodeText } from '@mirrorstream/pg-wire';
import type { Canonical } from './canonical.ts';
import {
  arrayFromBinary,
  arrayFromText,
  multirangeFromBinary,
  multirangeFromText,
  rangeFromBinary,
  rangeFromText,
  rowFromBinary,
} from './containers.ts';
import { geometryFromBinary, geometryFromText } from './geometry.ts';
import { intervalFromBinary, intervalFromText } from './intervals.ts';
import { jsonFromText } from './json.ts';
import {
  dateFromBinary,
  dateFromText,
  timeFromBinary,
  timeFromText,
  timestampFromBinary,
  timestampFromText,
} from './moments.ts';
import {
  exactFromText,
  floatFromBinary,
  floatFromText,
  integerFromBinary,
  moneyFromText,
  numericFromBinary,
} from './numbers.ts';
import {
  booleanFromBinary,
  booleanFromText,
  byteaFromBinary,
  byteaFromText,
  hexOf,
  uuidFromBinary,
  uuidFromText,
} from './octets.ts';
import { arrayElements, FIRST_USER_OID, multirangeElements, RECORD_OID, rangeElements, scalarOf } from './types.ts';

const MAX_DEPTH = 12;

/** null: the value cannot be read, or its type is not known; then two of them are equal when their bytes are. */
export function readValue(value: Uint8Array, typeOid: number, binary: boolean, depth = 0): Canonical | null {
  if (depth > MAX_DEPTH) return null;
  return binary ? fromBinary(value, typeOid, depth) : fromText(decodeText(value, 0, value.length), typeOid, depth);
}

function fromText(text: string, typeOid: number, depth: number): Canonical | null {
  const element = arrayElements.get(typeOid);
  const within = (oid: number) => (part: string) =>
    depth > MAX_DEPTH ? null : (fromText(part, oid, depth + 1) ?? `x${part}`);
  if (element !== undefined) return arrayFromText(text, element === BOX_OID ? ';' : ',', within(element));
  const bound = rangeElements.get(typeOid);
  if (bound !== undefined) return rangeFromText(text, within(bound));
  const multi = multirangeElements.get(typeOid);
  if (multi !== undefined) return multirangeFromText(text, within(multi));
  return scalarFromText(text, typeOid);
}

const BOX_OID = 603;

function scalarFromText(text: string, typeOid: number): Canonical | null {
  const scalar = scalarOf(typeOid);
  switch (scalar) {
    case 'boolean':
      return booleanFromText(text);
    case 'integer':
    case 'unsigned':
    case 'numeric':
      return exactFromText(text);
    case 'float4':
    case 'float8':
      return floatFromText(text, scalar === 'float4');
    case 'money':
      return moneyFromText(text);
    case 'text':
      return `x${text}`;
    case 'bytea':
      return byteaFromText(text);
    case 'uuid':
      return uuidFromText(text);
    case 'date':
      return dateFromText(text);
    case 'time':
    case 'timetz':
      return timeFromText(text, scalar === 'timetz');
    case 'timestamp':
    case 'timestamptz':
      return timestampFromText(text, scalar === 'timestamptz');
    case 'interval':
      return intervalFromText(text);
    case 'json':
    case 'jsonb':
      return jsonFromText(text);
    case 'geometry':
      return geometryFromText(text, typeOid);
    case 'unknown':
      return null;
    default:
      return scalar satisfies never;
  }
}

function fromBinary(value: Uint8Array, typeOid: number, depth: number): Canonical | null {
  const within = (bytes: Uint8Array, oid: number) => readValue(bytes, oid, true, depth + 1) ?? `h${hexOf(bytes)}`;
  if (arrayElements.has(typeOid)) return arrayFromBinary(value, within);
  const bound = rangeElements.get(typeOid);
  if (bound !== undefined) return rangeFromBinary(value, (bytes) => within(bytes, bound));
  const multi = multirangeElements.get(typeOid);
  if (multi !== undefined) return multirangeFromBinary(value, (bytes) => within(bytes, multi));
  if (typeOid === RECORD_OID) return rowFromBinary(value, FIRST_USER_OID, within);
  // A type of the user's own: an array or a row names the types in it by numbers that differ between servers.
  if (typeOid >= FIRST_USER_OID)
    return arrayFromBinary(value, within) ?? rowFromBinary(value, FIRST_USER_OID, within) ?? null;
  return scalarFromBinary(value, typeOid);
}

function scalarFromBinary(value: Uint8Array, typeOid: number): Canonical | null {
  const scalar = scalarOf(typeOid);
  switch (scalar) {
    case 'boolean':
      return booleanFromBinary(value);
    case 'integer':
    case 'unsigned':
    case 'money':
      return integerFromBinary(value, scalar !== 'unsigned');
    case 'numeric':
      return numericFromBinary(value);
    case 'float4':
    case 'float8':
      return floatFromBinary(value);
    case 'text':
      return `x${decodeText(value, 0, value.length)}`;
    case 'bytea':
      return byteaFromBinary(value);
    case 'uuid':
      return uuidFromBinary(value);
    case 'date':
      return dateFromBinary(value);
    case 'time':
    case 'timetz':
      return timeFromBinary(value);
    case 'timestamp':
    case 'timestamptz':
      return timestampFromBinary(value);
    case 'interval':
      return intervalFromBinary(value);
    case 'json':
      return jsonFromText(decodeText(value, 0, value.length));
    case 'jsonb':
      return value[0] === 1 ? jsonFromText(decodeText(value, 1, value.length)) : null;
    case 'geometry':
      return geometryFromBinary(value, typeOid);
    case 'unknown':
      return null;
    default:
      return scalar satisfies never;
  }
}
