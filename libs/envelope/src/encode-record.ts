// Encodes capture records by hand, byte for byte what the generated code writes: the hot path of publishing.
//
// Field numbers and meanings: proto/mirrorstream/v1/envelope.proto and observation.proto. Fields go in ascending number.
import type {
  AnswerDraft,
  CaptureRecordDraft,
  EnvelopeDraft,
  ExchangeDraft,
  GapDraft,
  HeartbeatDraft,
  ObservationDraft,
  SessionContextDraft,
  SessionEndDraft,
  SessionStartDraft,
} from './drafts.ts';
import { encodeObservation } from './encode-observation.ts';
import { ProtoWriter, wire } from './proto-writer.ts';

const bytes = (field: number): number => (field << 3) | wire.bytes;
const varint = (field: number): number => (field << 3) | wire.varint;
const fixed64 = (field: number): number => (field << 3) | wire.fixed64;

/** EnvelopeBatch.records: what every record is written under. */
const RECORDS = bytes(7);

/** Tags by message, so that the encoders below read like the schema. */
const T = {
  record: { envelope: bytes(1), sessionStart: bytes(2), sessionEnd: bytes(3), gap: bytes(4), heartbeat: bytes(5) },
  envelope: {
    sessionId: bytes(1),
    sessionSeq: varint(2),
    part: varint(3),
    lastPart: varint(4),
    startedAtUs: varint(5),
    startedMonoUs: varint(6),
    samplingDraw: fixed64(7),
    context: bytes(8),
    exchanges: bytes(9),
    outcome: varint(10),
    writes: varint(11),
    dependsOnSession: bytes(12),
    redactions: varint(13),
  },
  context: {
    database: bytes(1),
    user: bytes(2),
    protocolVersion: varint(3),
    startupParameters: bytes(4),
    settings: bytes(5),
    statements: bytes(6),
    sqlStatements: bytes(7),
    backendPid: varint(8),
  },
  exchange: {
    index: varint(1),
    continues: varint(2),
    request: bytes(3),
    segments: bytes(4),
    sentUs: varint(5),
    firstReplyUs: varint(6),
    doneUs: varint(7),
    afterSeq: varint(8),
    doneSeq: varint(9),
    answer: bytes(10),
    cancelledAfterUs: varint(11),
  },
  answer: { storage: varint(1), observations: bytes(2), raw: bytes(3), sizeBytes: varint(4), status: bytes(5) },
  first: bytes(1),
  second: bytes(2),
} as const;

/** A context stays the same object over many envelopes of a session: its encoding is kept with it, for as long as it lives. */
const encodedContexts = new WeakMap<SessionContextDraft, Uint8Array>();
const contextWriter = new ProtoWriter();
const CONTEXT_KEEP_BYTES = 64 * 1024;

/** Appends one `records` field of an EnvelopeBatch. */
export function encodeRecord(writer: ProtoWriter, draft: CaptureRecordDraft): void {
  const outer = writer.begin(RECORDS, sizeGuess(draft));
  switch (draft.kind) {
    case 'envelope':
      encodeEnvelope(writer, draft);
      break;
    case 'sessionStart':
      encodeSessionStart(writer, draft);
      break;
    case 'sessionEnd':
      encodeSessionEnd(writer, draft);
      break;
    case 'gap':
      encodeGap(writer, draft);
      break;
    case 'heartbeat':
      encodeHeartbeat(writer, draft);
      break;
    default:
      draft satisfies never;
  }
  writer.end(outer);
}

function sizeGuess(draft: CaptureRecordDraft): number {
  if (draft.kind !== 'envelope') return draft.kind === 'sessionStart' ? 200 : 60;
  let sizeBytes = 200;
  for (let i = 0; i < draft.exchanges.length; i++) sizeBytes += exchangeGuess(draft.exchanges[i] as ExchangeDraft) + 3;
  return sizeBytes;
}

function exchangeGuess(exchange: ExchangeDraft): number {
  const answer = exchange.answer;
  return 24 + exchange.request.length + (answer === null ? 0 : answerGuess(answer));
}

function answerGuess(answer: AnswerDraft): number {
  return 14 + answer.raw.length + answer.observations.length * 22;
}

function encodeEnvelope(writer: ProtoWriter, draft: EnvelopeDraft): void {
  const mark = writer.begin(T.record.envelope, sizeGuess(draft));
  writer.string(T.envelope.sessionId, draft.sessionId);
  writer.uint(T.envelope.sessionSeq, draft.sessionSeq);
  writer.uint(T.envelope.part, draft.part);
  writer.bool(T.envelope.lastPart, draft.lastPart);
  writer.uint(T.envelope.startedAtUs, draft.startedAtUs);
  writer.uint(T.envelope.startedMonoUs, draft.startedMonoUs);
  writer.double(T.envelope.samplingDraw, draft.samplingDraw);
  if (draft.context !== null) encodeContext(writer, T.envelope.context, draft.context);
  const exchanges = draft.exchanges;
  for (let i = 0; i < exchanges.length; i++) encodeExchange(writer, exchanges[i] as ExchangeDraft);
  writer.uint(T.envelope.outcome, draft.outcome);
  writer.bool(T.envelope.writes, draft.writes);
  writer.packed(T.envelope.dependsOnSession, draft.dependsOnSession);
  writer.uint(T.envelope.redactions, draft.redactions);
  writer.end(mark);
}

function encodeContext(writer: ProtoWriter, tag: number, context: SessionContextDraft): void {
  let encoded = encodedContexts.get(context);
  if (encoded === undefined) {
    writeContext(contextWriter, context);
    encoded = contextWriter.copy();
    contextWriter.truncate(0, CONTEXT_KEEP_BYTES);
    encodedContexts.set(context, encoded);
  }
  const mark = writer.begin(tag, encoded.length);
  writer.raw(encoded);
  writer.end(mark);
}

function writeContext(writer: ProtoWriter, context: SessionContextDraft): void {
  writer.string(T.context.database, context.database);
  writer.string(T.context.user, context.user);
  writer.uint(T.context.protocolVersion, context.protocolVersion);
  for (const parameter of context.startupParameters) {
    const mark = writer.begin(T.context.startupParameters, 32);
    writer.string(T.first, parameter.name);
    writer.string(T.second, parameter.value);
    writer.end(mark);
  }
  for (const setting of context.settings) {
    const mark = writer.begin(T.context.settings, 48);
    writer.string(T.first, setting.name);
    writer.string(T.second, setting.sql);
    writer.end(mark);
  }
  for (const statement of context.statements) {
    const mark = writer.begin(T.context.statements, statement.parseFrame.length + 16);
    writer.string(T.first, statement.name);
    writer.bytes(T.second, statement.parseFrame);
    writer.end(mark);
  }
  for (const statement of context.sqlStatements ?? []) {
    const mark = writer.begin(T.context.sqlStatements, statement.sql.length + 16);
    writer.string(T.first, statement.name);
    writer.string(T.second, statement.sql);
    writer.end(mark);
  }
  writer.uint(T.context.backendPid, context.backendPid ?? 0);
}

function encodeExchange(writer: ProtoWriter, exchange: ExchangeDraft): void {
  const mark = writer.begin(T.envelope.exchanges, exchangeGuess(exchange));
  writer.uint(T.exchange.index, exchange.index);
  writer.bool(T.exchange.continues, exchange.continues);
  writer.bytes(T.exchange.request, exchange.request);
  const segments = exchange.segments;
  for (let i = 0; i < segments.length; i++) {
    const segment = writer.begin(T.exchange.segments, 10);
    writer.uint(varint(1), segments[i]?.end ?? 0);
    writer.uint(varint(2), segments[i]?.sentUs ?? 0);
    writer.end(segment);
  }
  writer.uint(T.exchange.sentUs, exchange.sentUs);
  writer.uint(T.exchange.firstReplyUs, exchange.firstReplyUs);
  writer.uint(T.exchange.doneUs, exchange.doneUs);
  writer.uint(T.exchange.afterSeq, exchange.afterSeq);
  writer.uint(T.exchange.doneSeq, exchange.doneSeq);
  if (exchange.answer !== null) encodeAnswer(writer, exchange.answer);
  writer.uint(T.exchange.cancelledAfterUs, exchange.cancelledAfterUs);
  writer.end(mark);
}

function encodeAnswer(writer: ProtoWriter, answer: AnswerDraft): void {
  const mark = writer.begin(T.exchange.answer, answerGuess(answer));
  writer.uint(T.answer.storage, answer.storage);
  const observations = answer.observations;
  for (let i = 0; i < observations.length; i++)
    encodeObservation(writer, T.answer.observations, observations[i] as ObservationDraft);
  writer.bytes(T.answer.raw, answer.raw);
  writer.uint(T.answer.sizeBytes, answer.sizeBytes);
  writer.string(T.answer.status, answer.status);
  writer.end(mark);
}

function encodeSessionStart(writer: ProtoWriter, draft: SessionStartDraft): void {
  const mark = writer.begin(T.record.sessionStart, 200);
  writer.string(bytes(1), draft.sessionId);
  writer.uint(varint(2), draft.atUs);
  writer.uint(varint(3), draft.monoUs);
  writer.double(fixed64(4), draft.samplingDraw);
  encodeContext(writer, bytes(5), draft.context);
  writer.end(mark);
}

function encodeSessionEnd(writer: ProtoWriter, draft: SessionEndDraft): void {
  const mark = writer.begin(T.record.sessionEnd, 60);
  writer.string(bytes(1), draft.sessionId);
  writer.uint(varint(2), draft.atUs);
  writer.uint(varint(3), draft.monoUs);
  writer.uint(varint(4), draft.lastSeq);
  writer.bool(varint(5), draft.terminated);
  writer.end(mark);
}

function encodeGap(writer: ProtoWriter, draft: GapDraft): void {
  const mark = writer.begin(T.record.gap, 60);
  writer.string(bytes(1), draft.sessionId);
  writer.uint(varint(2), draft.atUs);
  writer.uint(varint(3), draft.reason);
  writer.uint(varint(4), draft.transactions);
  writer.uint(varint(5), draft.sizeBytes);
  writer.uint(varint(6), draft.afterSeq);
  writer.bool(varint(7), draft.transactionsExact);
  writer.end(mark);
}

function encodeHeartbeat(writer: ProtoWriter, draft: HeartbeatDraft): void {
  const mark = writer.begin(T.record.heartbeat, 30);
  writer.uint(varint(1), draft.atUs);
  writer.uint(varint(2), draft.monoUs);
  writer.uint(varint(3), draft.doneSeq);
  writer.bool(varint(4), draft.last);
  writer.end(mark);
}
