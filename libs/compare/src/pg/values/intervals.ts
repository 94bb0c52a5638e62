// Intervals in every IntervalStyle and in binary format, as months, days and microseconds (utils/adt/datetime.c, EncodeInterval).
import { viewOf } from './numbers.ts';

const US_PER_S = 1_000_000n;

interface Parts {
  months: bigint;
  days: bigint;
  us: bigint;
}

const clock = /^([+-]?)(\d+):(\d\d)(?::(\d\d)(?:\.(\d{1,6}))?)?$/;
const isoPart = /(-?\d+)(?:\.(\d{1,6}))?([YMWDHS])/g;

export function intervalFromText(text: string): string | null {
  if (text === 'infinity' || text === '-infinity') return `i${text}`;
  const parts = text.startsWith('P') ? fromIso(text) : fromWords(text);
  return parts === null ? null : `i${parts.months}m${parts.days}d${parts.us}`;
}

export function intervalFromBinary(value: Uint8Array): string | null {
  if (value.length !== 16) return null;
  const view = viewOf(value);
  const us = view.getBigInt64(0);
  const days = view.getInt32(8);
  const months = view.getInt32(12);
  if (months === 0x7fffffff && days === 0x7fffffff) return 'iinfinity';
  if (months === -0x80000000 && days === -0x80000000) return 'i-infinity';
  return `i${months}m${days}d${us}`;
}

/** `P1Y2M-3DT4H5M6.7S` */
function fromIso(text: string): Parts | null {
  if (!/^P(?:-?\d+[YMWD])*(?:T(?:-?\d+(?:\.\d{1,6})?[HMS])*)?$/.test(text)) return null;
  const parts: Parts = { months: 0n, days: 0n, us: 0n };
  const [dates = '', times = ''] = text.slice(1).split('T');
  for (const [, amount, , unit] of dates.matchAll(isoPart)) add(parts, BigInt(amount as string), `date${unit}`);
  for (const [, amount, fraction, unit] of times.matchAll(isoPart)) {
    const digits = (amount as string).replace('-', '');
    const us = unit === 'S' ? secondsUs(digits, fraction) : BigInt(digits) * (unit === 'H' ? 3600n : 60n) * US_PER_S;
    parts.us += (amount as string).startsWith('-') ? -us : us;
  }
  return parts;
}

/** `1 year -2 mons +3 days -04:05:06`, `@ 1 year 2 mons 3 days 4 hours ago`, `+1-2 -3 +4:05:06`. */
function fromWords(text: string): Parts | null {
  const parts: Parts = { months: 0n, days: 0n, us: 0n };
  const words = text.split(' ');
  const ago = words.at(-1) === 'ago';
  if (ago) words.pop();
  if (words[0] === '@') words.shift();
  if (words.length === 1 && words[0] === '0') return parts;
  for (let i = 0; i < words.length; i++) {
    const word = words[i] as string;
    const time = clock.exec(word);
    const yearMonth = /^([+-]?)(\d+)-(\d+)$/.exec(word);
    if (time !== null) parts.us += clockUs(time);
    else if (yearMonth !== null) {
      const found = BigInt(yearMonth[2] as string) * 12n + BigInt(yearMonth[3] as string);
      parts.months += yearMonth[1] === '-' ? -found : found;
    } else {
      const next = words[i + 1];
      if (next !== undefined && /^[a-z]+$/.test(next)) {
        if (!addWord(parts, word, next)) return null;
        i += 1;
      } else if (/^[+-]?\d+$/.test(word)) {
        parts.days += BigInt(word);
        // sql_standard writes one sign for all: `-1 2:00:00` is a day and two hours back.
        if (word.startsWith('-') && next !== undefined && /^\d/.test(next)) words[i + 1] = `-${next}`;
      } else return null;
    }
  }
  return ago ? { months: -parts.months, days: -parts.days, us: -parts.us } : parts;
}

function addWord(parts: Parts, amount: string, unit: string): boolean {
  const found = /^([+-]?)(\d+)(?:\.(\d{1,6}))?$/.exec(amount);
  if (found === null) return false;
  const sign = found[1] === '-' ? -1n : 1n;
  const whole = sign * BigInt(found[2] as string);
  if (/^secs?$/.test(unit)) {
    parts.us += sign * secondsUs(found[2] as string, found[3]);
    return true;
  }
  return found[3] === undefined && add(parts, whole, unit.replace(/s$/, ''));
}

function add(parts: Parts, amount: bigint, unit: string): boolean {
  switch (unit) {
    case 'year':
    case 'dateY':
      parts.months += amount * 12n;
      return true;
    case 'mon':
    case 'dateM':
      parts.months += amount;
      return true;
    case 'dateW':
      parts.days += amount * 7n;
      return true;
    case 'day':
    case 'dateD':
      parts.days += amount;
      return true;
    case 'hour':
      parts.us += amount * 3600n * US_PER_S;
      return true;
    case 'min':
      parts.us += amount * 60n * US_PER_S;
      return true;
    default:
      return false;
  }
}

function clockUs([, sign, hours, minutes, seconds, fraction]: RegExpExecArray): bigint {
  const whole = BigInt(hours as string) * 3600n + BigInt(minutes as string) * 60n;
  const us = whole * US_PER_S + secondsUs(seconds ?? '0', fraction);
  return sign === '-' ? -us : us;
}

function secondsUs(seconds: string, fraction: string | undefined): bigint {
  return BigInt(seconds) * US_PER_S + BigInt((fraction ?? '').padEnd(6, '0'));
}
