// Adds up what the comparer of a run has counted, over its partitions.
import {
  type ComparerSnapshot,
  type NotComparedReason,
  type RunSnapshot,
  type Snapshot,
  type StatementClass,
  statementClasses,
  type TransactionOutcomeName,
  transactionOutcomes,
} from '@mirrorstream/domain';

export interface RunCounts {
  readonly outcomes: Record<TransactionOutcomeName, number>;
  readonly resolved: number;
  /** Transactions that have an outcome, by partition. */
  readonly resolvedBy: ReadonlyMap<number, number>;
  /** `<outcome>/<reason>` → transactions. */
  readonly reasons: Readonly<Record<string, number>>;
  readonly statements: Record<StatementClass, number>;
  readonly notCompared: Partial<Record<NotComparedReason, number>>;
  readonly duplicates: number;
  /** Next results offset by partition. */
  readonly readUpTo: ReadonlyMap<number, bigint>;
}

export function runCounts(snapshots: readonly Snapshot[]): RunCounts {
  const parts = snapshots.filter((one): one is ComparerSnapshot => one.kind === 'comparer');
  const outcomes = zeros(transactionOutcomes);
  const statements = zeros(statementClasses);
  const reasons: Record<string, number> = {};
  const notCompared: Partial<Record<NotComparedReason, number>> = {};
  for (const part of parts) {
    for (const name of transactionOutcomes) outcomes[name] += part.outcomes[name];
    for (const name of statementClasses) statements[name] += part.statements[name];
    addAll(reasons, part.reasons);
    addAll(notCompared, part.notCompared);
  }
  return {
    outcomes,
    resolved: resolvedOf(outcomes),
    resolvedBy: new Map(parts.map((part) => [part.partition, resolvedOf(part.outcomes)])),
    reasons,
    statements,
    notCompared,
    duplicates: parts.reduce((sum, { duplicates }) => sum + duplicates, 0),
    readUpTo: new Map(parts.map(({ partition, nextOffset }) => [partition, BigInt(nextOffset)])),
  };
}

const resolvedOf = (outcomes: Readonly<Record<TransactionOutcomeName, number>>): number =>
  transactionOutcomes.reduce((sum, name) => sum + outcomes[name], 0);

/** By partition of the window, where there are any: transactions without an outcome. */
export function inFlightBy(
  ranges: RunSnapshot['ranges'],
  { resolvedBy }: Pick<RunCounts, 'resolvedBy'>,
): Readonly<Record<string, number>> {
  const counts = Object.entries(ranges).map(
    ([partition, { transactions }]) => [partition, transactions - (resolvedBy.get(Number(partition)) ?? 0)] as const,
  );
  return Object.fromEntries(counts.filter(([, count]) => count !== 0));
}

function addAll(sums: Record<string, number>, counts: Readonly<Record<string, number | undefined>>): void {
  for (const [name, count = 0] of Object.entries(counts)) sums[name] = (sums[name] ?? 0) + count;
}

function zeros<T extends string>(names: readonly T[]): Record<T, number> {
  return Object.fromEntries(names.map((name) => [name, 0])) as Record<T, number>;
}
