// What ORDER BY says of two answers: whether their keys come in the same order, and whether LIMIT cut through rows that are equal in it.
import { type CellColumn, canonicalCell } from './cells.ts';
import type { TwoAnswers } from './compare-rows.ts';
import type { Row, Unmatched } from './row-sets.ts';
import { type Approximate, type Canonical, canonicalKey, sameCanonical } from './values/canonical.ts';
import { isCollated, scalarOf } from './values/types.ts';

/** Types whose equal values can be written in several ways, and those not known: what their order says cannot be read off them. */
function isReadable({ captured }: CellColumn): boolean {
  if (captured === null) return false;
  const scalar = scalarOf(captured.typeOid);
  return scalar !== 'unknown' && scalar !== 'interval' && scalar !== 'json' && scalar !== 'geometry';
}

/**
 * The leading keys of ORDER BY come in one order only, whatever the rows that are equal in them do. Answers the first one that does
 * not; `collated`: wherever keys differ, the first that does is text. null: the keys are in order, or cannot be read.
 */
export function firstKeyOutOfOrder({
  captured,
  replayed,
  columns,
  rules,
}: TwoAnswers): { readonly column: number; readonly collated: boolean } | null {
  const keys: number[] = [];
  for (const key of rules.keys) {
    const column = columns[key];
    if (column === undefined || !isReadable(column) || column.rule.trait !== '') break;
    keys.push(key);
  }
  let first: number | null = null;
  let collated = true;
  for (let row = 0; row < Math.min(captured.length, replayed.length); row++) {
    const key = keys.find((at) => !sameKey(captured[row] as Row, replayed[row] as Row, at, columns));
    if (key === undefined) continue;
    first ??= key;
    collated &&= isCollated(columns[key]?.captured?.typeOid ?? 0);
  }
  return first === null ? null : { column: first, collated };
}

/**
 * No two rows of an answer that is all here are equal in those keys of ORDER BY that it shows, so none are in the whole of it: there is one
 * order. Text is left out of it, as a collation may take different letters for equal.
 */
export function isOrderTotalHere({ captured, columns, rules }: TwoAnswers): boolean {
  const keys = rules.shownKeys.filter((at) => {
    const column = columns[at];
    return (
      column !== undefined &&
      isReadable(column) &&
      column.rule.trait === '' &&
      !isCollated(column.captured?.typeOid ?? 0)
    );
  });
  if (keys.length === 0) return false;
  const seen = new Set<string>();
  for (const row of captured) {
    const numbers: Approximate[] = [];
    const values = keys.map((at) => canonicalCell(row[at] ?? null, columns[at]?.captured ?? null));
    const key = values.map((value) => canonicalKey(value, numbers)).join(',');
    if (numbers.length > 0 || seen.has(key)) return false;
    seen.add(key);
  }
  return true;
}

/**
 * Whether all rows that have no equal lie where LIMIT or OFFSET cut through rows with the same key. One row alone is no tie: what it
 * shows is taken for different.
 */
export function tiesAtTheEnds({ captured, replayed, columns, rules }: TwoAnswers, left: Unmatched): boolean {
  const ends = [0, -1].map((at) => tieAt(captured, replayed, at, columns, rules.keys));
  const isOpen = (row: Row | undefined): boolean =>
    row !== undefined &&
    ends.some((end) => end !== null && rules.keys.every((key, i) => same(row, key, columns, end[i] as Canonical)));
  return left.captured.every((at) => isOpen(captured[at])) && left.replayed.every((at) => isOpen(replayed[at]));
}

/** The key at that end when both sides have the same one there, and one of them twice. */
function tieAt(
  captured: readonly Row[],
  replayed: readonly Row[],
  at: 0 | -1 | number,
  columns: readonly CellColumn[],
  keys: readonly number[],
): readonly Canonical[] | null {
  const row = captured.at(at);
  const other = replayed.at(at);
  if (row === undefined || other === undefined) return null;
  const end = keys.map((key) => canonicalCell(row[key] ?? null, columns[key]?.captured ?? null));
  const isTied = (rows: readonly Row[]): number =>
    rows.filter((each) => keys.every((key, i) => same(each, key, columns, end[i] as Canonical))).length;
  if (!keys.every((key, i) => same(other, key, columns, end[i] as Canonical))) return null;
  const counts = [isTied(captured), isTied(replayed)];
  return counts.some((count) => count > 1) ? end : null;
}

function same(row: Row, key: number, columns: readonly CellColumn[], value: Canonical): boolean {
  return sameCanonical(canonicalCell(row[key] ?? null, columns[key]?.captured ?? null), value);
}

function sameKey(a: Row, b: Row, key: number, columns: readonly CellColumn[]): boolean {
  const column = columns[key];
  return sameCanonical(
    canonicalCell(a[key] ?? null, column?.captured ?? null),
    canonicalCell(b[key] ?? null, column?.replayed ?? null),
  );
}
