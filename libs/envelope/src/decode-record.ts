// Decodes batches of capture records by hand into the generated types: the hot path of everyone who reads envelopes.
//
// Field numbers and meanings: proto/mirrorstream/v1/envelope.proto. Tags (number << 3 | wire type) are literals, because they are the
// labels of the hot switches; a field of a later version, or of another wire type, is skipped. Bytes are views of the input.
import { recentContexts } from './decode-context.ts';
import { readEnvelope } from './decode-envelope.ts';
import type {
  CaptureRecord,
  EnvelopeBatch,
  Gap,
  GapReason,
  Heartbeat,
  SessionEnd,
  SessionStart,
} from './gen/mirrorstream/v1/envelope_pb.ts';
import { ProtoReader } from './proto-reader.ts';

/** Throws what ProtoReader throws. */
export function readEnvelopeBatch(bytes: Uint8Array): EnvelopeBatch {
  const reader = new ProtoReader(bytes);
  const batch: EnvelopeBatch = {
    $typeName: 'mirrorstream.v1.EnvelopeBatch',
    schemaVersion: 0,
    source: '',
    captureNode: '',
    incarnation: '',
    worker: 0,
    partition: 0,
    records: [],
  };
  while (reader.field()) {
    switch (reader.tag) {
      case 0x08:
        batch.schemaVersion = reader.uint32();
        break;
      case 0x12:
        batch.source = reader.string();
        break;
      case 0x1a:
        batch.captureNode = reader.string();
        break;
      case 0x22:
        batch.incarnation = reader.string();
        break;
      case 0x28:
        batch.worker = reader.uint32();
        break;
      case 0x30:
        batch.partition = reader.uint32();
        break;
      case 0x3a:
        batch.records.push(readRecord(reader));
        break;
      default:
        reader.skip();
    }
  }
  return batch;
}

function readRecord(reader: ProtoReader): CaptureRecord {
  const outer = reader.open();
  let record: CaptureRecord['record'] = { case: undefined };
  while (reader.field()) {
    switch (reader.tag) {
      case 0x0a:
        record = { case: 'envelope', value: readEnvelope(reader) };
        break;
      case 0x12:
        record = { case: 'sessionStart', value: readSessionStart(reader) };
        break;
      case 0x1a:
        record = { case: 'sessionEnd', value: readSessionEnd(reader) };
        break;
      case 0x22:
        record = { case: 'gap', value: readGap(reader) };
        break;
      case 0x2a:
        record = { case: 'heartbeat', value: readHeartbeat(reader) };
        break;
      default:
        reader.skip();
    }
  }
  reader.close(outer);
  return { $typeName: 'mirrorstream.v1.CaptureRecord', record };
}

function readSessionStart(reader: ProtoReader): SessionStart {
  const outer = reader.open();
  const start: SessionStart = {
    $typeName: 'mirrorstream.v1.SessionStart',
    sessionId: '',
    atUs: 0n,
    monoUs: 0n,
    samplingDraw: 0,
  };
  while (reader.field()) {
    switch (reader.tag) {
      case 0x0a:
        start.sessionId = reader.string();
        break;
      case 0x10:
        start.atUs = reader.uint64();
        break;
      case 0x18:
        start.monoUs = reader.uint64();
        break;
      case 0x21:
        start.samplingDraw = reader.double();
        break;
      case 0x2a:
        start.context = recentContexts.read(reader);
        break;
      default:
        reader.skip();
    }
  }
  reader.close(outer);
  return start;
}

function readSessionEnd(reader: ProtoReader): SessionEnd {
  const outer = reader.open();
  const end: SessionEnd = {
    $typeName: 'mirrorstream.v1.SessionEnd',
    sessionId: '',
    atUs: 0n,
    monoUs: 0n,
    lastSeq: 0n,
    terminated: false,
  };
  while (reader.field()) {
    switch (reader.tag) {
      case 0x0a:
        end.sessionId = reader.string();
        break;
      case 0x10:
        end.atUs = reader.uint64();
        break;
      case 0x18:
        end.monoUs = reader.uint64();
        break;
      case 0x20:
        end.lastSeq = reader.uint64();
        break;
      case 0x28:
        end.terminated = reader.bool();
        break;
      default:
        reader.skip();
    }
  }
  reader.close(outer);
  return end;
}

function readGap(reader: ProtoReader): Gap {
  const outer = reader.open();
  const gap: Gap = {
    $typeName: 'mirrorstream.v1.Gap',
    sessionId: '',
    atUs: 0n,
    reason: 0,
    transactions: 0n,
    sizeBytes: 0n,
    afterSeq: 0n,
    transactionsExact: false,
  };
  while (reader.field()) {
    switch (reader.tag) {
      case 0x0a:
        gap.sessionId = reader.string();
        break;
      case 0x10:
        gap.atUs = reader.uint64();
        break;
      case 0x18:
        gap.reason = reader.uint32() as GapReason;
        break;
      case 0x20:
        gap.transactions = reader.uint64();
        break;
      case 0x28:
        gap.sizeBytes = reader.uint64();
        break;
      case 0x30:
        gap.afterSeq = reader.uint64();
        break;
      case 0x38:
        gap.transactionsExact = reader.bool();
        break;
      default:
        reader.skip();
    }
  }
  reader.close(outer);
  return gap;
}

function readHeartbeat(reader: ProtoReader): Heartbeat {
  const outer = reader.open();
  const heartbeat: Heartbeat = {
    $typeName: 'mirrorstream.v1.Heartbeat',
    atUs: 0n,
    monoUs: 0n,
    doneSeq: 0n,
    last: false,
  };
  while (reader.field()) {
    switch (reader.tag) {
      case 0x08:
        heartbeat.atUs = reader.uint64();
        break;
      case 0x10:
        heartbeat.monoUs = reader.uint64();
        break;
      case 0x18:
        heartbeat.doneSeq = reader.uint64();
        break;
      case 0x20:
        heartbeat.last = reader.bool();
        break;
      default:
        reader.skip();
    }
  }
  reader.close(outer);
  return heartbeat;
}
