// What goes into a lane and what comes out: the contract between the state machine of one session and the shell that runs it.

import type { OrderMark, outcomeReasons, TransactionOutcomeName } from '@mirrorstream/domain';
import type { Envelope, SessionContext, TransactionOutcome } from '@mirrorstream/envelope';
import type { IdMapping } from './ids/id-mapping.ts';
import type { RetryRules } from './lane-retry.ts';
import type { OrderGate } from './order/coordinator.ts';
import type { Pacing } from './pacing.ts';
import type { Skip } from './skip.ts';
import type { StatementComparison } from './stage-one.ts';

export type FailedReason = (typeof outcomeReasons.failed)[number];

/** Where an envelope lies in Kafka. */
export interface RecordPlace {
  /** Of the EnvelopeBatch. */
  readonly offset: bigint;
  /** Position in its records. */
  readonly index: number;
}

/** For sessions that share connections. */
export interface LanePool {
  /** Somebody waits for a connection, and there is none left. */
  readonly isCrowded: () => boolean;
  /** A session with more to do keeps its connection for so long. */
  readonly sliceMs: number;
}

export interface LaneOptions {
  readonly sessionId: string;
  /** Absent: the session keeps its connection. */
  readonly pool?: LanePool;
  readonly pacing: Pacing;
  /** Counts how late each send was that had its moment. */
  readonly schedule?: { add(lagUs: number): void };
  /** Where the order across sessions is kept or watched. */
  readonly order?: OrderGate;
  /** Where the order is kept: when a transaction that lost a race is played again. Absent: never. */
  readonly retry?: RetryRules;
  /** Production's ids are replaced by the mirror's. */
  readonly ids?: IdMapping;
  /** Of the mirror's answer to one exchange, kept in case it differs. */
  readonly rawCapBytes: number;
  /** A client that waited for a reply in mid-exchange waits at most this long here, where that reply may never come. */
  readonly segmentWaitMs: number;
  /** For the answer to what production never answered. */
  readonly unansweredWaitMs: number;
  /** For any answer; then the transaction failed. */
  readonly exchangeTimeoutMs: number;
  /** A session that says nothing for so long, outside a transaction, gives its connection back. */
  readonly idleMs: number;
  /** What production's client cancelled is cancelled on the mirror after the same time. */
  readonly replayCancels: boolean;
  /** Parts sent and without an acknowledged result, at most, before a further transaction begins: what a new owner may play again. */
  readonly duplicateWindow: number;
}

export type LaneInput =
  | {
      readonly kind: 'envelope';
      readonly place: RecordPlace;
      readonly envelope: Envelope;
      readonly sizeBytes: number;
      /** Not to be played: said for each part of the transaction. */
      readonly skip?: Skip;
      /** A later part of a transaction that has begun, which must not reach the mirror: the transaction is rolled back there. */
      readonly withheld?: boolean;
    }
  /** Asks again of each transaction that waits and has not begun. */
  | { readonly kind: 'review'; readonly judge: (envelope: Envelope) => Skip | null }
  | { readonly kind: 'sessionEnd'; readonly place: RecordPlace; readonly atUs: number; readonly sizeBytes: number }
  /** Capture left something out of this session here. */
  | { readonly kind: 'gap' }
  /** `handedOn`: another session was on it; these statements mark it as this one's. */
  | { readonly kind: 'connected'; readonly handedOn?: readonly string[] }
  | { readonly kind: 'connectFailed'; readonly reason: 'targetUnreachable' | 'authenticationFailed' | 'noConnection' }
  | { readonly kind: 'bytes'; readonly chunk: Uint8Array }
  | { readonly kind: 'lost' }
  /** The socket takes no more, or takes more again. */
  | { readonly kind: 'blocked' }
  | { readonly kind: 'drained' }
  /** Results cannot be published: begin nothing new until told so. */
  | { readonly kind: 'hold'; readonly on: boolean }
  /** The operator's wish: begin no transaction until told so, finish the one under way. */
  | { readonly kind: 'pause'; readonly on: boolean }
  | { readonly kind: 'timer' }
  /** The mirror has taken the cancel, or never will. */
  | { readonly kind: 'cancelDone' }
  /** Kafka has a result of this lane. */
  | { readonly kind: 'acknowledged' }
  /** The exchange that had to wait for others may go. */
  | { readonly kind: 'orderMoved' }
  /** Somebody else needs the connection: give it back if the session is idle. */
  | { readonly kind: 'evict' }
  /** Finish the transaction under way, begin none. */
  | { readonly kind: 'drain' }
  /** The partition belongs to somebody else: publish nothing more, end after the exchange under way. */
  | { readonly kind: 'abandon' };

/** The fields of a Result that a lane knows. */
export interface LaneResult {
  readonly ref: {
    readonly offset: bigint;
    readonly index: number;
    readonly sessionId: string;
    readonly sessionSeq: bigint;
    readonly part: number;
    readonly lastPart: boolean;
  };
  readonly outcome: TransactionOutcomeName;
  /** From the outcome's closed list. */
  readonly reason: string;
  readonly capturedAtUs: bigint;
  readonly scheduledAtUs: bigint;
  readonly sentAtUs: bigint;
  readonly doneAtUs: bigint;
  readonly statements: readonly StatementComparison[];
  readonly capturedOutcome: TransactionOutcome;
  readonly replayedOutcome: TransactionOutcome;
  readonly transactions: number;
  readonly sessionEnd: boolean;
  readonly order: OrderMark;
  /** Some answer differs, and a write of another session overlapped the exchange or one before it. */
  readonly raced: boolean;
}

/** `handOn`: the connection is idle, outside a transaction, and can be another session's. */
export type CloseHow = 'terminate' | 'destroy' | 'handOn';

export type LaneEffect =
  | { readonly kind: 'connect'; readonly context: SessionContext }
  | { readonly kind: 'send'; readonly bytes: Uint8Array }
  /** Ask the mirror, on another connection, to cancel what this one does; `cancelDone` follows. */
  | { readonly kind: 'cancel' }
  | { readonly kind: 'close'; readonly how: CloseHow }
  | ResultEffect
  /** Seen before: resolved without a result. */
  | {
      readonly kind: 'duplicate';
      readonly offset: bigint;
      readonly transactions: number;
      readonly releasedBytes: number;
    }
  /** What was skipped while it waited holds so much less. */
  | { readonly kind: 'released'; readonly sizeBytes: number }
  /** Step with `timer` then; replaces the wish before. Infinity: never. */
  | { readonly kind: 'wakeAt'; readonly atUs: number }
  /** Nothing more will come out: forget the lane. */
  | { readonly kind: 'ended' };

export interface ResultEffect {
  readonly kind: 'result';
  readonly result: LaneResult;
  /** Offsets of which one unit each is resolved when this result is acknowledged. */
  readonly resolves: readonly bigint[];
  /** The first part of a transaction that goes on: done, but it must be delivered again should this process die. */
  readonly holds: bigint | null;
  readonly releasedBytes: number;
}
