// Test material: seeded capture record drafts, and the generated message each of them stands for.
import type { MessageInitShape } from '@bufbuild/protobuf';
import { create, toBinary } from '@bufbuild/protobuf';
import { schemaVersion } from './batch-encoder.ts';
import type {
  BatchOrigin,
  CaptureRecordDraft,
  EnvelopeDraft,
  ExchangeDraft,
  ObservationDraft,
  SessionContextDraft,
} from './drafts.ts';
import type {
  AnswerStorage,
  CaptureRecordSchema,
  DependencyReason,
  ExchangeSchema,
  GapReason,
  SessionContextSchema,
  TransactionOutcome,
} from './gen/mirrorstream/v1/envelope_pb.ts';
import { EnvelopeBatchSchema } from './gen/mirrorstream/v1/envelope_pb.ts';
import type { StatementEnd } from './gen/mirrorstream/v1/observation_pb.ts';

/** mulberry32: small, seeded, good enough to vary test material. Gives 0 ≤ x < 1. */
export function seededRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

type Random = () => number;
const below = (random: Random, limit: number): number => Math.floor(random() * limit);
const many = <T>(random: Random, most: number, make: () => T): T[] =>
  Array.from({ length: below(random, most + 1) }, make);

/** Lengths and values gather at the borders of varint widths. */
function number(random: Random): number {
  const edges = [
    0,
    1,
    127,
    128,
    16_383,
    16_384,
    2 ** 31,
    2 ** 32 - 1,
    2 ** 32,
    2 ** 35,
    2 ** 53 - 1,
    1_763_700_000_123_456,
  ];
  return random() < 0.5 ? (edges[below(random, edges.length)] as number) : below(random, 2 ** 40);
}

function text(random: Random): string {
  const samples = [
    '',
    'SELECT 1',
    'bücher',
    '日本語',
    '😀',
    'x'.repeat(47),
    'y'.repeat(48),
    'z'.repeat(49),
    'ü'.repeat(70),
    'w'.repeat(200),
  ];
  return samples[below(random, samples.length)] as string;
}

function blob(random: Random): Uint8Array {
  const sizes = [0, 1, 5, 31, 32, 33, 100, 127, 128, 1000, 16_383, 16_384, 20_000];
  const size = sizes[below(random, sizes.length)] as number;
  return Uint8Array.from({ length: size }, (_, i) => (i * 7 + size) & 0xff);
}

const bool = (random: Random): boolean => random() < 0.5;
const u32 = (random: Random): number => (random() < 0.3 ? 0 : below(random, 2 ** 32));

export function sampleObservation(random: Random): ObservationDraft {
  return {
    end: (1 + below(random, 7)) as StatementEnd,
    commandTag: text(random),
    rows: number(random),
    sqlState: bool(random) ? '' : '23505',
    severity: bool(random) ? '' : 'ERROR',
    sizeBytes: number(random),
    digested: bool(random),
    orderedHi: u32(random),
    orderedLo: u32(random),
    multisetHi: u32(random),
    multisetLo: u32(random),
    columnsHi: u32(random),
    columnsLo: u32(random),
    columnCount: below(random, 300),
    latencyUs: number(random),
    firstRowUs: number(random),
    errorHi: u32(random),
    errorLo: u32(random),
  };
}

function exchange(random: Random): ExchangeDraft {
  return {
    index: below(random, 300),
    continues: bool(random),
    request: blob(random),
    segments: many(random, 3, () => ({ end: below(random, 2 ** 32), sentUs: number(random) })),
    sentUs: number(random),
    firstReplyUs: number(random),
    doneUs: number(random),
    afterSeq: number(random),
    doneSeq: number(random),
    answer: bool(random)
      ? null
      : {
          storage: below(random, 4) as AnswerStorage,
          observations: many(random, 4, () => sampleObservation(random)),
          raw: blob(random),
          sizeBytes: number(random),
          status: (['', 'I', 'T', 'E'] as const)[below(random, 4)] as '' | 'I' | 'T' | 'E',
        },
    cancelledAfterUs: number(random),
  };
}

function context(random: Random): SessionContextDraft {
  return {
    database: text(random),
    user: text(random),
    protocolVersion: bool(random) ? 196_608 : 196_610,
    startupParameters: many(random, 3, () => ({ name: text(random), value: text(random) })),
    settings: many(random, 3, () => ({ name: text(random), sql: text(random) })),
    statements: many(random, 3, () => ({ name: text(random), parseFrame: blob(random) })),
    sqlStatements: many(random, 3, () => ({ name: text(random), sql: text(random) })),
    backendPid: below(random, 2 ** 22),
  };
}

function envelope(random: Random): EnvelopeDraft {
  return {
    kind: 'envelope',
    sessionId: text(random),
    sessionSeq: number(random),
    part: below(random, 300),
    lastPart: bool(random),
    startedAtUs: number(random),
    startedMonoUs: number(random),
    samplingDraw: bool(random) ? 0 : random(),
    context: bool(random) ? null : context(random),
    exchanges: many(random, 5, () => exchange(random)),
    outcome: below(random, 5) as TransactionOutcome,
    writes: bool(random),
    dependsOnSession: many(random, 10, () => below(random, 11) as DependencyReason),
    redactions: below(random, 3),
  };
}

export function sampleRecord(random: Random): CaptureRecordDraft {
  const common = { sessionId: text(random), atUs: number(random), monoUs: number(random) };
  const choice = random();
  if (choice < 0.6) return envelope(random);
  if (choice < 0.7) return { kind: 'sessionStart', ...common, samplingDraw: random(), context: context(random) };
  if (choice < 0.8) return { kind: 'sessionEnd', ...common, lastSeq: number(random), terminated: bool(random) };
  if (choice < 0.9) {
    const { atUs, monoUs } = common;
    return { kind: 'heartbeat', atUs, monoUs, doneSeq: number(random), last: random() < 0.5 };
  }
  return {
    kind: 'gap',
    sessionId: common.sessionId,
    atUs: common.atUs,
    reason: below(random, 8) as GapReason,
    transactions: number(random),
    sizeBytes: number(random),
    afterSeq: number(random),
    transactionsExact: bool(random),
  };
}

const digest = (hi: number, lo: number): bigint => (BigInt(hi) << 32n) | BigInt(lo);

function contextInit(draft: SessionContextDraft): MessageInitShape<typeof SessionContextSchema> {
  return {
    ...draft,
    startupParameters: [...draft.startupParameters],
    settings: [...draft.settings],
    statements: [...draft.statements],
    sqlStatements: [...(draft.sqlStatements ?? [])],
    backendPid: draft.backendPid ?? 0,
  };
}

function exchangeInit(draft: ExchangeDraft): MessageInitShape<typeof ExchangeSchema> {
  const { answer, ...rest } = draft;
  return {
    ...rest,
    segments: draft.segments.map(({ end, sentUs }) => ({ end, sentUs: BigInt(sentUs) })),
    sentUs: BigInt(draft.sentUs),
    firstReplyUs: BigInt(draft.firstReplyUs),
    doneUs: BigInt(draft.doneUs),
    afterSeq: BigInt(draft.afterSeq),
    doneSeq: BigInt(draft.doneSeq),
    cancelledAfterUs: BigInt(draft.cancelledAfterUs),
    ...(answer !== null && {
      answer: {
        ...answer,
        sizeBytes: BigInt(answer.sizeBytes),
        observations: answer.observations.map((it) => ({
          end: it.end,
          commandTag: it.commandTag,
          rows: BigInt(it.rows),
          sqlState: it.sqlState,
          severity: it.severity,
          sizeBytes: BigInt(it.sizeBytes),
          digested: it.digested,
          orderedDigest: digest(it.orderedHi, it.orderedLo),
          multisetDigest: digest(it.multisetHi, it.multisetLo),
          columnsDigest: digest(it.columnsHi, it.columnsLo),
          columnCount: it.columnCount,
          latencyUs: BigInt(it.latencyUs),
          firstRowUs: BigInt(it.firstRowUs),
          errorDigest: digest(it.errorHi, it.errorLo),
        })),
      },
    }),
  };
}

/** The generated message's initialiser that says the same as the draft. */
export function recordInit(draft: CaptureRecordDraft): MessageInitShape<typeof CaptureRecordSchema> {
  switch (draft.kind) {
    case 'envelope': {
      const { kind, context: of, exchanges, dependsOnSession, ...rest } = draft;
      const value = {
        ...rest,
        sessionSeq: BigInt(draft.sessionSeq),
        startedAtUs: BigInt(draft.startedAtUs),
        startedMonoUs: BigInt(draft.startedMonoUs),
        exchanges: exchanges.map(exchangeInit),
        dependsOnSession: [...dependsOnSession],
        ...(of !== null && { context: contextInit(of) }),
      };
      return { record: { case: kind, value } };
    }
    case 'sessionStart': {
      const { sessionId, samplingDraw } = draft;
      const at = { atUs: BigInt(draft.atUs), monoUs: BigInt(draft.monoUs) };
      return {
        record: {
          case: 'sessionStart',
          value: { sessionId, samplingDraw, ...at, context: contextInit(draft.context) },
        },
      };
    }
    case 'sessionEnd': {
      const { sessionId, terminated } = draft;
      const at = { atUs: BigInt(draft.atUs), monoUs: BigInt(draft.monoUs) };
      return {
        record: { case: 'sessionEnd', value: { sessionId, terminated, ...at, lastSeq: BigInt(draft.lastSeq) } },
      };
    }
    case 'gap': {
      const { sessionId, reason, transactionsExact } = draft;
      const counts = { transactions: BigInt(draft.transactions), sizeBytes: BigInt(draft.sizeBytes) };
      const value = {
        sessionId,
        reason,
        transactionsExact,
        ...counts,
        atUs: BigInt(draft.atUs),
        afterSeq: BigInt(draft.afterSeq),
      };
      return { record: { case: 'gap', value } };
    }
    case 'heartbeat': {
      const { last } = draft;
      const value = { atUs: BigInt(draft.atUs), monoUs: BigInt(draft.monoUs), doneSeq: BigInt(draft.doneSeq), last };
      return { record: { case: 'heartbeat', value } };
    }
    default:
      return draft satisfies never;
  }
}

/** The batch as the generated code writes it. */
export function generatedBatch(origin: BatchOrigin, drafts: readonly CaptureRecordDraft[]): Uint8Array {
  return toBinary(
    EnvelopeBatchSchema,
    create(EnvelopeBatchSchema, { schemaVersion, ...origin, records: drafts.map(recordInit) }),
  );
}
