// Says in one line for people where two answers differ, from what was kept of them.
import type { FieldDescription } from '@mirrorstream/pg-wire';
import { typeName } from './cell-text.ts';
import { rowTexts } from './decode-answer.ts';
import { type RawAnswer, type RowSpan, type StatementFrames, statementFrames } from './statement-frames.ts';

/** What was kept of both sides; either may be missing. */
export interface RawAnswers {
  readonly captured?: RawAnswer;
  readonly replayed?: RawAnswer;
}

export const DETAIL_CHARS = 120;
const CELL_CHARS = 36;
const NAME_CHARS = 30;

/** One line, at most DETAIL_CHARS characters, no control characters. */
export function oneLine(text: string, maxChars = DETAIL_CHARS): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is taken out
  const line = text.replace(/[\u0000-\u001f\u007f-\u009f\u2028\u2029]+/g, ' ').toWellFormed();
  return line.length <= maxChars ? line : `${line.slice(0, maxChars - 1).toWellFormed()}…`;
}

/** The first row that differs, with its cells where that is short: `row 3, column balance: 10 → 12`. */
export function describeFirstRow(kept: RawAnswers): string {
  const captured = framesOf(kept.captured);
  const replayed = framesOf(kept.replayed);
  if (captured === null || replayed === null) return '';
  const row = firstDifferentRow(captured, replayed);
  if (row < 0) return '';
  const a = captured.rows[row];
  const b = replayed.rows[row];
  if (a === undefined || b === undefined) return '';
  return `row ${row + 1}${describeCells(captured, a, replayed, b)}`;
}

/** The number (from 1) of the first row that differs; 0 when what was kept does not show one. */
export function firstRowNumber(kept: RawAnswers): number {
  const captured = framesOf(kept.captured);
  const replayed = framesOf(kept.replayed);
  return captured === null || replayed === null ? 0 : firstDifferentRow(captured, replayed) + 1;
}

/** The first column that differs: `column balance: integer → bigint`. */
export function describeFirstColumn(kept: RawAnswers): string {
  const captured = framesOf(kept.captured)?.columns ?? null;
  const replayed = framesOf(kept.replayed)?.columns ?? null;
  if (captured === null || replayed === null) return '';
  for (let i = 0; i < Math.min(captured.length, replayed.length); i++) {
    const text = describeColumn(captured[i] as FieldDescription, replayed[i] as FieldDescription, i + 1);
    if (text !== '') return text;
  }
  if (captured.length === replayed.length) return '';
  const longer = captured.length > replayed.length ? captured : replayed;
  const names = longer.slice(Math.min(captured.length, replayed.length)).map((column) => column.name);
  const verb = longer === captured ? 'without' : 'also';
  return `${captured.length} → ${replayed.length} columns: ${verb} ${oneLine(names.join(', '), 60)}`;
}

function describeColumn(a: FieldDescription, b: FieldDescription, number: number): string {
  if (a.name !== b.name)
    return `column ${number}: name ${oneLine(a.name, NAME_CHARS)} → ${oneLine(b.name, NAME_CHARS)}`;
  const name = `column ${oneLine(a.name, NAME_CHARS)}`;
  if (a.typeOid !== b.typeOid && (a.typeOid < 16384 || b.typeOid < 16384))
    return `${name}: ${typeName(a.typeOid)} → ${typeName(b.typeOid)}`;
  return a.format === b.format ? '' : `${name}: format ${a.format} → ${b.format}`;
}

function framesOf(raw: RawAnswer | undefined): StatementFrames | null {
  return raw === undefined || raw.bytes.length === 0 ? null : statementFrames(raw);
}

/** Index of the first row whose bytes differ, or of the first one that only one side has when nothing was cut; else -1. */
function firstDifferentRow(a: StatementFrames, b: StatementFrames): number {
  const shared = Math.min(a.rows.length, b.rows.length);
  for (let i = 0; i < shared; i++) if (!sameBytes(a, a.rows[i] as RowSpan, b, b.rows[i] as RowSpan)) return i;
  const shorter = a.rows.length < b.rows.length ? a : b;
  return a.rows.length === b.rows.length || shorter.end === 'cut' ? -1 : shared;
}

function sameBytes(a: StatementFrames, left: RowSpan, b: StatementFrames, right: RowSpan): boolean {
  const length = left.end - left.start;
  if (length !== right.end - right.start) return false;
  for (let i = 0; i < length; i++) if (a.bytes[left.start + i] !== b.bytes[right.start + i]) return false;
  return true;
}

function describeCells(a: StatementFrames, left: RowSpan, b: StatementFrames, right: RowSpan): string {
  const captured = rowTexts(a, left);
  const replayed = rowTexts(b, right);
  if (captured.length !== replayed.length) return `: ${captured.length} → ${replayed.length} values`;
  const at = captured.findIndex((cell, i) => cell !== replayed[i]);
  if (at < 0) return '';
  const name = a.copy ? '' : `, column ${oneLine(a.columns?.[at]?.name ?? String(at + 1), NAME_CHARS)}`;
  return `${name}: ${shortCell(captured[at] ?? null)} → ${shortCell(replayed[at] ?? null)}`;
}

function shortCell(cell: string | null): string {
  if (cell === null) return 'NULL';
  return cell === '' ? "''" : oneLine(cell, CELL_CHARS);
}
