// The rows of each statement in a kept answer, in one pass, and their cells.
import { B, decodeBackend, type Format, frameEndAt } from '@mirrorstream/pg-wire';

export type Cells = readonly (Uint8Array | null)[];

/** DataRow frames: [start, end). */
type RowSpan = readonly [number, number];

export interface StatementRows {
  readonly rows: readonly RowSpan[];
  /** Of the columns, where the answer says it. */
  readonly formats: readonly Format[] | null;
}

const ends: ReadonlySet<number> = new Set([
  B.CommandComplete,
  B.EmptyQueryResponse,
  B.PortalSuspended,
  B.ErrorResponse,
  B.FunctionCallResponse,
]);

/** Up to where the bytes are whole. */
export function rowsOfStatements(raw: Uint8Array): readonly StatementRows[] {
  const statements: StatementRows[] = [];
  let rows: RowSpan[] = [];
  let formats: readonly Format[] | null = null;
  for (let at = 0, end = 0; at < raw.length; at = end) {
    end = frameEndAt(raw, at, raw.length);
    if (end < 0) break;
    const type = raw[at] as number;
    if (type === B.DataRow) rows.push([at, end]);
    else if (type === B.RowDescription) formats = formatsAt(raw, at, end);
    else if (ends.has(type)) {
      statements.push({ rows, formats });
      rows = [];
      formats = null;
    }
  }
  return statements;
}

function formatsAt(raw: Uint8Array, start: number, end: number): readonly Format[] | null {
  const message = decodeBackend(B.RowDescription, raw, start, end);
  return message.kind === 'rowDescription' ? message.fields.map(({ format }) => format) : null;
}

/** Views; null is SQL NULL. */
export function cellsOf(raw: Uint8Array, [start, end]: RowSpan): Cells {
  const message = decodeBackend(B.DataRow, raw, start, end);
  return message.kind === 'dataRow' ? message.values : [];
}
