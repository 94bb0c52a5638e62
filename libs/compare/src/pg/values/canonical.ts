// A value in a form that says the same whatever notation a server chose: exact parts as text, floating point numbers as numbers.
//
// Exact parts begin with a letter that says what they are, so that the number 1 is never the text 1.

/** Equal within a relative difference; NaN and the infinities are exact. */
export interface Approximate {
  readonly value: number;
  readonly relative: number;
}

export type Canonical = string | Approximate | readonly Canonical[];

const NUMBER = 'n';

/** float4 has at least 6 decimal digits, which is what servers before 12 wrote. */
export const FLOAT4_RELATIVE = 1e-5;
/** float8 has at least 15; sums over rows in another order lose some more. */
export const FLOAT8_RELATIVE = 1e-12;

export const exactNumber = (decimal: string): string => NUMBER + decimal;

export function approximate(value: number, relative: number): Approximate {
  return { value, relative };
}

/** An exact number as one to be compared with a floating point number; anything else as it is. */
export function asApproximate(value: Canonical): Canonical {
  return typeof value === 'string' && value.startsWith(NUMBER)
    ? approximate(Number(value.slice(1)), FLOAT8_RELATIVE)
    : value;
}

export function sameCanonical(a: Canonical, b: Canonical): boolean {
  if (typeof a === 'string') return typeof b === 'string' ? a === b : isApproximate(b) && sameNumber(b, a);
  if (isApproximate(a)) {
    if (typeof b === 'string') return sameNumber(a, b);
    return isApproximate(b) && within(a.value, b.value, Math.max(a.relative, b.relative));
  }
  if (typeof b === 'string' || isApproximate(b) || a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (!sameCanonical(a[i] as Canonical, b[i] as Canonical)) return false;
  return true;
}

/**
 * A key that equal values share. Approximate parts are left out of it and given to `numbers` in order: they are compared among the
 * values that share the key.
 */
export function canonicalKey(value: Canonical, numbers: Approximate[]): string {
  if (typeof value === 'string') return `${value.length}:${value}`;
  if (isApproximate(value)) {
    numbers.push(value);
    return '~';
  }
  return `[${value.map((part) => canonicalKey(part, numbers)).join(',')}]`;
}

function isApproximate(value: Canonical): value is Approximate {
  return typeof value === 'object' && 'relative' in value;
}

/** A floating point number beside an exact one: what was double precision in one version is numeric in another. */
function sameNumber({ value, relative }: Approximate, exact: string): boolean {
  return exact.startsWith(NUMBER) && within(value, Number(exact.slice(1)), relative);
}

function within(a: number, b: number, relative: number): boolean {
  if (a === b || (Number.isNaN(a) && Number.isNaN(b))) return true;
  if (!Number.isFinite(a) || !Number.isFinite(b)) return false;
  return Math.abs(a - b) <= relative * Math.max(Math.abs(a), Math.abs(b));
}
