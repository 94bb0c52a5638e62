// A kept answer as columns and rows of text, for people: capped, and tolerant of an answer that was cut.
import { B, decodeBackend, type FieldDescription, HEADER_BYTES } from '@mirrorstream/pg-wire';
import { cellText, typeName } from './cell-text.ts';
import {
  type RawAnswer,
  type RowSpan,
  type StatementEndName,
  type StatementFrames,
  statementFrames,
} from './statement-frames.ts';

export interface DecodeLimits {
  readonly maxRows?: number; // default 20
  readonly maxColumns?: number; // default 50
  readonly maxCellChars?: number; // default 200
}

export interface AnswerColumn {
  readonly name: string;
  readonly typeOid: number;
  readonly typeName: string;
}

export interface AnswerError {
  readonly severity: string;
  readonly sqlState: string;
  /** The server's text: may hold values of the application. */
  readonly message: string;
}

export interface DecodedAnswer {
  /** null: the answer did not describe its columns. A line of COPY is one column. */
  readonly columns: readonly AnswerColumn[] | null;
  /** null is SQL NULL. */
  readonly rows: readonly (readonly (string | null)[])[];
  /** Rows that were kept, of which `rows` are the first. */
  readonly rowsKept: number;
  /** `cut`: the end of the statement was not kept, so there may have been more rows. */
  readonly end: StatementEndName;
  readonly commandTag: string;
  readonly error: AnswerError | null;
}

const DEFAULT_MAX_ROWS = 20;
const DEFAULT_MAX_COLUMNS = 50;
const DEFAULT_MAX_CELL_CHARS = 200;

/** Decodes one statement of a kept answer. Never throws, on any bytes. */
export function decodeAnswer(raw: RawAnswer, limits: DecodeLimits = {}): DecodedAnswer {
  const frames = statementFrames(raw);
  const maxColumns = limits.maxColumns ?? DEFAULT_MAX_COLUMNS;
  const maxCellChars = limits.maxCellChars ?? DEFAULT_MAX_CELL_CHARS;
  const rows = frames.rows
    .slice(0, limits.maxRows ?? DEFAULT_MAX_ROWS)
    .map((span) => rowTexts(frames, span, maxColumns).map((cell) => (cell === null ? null : cut(cell, maxCellChars))));
  return {
    columns: frames.columns?.slice(0, maxColumns).map(answerColumn) ?? null,
    rows,
    rowsKept: frames.rows.length,
    end: frames.end,
    commandTag: frames.commandTag,
    error:
      frames.error === null
        ? null
        : {
            severity: frames.error['V'] ?? frames.error['S'] ?? '',
            sqlState: frames.error['C'] ?? '',
            message: cut((frames.error['M'] ?? '').toWellFormed(), maxCellChars),
          },
  };
}

function answerColumn(field: FieldDescription): AnswerColumn {
  return { name: field.name.toWellFormed(), typeOid: field.typeOid, typeName: typeName(field.typeOid) };
}

/** The cells of one row; a line of COPY is a single cell. */
export function rowTexts(
  frames: StatementFrames,
  span: RowSpan,
  maxColumns = Number.POSITIVE_INFINITY,
): readonly (string | null)[] {
  if (frames.copy) return [cellText(copyLine(frames.bytes, span), null)];
  const message = decodeBackend(B.DataRow, frames.bytes, span.start - HEADER_BYTES, span.end);
  if (message.kind !== 'dataRow') return [];
  return message.values
    .slice(0, maxColumns)
    .map((value, i) => (value === null ? null : cellText(value, frames.columns?.[i] ?? null)));
}

export function copyLine(bytes: Uint8Array, span: RowSpan): Uint8Array {
  const newline = bytes[span.end - 1] === 0x0a;
  return bytes.subarray(span.start, newline ? span.end - 1 : span.end);
}

function cut(text: string, maxChars: number): string {
  return text.length <= maxChars ? text : `${text.slice(0, Math.max(0, maxChars - 1)).toWellFormed()}…`;
}
