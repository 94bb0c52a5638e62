// What capture is to its caller: the chunks of one client connection go in, capture records come out. session.ts does it.
import type { CaptureRecordDraft, GapReason } from '@mirrorstream/envelope';
import type { AnswerRule, CaptureLimits } from './limits.ts';
import type { Sequencer } from './sequencer.ts';

export interface SessionCaptureOptions {
  readonly sessionId: string;
  /** See samplingDrawOf. */
  readonly samplingDraw: number;
  /** Wall clock in µs at the monotonic clock's zero. */
  readonly clock: { readonly wallUsAtMonoZero: number };
  readonly sequencer: Sequencer;
  readonly limits: CaptureLimits;
  /** Called synchronously. The draft's byte views are valid only during the call; its context never changes. */
  readonly emit: (draft: CaptureRecordDraft) => void;
  /** Something here, or what it was given, threw: the session's place is lost, nothing else. */
  readonly onBug?: (error: unknown) => void;
}

/** When an exchange was answered: monotonic clock in µs, and its number among the worker's completions. */
export interface Completion {
  readonly doneUs: number;
  readonly doneSeq: number;
}

export interface SessionCapture {
  /** Bytes the client sent, as they went by; the range is not kept beyond the call. `monoUs`: monotonic clock, µs. */
  clientChunk(buffer: Uint8Array, start: number, end: number, monoUs: number): void;
  serverChunk(buffer: Uint8Array, start: number, end: number, monoUs: number): void;
  /** Bytes went by that capture never saw. The session is followed again from its next quiet point. Default reason: RING_FULL. */
  missed(direction: 'client' | 'server', bytes: number, monoUs: number, reason?: GapReason): void;
  /**
   * A CancelRequest for this session went by then. It may be told before the bytes that went by earlier, or after those that went by
   * later. False: too late, the exchange it was meant for is published without the note.
   */
  cancelled(monoUs: number): boolean;
  /** From the next exchange on. */
  keepAnswers(rule: AnswerRule): void;
  /** Cuts parts by age and reports open gaps; call it a few times per partAgeUs. */
  tick(monoUs: number): void;
  /** The connection ended. Publishes what is open, then sessionEnd; later calls do nothing. */
  close(monoUs: number): void;
  readonly openTransactions: 0 | 1;
  /** Transactions that were given up or went by unseen, and that no gap tells of yet. */
  readonly untoldTransactions: number;
  /** No transaction is open and nothing is unanswered; null: not known, as the place is lost. */
  readonly idle: boolean | null;
  /** The oldest finished exchange that no emitted draft has brought yet; null when there is none. */
  readonly oldestHeld: Completion | null;
  readonly bufferedBytes: number;
  /** Of these, the session's settings and prepared statements. */
  readonly contextBytes: number;
  /** Finished exchanges. */
  readonly exchanges: number;
}
