// The worker's sessions: takes records out of the ring and hands them to each session's assembler.
import {
  type AnswerRule,
  type Completion,
  openSession,
  type SessionCapture,
  type SessionCaptureOptions,
  samplingDrawOf,
} from '@mirrorstream/capture';
import { type CaptureRecordDraft, GapReason } from '@mirrorstream/envelope';
import { RecordKind, type RingHandler } from '../ring.ts';
import { BackendKeyFinder, keyText } from './backend-key.ts';
import { GivenUpCapture } from './given-up-capture.ts';
import type { DraftOwner } from './publisher.ts';
import { sessionIdOf } from './session-id.ts';
import type { IdleSession } from './worker-protocol.ts';

/** When all sessions together held too much, so many are given up that this share of the limit is left. */
const boundedShare = 0.75;

export interface SessionTableOptions extends Pick<SessionCaptureOptions, 'clock' | 'sequencer' | 'limits'> {
  readonly incarnation: string;
  readonly restarted: boolean;
  readonly partitions: number;
  /** Uniform in [0, 1). */
  readonly random: () => number;
  readonly emit: (owner: DraftOwner, draft: CaptureRecordDraft, monoUs: number) => void;
  /** The capture of a session threw. It costs that session's transactions, told as gaps; the others go on. */
  readonly onBug?: (error: unknown) => void;
  /** Tests give one with a bug. */
  readonly openSession?: (options: SessionCaptureOptions) => SessionCapture;
}

class WorkerSession implements DraftOwner {
  readonly sessionId: string;
  readonly partition: number;
  capture: SessionCapture;
  /** The session's last transaction that was told of. */
  lastSeq = 0;
  keyFinder: BackendKeyFinder | null = new BackendKeyFinder();
  key: string | null = null;
  /** Records with bytes handled so far; the forwarding thread counts the same. */
  seen = 0;
  /** The time of the record under way: what drafts emitted meanwhile are stamped with in their batch. */
  nowUs = 0;

  constructor(sessionId: string, partition: number, options: SessionTableOptions, answers: AnswerRule) {
    this.sessionId = sessionId;
    this.partition = partition;
    this.capture = (options.openSession ?? openSession)({
      sessionId,
      samplingDraw: samplingDrawOf(sessionId),
      clock: options.clock,
      sequencer: options.sequencer,
      limits: { ...options.limits, ...answers },
      emit: (draft) => {
        if (draft.kind === 'envelope') this.lastSeq = draft.sessionSeq;
        options.emit(this, draft, this.nowUs);
      },
      ...(options.onBug === undefined ? {} : { onBug: options.onBug }),
    });
  }

  /** Whatever threw may be in any state: it is let go, and what goes by is told as missing. */
  giveUp(options: SessionTableOptions, sizeBytes: number, monoUs: number): void {
    const { sessionId, lastSeq } = this;
    const emit = (draft: CaptureRecordDraft): void => options.emit(this, draft, this.nowUs);
    const { wallUsAtMonoZero } = options.clock;
    this.capture = new GivenUpCapture({ sessionId, afterSeq: lastSeq, wallUsAtMonoZero, emit }, sizeBytes, monoUs);
    this.keyFinder = null;
  }
}

export class SessionTable implements RingHandler {
  /** Bytes the ring had no room for, as far as sessions were told. */
  missedBytes = 0;
  /** Cancels that were told after what they were meant for was published: it lacks the note. */
  lateCancels = 0;
  /** When the last record of the ring was read. They come in this order: what is in the ring was read then or later. */
  seenUs = 0;
  readonly #options: SessionTableOptions;
  readonly #sessions = new Map<number, WorkerSession>();
  readonly #byKey = new Map<string, WorkerSession>();
  /** See bound: what sessions held when it was added up, and what came since. */
  #countedBytes = 0;
  #uncountedBytes = 0;
  /** Open sessions per partition. */
  readonly #load: Int32Array;
  #answers: AnswerRule;

  constructor(options: SessionTableOptions) {
    this.#options = options;
    this.#load = new Int32Array(options.partitions);
    const { answers, answerCapBytes } = options.limits;
    this.#answers = { answers, answerCapBytes };
  }

  /** Of all sessions, from their next exchange on. */
  keepAnswers(rule: AnswerRule): void {
    this.#answers = rule;
    for (const session of this.#sessions.values())
      this.#guarded(session, session.nowUs, 0, () => session.capture.keepAnswers(rule));
  }

  record(kind: RecordKind, id: number, monoUs: number, bytes: Uint8Array, start: number, end: number): void {
    if (kind === RecordKind.cancel) {
      this.ahead(monoUs, bytes, start, end);
      return;
    }
    this.seenUs = monoUs;
    const session = this.#sessions.get(id);
    if (session === undefined) return;
    session.seen += 1;
    session.nowUs = monoUs;
    try {
      if (kind === RecordKind.client) {
        session.capture.clientChunk(bytes, start, end, monoUs);
        return;
      }
      if (session.keyFinder !== null) this.#findKey(session, session.keyFinder, bytes, start, end);
      session.capture.serverChunk(bytes, start, end, monoUs);
    } catch (error) {
      this.#giveUp(session, error, end - start, monoUs);
    }
  }

  /** A CancelRequest with this key went by then. False: no session has it as yet. */
  ahead(monoUs: number, bytes: Uint8Array, start: number, end: number): boolean {
    const session = this.#byKey.get(keyText(bytes, start, end));
    if (session === undefined) return false;
    this.#guarded(session, session.nowUs, 0, () => {
      if (!session.capture.cancelled(monoUs)) this.lateCancels += 1;
    });
    return true;
  }

  mark(kind: RecordKind, id: number, monoUs: number, count: number): void {
    if (kind === RecordKind.opened) {
      this.#open(id);
      return;
    }
    const session = this.#sessions.get(id);
    if (session === undefined) return;
    session.nowUs = monoUs;
    if (kind === RecordKind.closed) {
      this.#close(id, session, monoUs);
      return;
    }
    if (kind === RecordKind.leftOut) {
      this.#guarded(session, monoUs, 0, () => session.capture.missed('client', 0, monoUs, count as GapReason));
      return;
    }
    const direction = kind === RecordKind.missedClient ? 'client' : 'server';
    const reason =
      this.#options.restarted && session.keyFinder !== null ? GapReason.WORKER_RESTART : GapReason.RING_FULL;
    if (direction === 'server') session.keyFinder = null;
    this.missedBytes += count;
    this.#guarded(session, monoUs, count, () => session.capture.missed(direction, count, monoUs, reason));
  }

  /** Cuts parts by age. */
  tick(monoUs: number): void {
    for (const session of this.#sessions.values()) {
      session.nowUs = monoUs;
      this.#guarded(session, monoUs, 0, () => session.capture.tick(monoUs));
    }
  }

  /** The process ends: whatever is open is told as it stands. */
  closeAll(monoUs: number): void {
    for (const [id, session] of this.#sessions) {
      session.nowUs = monoUs;
      this.#close(id, session, monoUs);
    }
  }

  /** Those under way, and those that were lost and are still to be told. */
  openTransactions(): number {
    let open = 0;
    for (const { capture } of this.#sessions.values()) open += capture.openTransactions + capture.untoldTransactions;
    return open;
  }

  /** The oldest completion of each session that waits for the rest of its transaction. */
  *held(): Generator<Completion> {
    for (const { capture } of this.#sessions.values()) {
      const oldest = capture.oldestHeld;
      if (oldest !== null) yield oldest;
    }
  }

  /**
   * Keeps what all sessions hold within the limit: the largest are given up, told as gaps. `takenBytes` came since the last call, and
   * no session holds more than came: so nothing is added up until it could matter.
   */
  bound(limitBytes: number, takenBytes: number): void {
    this.#uncountedBytes += takenBytes;
    if (this.#countedBytes + this.#uncountedBytes <= limitBytes || this.#uncountedBytes < limitBytes / 16) return;
    this.#uncountedBytes = 0;
    this.#countedBytes = this.bufferedBytes();
    if (this.#countedBytes <= limitBytes) return;
    const largest = [...this.#sessions.values()].sort((a, b) => b.capture.bufferedBytes - a.capture.bufferedBytes);
    for (const session of largest) {
      if (this.#countedBytes <= limitBytes * boundedShare) return;
      this.#countedBytes -= session.capture.bufferedBytes;
      this.#guarded(session, session.nowUs, 0, () =>
        session.capture.missed('client', 0, session.nowUs, GapReason.MEMORY_LIMIT),
      );
      this.#countedBytes += session.capture.bufferedBytes;
    }
  }

  get size(): number {
    return this.#sessions.size;
  }

  /** What sessions keep to be replayable (settings, prepared statements), all together; and what the largest session holds of all kinds. */
  contexts(): { readonly context: number; readonly largestSession: number } {
    let [context, largestSession] = [0, 0];
    for (const { capture } of this.#sessions.values()) {
      context += capture.contextBytes;
      largestSession = Math.max(largestSession, capture.bufferedBytes);
    }
    return { context, largestSession };
  }

  bufferedBytes(): number {
    let bytes = 0;
    for (const session of this.#sessions.values()) bytes += session.capture.bufferedBytes;
    return bytes;
  }

  /** Sessions without an open transaction and those not followed, and how many records of them were seen when that was true. */
  idle(): IdleSession[] {
    const idle: IdleSession[] = [];
    for (const [id, { capture, seen }] of this.#sessions)
      if (capture.idle !== false) idle.push([id, seen, capture.idle === true]);
    return idle;
  }

  #open(id: number): void {
    const partition = this.#choosePartition();
    this.#load[partition] = (this.#load[partition] as number) + 1;
    const sessionId = sessionIdOf(this.#options.incarnation, id);
    this.#sessions.set(id, new WorkerSession(sessionId, partition, this.#options, this.#answers));
  }

  /** The less loaded of two random ones: nearly even, and no table to search. */
  #choosePartition(): number {
    const { partitions, random } = this.#options;
    const first = Math.floor(random() * partitions);
    const second = Math.floor(random() * partitions);
    return (this.#load[second] as number) < (this.#load[first] as number) ? second : first;
  }

  #close(id: number, session: WorkerSession, monoUs: number): void {
    this.#guarded(session, monoUs, 0, () => session.capture.close(monoUs));
    // Given up just now: that is still to be told.
    if (session.capture instanceof GivenUpCapture) session.capture.close(monoUs);
    this.#sessions.delete(id);
    if (session.key !== null) this.#byKey.delete(session.key);
    this.#load[session.partition] = (this.#load[session.partition] as number) - 1;
  }

  #findKey(session: WorkerSession, finder: BackendKeyFinder, bytes: Uint8Array, start: number, end: number): void {
    const key = finder.feed(bytes, start, end);
    if (key !== null) {
      session.key = key;
      this.#byKey.set(key, session);
    }
    if (finder.done) session.keyFinder = null;
  }

  #guarded(session: WorkerSession, monoUs: number, sizeBytes: number, work: () => void): void {
    try {
      work();
    } catch (error) {
      this.#giveUp(session, error, sizeBytes, monoUs);
    }
  }

  #giveUp(session: WorkerSession, error: unknown, sizeBytes: number, monoUs: number): void {
    session.giveUp(this.#options, sizeBytes, monoUs);
    this.#options.onBug?.(error);
  }
}
