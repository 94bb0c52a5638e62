// One client connection as capture sees it: chunks of both directions in, capture records out. Never throws.
import { GapReason } from '@mirrorstream/envelope';
import {
  B,
  F,
  FrameEvent,
  FrameSplitter,
  int32At,
  parameterStatusName,
  parameterStatusValue,
  readyForQueryStatus,
  STARTUP_PACKET,
} from '@mirrorstream/pg-wire';
import { BareAnswers } from './bare-answers.ts';
import { type AnswerRule, type CaptureLimits, checkCaptureLimits } from './limits.ts';
import { LostPlace } from './lost-place.ts';
import { Conversation } from './pg/conversation.ts';
import { readStartupPacket } from './pg/startup.ts';
import { SendTimes } from './send-times.ts';
import type { Completion, SessionCapture, SessionCaptureOptions } from './session-capture.ts';

/**
 * startUp: no StartupMessage yet. authenticating: not ready for queries yet. following: captured. lost: waiting for a quiet point.
 * uncaptured: a cancel request, a replication session, or bytes that are not PostgreSQL's. closed.
 */
type Phase = 'startUp' | 'authenticating' | 'following' | 'lost' | 'uncaptured' | 'closed';

const NONE = -1;

/** Throws `badInput` for limits no session could work with; nothing throws afterwards. */
export function openSession(options: SessionCaptureOptions): SessionCapture {
  checkCaptureLimits(options.limits);
  return new Session(options);
}

class Session implements SessionCapture {
  readonly #options: SessionCaptureOptions;
  readonly #client: FrameSplitter;
  readonly #server: FrameSplitter;
  readonly #lost = new LostPlace();
  #limits: CaptureLimits;
  #phase: Phase = 'startUp';
  #conversation: Conversation | null = null;
  #started = false;
  #terminated = false;
  readonly #bareAnswers = new BareAnswers();
  readonly #sendTimes = new SendTimes();
  /** The server's unfinished frame: when its first byte came. */
  #serverPartialUs = NONE;

  constructor(options: SessionCaptureOptions) {
    this.#options = options;
    this.#limits = options.limits;
    const { maxFrameBytes } = options.limits;
    this.#client = new FrameSplitter({ phase: 'startup', maxFrameBytes });
    this.#client.wipes = true;
    this.#server = new FrameSplitter({ maxFrameBytes });
  }

  get openTransactions(): 0 | 1 {
    return this.#conversation?.transaction.open === true ? 1 : 0;
  }

  get oldestHeld(): Completion | null {
    return this.#conversation?.transaction.oldestHeld ?? null;
  }

  get bufferedBytes(): number {
    return this.#client.pendingBytes + this.#server.pendingBytes + (this.#conversation?.bufferedBytes ?? 0);
  }

  get contextBytes(): number {
    return this.#conversation?.contextBytes ?? 0;
  }

  get exchanges(): number {
    return this.#conversation?.exchanges ?? 0;
  }

  clientChunk(buffer: Uint8Array, start: number, end: number, monoUs: number): void {
    try {
      if (this.#phase === 'lost') {
        if (!this.#lost.quiet.client(buffer, start, end, monoUs, this.#pauseUs())) {
          this.#lost.unseen(end - start);
          return;
        }
        this.#found(monoUs);
      }
      if (this.#phase !== 'uncaptured' && this.#phase !== 'closed') this.#clientBytes(buffer, start, end, monoUs);
    } catch (error) {
      this.#broke(error, end - start, monoUs);
    }
  }

  serverChunk(buffer: Uint8Array, start: number, end: number, monoUs: number): void {
    if (this.#phase === 'lost') {
      this.#lost.quiet.server(buffer, start, end, monoUs);
      this.#lost.unseen(end - start);
      return;
    }
    if (this.#phase === 'uncaptured' || this.#phase === 'closed') return;
    try {
      this.#serverBytes(buffer, start, end, monoUs);
    } catch (error) {
      this.#broke(error, end - start, monoUs);
    }
    // The chunk in which the place was lost may already hold the quiet point.
    if (this.#lostPlace()) this.#lost.quiet.server(buffer, start, end, monoUs);
  }

  missed(
    _direction: 'client' | 'server',
    bytes: number,
    monoUs: number,
    reason: GapReason = GapReason.RING_FULL,
  ): void {
    if (this.#phase === 'uncaptured' || this.#phase === 'closed') return;
    this.#lose(reason, bytes, monoUs);
    this.#lost.quiet.lost();
  }

  get untoldTransactions(): number {
    return this.#lost.untoldTransactions;
  }

  get idle(): boolean | null {
    return this.#phase === 'lost' ? null : this.openTransactions === 0;
  }

  keepAnswers({ answers, answerCapBytes }: AnswerRule): void {
    this.#limits = { ...this.#limits, answers, answerCapBytes };
    this.#conversation?.keepAnswers(this.#limits);
  }

  cancelled(monoUs: number): boolean {
    return this.#phase !== 'following' || this.#conversation === null || this.#conversation.cancelled(monoUs);
  }

  tick(monoUs: number): void {
    try {
      if (this.#phase === 'following') this.#conversation?.parts.tick(monoUs);
      const since = this.#lost.sinceUs;
      if (since !== null && monoUs - since >= this.#options.limits.partAgeUs) this.#reportGap(monoUs);
    } catch (error) {
      this.#broke(error, 0, monoUs);
    }
  }

  close(monoUs: number): void {
    if (this.#phase === 'closed') return;
    try {
      if (this.#phase === 'following') this.#conversation?.close(monoUs);
    } catch (error) {
      this.#broke(error, 0, monoUs);
    }
    this.#phase = 'closed';
    try {
      this.#reportGap(monoUs);
      if (this.#started) this.#endSession(monoUs);
    } catch (error) {
      this.#options.onBug?.(error); // the caller's emit or clock: no record can tell
    }
    this.#conversation = null;
    this.#client.reset();
    this.#server.reset();
  }

  #endSession(monoUs: number): void {
    const { sessionId, emit } = this.#options;
    const lastSeq = this.#conversation?.transaction.lastSeq ?? 0;
    emit({ kind: 'sessionEnd', sessionId, atUs: this.#wallUs(monoUs), monoUs, lastSeq, terminated: this.#terminated });
  }

  // Client direction

  #clientBytes(buffer: Uint8Array, start: number, end: number, monoUs: number): void {
    const splitter = this.#client;
    const times = this.#sendTimes;
    const { sequencer } = this.#options;
    times.chunk(monoUs, sequencer.lastDoneSeq, this.#conversation?.replies ?? 0);
    splitter.feed(buffer, start, end);
    for (;;) {
      const event = splitter.next();
      if (event === FrameEvent.needMore) break;
      if (event === FrameEvent.malformed) {
        this.#lose(GapReason.MALFORMED, end - start, monoUs);
        return;
      }
      this.#clientEvent(event, splitter, buffer, monoUs);
      if (!this.#expectsBytes()) return;
      if (splitter.aligned || event === FrameEvent.frameBegin)
        times.frame(monoUs, sequencer.lastDoneSeq, this.#conversation?.replies ?? 0);
    }
    times.ended(splitter.aligned);
    this.#conversation?.flush();
    this.#checkSize(end - start, monoUs);
  }

  #clientEvent(event: FrameEvent, splitter: FrameSplitter, chunk: Uint8Array, monoUs: number): void {
    const { type } = splitter;
    if (type === STARTUP_PACKET) {
      this.#startupPacket(splitter.buffer, splitter.start, splitter.end);
      return;
    }
    // Passwords and SASL messages: gone at once. Terminate is said by sessionEnd.
    if (type === F.PasswordMessage) {
      if (event === FrameEvent.frame && splitter.buffer !== chunk)
        splitter.buffer.fill(0, splitter.start, splitter.end);
      return;
    }
    if (type === F.Terminate) {
      this.#terminated = true;
      return;
    }
    const conversation = this.#conversation as Conversation;
    if (event === FrameEvent.frame) {
      conversation.clientFrame(type, splitter.buffer, splitter.start, splitter.end, this.#sendTimes.now);
      if (splitter.buffer !== chunk) {
        conversation.flush();
        // What is kept of it is redacted; what it was put together in is not, and stays for as long as the session.
        if (conversation.intake.hadSecrets) splitter.buffer.fill(0, splitter.start, splitter.end);
      }
    } else if (event === FrameEvent.frameBegin) {
      conversation.clientFrameBegin(type, splitter.length, this.#sendTimes.now);
    } else if (event === FrameEvent.framePart) {
      conversation.intake.framePart(splitter.buffer, splitter.start, splitter.end);
    } else {
      conversation.clientFrameEnd(monoUs);
    }
  }

  #startupPacket(buffer: Uint8Array, start: number, end: number): void {
    const outcome = readStartupPacket(buffer, start, end);
    if (outcome.kind === 'encryptionRequest') this.#bareAnswers.due += 1;
    else if (outcome.kind === 'uncaptured') this.#phase = 'uncaptured';
    else {
      const { sessionId, samplingDraw, clock, sequencer, emit } = this.#options;
      const origin = { sessionId, samplingDraw, wallUsAtMonoZero: clock.wallUsAtMonoZero, emit };
      this.#conversation = new Conversation(origin, this.#limits, outcome.identity, sequencer);
      this.#phase = 'authenticating';
    }
  }

  // Server direction

  #serverBytes(buffer: Uint8Array, start: number, end: number, monoUs: number): void {
    const splitter = this.#server;
    const from = this.#bareAnswers.due > 0 && splitter.aligned ? this.#bareAnswers.pass(buffer, start, end) : start;
    let startedUs = this.#serverPartialUs === NONE ? monoUs : this.#serverPartialUs;
    splitter.feed(buffer, from, end);
    for (;;) {
      const event = splitter.next();
      if (event === FrameEvent.needMore) break;
      const inStep = event !== FrameEvent.malformed && this.#serverEvent(event, splitter, startedUs, monoUs);
      if (!inStep) {
        this.#lose(GapReason.MALFORMED, end - start, monoUs);
        return;
      }
      if (!this.#expectsBytes()) return;
      if (splitter.buffer !== buffer) this.#conversation?.flush();
      startedUs = monoUs;
    }
    this.#serverPartialUs = splitter.aligned ? NONE : startedUs;
    this.#conversation?.flush();
    this.#checkSize(end - start, monoUs);
  }

  #serverEvent(event: FrameEvent, splitter: FrameSplitter, startedUs: number, monoUs: number): boolean {
    const { type } = splitter;
    if (this.#phase !== 'following') {
      if (event === FrameEvent.frame) this.#startingUp(type, splitter, monoUs);
      return true;
    }
    const conversation = this.#conversation as Conversation;
    if (event === FrameEvent.frame) {
      return conversation.serverFrame(type, splitter.buffer, splitter.start, splitter.end, startedUs, monoUs);
    }
    if (event === FrameEvent.frameBegin) return conversation.serverFrameBegin(type, splitter.length, startedUs);
    if (event === FrameEvent.framePart) conversation.serverFramePart(splitter.buffer, splitter.start, splitter.end);
    else conversation.serverFrameEnd(type, monoUs);
    return true;
  }

  /** Authentication. Of BackendKeyData only the process is kept: its key is a secret. */
  #startingUp(type: number, splitter: FrameSplitter, monoUs: number): void {
    const { buffer, start, end } = splitter;
    if (type === B.ParameterStatus) {
      const name = parameterStatusName(buffer, start, end);
      this.#conversation?.settings.report(name, parameterStatusValue(buffer, start, end), true);
    } else if (type === B.BackendKeyData && end - start >= 9) {
      this.#conversation?.transaction.servedBy(int32At(buffer, start + 5) >>> 0);
    } else if (type === B.ErrorResponse) {
      this.#phase = 'uncaptured';
    } else if (
      type === B.ReadyForQuery &&
      readyForQueryStatus(buffer, start, end) !== 0 &&
      this.#conversation !== null
    ) {
      this.#phase = 'following';
      this.#client.wipes = false;
      this.#startSession(monoUs);
      this.#conversation.ready();
    }
  }

  #startSession(monoUs: number): void {
    const conversation = this.#conversation as Conversation;
    const { sessionId, samplingDraw } = this.#options;
    this.#started = true;
    const context = conversation.transaction.initialContext(conversation.settings.inForce);
    this.#options.emit({ kind: 'sessionStart', sessionId, atUs: this.#wallUs(monoUs), monoUs, samplingDraw, context });
  }

  // Losing and finding the place

  #broke(error: unknown, sizeBytes: number, monoUs: number): void {
    this.#options.onBug?.(error);
    this.#lose(GapReason.MALFORMED, sizeBytes, monoUs);
  }

  #lose(reason: GapReason, sizeBytes: number, monoUs: number): void {
    // Bytes that do not even begin like PostgreSQL's: no session, nothing missing.
    if (this.#phase === 'startUp' && reason === GapReason.MALFORMED) {
      this.#phase = 'uncaptured';
      return;
    }
    this.#lost.lose(reason, sizeBytes + this.#givenUpBytes(), this.openTransactions, monoUs);
    this.#client.reset();
    this.#server.reset();
    this.#serverPartialUs = NONE;
    this.#sendTimes.ended(true);
    this.#bareAnswers.due = 0;
    // Bytes that were dropped or left out say nothing of where the place was.
    this.#conversation?.abandon(reason === GapReason.MALFORMED);
    // Without a start-up message nothing of the session can be replayed.
    this.#phase = this.#conversation === null ? 'uncaptured' : 'lost';
  }

  /** Bytes of earlier chunks that are in no record yet, whether a transaction is open or not. */
  #givenUpBytes(): number {
    return this.#client.pendingBytes + this.#server.pendingBytes + (this.#conversation?.trafficBytes ?? 0);
  }

  /** A client that sends without waiting is idle only when it says nothing for a while. */
  #pauseUs(): number {
    return this.#conversation?.pipelines === true ? this.#limits.resyncPauseUs : 0;
  }

  #found(monoUs: number): void {
    this.#phase = 'following';
    if (!this.#started) this.#startSession(monoUs);
    this.#reportGap(monoUs);
    const conversation = this.#conversation as Conversation;
    conversation.found();
  }

  #reportGap(monoUs: number): void {
    const { sessionId, clock, emit } = this.#options;
    const afterSeq = this.#conversation?.transaction.lastSeq ?? 0;
    const context = { sessionId, wallUsAtMonoZero: clock.wallUsAtMonoZero, afterSeq };
    const gap = this.#lost.report(context, this.#lostPlace(), monoUs);
    if (gap !== null) emit(gap);
  }

  #checkSize(chunkBytes: number, monoUs: number): void {
    if (this.#phase !== 'following' && this.#phase !== 'authenticating') return;
    if (this.#conversation?.parts.checkSize(monoUs) === false) this.#lose(GapReason.MEMORY_LIMIT, chunkBytes, monoUs);
  }

  #expectsBytes(): boolean {
    return this.#phase === 'startUp' || this.#phase === 'authenticating' || this.#phase === 'following';
  }

  #lostPlace(): boolean {
    return this.#phase === 'lost';
  }

  #wallUs(monoUs: number): number {
    return this.#options.clock.wallUsAtMonoZero + monoUs;
  }
}
