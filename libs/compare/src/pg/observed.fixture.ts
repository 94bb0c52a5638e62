// Observations for tests, made by the digester from frames, in the shape the schema's messages have.
import type { ObservationDraft } from '@mirrorstream/envelope';
import { AnswerDigester } from './answer-digester.ts';
import { type Column, commandComplete, dataRow, rowDescription } from './backend-frames.fixture.ts';
import type { ComparedObservation } from './classify.ts';
import type { RawAnswer } from './statement-frames.ts';

const joined = (hi: number, lo: number): bigint => (BigInt(hi) << 32n) | BigInt(lo);

export function toObservation(draft: ObservationDraft): ComparedObservation {
  return {
    end: draft.end,
    commandTag: draft.commandTag,
    rows: BigInt(draft.rows),
    sqlState: draft.sqlState,
    severity: draft.severity,
    digested: draft.digested,
    orderedDigest: joined(draft.orderedHi, draft.orderedLo),
    multisetDigest: joined(draft.multisetHi, draft.multisetLo),
    columnsDigest: joined(draft.columnsHi, draft.columnsLo),
    columnCount: draft.columnCount,
    errorDigest: joined(draft.errorHi, draft.errorLo),
  };
}

export interface Observed {
  readonly observation: ComparedObservation;
  readonly raw: RawAnswer;
}

/** The first statement's observation and the kept answer. */
export function observe(frames: readonly Uint8Array[], options?: { digest?: boolean }): Observed {
  const digester = new AnswerDigester(options);
  for (const f of frames) digester.frame(f, 0, f.length, 1);
  const [draft] = digester.observations();
  if (draft === undefined) throw new Error('the frames hold no statement');
  return {
    observation: toObservation(draft),
    raw: { bytes: Buffer.concat(frames), statement: 0, truncated: false },
  };
}

export function selected(
  columns: readonly (string | Column)[],
  rows: readonly (readonly (string | null)[])[],
): Observed {
  return observe([
    rowDescription(columns.map((column) => (typeof column === 'string' ? { name: column } : column))),
    ...rows.map((row) => dataRow(row)),
    commandComplete(`SELECT ${rows.length}`),
  ]);
}
