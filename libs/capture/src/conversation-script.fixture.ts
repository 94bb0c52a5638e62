// Test material: wire conversations as scripts, played to a session in any chunking, and the records that came out as readable lines.
import type {
  CaptureRecordDraft,
  EnvelopeDraft,
  ExchangeDraft,
  ObservationDraft,
  PreparedStatementDraft,
  SessionContextDraft,
} from '@mirrorstream/envelope';
import { AnswerStorage, DependencyReason, GapReason, StatementEnd, TransactionOutcome } from '@mirrorstream/envelope';
import {
  type BackendMessage,
  encodeBackend,
  encodeFrontend,
  F,
  type FrontendMessage,
  formatTrace,
  frameEndAt,
  PROTOCOL_3_0,
  parseStatementName,
  traceFrames,
  WireWriter,
} from '@mirrorstream/pg-wire';
import { type CaptureLimits, defaultCaptureLimits } from './limits.ts';
import { createSequencer, type Sequencer } from './sequencer.ts';
import { openSession } from './session.ts';
import type { SessionCapture } from './session-capture.ts';

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

// Frontend
export const query = (sql: string): FrontendMessage => ({ kind: 'query', query: sql });
export const parse = (statement: string, sql: string): FrontendMessage => ({
  kind: 'parse',
  statement,
  query: sql,
  parameterTypes: [],
});
export const bind = (statement = '', portal = '', ...values: string[]): FrontendMessage => ({
  kind: 'bind',
  portal,
  statement,
  parameterFormats: [],
  parameters: values.map(bytes),
  resultFormats: [],
});
export const describe = (target: 'S' | 'P', name = ''): FrontendMessage => ({ kind: 'describe', target, name });
export const execute = (portal = '', maxRows = 0): FrontendMessage => ({ kind: 'execute', portal, maxRows });
export const close = (target: 'S' | 'P', name = ''): FrontendMessage => ({ kind: 'close', target, name });
export const sync: FrontendMessage = { kind: 'sync' };
export const flush: FrontendMessage = { kind: 'flush' };
export const terminate: FrontendMessage = { kind: 'terminate' };
export const copyFail: FrontendMessage = { kind: 'copyFail', reason: 'no more' };
export const functionCall: FrontendMessage = {
  kind: 'functionCall',
  functionOid: 957,
  argumentFormats: [],
  arguments: [],
  resultFormat: 0,
};

// Both
export const data = (text: string) => ({ kind: 'copyData', data: bytes(text) }) as const;
export const done = { kind: 'copyDone' } as const;

// Backend
export const ready = (status: 'I' | 'T' | 'E'): BackendMessage => ({ kind: 'readyForQuery', status });
export const tag = (text: string): BackendMessage => ({ kind: 'commandComplete', tag: text });
export const row = (...values: (string | null)[]): BackendMessage => ({
  kind: 'dataRow',
  values: values.map((value) => (value === null ? null : bytes(value))),
});
export const columns = (...names: string[]): BackendMessage => ({
  kind: 'rowDescription',
  fields: names.map((name) => ({
    name,
    tableOid: 0,
    columnNumber: 0,
    typeOid: 25,
    typeSize: -1,
    typeModifier: -1,
    format: 0,
  })),
});
export const parsed: BackendMessage = { kind: 'parseComplete' };
export const bound: BackendMessage = { kind: 'bindComplete' };
export const closed: BackendMessage = { kind: 'closeComplete' };
export const noData: BackendMessage = { kind: 'noData' };
export const suspended: BackendMessage = { kind: 'portalSuspended' };
export const empty: BackendMessage = { kind: 'emptyQueryResponse' };
export const parameters: BackendMessage = { kind: 'parameterDescription', parameterTypes: [] };
export const error = (state: string, severity = 'ERROR'): BackendMessage => ({
  kind: 'errorResponse',
  fields: { S: severity, V: severity, C: state, M: 'no' },
});
export const notice: BackendMessage = {
  kind: 'noticeResponse',
  fields: { S: 'NOTICE', V: 'NOTICE', C: '00000', M: 'hm' },
};
export const status = (name: string, value: string): BackendMessage => ({ kind: 'parameterStatus', name, value });
export const copyIn: BackendMessage = { kind: 'copyInResponse', format: 0, columnFormats: [0] };
export const copyOut: BackendMessage = { kind: 'copyOutResponse', format: 0, columnFormats: [0] };
export const functionResult: BackendMessage = { kind: 'functionCallResponse', value: bytes('7') };

export type Step =
  | readonly ['F', ...(FrontendMessage | Uint8Array)[]]
  | readonly ['B', ...(BackendMessage | Uint8Array)[]]
  | readonly ['missed', 'client' | 'server', number]
  /** Told now, but it went by so many µs earlier (or, negative, later than the bytes that were told before it). */
  | readonly ['cancelled', agoUs?: number]
  | readonly ['tick', number];

export const startup = (more: Readonly<Record<string, string>> = {}): FrontendMessage => ({
  kind: 'startupMessage',
  protocolVersion: PROTOCOL_3_0,
  parameters: Object.entries({ user: 'app', database: 'shop', ...more }).map(([name, value]) => ({ name, value })),
});

export const greeting: Step[] = [
  ['F', startup({ application_name: 'till' })],
  ['B', { kind: 'authenticationCleartextPassword' }],
  ['F', { kind: 'passwordMessage', password: 'hunter2' }],
  ['B', { kind: 'authenticationOk' }, status('TimeZone', 'UTC'), status('client_encoding', 'UTF8')],
  ['B', { kind: 'backendKeyData', processId: 77, secretKey: Uint8Array.of(1, 2, 3, 4) }, ready('I')],
];

function bytesOf(
  direction: 'F' | 'B',
  messages: readonly (FrontendMessage | BackendMessage | Uint8Array)[],
): Uint8Array {
  const writer = new WireWriter();
  for (const message of messages) {
    if (message instanceof Uint8Array) writer.bytes(message);
    else if (direction === 'F') encodeFrontend(message as FrontendMessage, writer);
    else encodeBackend(message as BackendMessage, writer);
  }
  return writer.take();
}

/** A chunking gives the ends of the chunks that `size` bytes come in, the last being `size`. */
export type Chunking = (size: number, step: number) => readonly number[];

export interface Played {
  readonly records: readonly CaptureRecordDraft[];
  readonly session: SessionCapture;
  readonly sequencer: Sequencer;
  /** What the client sent, start-up included. */
  readonly sent: Uint8Array;
}

export interface PlayOptions {
  readonly chunking?: Chunking;
  readonly limits?: Partial<CaptureLimits>;
  /** Leaves the connection open. */
  readonly open?: boolean;
  /** Called after every chunk. */
  readonly watch?: (session: SessionCapture) => void;
}

/** Steps are 100 µs apart; step 0 is at 1000 µs. Wall clock: monotonic plus 5 s. */
export function play(steps: readonly Step[], options: PlayOptions = {}): Played {
  const records: CaptureRecordDraft[] = [];
  const sequencer = createSequencer();
  const session = openSession({
    sessionId: 's-1',
    samplingDraw: 0.25,
    clock: { wallUsAtMonoZero: 5_000_000 },
    sequencer,
    limits: { ...defaultCaptureLimits, ...options.limits },
    emit: (draft) => records.push(structuredClone(draft)),
  });
  const sent: Uint8Array[] = [];
  let monoUs = 1000;
  steps.forEach((step, index) => {
    if (step[0] === 'missed') session.missed(step[1], step[2], monoUs);
    else if (step[0] === 'cancelled') session.cancelled(monoUs - (step[1] ?? 0));
    else if (step[0] === 'tick') {
      monoUs += step[1];
      session.tick(monoUs);
    } else {
      const [direction, ...messages] = step;
      const all = bytesOf(direction, messages);
      if (direction === 'F') sent.push(all);
      feed(session, direction, all, options.chunking?.(all.length, index) ?? [all.length], monoUs, options.watch);
    }
    monoUs += 100;
  });
  if (options.open !== true) session.close(monoUs);
  return { records, session, sequencer, sent: Buffer.concat(sent) };
}

/** Each chunk is its own buffer, overwritten afterwards: what is kept of it must have been copied. */
function feed(
  session: SessionCapture,
  direction: 'F' | 'B',
  all: Uint8Array,
  ends: readonly number[],
  monoUs: number,
  watch?: (session: SessionCapture) => void,
): void {
  let at = 0;
  for (const end of ends) {
    const chunk = Buffer.concat([bytes('??'), all.subarray(at, end), bytes('!!!')]);
    if (direction === 'F') session.clientChunk(chunk, 2, 2 + end - at, monoUs);
    else session.serverChunk(chunk, 2, 2 + end - at, monoUs);
    chunk.fill(0xee);
    watch?.(session);
    at = end;
  }
}

export function envelopesOf(records: readonly CaptureRecordDraft[]): EnvelopeDraft[] {
  return records.filter((it): it is EnvelopeDraft => it.kind === 'envelope');
}

/** Concatenated requests of all envelopes. */
export function requestsOf(records: readonly CaptureRecordDraft[]): Buffer {
  return Buffer.concat(envelopesOf(records).flatMap((it) => it.exchanges.map((exchange) => exchange.request)));
}

const nameOf = (table: Readonly<Record<string, number>>, value: number): string =>
  (Object.keys(table).find((name) => table[name] === value) ?? '?').toLowerCase();

function observationLine(it: ObservationDraft): string {
  const what = it.commandTag || it.sqlState;
  const rows = it.rows > 0 ? ` rows=${it.rows}` : '';
  return `${nameOf(StatementEnd, it.end)}${what === '' ? '' : ` ${what}`}${rows}${it.digested ? ' digested' : ''}`;
}

function exchangeLine(it: ExchangeDraft): string {
  let request: string;
  try {
    request = formatTrace(traceFrames('F', it.request)).replaceAll('\n', ' / ');
  } catch {
    request = `${it.request.length} bytes`;
  }
  const segments = it.segments.map(({ end }) => ` |${end}`).join('');
  const kept =
    it.answer === null
      ? ''
      : it.answer.storage === AnswerStorage.FULL
        ? ''
        : ` ${nameOf(AnswerStorage, it.answer.storage)}`;
  const answer =
    it.answer === null
      ? 'no answer'
      : `${it.answer.observations.map(observationLine).join(', ') || 'nothing'} ${it.answer.status || '-'}`;
  return `  ${it.index}${it.continues ? '+' : ''}: ${request}${segments} -> ${answer}${kept}`;
}

/** A context is of use only if the bytes it carries are the Parse message of that name, whole. */
function isParseOf({ name, parseFrame }: PreparedStatementDraft): boolean {
  const { length } = parseFrame;
  const whole = parseFrame[0] === F.Parse && frameEndAt(parseFrame, 0, length) === length;
  return whole && parseStatementName(parseFrame, 0, length) === name;
}

function contextLine(context: SessionContextDraft): string {
  const settings = context.settings.map((it) => ` {${it.sql}}`).join('');
  const statements = context.statements.map((it) => ` <${isParseOf(it) ? '' : 'NOT '}${it.name}>`).join('');
  return `${context.user}@${context.database}${settings}${statements}`;
}

/** Every record as lines: what a conversation came to, at a glance. */
export function summary(records: readonly CaptureRecordDraft[]): string[] {
  return records.flatMap((it) => {
    switch (it.kind) {
      case 'sessionStart':
        return [`start ${contextLine(it.context)}`];
      case 'sessionEnd':
        return [`end after ${it.lastSeq}${it.terminated ? ' terminated' : ''}`];
      case 'gap':
        return [`gap ${nameOf(GapReason, it.reason)} transactions>=${it.transactions} after ${it.afterSeq}`];
      case 'heartbeat':
        return ['heartbeat'];
      case 'envelope': {
        const needs = it.dependsOnSession.map((reason) => ` needs:${nameOf(DependencyReason, reason)}`).join('');
        const outcome = it.lastPart ? nameOf(TransactionOutcome, it.outcome) : 'goes on';
        const part = it.part > 0 || !it.lastPart ? `.${it.part}` : '';
        const extra = `${it.writes ? ' writes' : ''}${it.redactions > 0 ? ` redacted:${it.redactions}` : ''}${needs}`;
        const context = it.context === null ? '' : contextLine(it.context).replace('app@shop', '');
        return [`#${it.sessionSeq}${part} ${outcome}${extra}${context}`, ...it.exchanges.map(exchangeLine)];
      }
      default:
        return it satisfies never;
    }
  });
}

/** Summary of what comes after the greeting and before the end. */
export function transactionsOf(steps: readonly Step[], options: PlayOptions = {}): string[] {
  return summary(play([...greeting, ...steps], options).records).filter((line) => !/^(start|end) /.test(line));
}

/** The bytes of one F or B step. */
export function stepBytes(step: Step): Uint8Array {
  if (step[0] !== 'F' && step[0] !== 'B') throw new Error(`a ${step[0]} step has no bytes`);
  const [direction, ...messages] = step;
  return bytesOf(direction, messages);
}
