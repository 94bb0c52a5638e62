// Says in one line for people where two answers differ, from what was kept of them.
import type { FieldDescription } from '@mirrorstream/pg-wire';
import { typeName } from './cell-text.ts';
import { oneLine } from './one-line.ts';
import { type RawAnswer, type RowSpan, type StatementFrames, statementFrames } from './statement-frames.ts';

/** What was kept of both sides; either may be missing. */
export interface RawAnswers {
  readonly captured?: RawAnswer;
  readonly replayed?: RawAnswer;
}

const NAME_CHARS = 30;

/** The number (from 1) of the first row that differs; 0 when what was kept does not show one. */
export function firstRowNumber(kept: RawAnswers): number {
  const captured = framesOf(kept.captured);
  const replayed = framesOf(kept.replayed);
  if (captured === null || replayed === null) return 0;
  const before = kept.captured?.rowsBefore ?? 0;
  if (before !== (kept.replayed?.rowsBefore ?? 0)) return 0;
  const row = firstDifferentRow(captured, replayed);
  return row < 0 ? 0 : before + row + 1;
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

export function framesOf(raw: RawAnswer | undefined): StatementFrames | null {
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

/** Names, as production gave them, of the columns that differ in name, type or format, or that one side lacks. */
export function columnsThatDiffer(kept: RawAnswers): readonly string[] {
  const captured = framesOf(kept.captured)?.columns ?? null;
  const replayed = framesOf(kept.replayed)?.columns ?? null;
  if (captured === null || replayed === null) return [];
  return Array.from({ length: Math.max(captured.length, replayed.length) }, (_, i) => i)
    .filter((i) => {
      const a = captured[i];
      const b = replayed[i];
      return a === undefined || b === undefined || describeColumn(a, b, i + 1) !== '';
    })
    .map((i) => (captured[i] ?? replayed[i])?.name ?? '');
}

/** Fields of ErrorResponse that name what is concerned (manual, "Error and Notice Message Fields"). */
const errorFields = { s: 'schema', t: 'table', c: 'column', d: 'data type', n: 'constraint' } as const;

/** The first field of both errors that differs: `constraint a → b`. */
export function describeErrorFields(kept: RawAnswers): string {
  const captured = framesOf(kept.captured)?.error;
  const replayed = framesOf(kept.replayed)?.error;
  for (const [code, name] of Object.entries(errorFields)) {
    const a = captured?.[code];
    const b = replayed?.[code];
    if (a !== b) return `${name} ${oneLine(a ?? 'none', NAME_CHARS)} → ${oneLine(b ?? 'none', NAME_CHARS)}`;
  }
  return 'what it concerns differs';
}
