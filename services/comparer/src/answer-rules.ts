// From what a statement's text says of its answer to the rules of comparing it, once its columns and its rows are known.
import { type AnswerRules, type ColumnRule, plainColumn } from '@mirrorstream/compare';
import type { AnswerShape, ColumnPlace } from '@mirrorstream/sql';

/** `names` is null where the answer did not describe its columns; then stars hide what they stand for. */
export function rulesOf(
  shape: AnswerShape,
  names: readonly string[] | null,
  columnCount: number,
  rows: number,
): AnswerRules {
  const places = shape.keys.map((key) => positionOf(key, names, columnCount));
  const missing = places.indexOf(null);
  const keys = (missing < 0 ? places : places.slice(0, missing)).filter((at) => at !== null);
  return {
    columns: columnRules(shape, names, columnCount),
    keys,
    keysComplete: missing < 0,
    shownKeys: places.filter((at) => at !== null),
    orderTotal: keys.length > 0 && missing < 0 && (shape.keysUnique || coversAll(keys, columnCount)),
    rows: rowsTaken(shape, rows),
    open: shape.open,
  };
}

/** Distinct columns of ORDER BY: all there are. Two rows that are equal in all of them are the same row to whoever looks. */
const coversAll = (keys: readonly number[], columnCount: number): boolean => new Set(keys).size === columnCount;

function rowsTaken({ open, oneRow, cut, keys }: AnswerShape, rows: number): AnswerRules['rows'] {
  if (open) return 'some';
  if (cut === null || oneRow) return 'all';
  // Fewer rows came than LIMIT would have let through: it cut nothing.
  if (cut.count !== null && rows < cut.count && !cut.offset) return 'all';
  return keys.length > 0 ? 'ends' : 'some';
}

function positionOf(key: ColumnPlace | null, names: readonly string[] | null, columnCount: number): number | null {
  if (key === null) return null;
  if ('position' in key) return key.position < columnCount ? key.position : null;
  const at = names?.indexOf(key.name) ?? -1;
  return at >= 0 && names?.lastIndexOf(key.name) === at ? at : null;
}

function columnRules(shape: AnswerShape, names: readonly string[] | null, columnCount: number): readonly ColumnRule[] {
  const { leading, trailing, named } = shape;
  return Array.from({ length: columnCount }, (_, i): ColumnRule => {
    const own = leading[i] ?? trailing?.[trailing.length - (columnCount - i)];
    if (own !== undefined) return own;
    return { trait: named.get(names?.[i] ?? '') ?? '', extract: plainColumn.extract };
  });
}
