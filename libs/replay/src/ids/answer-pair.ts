// Both servers' rows of one statement, side by side: what its ids teach, and whether they are the same rows with other ids.
import type { IdMark } from '@mirrorstream/domain';
import type { Format } from '@mirrorstream/pg-wire';
import type { Cells } from './answer-rows.ts';
import { idOfBytes } from './id-values.ts';

/** Of a column of the answer; null: no id. */
export type OutputPlace = { readonly space: string; readonly fresh: boolean } | null;

export interface AnswerPair {
  readonly outputs: readonly OutputPlace[];
  /** None: all text. One: for all. Else one each. */
  readonly formats: readonly Format[];
  /** As many as `replayed`. */
  readonly captured: readonly Cells[];
  readonly replayed: readonly Cells[];
}

/** The mirror's id of one of production's; undefined: not known. */
export type FindId = (space: string, captured: string) => string | undefined;

export interface LearntId {
  readonly space: string;
  readonly captured: string;
  readonly observed: string;
}

/** Null: their rows do not go together, and nobody can tell which id belongs to which. */
export function learntIds(pair: AnswerPair): readonly LearntId[] | null {
  const { outputs, captured, replayed } = pair;
  if (captured.length > 1 && !isSameBesideIds(pair)) return null;
  return captured.flatMap((row, r) =>
    outputs.flatMap((output, c) => {
      if (output === null || !output.fresh) return [];
      const [ours, theirs] = [idAt(pair, row, c), idAt(pair, replayed[r], c)];
      return ours === null || theirs === null ? [] : [{ space: output.space, captured: ours, observed: theirs }];
    }),
  );
}

export interface Sameness {
  /** '': other rows. `equal`: the same, by the ids that are known. */
  readonly mark: Exclude<IdMark, 'other'>;
  /** Columns that differ, and by their ids only. */
  readonly columns: readonly number[];
}

/** `sortedByKey`: the order of rows is that of the ids, which nobody promised to be the same. */
export function sameness(pair: AnswerPair, sortedByKey: boolean, find: FindId): Sameness {
  const { outputs, captured, replayed } = pair;
  const expected = captured.map((row) => row.map((cell, c) => expectedCell(pair, row, cell, c, find)));
  const found = replayed.map((row) => row.map((cell, c) => foundCell(pair, row, cell, c)));
  const columns: number[] = [];
  let same = true;
  for (const c of outputs.keys()) {
    if (expected.every((row, r) => row[c] === found[r]?.[c])) {
      if (outputs[c] !== null && captured.some((row, r) => !isSameCell(row[c], replayed[r]?.[c]))) columns.push(c);
    } else same = false;
  }
  if (same) return { mark: 'equal', columns };
  if (captured.length < 2 || !isSameSet(expected, found)) return { mark: '', columns };
  return { mark: sortedByKey ? 'equal' : 'order', columns: [] };
}

/** What a cell of production's answer should be here: the mirror's id where one is known, else the same bytes. */
function expectedCell(pair: AnswerPair, row: Cells, cell: Uint8Array | null, c: number, find: FindId): string {
  const output = pair.outputs[c] ?? null;
  const id = output === null ? null : idAt(pair, row, c);
  return id === null || output === null ? bytesText(cell) : `#${find(output.space, id) ?? id}`;
}

function foundCell(pair: AnswerPair, row: Cells, cell: Uint8Array | null, c: number): string {
  const id = (pair.outputs[c] ?? null) === null ? null : idAt(pair, row, c);
  return id === null ? bytesText(cell) : `#${id}`;
}

const bytesText = (cell: Uint8Array | null): string =>
  cell === null ? 'null' : `=${Buffer.from(cell.buffer, cell.byteOffset, cell.length).toString('latin1')}`;

function idAt({ formats }: AnswerPair, row: Cells | undefined, c: number): string | null {
  const cell = row?.[c] ?? null;
  return cell === null ? null : idOfBytes(cell, (formats.length === 1 ? formats[0] : formats[c]) ?? 0);
}

function isSameSet(expected: readonly (readonly string[])[], found: readonly (readonly string[])[]): boolean {
  const key = (row: readonly string[]): string => row.map((cell) => `${cell.length}:${cell}`).join('');
  const [a, b] = [expected.map(key).sort(), found.map(key).sort()];
  return a.every((row, i) => row === b[i]);
}

function isSameBesideIds({ outputs, captured, replayed }: AnswerPair): boolean {
  return captured.every((row, r) =>
    row.every((cell, c) => (outputs[c] ?? null) !== null || isSameCell(cell, replayed[r]?.[c])),
  );
}

function isSameCell(a: Uint8Array | null | undefined, b: Uint8Array | null | undefined): boolean {
  if (a == null || b == null) return a == null && b == null;
  return a.length === b.length && a.every((byte, i) => byte === b[i]);
}
