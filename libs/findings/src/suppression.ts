// What suppressions hide, statement by statement as far as counts tell, and where a finding stands then.
import type { StatementClass } from '@mirrorstream/domain';
import type { Aggregate, ClassCount, SuppressionCount } from './model.ts';
import type { StatusRecord, SuppressionRecord } from './records.ts';
import type { FindingStatus } from './states.ts';

export interface Hidden {
  /** Statements of the finding that at least one suppression in force hides. */
  readonly count: number;
  /** Of each suppression that hides some: how many it takes part in hiding. */
  readonly by: ReadonlyMap<string, number>;
  /** The same for expired ones, had they not expired; each by itself. */
  readonly expired: ReadonlyMap<string, number>;
}

/**
 * A statement is hidden when each column that differs in it is covered by a suppression in force; one of which no column is known, only by
 * a suppression that names no column.
 */
export function hiddenOf(
  aggregate: Aggregate,
  name: StatementClass,
  found: ClassCount,
  suppressions: ReadonlyMap<string, SuppressionRecord>,
  nowMs: number,
): Hidden {
  const fitting = [...suppressions].filter(([, { scope }]) => fits(scope, aggregate, name));
  const inForce = fitting.filter(([, one]) => !isExpired(one, nowMs));
  const by = new Map<string, number>();
  const count = hides(found, inForce, by);
  const expired = new Map<string, number>();
  for (const one of fitting) if (isExpired(one[1], nowMs)) hides(found, [one], expired);
  return { count, by, expired };
}

type Named = readonly [id: string, suppression: SuppressionRecord];

function hides(found: ClassCount, suppressions: readonly Named[], by: Map<string, number>): number {
  const whole = suppressions.filter(([, { scope }]) => scope.column === undefined).map(([id]) => id);
  const byColumn = new Map<string, string[]>();
  for (const [id, { scope }] of suppressions)
    if (scope.column !== undefined) byColumn.set(scope.column, [...(byColumn.get(scope.column) ?? []), id]);
  let hidden = 0;
  const note = (ids: Iterable<string>, count: number): void => {
    for (const id of new Set(ids)) by.set(id, (by.get(id) ?? 0) + count);
    hidden += count;
  };
  let known = 0;
  for (const { columns, count } of found.columnSets) {
    known += count;
    const covering = columns.map((column) => byColumn.get(column) ?? []);
    if (whole.length > 0) note([...whole, ...covering.flat()], count);
    else if (columns.length > 0 && covering.every((ids) => ids.length > 0)) note(covering.flat(), count);
  }
  // Those without known columns, and those whose set found no room.
  const rest = found.count - known;
  if (whole.length > 0 && rest > 0) note(whole, rest);
  return hidden;
}

function fits(scope: SuppressionRecord['scope'], aggregate: Aggregate, name: StatementClass): boolean {
  return (
    (scope.fingerprint === undefined || scope.fingerprint === aggregate.fingerprint) &&
    (scope.class === undefined || scope.class === name) &&
    (scope.table === undefined || aggregate.tables.some((table) => sameTable(scope.table ?? '', table)))
  );
}

const sameTable = (asked: string, table: string): boolean =>
  asked === table || (!asked.includes('.') && table.endsWith(`.${asked}`));

export const isExpired = ({ expiresAtMs }: SuppressionRecord, nowMs: number): boolean => expiresAtMs <= nowMs;

/** `reopened` when it was seen after it was resolved; `suppressed` when nothing of it is left to see. */
export function statusOf(
  found: Pick<ClassCount, 'count' | 'lastSeenUs'>,
  hidden: number,
  said: StatusRecord | undefined,
): FindingStatus {
  if (hidden >= found.count && found.count > 0) return 'suppressed';
  if (said === undefined) return 'open';
  if (said.status === 'resolved' && found.lastSeenUs > said.atMs * 1_000) return 'reopened';
  return said.status;
}

/** Every suppression with what it hides, those that hide nothing too. */
export function suppressionCounts(
  suppressions: ReadonlyMap<string, SuppressionRecord>,
  hidden: readonly Hidden[],
  nowMs: number,
): readonly SuppressionCount[] {
  return [...suppressions].map(([id, one]) => {
    const expired = isExpired(one, nowMs);
    const counts = hidden.map(({ by, expired: would }) => (expired ? would : by).get(id) ?? 0);
    const { owner, reason, createdAtMs, expiresAtMs, scope } = one;
    return {
      id,
      owner,
      reason,
      createdAtMs,
      expiresAtMs,
      scope,
      state: expired ? 'expired' : 'inForce',
      hides: counts.reduce((sum, count) => sum + count, 0),
      findings: counts.filter((count) => count > 0).length,
    };
  });
}
