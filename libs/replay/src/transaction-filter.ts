// Whether a transaction of a played session is for this mirror, by what it does and when: decided once, when it begins, for all its parts.
//
// Of a transaction in several parts the first one decides. What it does not tell yet is no reason to leave the transaction out: an excluded
// table that is named later is played. So is what cannot be known at all, with one exception: a statement that may do anything counts as
// writing. A transaction of BEGIN, SET and the like alone passes every filter: it costs nothing and sessions are made of it.
import { type Filters, trafficClasses } from '@mirrorstream/domain';
import type { Envelope } from '@mirrorstream/envelope';
import type { FilteredReason } from './policy.ts';
import {
  type SqlShapes,
  type TransactionFacts,
  transactionFacts,
  transactionFingerprints,
} from './transaction-facts.ts';

/** Null: it is played. The envelope is the first part of its transaction. */
export type TransactionFilter = (
  envelope: Envelope,
  shapes: SqlShapes,
) => { readonly reason: FilteredReason; readonly harmless: boolean } | null;

/** Whether these filters look at transactions at all; then SQL has to be known. */
export function looksAtTransactions(filters: Filters): boolean {
  const { includeTimes, excludeTimes } = filters;
  return looksAtSql(filters) || includeTimes.length > 0 || excludeTimes.length > 0;
}

function looksAtSql(filters: Filters): boolean {
  const { includeClasses, excludeClasses, includeTables, excludeTables, includeFingerprints, excludeFingerprints } =
    filters;
  return [includeClasses, excludeClasses, includeTables, excludeTables, includeFingerprints, excludeFingerprints].some(
    ({ length }) => length > 0,
  );
}

/** Once per change of the filters. */
export function compileTransactionFilter(filters: Filters): TransactionFilter | null {
  if (!looksAtTransactions(filters)) return null;
  const atTime = compileTimes(filters);
  const byFacts = compileFacts(filters);
  const byFingerprint = compileFingerprints(filters);
  const looks = looksAtSql(filters);
  return (envelope, shapes) => {
    const wrongTime = !atTime(envelope);
    if (!wrongTime && !looks) return null;
    const facts = transactionFacts(envelope, shapes);
    if (wrongTime) return { reason: 'timeOfDay', harmless: facts.harmless };
    if (facts.kind === 'none') return null;
    const reason = byFacts(facts, envelope) ?? byFingerprint(envelope, shapes);
    return reason === null ? null : { reason, harmless: facts.harmless };
  };
}

function compileFacts(filters: Filters): (facts: TransactionFacts, envelope: Envelope) => FilteredReason | null {
  const include = new Set<string>(filters.includeClasses.length === 0 ? trafficClasses : filters.includeClasses);
  const exclude = new Set<string>(filters.excludeClasses);
  const includeTable = compileTables(filters.includeTables);
  const excludeTable = compileTables(filters.excludeTables);
  return ({ kind, tables }, { lastPart }) => {
    // A transaction that has only read so far may yet write.
    const known = lastPart || kind !== 'reads';
    if (known && (!include.has(kind) || exclude.has(kind))) return 'statementClass';
    if (excludeTable !== null && [...tables].some(excludeTable)) return 'table';
    return includeTable !== null && lastPart && ![...tables].some(includeTable) ? 'table' : null;
  };
}

/** A name without a schema, in the filter or in the statement, means that table in any schema. */
function compileTables(names: readonly string[]): ((table: string) => boolean) | null {
  if (names.length === 0) return null;
  const whole = new Set(names);
  const bare = new Set(names.map(withoutSchema));
  return (table) => whole.has(table) || whole.has(withoutSchema(table)) || (!table.includes('.') && bare.has(table));
}

const withoutSchema = (name: string): string => name.slice(name.lastIndexOf('.') + 1);

function compileFingerprints(filters: Filters): (envelope: Envelope, shapes: SqlShapes) => FilteredReason | null {
  const include = new Set(filters.includeFingerprints);
  const exclude = new Set(filters.excludeFingerprints);
  if (include.size === 0 && exclude.size === 0) return () => null;
  return (envelope, shapes) => {
    const found = [...transactionFingerprints(envelope, shapes)];
    if (found.some((each) => exclude.has(each))) return 'fingerprint';
    return include.size > 0 && envelope.lastPart && !found.some((each) => include.has(each)) ? 'fingerprint' : null;
  };
}

const dayMinutes = 24 * 60;

function compileTimes({ includeTimes, excludeTimes }: Filters): (envelope: Envelope) => boolean {
  const include = includeTimes.map(timesOf);
  const exclude = excludeTimes.map(timesOf);
  return ({ startedAtUs }) => {
    const minute = Math.floor(Number(startedAtUs) / 60_000_000) % dayMinutes;
    const within = ({ from, to }: Times): boolean =>
      from <= to ? minute >= from && minute < to : minute >= from || minute < to;
    return (include.length === 0 || include.some(within)) && !exclude.some(within);
  };
}

interface Times {
  readonly from: number;
  readonly to: number;
}

function timesOf(text: string): Times {
  const [from = 0, to = 0] = text.split('-').map((time) => {
    const [hours = 0, minutes = 0] = time.split(':').map(Number);
    return hours * 60 + minutes;
  });
  return { from, to };
}
