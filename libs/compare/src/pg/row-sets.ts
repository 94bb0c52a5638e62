// Two lists of rows as multisets: which rows have no equal on the other side, whatever their order and notation.
import { type Cell, type CellColumn, canonicalCell } from './cells.ts';
import { type Approximate, asApproximate, canonicalKey, sameCanonical } from './values/canonical.ts';

export type Row = readonly Cell[];

/** Positions, in order, of the rows that only one side has. */
export interface Unmatched {
  readonly captured: readonly number[];
  readonly replayed: readonly number[];
}

interface Keyed {
  readonly at: number;
  readonly numbers: readonly Approximate[];
}

interface Group {
  readonly captured: Keyed[];
  readonly replayed: Keyed[];
}

/** Columns that differ by nature do not count. */
export function unmatchedRows(
  captured: readonly Row[],
  replayed: readonly Row[],
  columns: readonly CellColumn[],
): Unmatched {
  const groups = new Map<string, Group>();
  fill(groups, 'captured', captured, columns);
  fill(groups, 'replayed', replayed, columns);
  const left: { captured: number[]; replayed: number[] } = { captured: [], replayed: [] };
  for (const group of groups.values()) match(group, left);
  const ascending = (a: number, b: number): number => a - b;
  return { captured: left.captured.sort(ascending), replayed: left.replayed.sort(ascending) };
}

function fill(
  groups: Map<string, Group>,
  side: keyof Group,
  rows: readonly Row[],
  columns: readonly CellColumn[],
): void {
  for (const [at, row] of rows.entries()) {
    const numbers: Approximate[] = [];
    let key = '';
    for (const [i, cell] of row.entries()) {
      const column = columns[i];
      if (column !== undefined && column.rule.trait !== '') continue;
      const value = canonicalCell(cell, column?.[side] ?? null);
      // What is double precision on one side and numeric on the other is compared as a number on both.
      const retyped = column !== undefined && column.captured?.typeOid !== column.replayed?.typeOid;
      key += `|${canonicalKey(retyped ? asApproximate(value) : value, numbers)}`;
    }
    const group = groups.get(key) ?? { captured: [], replayed: [] };
    groups.set(key, group);
    group[side].push({ at, numbers });
  }
}

/** Rows of one key differ in their approximate numbers at most: in ascending order each has its equal at the same place. */
function match(group: Group, left: { captured: number[]; replayed: number[] }): void {
  const a = group.captured.sort(byNumbers);
  const b = group.replayed.sort(byNumbers);
  let i = 0;
  let j = 0;
  while (i < a.length && j < b.length) {
    const one = a[i] as Keyed;
    const other = b[j] as Keyed;
    if (sameNumbers(one, other)) {
      i += 1;
      j += 1;
    } else if (byNumbers(one, other) < 0) {
      left.captured.push(one.at);
      i += 1;
    } else {
      left.replayed.push(other.at);
      j += 1;
    }
  }
  for (; i < a.length; i++) left.captured.push((a[i] as Keyed).at);
  for (; j < b.length; j++) left.replayed.push((b[j] as Keyed).at);
}

function sameNumbers(a: Keyed, b: Keyed): boolean {
  return (
    a.numbers.length === b.numbers.length &&
    a.numbers.every((number, i) => sameCanonical(number, b.numbers[i] as Approximate))
  );
}

function byNumbers(a: Keyed, b: Keyed): number {
  for (let i = 0; i < a.numbers.length; i++) {
    const one = a.numbers[i]?.value ?? 0;
    const other = b.numbers[i]?.value ?? 0;
    if (one !== other) return one < other || Number.isNaN(other) ? -1 : 1;
  }
  return 0;
}
