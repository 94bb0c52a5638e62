// Dates, times and timestamps in every DateStyle, and in binary format (utils/adt/datetime.c; manual, "Date/Time Output").
//
// A style that writes days and months as numbers leaves open which is which (MDY or DMY). Where both are possible, month first is read:
// a difference that only another order of the two explains is then shown, not hidden.
import { viewOf } from './numbers.ts';
import { zoneOffsetSeconds } from './zones.ts';

const US_PER_S = 1_000_000n;
const US_PER_DAY = 86_400n * US_PER_S;
const DAYS_1970_TO_2000 = 10_957n;
const MAX_INT64 = 0x7fff_ffff_ffff_ffffn;
const MAX_INT32 = 0x7fff_ffff;

const months: ReadonlyMap<string, number> = new Map(
  ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'].map((name, i) => [name, i + 1]),
);

const date = String.raw`(?:(?<isoYear>\d{4,})-(?<isoMonth>\d\d)-(?<isoDay>\d\d)|(?<first>\d\d)(?<separator>[/.-])(?<second>\d\d)\k<separator>(?<year>\d{4,}))`;
const time = String.raw`(?<hour>\d\d):(?<minute>\d\d)(?::(?<second60>\d\d)(?:\.(?<fraction>\d{1,6}))?)?`;
const zone = String.raw`(?: ?(?!BC$)(?<zone>[+-]\d\d(?::?\d\d(?::\d\d)?)?|[A-Za-z_/<>+-][\w/<>+-]*))?`;
const dateOnly = new RegExp(`^${date}(?<bc> BC)?$`);
const dateTime = new RegExp(`^${date} ${time}${zone}(?<bc> BC)?$`);
const timeOnly = new RegExp(`^${time}${zone}$`);
/** DateStyle Postgres: `Wed Jan 31 12:34:56.5 2024 CET`, or day and month exchanged. */
const verbose = new RegExp(
  String.raw`^[A-Z][a-z]{2} (?:(?<name>[A-Z][a-z]{2}) (?<day>\d\d)|(?<day2>\d\d) (?<name2>[A-Z][a-z]{2})) ${time} (?<verboseYear>\d{4,})${zone}(?<bc> BC)?$`,
);

type Groups = Readonly<Record<string, string | undefined>>;

/** Days since 1970. */
export function dateFromText(text: string): string | null {
  if (isInfinite(text)) return `d${text}`;
  const groups = dateOnly.exec(text)?.groups;
  const days = groups === undefined ? null : dayNumber(groups);
  return days === null ? null : `d${days}`;
}

export function dateFromBinary(value: Uint8Array): string | null {
  if (value.length !== 4) return null;
  const days = viewOf(value).getInt32(0);
  if (days === MAX_INT32) return 'dinfinity';
  return days === -MAX_INT32 - 1 ? 'd-infinity' : `d${BigInt(days) + DAYS_1970_TO_2000}`;
}

/** Microseconds since midnight, and for a time with a zone the seconds east of Greenwich. */
export function timeFromText(text: string, zoned: boolean): string | null {
  const groups = timeOnly.exec(text)?.groups;
  if (groups === undefined) return null;
  if (!zoned) return groups['zone'] === undefined ? `t${timeUs(groups)}` : null;
  const offset = zoneOffsetSeconds(groups['zone'] ?? '');
  return offset === null ? null : `t${timeUs(groups)}z${offset}`;
}

export function timeFromBinary(value: Uint8Array): string | null {
  if (value.length !== 8 && value.length !== 12) return null;
  const view = viewOf(value);
  // Sent as seconds west of Greenwich.
  return `t${view.getBigInt64(0)}${value.length === 12 ? `z${0 - view.getInt32(8)}` : ''}`;
}

/** Microseconds since 1970; of a zoned one in UTC. */
export function timestampFromText(text: string, zoned: boolean): string | null {
  if (isInfinite(text)) return `s${text}`;
  const groups = (dateTime.exec(text) ?? verbose.exec(text))?.groups;
  if (groups === undefined) return null;
  const days = dayNumber(groups);
  const offset = zoned ? zoneOffsetSeconds(groups['zone'] ?? '') : 0;
  if (days === null || offset === null || (!zoned && groups['zone'] !== undefined)) return null;
  return `s${days * US_PER_DAY + timeUs(groups) - BigInt(offset) * US_PER_S}`;
}

export function timestampFromBinary(value: Uint8Array): string | null {
  if (value.length !== 8) return null;
  const us = viewOf(value).getBigInt64(0);
  if (us === MAX_INT64) return 'sinfinity';
  return us === -MAX_INT64 - 1n ? 's-infinity' : `s${us + DAYS_1970_TO_2000 * US_PER_DAY}`;
}

const isInfinite = (text: string): boolean => text === 'infinity' || text === '-infinity';

function timeUs({ hour, minute, second60, fraction }: Groups): bigint {
  const seconds = Number(hour) * 3600 + Number(minute) * 60 + Number(second60 ?? 0);
  return BigInt(seconds) * US_PER_S + BigInt((fraction ?? '').padEnd(6, '0'));
}

function dayNumber(groups: Groups): bigint | null {
  const { isoYear, isoMonth, isoDay, first, second, separator, year, name, name2, day, day2, verboseYear } = groups;
  const written = Number(isoYear ?? year ?? verboseYear);
  // There is no year 0: 1 BC is the astronomers' year 0.
  const astronomical = groups['bc'] === undefined ? written : 1 - written;
  const month = name ?? name2;
  if (month !== undefined) return days(astronomical, months.get(month) ?? 0, Number(day ?? day2));
  if (isoYear !== undefined) return days(astronomical, Number(isoMonth), Number(isoDay));
  const dayFirst = separator === '.' || Number(first) > 12;
  return dayFirst
    ? days(astronomical, Number(second), Number(first))
    : days(astronomical, Number(first), Number(second));
}

/** Days since 1970 in the Gregorian calendar, before its time too; as in Howard Hinnant's description of civil dates. */
function days(year: number, month: number, day: number): bigint | null {
  if (month < 1 || month > 12 || day < 1 || day > 31) return null;
  const y = month <= 2 ? year - 1 : year;
  const era = Math.floor(y / 400);
  const yearOfEra = y - era * 400;
  const dayOfYear = Math.floor((153 * (month > 2 ? month - 3 : month + 9) + 2) / 5) + day - 1;
  const dayOfEra = yearOfEra * 365 + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100) + dayOfYear;
  return BigInt(era) * 146_097n + BigInt(dayOfEra - 719_468);
}
