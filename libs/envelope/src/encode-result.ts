// Encodes result batches by hand, byte for byte what the generated code writes: the hot path of replay.
//
// Field numbers and meanings: proto/mirrorstream/v1/result.proto. Fields go in ascending number.
import { schemaVersion } from './batch-encoder.ts';
import type { MappedIdsDraft, ResultBatchDraft, ResultDraft, StatementResultDraft } from './drafts.ts';
import { encodeObservation } from './encode-observation.ts';
import { ProtoWriter, wire } from './proto-writer.ts';

const bytes = (field: number): number => (field << 3) | wire.bytes;
const varint = (field: number): number => (field << 3) | wire.varint;

/** A buffer that grew beyond this is given back when the batch is done. */
const KEPT_BUFFER_BYTES = 1024 * 1024;
const OBSERVATIONS_GUESS_BYTES = 130;

const T = {
  batch: {
    schemaVersion: varint(1),
    environment: bytes(2),
    mirror: bytes(3),
    run: bytes(4),
    replayer: bytes(5),
    partition: varint(6),
    results: bytes(7),
  },
  ref: {
    offset: varint(1),
    index: varint(2),
    sessionId: bytes(3),
    sessionSeq: varint(4),
    part: varint(5),
    lastPart: varint(6),
  },
  result: {
    ref: bytes(1),
    outcome: varint(2),
    reason: bytes(3),
    capturedAtUs: varint(4),
    scheduledAtUs: varint(5),
    sentAtUs: varint(6),
    doneAtUs: varint(7),
    statements: bytes(8),
    capturedOutcome: varint(9),
    replayedOutcome: varint(10),
    transactions: varint(11),
    sessionEnd: varint(12),
    order: bytes(13),
  },
  statement: {
    exchange: varint(1),
    statement: varint(2),
    sql: bytes(3),
    equal: varint(4),
    captured: bytes(5),
    replayed: bytes(6),
    capturedRaw: bytes(7),
    replayedRaw: bytes(8),
    rawTruncated: varint(9),
    notCompared: bytes(10),
    race: varint(11),
    rawAlone: varint(12),
    capturedRowsBefore: varint(13),
    replayedRowsBefore: varint(14),
    ids: bytes(15),
  },
  ids: {
    rewritten: varint(1),
    mark: bytes(2),
    columns: bytes(3),
  },
} as const;

const writer = new ProtoWriter();

/** The value of a record on the results topic. `schemaVersion` is filled in. */
export function encodeResults(batch: ResultBatchDraft): Uint8Array {
  writer.truncate(0, KEPT_BUFFER_BYTES);
  writer.uint(T.batch.schemaVersion, schemaVersion);
  writer.string(T.batch.environment, batch.environment);
  writer.string(T.batch.mirror, batch.mirror);
  writer.string(T.batch.run, batch.run);
  writer.string(T.batch.replayer, batch.replayer);
  writer.uint(T.batch.partition, batch.partition);
  for (const result of batch.results) encodeResult(result);
  return writer.copy();
}

function encodeResult(result: ResultDraft): void {
  const mark = writer.begin(T.batch.results, sizeGuess(result));
  encodeRef(result.ref);
  writer.uint(T.result.outcome, result.outcome);
  writer.string(T.result.reason, result.reason);
  writer.uint64(T.result.capturedAtUs, result.capturedAtUs);
  writer.uint64(T.result.scheduledAtUs, result.scheduledAtUs);
  writer.uint64(T.result.sentAtUs, result.sentAtUs);
  writer.uint64(T.result.doneAtUs, result.doneAtUs);
  const { statements } = result;
  for (let i = 0; i < statements.length; i++) encodeStatement(statements[i] as StatementResultDraft);
  writer.uint(T.result.capturedOutcome, result.capturedOutcome);
  writer.uint(T.result.replayedOutcome, result.replayedOutcome);
  writer.uint(T.result.transactions, result.transactions);
  writer.bool(T.result.sessionEnd, result.sessionEnd);
  writer.string(T.result.order, result.order);
  writer.end(mark);
}

function encodeRef(ref: ResultDraft['ref']): void {
  const mark = writer.begin(T.result.ref, 40);
  writer.uint64(T.ref.offset, ref.offset);
  writer.uint(T.ref.index, ref.index);
  writer.string(T.ref.sessionId, ref.sessionId);
  writer.uint64(T.ref.sessionSeq, ref.sessionSeq);
  writer.uint(T.ref.part, ref.part);
  writer.bool(T.ref.lastPart, ref.lastPart);
  writer.end(mark);
}

function encodeStatement(statement: StatementResultDraft): void {
  const mark = writer.begin(T.result.statements, statementGuess(statement));
  writer.uint(T.statement.exchange, statement.exchange);
  writer.uint(T.statement.statement, statement.statement);
  writer.string(T.statement.sql, statement.sql);
  writer.bool(T.statement.equal, statement.equal);
  encodeObservation(writer, T.statement.captured, statement.captured);
  encodeObservation(writer, T.statement.replayed, statement.replayed);
  writer.bytes(T.statement.capturedRaw, statement.capturedRaw);
  writer.bytes(T.statement.replayedRaw, statement.replayedRaw);
  writer.bool(T.statement.rawTruncated, statement.rawTruncated);
  writer.string(T.statement.notCompared, statement.notCompared);
  writer.bool(T.statement.race, statement.race);
  writer.bool(T.statement.rawAlone, statement.rawAlone);
  writer.uint(T.statement.capturedRowsBefore, statement.capturedRowsBefore);
  writer.uint(T.statement.replayedRowsBefore, statement.replayedRowsBefore);
  if (statement.ids !== null) encodeIds(statement.ids);
  writer.end(mark);
}

function encodeIds({ rewritten, mark, columns }: MappedIdsDraft): void {
  const begun = writer.begin(T.statement.ids, 20);
  writer.uint(T.ids.rewritten, rewritten);
  writer.string(T.ids.mark, mark);
  writer.bytes(T.ids.columns, packed(columns));
  writer.end(begun);
}

/** Varints of one or two bytes. */
function packed(numbers: readonly number[]): Uint8Array {
  return Uint8Array.from(numbers.flatMap((each) => (each < 0x80 ? [each] : [(each & 0x7f) | 0x80, each >> 7])));
}

function sizeGuess({ statements }: ResultDraft): number {
  let sizeBytes = 90;
  for (let i = 0; i < statements.length; i++) sizeBytes += statementGuess(statements[i] as StatementResultDraft) + 3;
  return sizeBytes;
}

const statementGuess = ({ sql, capturedRaw, replayedRaw }: StatementResultDraft): number =>
  OBSERVATIONS_GUESS_BYTES + sql.length + capturedRaw.length + replayedRaw.length;
