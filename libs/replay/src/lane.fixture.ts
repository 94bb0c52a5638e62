// Builds envelopes out of messages and drives a lane against a mirror that a test plays: effects are read as traces.
import {
  AnswerStorage,
  BatchEncoder,
  type DependencyReason,
  decodeEnvelopeBatch,
  type Envelope,
  type ExchangeDraft,
  type SessionContextDraft,
  TransactionOutcome,
} from '@mirrorstream/envelope';
import {
  type BackendMessage,
  encodeBackend,
  encodeFrontend,
  type FrontendMessage,
  formatTrace,
  traceFrames,
  WireWriter,
} from '@mirrorstream/pg-wire';
import { Lane } from './lane.ts';
import type { LaneEffect, LaneInput, LaneOptions, LaneResult } from './lane-types.ts';
import { queuedBytes } from './lane-work.ts';
import { createPacing } from './pacing.ts';
import type { Skip } from './skip.ts';

export function frontend(...messages: readonly FrontendMessage[]): Uint8Array {
  const writer = new WireWriter();
  for (const message of messages) encodeFrontend(message, writer);
  return writer.take();
}

export function backend(...messages: readonly BackendMessage[]): Uint8Array {
  const writer = new WireWriter();
  for (const message of messages) encodeBackend(message, writer);
  return writer.take();
}

export const query = (sql: string): FrontendMessage => ({ kind: 'query', query: sql });
export const sync: FrontendMessage = { kind: 'sync' };
export const flush: FrontendMessage = { kind: 'flush' };
export const copyData = (text: string): FrontendMessage => ({ kind: 'copyData', data: Buffer.from(text) });
export const copyDone: FrontendMessage = { kind: 'copyDone' };
export const parse = (statement: string, sql: string): FrontendMessage => ({
  kind: 'parse',
  statement,
  query: sql,
  parameterTypes: [],
});
export const bind = (statement: string): FrontendMessage => ({
  kind: 'bind',
  portal: '',
  statement,
  parameterFormats: [],
  parameters: [],
  resultFormats: [],
});
export const execute: FrontendMessage = { kind: 'execute', portal: '', maxRows: 0 };

export const ready = (status: 'I' | 'T' | 'E' = 'I'): BackendMessage => ({ kind: 'readyForQuery', status });
export const tag = (text: string): BackendMessage => ({ kind: 'commandComplete', tag: text });
export const row = (...values: readonly string[]): BackendMessage => ({
  kind: 'dataRow',
  values: values.map((value) => Buffer.from(value)),
});
export const failure = (code: string): BackendMessage => ({
  kind: 'errorResponse',
  fields: { S: 'ERROR', V: 'ERROR', C: code, M: 'message' },
});
export const copyIn: BackendMessage = { kind: 'copyInResponse', format: 0, columnFormats: [0] };

export interface ExchangeSketch {
  readonly request: Uint8Array;
  /** Production's answer; none: it never answered, or the request goes on in the next part. */
  readonly answer?: Uint8Array;
  readonly sentUs?: number;
  readonly doneUs?: number;
  readonly continues?: boolean;
  readonly index?: number;
  readonly cancelledAfterUs?: number;
  readonly segments?: readonly { readonly end: number; readonly sentUs: number }[];
}

export interface EnvelopeSketch {
  readonly seq: number;
  readonly part?: number;
  readonly lastPart?: boolean;
  readonly startedUs?: number;
  readonly context?: SessionContextDraft | null;
  readonly dependsOn?: readonly DependencyReason[];
}

export function context(
  sketch: { settings?: readonly string[]; statements?: Readonly<Record<string, string>> } = {},
): SessionContextDraft {
  return {
    database: 'shop',
    user: 'app',
    protocolVersion: 196608,
    startupParameters: [],
    settings: (sketch.settings ?? []).map((sql) => ({ name: sql.split(' ')[1] ?? '', sql })),
    statements: Object.entries(sketch.statements ?? {}).map(([name, sql]) => ({
      name,
      parseFrame: frontend(parse(name, sql)),
    })),
  };
}

const encoder = new BatchEncoder({ source: 'shop', captureNode: 'node', incarnation: 'i', worker: 0, partition: 0 });

/** Exchanges follow each other 100 µs apart, answered after 50 µs, unless they say otherwise. */
export function envelope(sketch: EnvelopeSketch, ...exchanges: readonly ExchangeSketch[]): Envelope {
  const part = sketch.part ?? 0;
  const lastPart = sketch.lastPart ?? true;
  const startedUs = sketch.startedUs ?? sketch.seq * 10_000;
  encoder.reset();
  encoder.add({
    kind: 'envelope',
    sessionId: 'session-1',
    sessionSeq: sketch.seq,
    part,
    lastPart,
    startedAtUs: 1_000_000_000 + startedUs,
    startedMonoUs: startedUs,
    samplingDraw: 0.5,
    context: part === 0 && sketch.context !== null ? (sketch.context ?? context()) : null,
    exchanges: exchanges.map((exchange, i) => exchangeDraft(exchange, i)),
    outcome: lastPart ? TransactionOutcome.COMMITTED : TransactionOutcome.UNSPECIFIED,
    writes: false,
    dependsOnSession: sketch.dependsOn ?? [],
    redactions: 0,
  });
  const record = decodeEnvelopeBatch(encoder.take()).records[0]?.record;
  if (record?.case !== 'envelope') throw new Error('an envelope went in and something else came out');
  return record.value;
}

function exchangeDraft(sketch: ExchangeSketch, i: number): ExchangeDraft {
  const sentUs = sketch.sentUs ?? i * 100;
  const raw = sketch.answer ?? new Uint8Array(0);
  const answered = sketch.answer !== undefined;
  return {
    index: sketch.index ?? i,
    continues: sketch.continues ?? false,
    request: sketch.request,
    segments: sketch.segments ?? [],
    sentUs,
    firstReplyUs: 0,
    doneUs: answered ? (sketch.doneUs ?? sentUs + 50) : 0,
    afterSeq: 0,
    doneSeq: 0,
    answer: sketch.continues
      ? null
      : { storage: AnswerStorage.FULL, observations: [], raw, sizeBytes: raw.length, status: answered ? 'I' : '' },
    cancelledAfterUs: sketch.cancelledAfterUs ?? 0,
  };
}

/** A query of one command, as both servers answer it. */
export const simple = (sql: string, commandTag: string, status: 'I' | 'T' | 'E' = 'I'): ExchangeSketch => ({
  request: frontend(query(sql)),
  answer: backend(tag(commandTag), ready(status)),
});

const defaults: LaneOptions = {
  sessionId: 'session-1',
  pacing: createPacing({ mode: 'asap', speed: 1, replayDelayMs: 0 }),
  rawCapBytes: 64 * 1024,
  segmentWaitMs: 1000,
  unansweredWaitMs: 5000,
  exchangeTimeoutMs: 600_000,
  idleMs: 3_600_000,
  replayCancels: true,
  duplicateWindow: 1000,
};

/** A lane, a clock and what came out. */
export class LaneStage {
  nowUs = 1_000_000_000;
  readonly lane: Lane;
  readonly effects: LaneEffect[] = [];
  #nextOffset = 0n;
  #read = 0;

  constructor(options: Partial<LaneOptions> = {}) {
    this.lane = new Lane({ ...defaults, ...options });
  }

  step(input: LaneInput): void {
    this.effects.push(...this.lane.step(input, this.nowUs));
  }

  take(...envelopes: readonly Envelope[]): void {
    for (const it of envelopes) this.#takeOne(it);
  }

  /** They are not to be played. */
  skip(skip: Skip, ...envelopes: readonly Envelope[]): void {
    for (const it of envelopes) this.#takeOne(it, skip);
  }

  /** It must not reach the mirror, although its transaction has begun there. */
  withhold(it: Envelope): void {
    this.step({ kind: 'envelope', ...this.placed(it), withheld: true });
  }

  #takeOne(it: Envelope, skip?: Skip): void {
    this.step({ kind: 'envelope', ...this.placed(it), ...(skip === undefined ? {} : { skip }) });
  }

  /** With the next offset. */
  placed(it: Envelope): Omit<Extract<LaneInput, { kind: 'envelope' }>, 'kind' | 'skip'> {
    return { place: { offset: this.#nextOffset++, index: 0 }, envelope: it, sizeBytes: queuedBytes(it) };
  }

  /** What the runner does when a step threw. */
  surrender(input: LaneInput): void {
    this.effects.push(...this.lane.surrender(input));
  }

  connect(): void {
    this.step({ kind: 'connected' });
  }

  /** The mirror answers. */
  mirror(...messages: readonly BackendMessage[]): void {
    this.step({ kind: 'bytes', chunk: backend(...messages) });
  }

  end(): void {
    this.step({
      kind: 'sessionEnd',
      place: { offset: this.#nextOffset++, index: 0 },
      atUs: this.nowUs,
      sizeBytes: 100,
    });
  }

  pass(ms: number): void {
    this.nowUs += ms * 1000;
    this.step({ kind: 'timer' });
  }

  /** What came out since the last look, one word or message per effect; wishes to be woken are left out. */
  seen(): string[] {
    const fresh = this.effects.slice(this.#read);
    this.#read = this.effects.length;
    return fresh.flatMap((effect) => {
      if (effect.kind === 'wakeAt' || effect.kind === 'released') return [];
      if (effect.kind === 'send') return formatTrace(traceFrames('F', effect.bytes)).split('\n');
      if (effect.kind === 'close') return [`close ${effect.how}`];
      if (effect.kind === 'result') return [describe(effect.result)];
      return [effect.kind];
    });
  }

  results(): LaneResult[] {
    return this.effects.flatMap((effect) => (effect.kind === 'result' ? [effect.result] : []));
  }

  wakeAtUs(): number {
    const wish = this.effects.findLast((effect) => effect.kind === 'wakeAt');
    return wish?.kind === 'wakeAt' ? wish.atUs : Number.POSITIVE_INFINITY;
  }
}

function describe(result: LaneResult): string {
  if (result.sessionEnd) return 'sessionEnd';
  const part =
    result.ref.lastPart && result.ref.part === 0 ? '' : `.${result.ref.part}${result.ref.lastPart ? '' : '+'}`;
  const verdicts = result.statements.map((it) => (it.equal ? '=' : it.notCompared === '' ? '≠' : it.notCompared));
  const reason = result.reason === '' ? '' : `{${result.reason}}`;
  return [`#${result.ref.sessionSeq}${part}`, `${result.outcome}${reason}`, ...verdicts].join(' ');
}
