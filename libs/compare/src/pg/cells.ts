// Cells of two answers side by side: equal, equal in another notation, different by nature, or different.
import { B, decodeBackend, type FieldDescription, HEADER_BYTES } from '@mirrorstream/pg-wire';
import type { ColumnRule } from './answer-rules.ts';
import { copyLine } from './decode-answer.ts';
import type { RowSpan, StatementFrames } from './statement-frames.ts';
import { type Canonical, sameCanonical } from './values/canonical.ts';
import { readValue } from './values/read-value.ts';
import { isNumeric } from './values/types.ts';

export type Cell = Uint8Array | null;
export type CellOutcome = 'same' | 'number' | 'notation' | 'masked' | 'openOrder' | 'different';

const BINARY_FORMAT = 1;

/** A column as both sides describe it; null: not described. */
export interface CellColumn {
  readonly captured: FieldDescription | null;
  readonly replayed: FieldDescription | null;
  readonly rule: ColumnRule;
}

/** The cells of one row; a line of COPY is a single cell. */
export function cellsOf(frames: StatementFrames, span: RowSpan): readonly Cell[] {
  if (frames.copy) return [copyLine(frames.bytes, span)];
  const message = decodeBackend(B.DataRow, frames.bytes, span.start - HEADER_BYTES, span.end);
  return message.kind === 'dataRow' ? message.values : [];
}

export function compareCells(a: Cell, b: Cell, column: CellColumn): CellOutcome {
  if (sameCell(a, b)) return 'same';
  const { trait } = column.rule;
  if (trait === 'volatile' || trait === 'server') return 'masked';
  if (a !== null && b !== null && sameValue(a, b, column))
    return column.captured !== null && isNumeric(column.captured.typeOid) ? 'number' : 'notation';
  return trait === 'openOrder' ? 'openOrder' : 'different';
}

/** What the cell says, whatever its notation; of a type that is not known its bytes. */
export function canonicalCell(cell: Cell, field: FieldDescription | null): Canonical {
  if (cell === null) return '∅';
  const value = field === null ? null : readValue(cell, field.typeOid, field.format === BINARY_FORMAT);
  return value ?? `h${Buffer.from(cell.buffer, cell.byteOffset, cell.byteLength).toString('latin1')}`;
}

function sameValue(a: Uint8Array, b: Uint8Array, { captured, replayed }: CellColumn): boolean {
  if (captured === null || replayed === null) return false;
  const left = readValue(a, captured.typeOid, captured.format === BINARY_FORMAT);
  const right = left === null ? null : readValue(b, replayed.typeOid, replayed.format === BINARY_FORMAT);
  return left !== null && right !== null && sameCanonical(left, right);
}

function sameCell(a: Cell, b: Cell): boolean {
  if (a === null || b === null) return a === b;
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}
