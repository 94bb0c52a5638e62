// Decodes one envelope by hand: its exchanges, and what production answered to them. See decode-record.ts.
import { recentContexts } from './decode-context.ts';
import { decodeObservation } from './decode-observation.ts';
import type {
  Answer,
  AnswerStorage,
  Envelope,
  Exchange,
  Segment,
  TransactionOutcome,
} from './gen/mirrorstream/v1/envelope_pb.ts';
import type { ProtoReader } from './proto-reader.ts';

const NO_BYTES = new Uint8Array(0);

export function readEnvelope(reader: ProtoReader): Envelope {
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
