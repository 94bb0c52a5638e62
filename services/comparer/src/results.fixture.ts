// Results for tests, with answers whose class is known.
import {
  encodeResultBatch,
  type Result,
  ResultOutcome,
  StatementEnd,
  type StatementResult,
} from '@mirrorstream/envelope';

type ResultBatchInit = Parameters<typeof encodeResultBatch>[0];
export type ResultInit = Exclude<NonNullable<ResultBatchInit['results']>[number], Result>;
export type StatementInit = Exclude<NonNullable<ResultInit['statements']>[number], StatementResult>;

const selected = {
  end: StatementEnd.COMPLETE,
  commandTag: 'SELECT 1',
  rows: 1n,
  digested: true,
  orderedDigest: 1n,
  multisetDigest: 1n,
  columnsDigest: 5n,
  columnCount: 1,
};

/** A DataRow of one text cell, and the CommandComplete of a one-row SELECT. */
export function keptAnswer(cell: string): Uint8Array {
  const row = Buffer.alloc(5 + 2 + 4 + cell.length);
  row.write('D', 0, 'latin1');
  row.writeUInt32BE(row.length - 1, 1);
  row.writeUInt16BE(1, 5);
  row.writeInt32BE(cell.length, 7);
  row.write(cell, 11, 'latin1');
  const tag = Buffer.from('C\0\0\0\x0dSELECT 1\0', 'latin1');
  return Buffer.concat([row, tag]);
}

/** One statement per class the comparer can come to. */
export const statements = {
  match: { sql: 'SELECT 1', equal: true, captured: selected, replayed: selected },
  value: {
    sql: 'SELECT balance FROM accounts WHERE id = 7',
    captured: selected,
    replayed: { ...selected, orderedDigest: 2n, multisetDigest: 2n },
    capturedRaw: keptAnswer('10'),
    replayedRaw: keptAnswer('12'),
  },
  orderOnly: {
    sql: 'SELECT id FROM accounts',
    captured: selected,
    replayed: { ...selected, orderedDigest: 2n },
  },
  rowCount: {
    sql: 'SELECT id FROM orders',
    captured: selected,
    replayed: { ...selected, commandTag: 'SELECT 2', rows: 2n },
  },
  columns: { sql: 'SELECT * FROM wide', captured: selected, replayed: { ...selected, columnsDigest: 6n } },
  errorNew: {
    sql: 'UPDATE accounts SET balance = -1',
    captured: { end: StatementEnd.COMPLETE, commandTag: 'UPDATE 1', digested: true },
    replayed: { end: StatementEnd.ERROR, sqlState: '23514', severity: 'ERROR', digested: true },
  },
  volatile: {
    sql: 'SELECT now()',
    captured: selected,
    replayed: { ...selected, orderedDigest: 2n, multisetDigest: 2n },
  },
  notStored: { sql: 'SELECT 2', notCompared: 'notStored', captured: selected, replayed: selected },
} as const satisfies Record<string, StatementInit>;

export function replayed(
  sessionId: string,
  seq: number,
  of: readonly StatementInit[] = [],
  place: { readonly part?: number; readonly lastPart?: boolean; readonly offset?: bigint } = {},
): ResultInit {
  const lastPart = place.lastPart ?? true;
  return {
    ref: { offset: place.offset ?? 0n, index: 0, sessionId, sessionSeq: BigInt(seq), part: place.part ?? 0, lastPart },
    outcome: ResultOutcome.REPLAYED,
    statements: of.map((statement, i) => ({ exchange: i, statement: 0, ...statement })),
    transactions: lastPart ? 1 : 0,
  };
}

export function notReplayed(sessionId: string, seq: number, outcome: ResultOutcome, reason: string): ResultInit {
  return { ...replayed(sessionId, seq), outcome, reason };
}

export function sessionEnd(sessionId: string): ResultInit {
  return { ref: { sessionId, lastPart: true }, sessionEnd: true };
}

export function batchOf(
  results: readonly ResultInit[],
  of: { readonly mirror?: string; readonly environment?: string; readonly partition?: number } = {},
): Uint8Array {
  return encodeResultBatch({
    environment: of.environment ?? 'default',
    mirror: of.mirror ?? 'candidate',
    run: 'live',
    replayer: 'test',
    partition: of.partition ?? 0,
    results: [...results],
  });
}
