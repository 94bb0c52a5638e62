// Decodes capture records by hand into the generated types: the hot path of everyone who reads envelopes.
//
// Field numbers and meanings: proto/mirrorstream/v1/envelope.proto. Tags (number << 3 | wire type) are literals, because they are the
// labels of the hot switches; a field of a later version, or of another wire type, is skipped. Bytes are views of the input.
import { decodeObservation } from './decode-observation.ts';
import type {
  Answer,
  AnswerStorage,
  CaptureRecord,
  Envelope,
  EnvelopeBatch,
  Exchange,
  Gap,
  GapReason,
  Heartbeat,
  PreparedStatement,
  Segment,
  SessionContext,
  SessionEnd,
  SessionStart,
  TransactionOutcome,
} from './gen/mirrorstream/v1/envelope_pb.ts';
import { ProtoReader } from './proto-reader.ts';
import { RecentContexts } from './recent-contexts.ts';

const NO_BYTES = new Uint8Array(0);

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

function readEnvelope(reader: ProtoReader): Envelope {
  const outer = reader.open();
  const envelope: Envelope = {
    $typeName: 'mirrorstream.v1.Envelope',
    sessionId: '',
    sessionSeq: 0n,
    part: 0,
    lastPart: false,
    startedAtUs: 0n,
    startedMonoUs: 0n,
    samplingDraw: 0,
    exchanges: [],
    outcome: 0,
    writes: false,
    dependsOnSession: [],
    redactions: 0,
  };
  while (reader.field()) {
    switch (reader.tag) {
      case 0x0a:
        envelope.sessionId = reader.string();
        break;
      case 0x10:
        envelope.sessionSeq = reader.uint64();
        break;
      case 0x18:
        envelope.part = reader.uint32();
        break;
      case 0x20:
        envelope.lastPart = reader.bool();
        break;
      case 0x28:
        envelope.startedAtUs = reader.uint64();
        break;
      case 0x30:
        envelope.startedMonoUs = reader.uint64();
        break;
      case 0x39:
        envelope.samplingDraw = reader.double();
        break;
      case 0x42:
        envelope.context = recentContexts.read(reader);
        break;
      case 0x4a:
        envelope.exchanges.push(readExchange(reader));
        break;
      case 0x50:
        envelope.outcome = reader.uint32() as TransactionOutcome;
        break;
      case 0x58:
        envelope.writes = reader.bool();
        break;
      case 0x60:
      case 0x62:
        reader.repeated(envelope.dependsOnSession);
        break;
      case 0x68:
        envelope.redactions = reader.uint32();
        break;
      default:
        reader.skip();
    }
  }
  reader.close(outer);
  return envelope;
}

function readExchange(reader: ProtoReader): Exchange {
  const outer = reader.open();
  const exchange: Exchange = {
    $typeName: 'mirrorstream.v1.Exchange',
    index: 0,
    continues: false,
    request: NO_BYTES,
    segments: [],
    sentUs: 0n,
    firstReplyUs: 0n,
    doneUs: 0n,
    afterSeq: 0n,
    doneSeq: 0n,
    cancelledAfterUs: 0n,
  };
  while (reader.field()) {
    switch (reader.tag) {
      case 0x08:
        exchange.index = reader.uint32();
        break;
      case 0x10:
        exchange.continues = reader.bool();
        break;
      case 0x1a:
        exchange.request = reader.bytes();
        break;
      case 0x22:
        exchange.segments.push(readSegment(reader));
        break;
      case 0x28:
        exchange.sentUs = reader.uint64();
        break;
      case 0x30:
        exchange.firstReplyUs = reader.uint64();
        break;
      case 0x38:
        exchange.doneUs = reader.uint64();
        break;
      case 0x40:
        exchange.afterSeq = reader.uint64();
        break;
      case 0x48:
        exchange.doneSeq = reader.uint64();
        break;
      case 0x52:
        exchange.answer = readAnswer(reader);
        break;
      case 0x58:
        exchange.cancelledAfterUs = reader.uint64();
        break;
      default:
        reader.skip();
    }
  }
  reader.close(outer);
  return exchange;
}

function readSegment(reader: ProtoReader): Segment {
  const outer = reader.open();
  const segment: Segment = { $typeName: 'mirrorstream.v1.Segment', end: 0, sentUs: 0n };
  while (reader.field()) {
    if (reader.tag === 0x08) segment.end = reader.uint32();
    else if (reader.tag === 0x10) segment.sentUs = reader.uint64();
    else reader.skip();
  }
  reader.close(outer);
  return segment;
}

function readAnswer(reader: ProtoReader): Answer {
  const outer = reader.open();
  const answer: Answer = {
    $typeName: 'mirrorstream.v1.Answer',
    storage: 0,
    observations: [],
    raw: NO_BYTES,
    sizeBytes: 0n,
    status: '',
  };
  while (reader.field()) {
    switch (reader.tag) {
      case 0x08:
        answer.storage = reader.uint32() as AnswerStorage;
        break;
      case 0x12:
        answer.observations.push(decodeObservation(reader));
        break;
      case 0x1a:
        answer.raw = reader.bytes();
        break;
      case 0x20:
        answer.sizeBytes = reader.uint64();
        break;
      case 0x2a:
        answer.status = reader.string();
        break;
      default:
        reader.skip();
    }
  }
  reader.close(outer);
  return answer;
}

/** A session's envelopes, and those of its fellows, mostly come with the same context: then it is the same object. */
const recentContexts = new RecentContexts(readContext);

function readContext(reader: ProtoReader): SessionContext {
  const context: SessionContext = {
    $typeName: 'mirrorstream.v1.SessionContext',
    database: '',
    user: '',
    protocolVersion: 0,
    startupParameters: [],
    settings: [],
    statements: [],
    sqlStatements: [],
    backendPid: 0,
  };
  while (reader.field()) {
    switch (reader.tag) {
      case 0x0a:
        context.database = reader.string();
        break;
      case 0x12:
        context.user = reader.string();
        break;
      case 0x18:
        context.protocolVersion = reader.uint32();
        break;
      case 0x22: {
        const [name, value] = readPair(reader);
        context.startupParameters.push({ $typeName: 'mirrorstream.v1.Parameter', name, value });
        break;
      }
      case 0x2a: {
        const [name, sql] = readPair(reader);
        context.settings.push({ $typeName: 'mirrorstream.v1.Setting', name, sql });
        break;
      }
      case 0x32:
        context.statements.push(readStatement(reader));
        break;
      case 0x3a: {
        const [name, sql] = readPair(reader);
        context.sqlStatements.push({ $typeName: 'mirrorstream.v1.SqlStatement', name, sql });
        break;
      }
      case 0x40:
        context.backendPid = reader.uint32();
        break;
      default:
        reader.skip();
    }
  }
  return context;
}

/** A message of two strings. */
function readPair(reader: ProtoReader): readonly [first: string, second: string] {
  const outer = reader.open();
  let first = '';
  let second = '';
  while (reader.field()) {
    if (reader.tag === 0x0a) first = reader.string();
    else if (reader.tag === 0x12) second = reader.string();
    else reader.skip();
  }
  reader.close(outer);
  return [first, second];
}

function readStatement(reader: ProtoReader): PreparedStatement {
  const outer = reader.open();
  const statement: PreparedStatement = {
    $typeName: 'mirrorstream.v1.PreparedStatement',
    name: '',
    parseFrame: NO_BYTES,
  };
  while (reader.field()) {
    if (reader.tag === 0x0a) statement.name = reader.string();
    else if (reader.tag === 0x12) statement.parseFrame = reader.bytes();
    else reader.skip();
  }
  reader.close(outer);
  return statement;
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
