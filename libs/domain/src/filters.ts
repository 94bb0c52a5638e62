// Which traffic a mirror plays: by what a session connected as, and by what a transaction does. One shape for file, flags and control topic.
import { z } from 'zod';

/** What a transaction does, by the statement in it that does the most. */
export const trafficClasses = ['reads', 'writes', 'ddl'] as const;
export type TrafficClass = (typeof trafficClasses)[number];

const some = z.string().min(1).max(1000);
const list = <T extends z.ZodType>(item: T) => z.array(item).max(1000).readonly();
const hourAndMinute = '([01]\\d|2[0-3]):[0-5]\\d';
const times = z
  .string()
  .regex(
    new RegExp(`^${hourAndMinute}-(${hourAndMinute}|24:00)$`),
    'must be HH:MM-HH:MM, in UTC; 22:00-06:00 goes over midnight',
  );
const fingerprint = z.string().regex(/^[0-9a-f]{16}$/, 'must be 16 hexadecimal digits, as findings show it');

/**
 * Of each criterion: include, empty for all, and exclude, which wins. Sessions are judged by database, user and application (the
 * `application_name` they connected with), transactions by the rest: as a whole, when they begin.
 */
export const filtersSchema = z.strictObject({
  includeDatabases: list(some),
  excludeDatabases: list(some),
  includeUsers: list(some),
  excludeUsers: list(some),
  includeApplications: list(some),
  excludeApplications: list(some),
  includeClasses: list(z.enum(trafficClasses)),
  excludeClasses: list(z.enum(trafficClasses)),
  /** `table`, in whatever schema, or `schema.table`. */
  includeTables: list(some),
  excludeTables: list(some),
  includeFingerprints: list(fingerprint),
  excludeFingerprints: list(fingerprint),
  /** When production began the transaction, UTC. */
  includeTimes: list(times),
  excludeTimes: list(times),
});
export type Filters = z.infer<typeof filtersSchema>;
export type FilterName = keyof Filters;

export const filterNames = Object.keys(filtersSchema.shape) as readonly FilterName[];

export const noFilters: Filters = {
  ...{ includeDatabases: [], excludeDatabases: [], includeUsers: [], excludeUsers: [] },
  ...{ includeApplications: [], excludeApplications: [], includeClasses: [], excludeClasses: [] },
  ...{ includeTables: [], excludeTables: [], includeFingerprints: [], excludeFingerprints: [] },
  ...{ includeTimes: [], excludeTimes: [] },
};

/** Flag of a criterion: `includeDatabases` is `--include-database`. */
function flagOf(name: FilterName): string {
  return name.replace(/(?<=Class)es$|s$/, '').replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}

const subjects: Readonly<Record<string, string>> = {
  Databases: 'sessions of these databases',
  Users: 'sessions of these users',
  Applications: 'sessions that connected with these application names',
  Classes: `transactions of these classes: ${trafficClasses.join(', ')}`,
  Tables: 'transactions that name one of these tables, TABLE or SCHEMA.TABLE',
  Fingerprints: 'transactions with a statement of one of these fingerprints',
  Times: 'transactions that production began in these times of day, HH:MM-HH:MM in UTC',
};

const placeholders: Readonly<Record<string, string>> = { Fingerprints: 'HEX', Times: 'HH:MM-HH:MM' };

/** A flag for each criterion, with its help. */
export const filterFlags = filterNames.map((name) => {
  const subject = name.replace(/^(include|exclude)/, '');
  return {
    name: flagOf(name),
    filter: name,
    description: `${name.startsWith('include') ? 'play only' : 'never play'} ${subjects[subject] ?? ''}`,
    placeholder: placeholders[subject] ?? 'NAME',
  };
});
