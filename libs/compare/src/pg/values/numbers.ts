// Numbers: integers, numeric, floating point, money; in text and in binary format (utils/adt: int.c, numeric.c, float.c, cash.c).
import { approximate, type Canonical, exactNumber, FLOAT4_RELATIVE, FLOAT8_RELATIVE } from './canonical.ts';

const decimal = /^([+-]?)(\d*)(?:\.(\d*))?(?:[eE]([+-]?\d+))?$/;
/** numeric itself goes to 131 072 digits before the point; an exponent beyond this is no number a server writes. */
const MAX_EXPONENT = 200_000;
const DIGITS_PER_GROUP = 4;
const SIGN_NEGATIVE = 0x4000;
const SIGN_NAN = 0xc000;
const SIGN_INFINITY = 0xd000;
const SIGN_MINUS_INFINITY = 0xf000;

/** `-0012.3400` is `-12.34`, `1e3` is `1000`: the value without its scale. null: no number. */
export function plainDecimal(text: string): string | null {
  if (/^[+-]?infinity$/i.test(text)) return text.startsWith('-') ? '-Infinity' : 'Infinity';
  if (/^nan$/i.test(text)) return 'NaN';
  const found = decimal.exec(text);
  if (found === null || (found[2] === '' && (found[3] ?? '') === '')) return null;
  const exponent = Number(found[4] ?? 0);
  if (Math.abs(exponent) > MAX_EXPONENT) return null;
  return plain(found[1] === '-', found[2] as string, found[3] ?? '', exponent);
}

function plain(negative: boolean, whole: string, fraction: string, exponent: number): string {
  const digits = whole + fraction;
  const point = whole.length + exponent;
  const padded = point > digits.length ? digits.padEnd(point, '0') : digits;
  const before = point <= 0 ? '' : padded.slice(0, point);
  const after = point <= 0 ? '0'.repeat(-point) + padded : padded.slice(point);
  const wholePart = before.replace(/^0+/, '');
  const fractionPart = after.replace(/0+$/, '');
  if (wholePart === '' && fractionPart === '') return '0';
  return `${negative ? '-' : ''}${wholePart === '' ? '0' : wholePart}${fractionPart === '' ? '' : `.${fractionPart}`}`;
}

/** int2, int4, int8, oid and numeric. */
export function exactFromText(text: string): Canonical | null {
  const found = plainDecimal(text);
  return found === null ? null : exactNumber(found);
}

export function integerFromBinary(value: Uint8Array, signed: boolean): Canonical | null {
  const view = viewOf(value);
  if (value.length === 2) return exactNumber(String(view.getInt16(0)));
  if (value.length === 4) return exactNumber(String(signed ? view.getInt32(0) : view.getUint32(0)));
  return value.length === 8 ? exactNumber(String(view.getBigInt64(0))) : null;
}

/** int16 groups, int16 weight, uint16 sign, uint16 display scale, then the groups of four digits. */
export function numericFromBinary(value: Uint8Array): Canonical | null {
  if (value.length < 8) return null;
  const view = viewOf(value);
  const groups = view.getUint16(0);
  const weight = view.getInt16(2);
  const sign = view.getUint16(4);
  if (sign === SIGN_NAN) return exactNumber('NaN');
  if (sign === SIGN_INFINITY) return exactNumber('Infinity');
  if (sign === SIGN_MINUS_INFINITY) return exactNumber('-Infinity');
  if (value.length !== 8 + groups * 2) return null;
  let digits = '';
  for (let i = 0; i < groups; i++) digits += String(view.getUint16(8 + i * 2)).padStart(DIGITS_PER_GROUP, '0');
  const exponent = (weight + 1 - groups) * DIGITS_PER_GROUP;
  return exactNumber(plain(sign === SIGN_NEGATIVE, digits, '', exponent));
}

export function floatFromText(text: string, single: boolean): Canonical | null {
  const found = plainDecimal(text);
  return found === null
    ? null
    : approximate(Number(text.replace(/^([+-]?)infinity$/i, '$1Infinity')), relativeOf(single));
}

export function floatFromBinary(value: Uint8Array): Canonical | null {
  if (value.length === 4) return approximate(viewOf(value).getFloat32(0), FLOAT4_RELATIVE);
  return value.length === 8 ? approximate(viewOf(value).getFloat64(0), FLOAT8_RELATIVE) : null;
}

/** Its digits are the stored number, whatever signs lc_monetary puts between them. */
export function moneyFromText(text: string): Canonical | null {
  const digits = text.replace(/\D/g, '').replace(/^0+(?=\d)/, '');
  if (digits === '') return null;
  return exactNumber(`${digits !== '0' && /-|\(/.test(text) ? '-' : ''}${digits}`);
}

const relativeOf = (single: boolean): number => (single ? FLOAT4_RELATIVE : FLOAT8_RELATIVE);

export function viewOf(value: Uint8Array): DataView {
  return new DataView(value.buffer, value.byteOffset, value.byteLength);
}
