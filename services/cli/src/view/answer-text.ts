// Says in a few words what production answered and what the mirror answered, so that the difference is seen at once.
import { type DecodedAnswer, decodeAnswer } from '@mirrorstream/compare';
import type { StatementClass } from '@mirrorstream/domain';
import type { Exemplar, Observation } from '@mirrorstream/envelope';
import { harmless } from './text.ts';

export interface AnswerTexts {
  readonly captured: string;
  readonly replayed: string;
}

type Side = { readonly answer: DecodedAnswer | null; readonly observation: Observation | undefined };

const maxTextLength = 300;
const decodeLimits = { maxRows: 200, maxColumns: 50, maxCellChars: 160 };

/** Both answers of an exemplar, told by what the class says is different. */
export function describeAnswers(
  className: StatementClass,
  statement: number,
  exemplar: Exemplar | undefined,
): AnswerTexts {
  const decode = (bytes: Uint8Array): DecodedAnswer | null =>
    bytes.length === 0
      ? null
      : decodeAnswer(
          { bytes, statement: exemplar?.rawAlone ? 0 : statement, truncated: exemplar?.rawTruncated ?? false },
          decodeLimits,
        );
  const captured: Side = { answer: decode(exemplar?.capturedRaw ?? new Uint8Array()), observation: exemplar?.captured };
  const replayed: Side = { answer: decode(exemplar?.replayedRaw ?? new Uint8Array()), observation: exemplar?.replayed };
  const tell = tellerOf(className, captured.answer, replayed.answer);
  return { captured: shorten(tell(captured)), replayed: shorten(tell(replayed)) };
}

function tellerOf(
  className: StatementClass,
  captured: DecodedAnswer | null,
  replayed: DecodedAnswer | null,
): (side: Side) => string {
  switch (className) {
    case 'columns': {
      const differing = differingColumns(captured, replayed);
      return (side) => columnsText(side, differing);
    }
    case 'value': {
      const row = firstDifferingRow(captured, replayed);
      return (side) => rowText(side, row, captured, replayed);
    }
    case 'orderOnly':
    case 'collation':
      return orderText;
    case 'rowCount':
      return (side) => rowCountText(side, side.answer === captured ? replayed : captured);
    default:
      return outcomeText;
  }
}

function columnsText({ answer, observation }: Side, differing: readonly number[]): string {
  const { columns } = answer ?? { columns: null };
  if (columns === null) return observation === undefined ? '?' : `${observation.columnCount} columns`;
  const shown = differing.length > 0 ? differing : columns.map((_, index) => index);
  return shown
    .map((index) => columns[index])
    .map((column) => (column === undefined ? '(no such column)' : `${column.name} ${column.typeName}`))
    .join(', ');
}

function differingColumns(a: DecodedAnswer | null, b: DecodedAnswer | null): number[] {
  const length = Math.max(a?.columns?.length ?? 0, b?.columns?.length ?? 0);
  return Array.from({ length }, (_, index) => index).filter((index) => {
    const [one, other] = [a?.columns?.[index], b?.columns?.[index]];
    return one?.name !== other?.name || one?.typeOid !== other?.typeOid;
  });
}

function firstDifferingRow(a: DecodedAnswer | null, b: DecodedAnswer | null): number {
  const rows = a?.rows ?? [];
  const at = rows.findIndex((row, index) => row.some((cell, column) => cell !== b?.rows[index]?.[column]));
  return Math.max(0, at);
}

/** The cells of one row that differ, with their names. */
function rowText(side: Side, row: number, a: DecodedAnswer | null, b: DecodedAnswer | null): string {
  const cells = side.answer?.rows[row];
  if (cells === undefined) return outcomeText(side);
  const differs = (column: number): boolean => a?.rows[row]?.[column] !== b?.rows[row]?.[column];
  const named = cells.flatMap((cell, column) => {
    if (!differs(column) && cells.length > 1) return [];
    const name = side.answer?.columns?.[column]?.name ?? `column ${column + 1}`;
    return [`${name} = ${cell ?? 'NULL'}`];
  });
  return `${side.answer !== null && side.answer.rows.length > 1 ? `row ${row + 1}: ` : ''}${named.join(', ')}`;
}

function orderText(side: Side): string {
  const { rows } = side.answer ?? { rows: [] };
  return rows.length === 0 ? outcomeText(side) : rows.map((row) => row[0] ?? 'NULL').join(', ');
}

/** How many rows, and the first cells of those that only this side has. */
function rowCountText(side: Side, other: DecodedAnswer | null): string {
  const count = Number(side.observation?.rows ?? side.answer?.rowsKept ?? 0);
  const told = `${count} ${count === 1 ? 'row' : 'rows'}`;
  const elsewhere = new Set((other?.rows ?? []).map((row) => JSON.stringify(row)));
  const own = (side.answer?.rows ?? []).filter((row) => !elsewhere.has(JSON.stringify(row)));
  return own.length === 0 ? told : `${told}, only here: ${own.map((row) => row[0] ?? 'NULL').join(', ')}`;
}

/** How the statement ended: its error, or its command tag. */
function outcomeText({ answer, observation }: Side): string {
  if (answer?.error) return `${answer.error.severity} ${answer.error.sqlState}: ${answer.error.message}`;
  if (observation?.sqlState) return `${observation.severity} ${observation.sqlState}`;
  return answer?.commandTag || observation?.commandTag || '(no answer)';
}

function shorten(text: string): string {
  return harmless(text.slice(0, maxTextLength));
}
