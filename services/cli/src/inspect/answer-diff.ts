// Two answers to one statement, row by row: what is the same, what changed and in which columns, what only one side has.
import type { DecodedAnswer } from '@mirrorstream/compare';

type Row = readonly (string | null)[];

export type DiffRow =
  /** So many rows in a stretch, of which the first is given. */
  | { readonly kind: 'same'; readonly rows: number; readonly captured: Row }
  | { readonly kind: 'changed'; readonly captured: Row; readonly replayed: Row; readonly columns: readonly number[] }
  | { readonly kind: 'onlyCaptured'; readonly captured: Row; readonly elsewhere: boolean }
  | { readonly kind: 'onlyReplayed'; readonly replayed: Row; readonly elsewhere: boolean };

export interface AnswerDiff {
  /** Of production's answer, or of the mirror's where that has none. */
  readonly columns: readonly string[];
  /** `name type`, where names or types differ; else empty. */
  readonly columnChanges: readonly { readonly captured: string | null; readonly replayed: string | null }[];
  readonly rows: readonly DiffRow[];
  /** Entries that were left out of `rows`. */
  readonly notShown: number;
  /** What was kept of one of the answers ends before the answer did. */
  readonly cut: boolean;
}

const maxRows = 200;

/** null: that side's answer was not kept. Bounded: the first 200 rows of each side, and `maxEntries` of what comes of them. */
export function diffAnswers(a: DecodedAnswer | null, b: DecodedAnswer | null, maxEntries = 60): AnswerDiff {
  const left = (a?.rows ?? []).slice(0, maxRows);
  const right = (b?.rows ?? []).slice(0, maxRows);
  const entries = a === null || b === null ? oneSided(left, right) : aligned(left, right);
  const columns = (a?.columns ?? b?.columns ?? []).map(({ name }) => name);
  return {
    columns,
    columnChanges: columnChanges(a, b),
    rows: entries.slice(0, maxEntries),
    notShown: Math.max(0, entries.length - maxEntries),
    cut: [a, b].some((side) => side !== null && (side.end === 'cut' || side.rowsKept > maxRows)),
  };
}

function columnChanges(a: DecodedAnswer | null, b: DecodedAnswer | null): AnswerDiff['columnChanges'] {
  if (a?.columns == null || b?.columns == null) return [];
  const length = Math.max(a.columns.length, b.columns.length);
  const named = (side: DecodedAnswer, i: number): string | null => {
    const column = side.columns?.[i];
    return column === undefined ? null : `${column.name} ${column.typeName}`;
  };
  return Array.from({ length }, (_, i) => ({ captured: named(a, i), replayed: named(b, i) })).filter(
    ({ captured, replayed }) => captured !== replayed,
  );
}

function oneSided(left: readonly Row[], right: readonly Row[]): DiffRow[] {
  return [
    ...left.map((captured): DiffRow => ({ kind: 'onlyCaptured', captured, elsewhere: false })),
    ...right.map((replayed): DiffRow => ({ kind: 'onlyReplayed', replayed, elsewhere: false })),
  ];
}

/** The longest common subsequence stays; in the gaps between its rows what is left is paired in order. */
function aligned(left: readonly Row[], right: readonly Row[]): DiffRow[] {
  const a = left.map((row) => JSON.stringify(row));
  const b = right.map((row) => JSON.stringify(row));
  const lengths = commonLengths(a, b);
  const inA = new Set(a);
  const inB = new Set(b);
  const found: DiffRow[] = [];
  let [i, j] = [0, 0];
  let [fromA, fromB] = [0, 0];
  const closeGap = (): void => {
    const gapA = left.slice(fromA, i).map((row, k) => ({ row, elsewhere: inB.has(a[fromA + k] ?? '') }));
    const gapB = right.slice(fromB, j).map((row, k) => ({ row, elsewhere: inA.has(b[fromB + k] ?? '') }));
    found.push(...gapRows(gapA, gapB));
  };
  while (i < a.length && j < b.length) {
    if (a[i] === b[j]) {
      closeGap();
      addSame(found, left[i] as Row);
      i++;
      j++;
      [fromA, fromB] = [i, j];
    } else if (lengthAt(lengths, i + 1, j) >= lengthAt(lengths, i, j + 1)) i++;
    else j++;
  }
  [i, j] = [a.length, b.length];
  closeGap();
  return found;
}

const lengthAt = (lengths: readonly Uint16Array[], i: number, j: number): number => lengths[i]?.[j] ?? 0;

function commonLengths(a: readonly string[], b: readonly string[]): readonly Uint16Array[] {
  const lengths = Array.from({ length: a.length + 1 }, () => new Uint16Array(b.length + 1));
  for (let i = a.length - 1; i >= 0; i--) {
    const row = lengths[i] as Uint16Array;
    for (let j = b.length - 1; j >= 0; j--)
      row[j] =
        a[i] === b[j]
          ? lengthAt(lengths, i + 1, j + 1) + 1
          : Math.max(lengthAt(lengths, i + 1, j), lengthAt(lengths, i, j + 1));
  }
  return lengths;
}

function addSame(found: DiffRow[], captured: Row): void {
  const last = found.at(-1);
  if (last?.kind === 'same') found[found.length - 1] = { ...last, rows: last.rows + 1 };
  else found.push({ kind: 'same', rows: 1, captured });
}

interface GapRow {
  readonly row: Row;
  /** The other side has this very row, at another place. */
  readonly elsewhere: boolean;
}

function gapRows(a: readonly GapRow[], b: readonly GapRow[]): DiffRow[] {
  const moved = [
    ...a
      .filter((one) => one.elsewhere)
      .map(({ row }): DiffRow => ({ kind: 'onlyCaptured', captured: row, elsewhere: true })),
    ...b
      .filter((one) => one.elsewhere)
      .map(({ row }): DiffRow => ({ kind: 'onlyReplayed', replayed: row, elsewhere: true })),
  ];
  const restA = a.filter((one) => !one.elsewhere);
  const restB = b.filter((one) => !one.elsewhere);
  const paired = Array.from({ length: Math.max(restA.length, restB.length) }, (_, k): DiffRow => {
    const captured = restA[k]?.row;
    const replayed = restB[k]?.row;
    if (captured === undefined) return { kind: 'onlyReplayed', replayed: replayed ?? [], elsewhere: false };
    if (replayed === undefined) return { kind: 'onlyCaptured', captured, elsewhere: false };
    return { kind: 'changed', captured, replayed, columns: differingColumns(captured, replayed) };
  });
  return [...paired, ...moved];
}

function differingColumns(a: Row, b: Row): number[] {
  return Array.from({ length: Math.max(a.length, b.length) }, (_, i) => i).filter((i) => a[i] !== b[i]);
}
