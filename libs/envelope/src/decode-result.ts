// Decodes result batches by hand into the generated types: the hot path of comparing. Bytes are views of the input.
//
// Field numbers and meanings: proto/mirrorstream/v1/result.proto; tags are literals as in decode-record.ts.
import { decodeObservation } from './decode-observation.ts';
import type { TransactionOutcome } from './gen/mirrorstream/v1/envelope_pb.ts';
import type {
  EnvelopeRef,
  MappedIds,
  Result,
  ResultBatch,
  ResultOutcome,
  StatementResult,
} from './gen/mirrorstream/v1/result_pb.ts';
import { ProtoReader } from './proto-reader.ts';

const NO_BYTES = new Uint8Array(0);

/** Throws what ProtoReader throws. */
export function readResultBatch(bytes: Uint8Array): ResultBatch {
  const reader = new ProtoReader(bytes);
  const batch: ResultBatch = {
    $typeName: 'mirrorstream.v1.ResultBatch',
    schemaVersion: 0,
    environment: '',
    mirror: '',
    run: '',
    replayer: '',
    partition: 0,
    results: [],
  };
  while (reader.field()) {
    switch (reader.tag) {
      case 0x08:
        batch.schemaVersion = reader.uint32();
        break;
      case 0x12:
        batch.environment = reader.string();
        break;
      case 0x1a:
        batch.mirror = reader.string();
        break;
      case 0x22:
        batch.run = reader.string();
        break;
      case 0x2a:
        batch.replayer = reader.string();
        break;
      case 0x30:
        batch.partition = reader.uint32();
        break;
      case 0x3a:
        batch.results.push(readResult(reader));
        break;
      default:
        reader.skip();
    }
  }
  return batch;
}

function readResult(reader: ProtoReader): Result {
  const outer = reader.open();
  const result: Result = {
    $typeName: 'mirrorstream.v1.Result',
    outcome: 0,
    reason: '',
    capturedAtUs: 0n,
    scheduledAtUs: 0n,
    sentAtUs: 0n,
    doneAtUs: 0n,
    statements: [],
    capturedOutcome: 0,
    replayedOutcome: 0,
    transactions: 0,
    sessionEnd: false,
    order: '',
  };
  while (reader.field()) {
    switch (reader.tag) {
      case 0x0a:
        result.ref = readRef(reader);
        break;
      case 0x10:
        result.outcome = reader.uint32() as ResultOutcome;
        break;
      case 0x1a:
        result.reason = reader.string();
        break;
      case 0x20:
        result.capturedAtUs = reader.uint64();
        break;
      case 0x28:
        result.scheduledAtUs = reader.uint64();
        break;
      case 0x30:
        result.sentAtUs = reader.uint64();
        break;
      case 0x38:
        result.doneAtUs = reader.uint64();
        break;
      case 0x42:
        result.statements.push(readStatement(reader));
        break;
      case 0x48:
        result.capturedOutcome = reader.uint32() as TransactionOutcome;
        break;
      case 0x50:
        result.replayedOutcome = reader.uint32() as TransactionOutcome;
        break;
      case 0x58:
        result.transactions = reader.uint32();
        break;
      case 0x60:
        result.sessionEnd = reader.bool();
        break;
      case 0x6a:
        result.order = reader.string();
        break;
      default:
        reader.skip();
    }
  }
  reader.close(outer);
  return result;
}

function readRef(reader: ProtoReader): EnvelopeRef {
  const outer = reader.open();
  const ref: EnvelopeRef = {
    $typeName: 'mirrorstream.v1.EnvelopeRef',
    offset: 0n,
    index: 0,
    sessionId: '',
    sessionSeq: 0n,
    part: 0,
    lastPart: false,
  };
  while (reader.field()) {
    switch (reader.tag) {
      case 0x08:
        ref.offset = reader.uint64();
        break;
      case 0x10:
        ref.index = reader.uint32();
        break;
      case 0x1a:
        ref.sessionId = reader.string();
        break;
      case 0x20:
        ref.sessionSeq = reader.uint64();
        break;
      case 0x28:
        ref.part = reader.uint32();
        break;
      case 0x30:
        ref.lastPart = reader.bool();
        break;
      default:
        reader.skip();
    }
  }
  reader.close(outer);
  return ref;
}

function readStatement(reader: ProtoReader): StatementResult {
  const outer = reader.open();
  const statement: StatementResult = {
    $typeName: 'mirrorstream.v1.StatementResult',
    exchange: 0,
    statement: 0,
    sql: '',
    equal: false,
    capturedRaw: NO_BYTES,
    replayedRaw: NO_BYTES,
    rawTruncated: false,
    notCompared: '',
    race: false,
    rawAlone: false,
    capturedRowsBefore: 0n,
    replayedRowsBefore: 0n,
  };
  while (reader.field()) {
    switch (reader.tag) {
      case 0x08:
        statement.exchange = reader.uint32();
        break;
      case 0x10:
        statement.statement = reader.uint32();
        break;
      case 0x1a:
        statement.sql = reader.string();
        break;
      case 0x20:
        statement.equal = reader.bool();
        break;
      case 0x2a:
        statement.captured = decodeObservation(reader);
        break;
      case 0x32:
        statement.replayed = decodeObservation(reader);
        break;
      case 0x3a:
        statement.capturedRaw = reader.bytes();
        break;
      case 0x42:
        statement.replayedRaw = reader.bytes();
        break;
      case 0x48:
        statement.rawTruncated = reader.bool();
        break;
      case 0x52:
        statement.notCompared = reader.string();
        break;
      case 0x58:
        statement.race = reader.bool();
        break;
      case 0x60:
        statement.rawAlone = reader.bool();
        break;
      case 0x68:
        statement.capturedRowsBefore = reader.uint64();
        break;
      case 0x70:
        statement.replayedRowsBefore = reader.uint64();
        break;
      case 0x7a:
        statement.ids = readIds(reader);
        break;
      default:
        reader.skip();
    }
  }
  reader.close(outer);
  return statement;
}

function readIds(reader: ProtoReader): MappedIds {
  const outer = reader.open();
  const ids: MappedIds = { $typeName: 'mirrorstream.v1.MappedIds', rewritten: 0, mark: '', columns: [] };
  while (reader.field()) {
    switch (reader.tag) {
      case 0x08:
        ids.rewritten = reader.uint32();
        break;
      case 0x12:
        ids.mark = reader.string();
        break;
      case 0x18:
      case 0x1a:
        reader.repeated(ids.columns);
        break;
      default:
        reader.skip();
    }
  }
  reader.close(outer);
  return ids;
}
