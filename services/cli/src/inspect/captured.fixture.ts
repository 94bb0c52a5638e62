// Builds captured envelopes out of messages, as capture would have published them.
import {
  AnswerStorage,
  BatchEncoder,
  decodeEnvelopeBatch,
  type Envelope,
  type SessionContextDraft,
  TransactionOutcome,
} from '@mirrorstream/envelope';
import {
  type BackendMessage,
  encodeBackend,
  encodeFrontend,
  type FrontendMessage,
  WireWriter,
} from '@mirrorstream/pg-wire';

export interface SketchedExchange {
  readonly request: readonly FrontendMessage[];
  readonly answer?: readonly BackendMessage[];
  readonly index?: number;
}

export interface SketchedEnvelope {
  readonly part?: number;
  readonly lastPart?: boolean;
  readonly statements?: Readonly<Record<string, string>>;
  readonly settings?: readonly string[];
}

export const query = (sql: string): FrontendMessage => ({ kind: 'query', query: sql });
export const parse = (statement: string, sql: string, parameterTypes: readonly number[] = []): FrontendMessage => ({
  kind: 'parse',
  statement,
  query: sql,
  parameterTypes,
});
export const bind = (statement: string, ...values: readonly (string | null)[]): FrontendMessage => ({
  kind: 'bind',
  portal: '',
  statement,
  parameterFormats: [],
  parameters: values.map((value) => (value === null ? null : Buffer.from(value))),
  resultFormats: [],
});
export const execute: FrontendMessage = { kind: 'execute', portal: '', maxRows: 0 };
export const sync: FrontendMessage = { kind: 'sync' };
export const tag = (text: string): BackendMessage => ({ kind: 'commandComplete', tag: text });
export const ready = (status: 'I' | 'T' | 'E' = 'I'): BackendMessage => ({ kind: 'readyForQuery', status });
export const row = (...values: readonly (string | null)[]): BackendMessage => ({
  kind: 'dataRow',
  values: values.map((value) => (value === null ? null : Buffer.from(value))),
});
export const described = (...names: readonly string[]): BackendMessage => ({
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

export function frontendBytes(messages: readonly FrontendMessage[]): Uint8Array {
  const writer = new WireWriter();
  for (const message of messages) encodeFrontend(message, writer);
  return writer.take();
}

export function backendBytes(messages: readonly BackendMessage[]): Uint8Array {
  const writer = new WireWriter();
  for (const message of messages) encodeBackend(message, writer);
  return writer.take();
}

const encoder = new BatchEncoder({ source: 'shop', captureNode: 'node', incarnation: 'i', worker: 0, partition: 3 });

export function envelope(sketch: SketchedEnvelope, ...exchanges: readonly SketchedExchange[]): Envelope {
  const { part = 0, lastPart = true } = sketch;
  const context: SessionContextDraft = {
    database: 'shop',
    user: 'app',
    protocolVersion: 196608,
    startupParameters: [{ name: 'application_name', value: 'web' }],
    settings: (sketch.settings ?? []).map((sql) => ({ name: sql.split(' ')[1] ?? '', sql })),
    statements: Object.entries(sketch.statements ?? {}).map(([name, sql]) => ({
      name,
      parseFrame: frontendBytes([parse(name, sql)]),
    })),
  };
  encoder.reset();
  encoder.add({
    kind: 'envelope',
    sessionId: 'session-1',
    sessionSeq: 7,
    part,
    lastPart,
    startedAtUs: 1_763_700_000_000_000,
    startedMonoUs: 5_000,
    samplingDraw: 0.5,
    context: part === 0 ? context : null,
    exchanges: exchanges.map(({ request, answer, index }, i) => {
      const raw = backendBytes(answer ?? []);
      return {
        index: index ?? i,
        continues: false,
        request: frontendBytes(request),
        segments: [],
        sentUs: i * 100,
        firstReplyUs: i * 100 + 20,
        doneUs: answer === undefined ? 0 : i * 100 + 50,
        afterSeq: 0,
        doneSeq: 0,
        answer: { storage: AnswerStorage.FULL, observations: [], raw, sizeBytes: raw.length, status: 'I' },
        cancelledAfterUs: 0,
      };
    }),
    outcome: lastPart ? TransactionOutcome.COMMITTED : TransactionOutcome.UNSPECIFIED,
    writes: false,
    dependsOnSession: [],
    redactions: 0,
  });
  const record = decodeEnvelopeBatch(encoder.take()).records[0]?.record;
  if (record?.case !== 'envelope') throw new Error('an envelope went in and something else came out');
  return record.value;
}
