// Drafts: what the hot paths hand to the hand-written encoders. Plain numbers instead of bigint, views instead of copies.
//
// Every number is an integer below 2^53. 64-bit digests are two unsigned 32-bit halves. Byte views need to stay valid only
// until the encoder returns. Field meanings, units and clocks: proto/mirrorstream/v1/*.proto.
import type {
  AnswerStorage,
  DependencyReason,
  GapReason,
  TransactionOutcome,
} from './gen/mirrorstream/v1/envelope_pb.ts';
import type { StatementEnd } from './gen/mirrorstream/v1/observation_pb.ts';
import type { ResultOutcome } from './gen/mirrorstream/v1/result_pb.ts';

export interface ObservationDraft {
  end: StatementEnd;
  commandTag: string;
  rows: number;
  sqlState: string;
  severity: string;
  sizeBytes: number;
  digested: boolean;
  orderedHi: number;
  orderedLo: number;
  multisetHi: number;
  multisetLo: number;
  columnsHi: number;
  columnsLo: number;
  columnCount: number;
  latencyUs: number;
  firstRowUs: number;
  errorHi: number;
  errorLo: number;
}

export interface AnswerDraft {
  storage: AnswerStorage;
  observations: readonly ObservationDraft[];
  /** Empty unless storage is FULL. */
  raw: Uint8Array;
  sizeBytes: number;
  status: '' | 'I' | 'T' | 'E';
}

export interface SegmentDraft {
  end: number;
  sentUs: number;
}

export interface ExchangeDraft {
  index: number;
  continues: boolean;
  request: Uint8Array;
  segments: readonly SegmentDraft[];
  sentUs: number;
  firstReplyUs: number;
  doneUs: number;
  afterSeq: number;
  doneSeq: number;
  answer: AnswerDraft | null;
  cancelledAfterUs: number;
}

export interface ParameterDraft {
  readonly name: string;
  readonly value: string;
}

export interface SettingDraft {
  readonly name: string;
  readonly sql: string;
}

export interface PreparedStatementDraft {
  readonly name: string;
  readonly parseFrame: Uint8Array;
}

export interface SqlStatementDraft {
  readonly name: string;
  readonly sql: string;
}

/** Never changed once it was encoded: the encoder keeps the encoded form with the object. A changed context is a new object. */
export interface SessionContextDraft {
  readonly database: string;
  readonly user: string;
  readonly protocolVersion: number;
  readonly startupParameters: readonly ParameterDraft[];
  readonly settings: readonly SettingDraft[];
  readonly statements: readonly PreparedStatementDraft[];
  readonly sqlStatements?: readonly SqlStatementDraft[];
  readonly backendPid?: number;
}

export interface EnvelopeDraft {
  readonly kind: 'envelope';
  sessionId: string;
  sessionSeq: number;
  part: number;
  lastPart: boolean;
  startedAtUs: number;
  startedMonoUs: number;
  samplingDraw: number;
  context: SessionContextDraft | null;
  exchanges: readonly ExchangeDraft[];
  outcome: TransactionOutcome;
  writes: boolean;
  dependsOnSession: readonly DependencyReason[];
  redactions: number;
}

export interface SessionStartDraft {
  readonly kind: 'sessionStart';
  readonly sessionId: string;
  readonly atUs: number;
  readonly monoUs: number;
  readonly samplingDraw: number;
  readonly context: SessionContextDraft;
}

export interface SessionEndDraft {
  readonly kind: 'sessionEnd';
  readonly sessionId: string;
  readonly atUs: number;
  readonly monoUs: number;
  readonly lastSeq: number;
  readonly terminated: boolean;
}

export interface GapDraft {
  readonly kind: 'gap';
  readonly sessionId: string;
  readonly atUs: number;
  readonly reason: GapReason;
  readonly transactions: number;
  readonly sizeBytes: number;
  readonly afterSeq: number;
  readonly transactionsExact: boolean;
}

export interface HeartbeatDraft {
  readonly kind: 'heartbeat';
  readonly atUs: number;
  readonly monoUs: number;
  readonly doneSeq: number;
  readonly last: boolean;
}

export type CaptureRecordDraft = EnvelopeDraft | SessionStartDraft | SessionEndDraft | GapDraft | HeartbeatDraft;

/** What every batch says of its origin. */
export interface BatchOrigin {
  readonly source: string;
  readonly captureNode: string;
  readonly incarnation: string;
  readonly worker: number;
  readonly partition: number;
}

export interface StatementResultDraft {
  readonly exchange: number;
  readonly statement: number;
  readonly sql: string;
  readonly equal: boolean;
  readonly captured: ObservationDraft;
  readonly replayed: ObservationDraft;
  readonly capturedRaw: Uint8Array;
  readonly replayedRaw: Uint8Array;
  readonly rawTruncated: boolean;
  readonly notCompared: string;
  readonly race: boolean;
  readonly rawAlone: boolean;
  readonly capturedRowsBefore: number;
  readonly replayedRowsBefore: number;
  readonly ids: MappedIdsDraft | null;
}

export interface MappedIdsDraft {
  readonly rewritten: number;
  readonly mark: string;
  /** Positions; whole numbers below 2^14. */
  readonly columns: readonly number[];
}

/** The numbers that come from envelopes are bigint, as they come. */
export interface ResultDraft {
  readonly ref: {
    readonly offset: bigint;
    readonly index: number;
    readonly sessionId: string;
    readonly sessionSeq: bigint;
    readonly part: number;
    readonly lastPart: boolean;
  };
  readonly outcome: ResultOutcome;
  readonly reason: string;
  readonly capturedAtUs: bigint;
  readonly scheduledAtUs: bigint;
  readonly sentAtUs: bigint;
  readonly doneAtUs: bigint;
  readonly statements: readonly StatementResultDraft[];
  readonly capturedOutcome: TransactionOutcome;
  readonly replayedOutcome: TransactionOutcome;
  readonly transactions: number;
  readonly sessionEnd: boolean;
  readonly order: string;
}

export interface ResultBatchDraft {
  readonly environment: string;
  readonly mirror: string;
  readonly run: string;
  readonly replayer: string;
  readonly partition: number;
  readonly results: readonly ResultDraft[];
}
