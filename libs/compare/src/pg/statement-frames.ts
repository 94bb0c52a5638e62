// Finds the frames of one statement in a kept answer of an exchange, which may have been cut anywhere.
import {
  B,
  decodeBackend,
  type ErrorFields,
  type FieldDescription,
  frameEndAt,
  HEADER_BYTES,
  commandTag as tagOf,
} from '@mirrorstream/pg-wire';

/** A kept answer: the backend frames of a whole exchange, and which of its statements is meant. */
export interface RawAnswer {
  readonly bytes: Uint8Array;
  /** Position of the statement in the exchange, from 0. */
  readonly statement: number;
  /** The bytes were cut at a cap. */
  readonly truncated: boolean;
  /** Rows of the statement that are left out before the first one kept. Default 0. */
  readonly rowsBefore?: number;
}

/** Body of one DataRow or CopyData: [start, end) of the answer's bytes. */
export interface RowSpan {
  readonly start: number;
  readonly end: number;
}

export type StatementEndName = 'complete' | 'empty' | 'suspended' | 'error' | 'function' | 'cut';

export interface StatementFrames {
  readonly bytes: Uint8Array;
  /** null: the answer did not describe its columns (an Execute without Describe). */
  readonly columns: readonly FieldDescription[] | null;
  readonly copy: boolean;
  readonly rows: readonly RowSpan[];
  /** `cut`: the end of the statement was not kept. */
  readonly end: StatementEndName;
  readonly commandTag: string;
  readonly error: ErrorFields | null;
}

interface Collected {
  columns: readonly FieldDescription[] | null;
  copy: boolean;
  rows: RowSpan[];
}

/** The frames of the statement. Bytes that are no frames end the walk as a cut does. Never throws. */
export function statementFrames(raw: RawAnswer): StatementFrames {
  const { bytes } = raw;
  let statement = 0;
  let at = 0;
  let found: Collected = { columns: null, copy: false, rows: [] };
  while (at < bytes.length) {
    const end = frameEndAt(bytes, at, bytes.length);
    if (end < 0) break;
    const ended = take(found, bytes, at, end);
    if (ended !== null) {
      if (statement === raw.statement) return finish(bytes, found, ended, at, end);
      statement += 1;
      found = { columns: null, copy: false, rows: [] };
    }
    at = end;
  }
  if (statement < raw.statement) found = { columns: null, copy: false, rows: [] };
  return { bytes, ...found, end: 'cut', commandTag: '', error: null };
}

/** Adds one frame to the statement; answers how the statement ended when the frame ends it. */
function take(found: Collected, bytes: Uint8Array, start: number, end: number): StatementEndName | null {
  switch (bytes[start]) {
    case B.CopyData:
    case B.DataRow:
      found.copy = bytes[start] === B.CopyData;
      found.rows.push({ start: start + HEADER_BYTES, end });
      return null;
    case B.RowDescription: {
      const message = decodeBackend(B.RowDescription, bytes, start, end);
      found.columns = message.kind === 'rowDescription' ? message.fields : null;
      return null;
    }
    case B.NoData:
      found.columns = null;
      return null;
    case B.CommandComplete:
      return 'complete';
    case B.EmptyQueryResponse:
      return 'empty';
    case B.PortalSuspended:
      return 'suspended';
    case B.ErrorResponse:
      return 'error';
    case B.FunctionCallResponse:
      return 'function';
    default:
      return null;
  }
}

function finish(
  bytes: Uint8Array,
  found: Collected,
  how: StatementEndName,
  start: number,
  end: number,
): StatementFrames {
  const message = how === 'error' ? decodeBackend(B.ErrorResponse, bytes, start, end) : null;
  return {
    bytes,
    ...found,
    end: how,
    commandTag: how === 'complete' ? tagOf(bytes, start, end) : '',
    error: message?.kind === 'errorResponse' ? message.fields : null,
  };
}
