// Offsets from UTC of time zones as servers write them: numbers, and the abbreviations that mean one thing only.

const HOUR = 3600;

/** Of share/timezonesets/Default, those that are common and have one meaning there. */
const abbreviations: ReadonlyMap<string, number> = new Map(
  Object.entries({
    UTC: 0,
    GMT: 0,
    Z: 0,
    UCT: 0,
    WET: 0,
    WEST: 1,
    BST: 1,
    CET: 1,
    CEST: 2,
    EET: 2,
    EEST: 3,
    MSK: 3,
    JST: 9,
    KST: 9,
    AEST: 10,
    AEDT: 11,
    ACST: 9.5,
    ACDT: 10.5,
    AWST: 8,
    NZST: 12,
    NZDT: 13,
    NST: -3.5,
    NDT: -2.5,
    AST: -4,
    ADT: -3,
    EST: -5,
    EDT: -4,
    CST: -6,
    CDT: -5,
    MST: -7,
    MDT: -6,
    PST: -8,
    PDT: -7,
    AKST: -9,
    AKDT: -8,
    HST: -10,
    SAST: 2,
    PKT: 5,
    WIB: 7,
    HKT: 8,
    SGT: 8,
  }).map(([name, hours]) => [name, hours * HOUR]),
);

const numeric = /^([+-])(\d\d)(?::?(\d\d))?(?::?(\d\d))?$/;

/** Seconds east of Greenwich; null: not known. */
export function zoneOffsetSeconds(zone: string): number | null {
  const found = numeric.exec(zone);
  if (found === null) return abbreviations.get(zone) ?? null;
  const seconds = Number(found[2]) * HOUR + Number(found[3] ?? 0) * 60 + Number(found[4] ?? 0);
  // Not `-seconds`: -0 would be written like no number that another notation gives.
  return found[1] === '-' ? 0 - seconds : seconds;
}
