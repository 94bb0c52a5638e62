// Assembles exchanges and transactions from the frames of both directions, from the session's start-up on.
import { DependencyReason, StatementEnd, TransactionOutcome } from '@mirrorstream/envelope';
import { B, isKnownType, parameterStatusName, parameterStatusValue, readyForQueryStatus } from '@mirrorstream/pg-wire';
import type { AnswerRule, CaptureLimits } from '../limits.ts';
import type { Sequencer } from '../sequencer.ts';
import { AnswerRecorder } from './answer-recorder.ts';
import { isAlwaysSmall, isAsynchronous } from './backend-messages.ts';
import type { ClientFrame } from './client-frames.ts';
import { FrameHead } from './frame-head.ts';
import { OpenExchange, type Status } from './open-exchange.ts';
import { PartCutter } from './part-cutter.ts';
import { StatementTable } from './prepared.ts';
import { Probation } from './probation.ts';
import { endsExchange, hasReply, Reply, ReplyMatcher } from './reply-matcher.ts';
import { RequestIntake, type SendTime } from './request-intake.ts';
import { SessionState } from './session-state.ts';
import { SettingsTracker } from './settings.ts';
import type { SessionIdentity } from './startup.ts';
import { StatementEffects } from './statement-effects.ts';
import { StatementReplies } from './statement-replies.ts';
import { StatementUse } from './statement-use.ts';
import { type EnvelopeOrigin, Transaction } from './transaction.ts';
import { outcomeOf } from './transaction-end.ts';

const statusOf: Readonly<Record<number, Status>> = { 73: 'I', 84: 'T', 69: 'E' };

const NO_BYTES = new Uint8Array(0);

export class Conversation {
  readonly intake = new RequestIntake();
  readonly settings: SettingsTracker;
  readonly transaction: Transaction;
  readonly parts: PartCutter;
  /** Finished exchanges. */
  exchanges = 0;
  /** The client was seen sending a request while another was unanswered. */
  pipelines = false;
  readonly #probation = new Probation();
  #status: Status = 'I';
  #fatal = false;
  /** Replies seen, asynchronous messages left out. */
  #replies = 0;
  /** ReadyForQuery came while a frame that is published in part was still coming in: the exchange ends with that frame. */
  #deferred: Status | null = null;
  readonly #errorHead = new FrameHead();
  readonly #recorder: AnswerRecorder;
  readonly #matcher: ReplyMatcher;
  readonly #statements: StatementTable;
  readonly #state: SessionState;
  readonly #effects: StatementEffects;
  readonly #use: StatementUse;
  readonly #exchange: OpenExchange;
  readonly #statementReplies: StatementReplies;

  constructor(origin: EnvelopeOrigin, limits: CaptureLimits, identity: SessionIdentity, sequencer: Sequencer) {
    this.#recorder = new AnswerRecorder(limits);
    this.#matcher = new ReplyMatcher(this.intake.frames);
    this.#statements = new StatementTable(limits);
    this.settings = new SettingsTracker(limits);
    this.#state = new SessionState(this.settings);
    const logs = { requests: this.intake.log, answers: this.#recorder.log };
    this.transaction = new Transaction(origin, limits, identity, logs, this.#statements);
    const { intake, transaction } = this;
    const statements = this.#statements;
    const effects = new StatementEffects(this.#state, statements, transaction);
    this.#effects = effects;
    const recorder = this.#recorder;
    const matcher = this.#matcher;
    const use = new StatementUse({ intake, statements, transaction, effects, recorder });
    this.#use = use;
    const exchange = new OpenExchange(intake, recorder, transaction, sequencer);
    this.#exchange = exchange;
    this.parts = new PartCutter({ limits, intake, recorder, matcher, transaction, exchange });
    const probation = this.#probation;
    this.#statementReplies = new StatementReplies({ matcher, recorder, use, effects, exchange, probation });
  }

  /** Replies seen so far: what a frame sent now comes after. */
  get replies(): number {
    return this.#replies;
  }

  /** Kept of what went by on the wire. */
  get trafficBytes(): number {
    return this.intake.log.sizeBytes + this.#recorder.log.sizeBytes;
  }

  get bufferedBytes(): number {
    return this.parts.unpublishedBytes + this.contextBytes;
  }

  get contextBytes(): number {
    return this.#statements.sizeBytes + this.settings.sizeBytes;
  }

  /** The first ReadyForQuery: what the client sent meanwhile begins the first transaction. */
  ready(): void {
    this.parts.ready = true;
    this.#openTransaction();
  }

  /** From the next exchange on. */
  keepAnswers(rule: AnswerRule): void {
    this.#recorder.keep(rule);
  }

  clientFrame(type: number, buffer: Uint8Array, start: number, end: number, time: SendTime): void {
    this.intake.frame(type, buffer, start, end, time);
    this.#sent(type);
  }

  clientFrameBegin(type: number, length: number, time: SendTime): void {
    this.intake.beginFrame(type, length, time);
    this.#sent(type);
  }

  clientFrameEnd(atUs: number): void {
    this.intake.endFrame();
    if (this.parts.strayTail) this.parts.dropStrays();
    const status = this.#deferred;
    if (status === null) return;
    this.#deferred = null;
    this.#matcher.passStrays();
    this.#finishExchange(status, atUs);
  }

  /** False: no frame of the client explains this reply. `startedAtUs`: when its first byte came. */
  serverFrame(
    type: number,
    buffer: Uint8Array,
    start: number,
    end: number,
    startedAtUs: number,
    atUs: number,
  ): boolean {
    if (isAsynchronous(type)) {
      this.#asynchronous(type, buffer, start, end, atUs);
      return true;
    }
    const reply = this.#step(type, startedAtUs);
    if (reply === Reply.outOfStep) return false;
    if (reply === Reply.unsolicited) return true;
    this.#recorder.frame(type, buffer, start, end, atUs);
    if (reply !== Reply.ready) return this.#statementReplies.take(reply, type, buffer, start, end, atUs);
    const status = statusOf[readyForQueryStatus(buffer, start, end)] ?? '';
    if (status === '') return false;
    this.#finishExchange(status, atUs);
    return true;
  }

  serverFrameBegin(type: number, length: number, startedAtUs: number): boolean {
    if (isAsynchronous(type)) {
      if (this.#exchange.answering) this.#recorder.beginFrame(type, length);
      // A value too long to read.
      if (type === B.ParameterStatus) this.settings.overflowed = true;
      return true;
    }
    if (isAlwaysSmall(type) || this.#step(type, startedAtUs) === Reply.outOfStep) return false;
    if (type === B.ErrorResponse) this.#errorHead.begin(type);
    if (this.#exchange.answering) this.#recorder.beginFrame(type, length);
    return true;
  }

  serverFramePart(buffer: Uint8Array, start: number, end: number): void {
    this.#errorHead.part(buffer, start, end);
    if (this.#exchange.answering) this.#recorder.framePart(buffer, start, end);
  }

  /** A large frame ended: of those, only an error or a function's result ends a statement. */
  serverFrameEnd(type: number, atUs: number): void {
    if (!this.#exchange.answering) return;
    this.#recorder.endFrame(atUs);
    this.#statementReplies.takeLarge(type, type === B.ErrorResponse ? this.#errorHead.take() : NO_BYTES, atUs);
  }

  /** The chunk in hand goes away. */
  flush(): void {
    this.intake.flush();
    this.#recorder.flush();
  }

  cancelled(atUs: number): boolean {
    return this.#exchange.cancelled(atUs);
  }

  /** The connection is gone: publishes the open transaction with what is known of it. */
  close(atUs: number): void {
    if (this.#deferred !== null) this.clientFrameEnd(atUs);
    if (!this.transaction.open) return;
    const unanswered = this.#exchange.answering || this.#hasPending();
    while (this.#exchange.answering || this.intake.frames.count > 0) this.#leaveUnanswered();
    const ended = this.#status === 'E' || this.#fatal ? TransactionOutcome.FAILED : TransactionOutcome.ROLLED_BACK;
    this.transaction.end(unanswered ? TransactionOutcome.UNKNOWN : ended);
  }

  /** Forgets everything that is not published: capture lost its place. `misread` soon after it found it: then it was not the place. */
  abandon(misread: boolean): void {
    if (misread && this.#probation.isOn) this.pipelines = true;
    this.intake.clear();
    this.#recorder.clear();
    this.#matcher.reset();
    this.transaction.abandon();
    this.#statements.transactionEnded();
    this.#statements.close('');
    this.#state.journal.rollback();
    this.#exchange.abandon();
    this.#status = 'I';
    this.#deferred = null;
    this.parts.strayTail = false;
  }

  /** Capture has found its place again; what it missed may have changed anything. */
  found(): void {
    this.#state.gap();
    this.#statements.gap();
    this.#probation.begin();
    this.ready();
  }

  #sent(type: number): void {
    if (!isKnownType('frontend', type)) this.#unknownMessage();
    if (!hasReply(type)) return;
    if (!this.pipelines) {
      const { frames } = this.intake;
      this.pipelines = frames.count > 1 && endsExchange(frames.at(frames.count - 2).type);
    }
    if (this.parts.ready && !this.transaction.open) this.#openTransaction();
  }

  #hasPending(): boolean {
    const { frames } = this.intake;
    for (let i = 0; i < frames.count; i++) if (hasReply(frames.at(i).type)) return true;
    return false;
  }

  #openTransaction(): void {
    if (!this.#hasPending()) return;
    const { settings, transaction } = this;
    transaction.begin(this.intake.frames.at(0).sentUs, settings.inForce, this.#state.dependencies);
  }

  /** Every later envelope says so too. */
  #unknownMessage(): void {
    this.#state.unknownMessage();
    this.#effects.dependsOn(DependencyReason.UNKNOWN_MESSAGE);
  }

  /** Notices and parameter changes belong to the answer's bytes when there is an exchange to answer. */
  #asynchronous(type: number, buffer: Uint8Array, start: number, end: number, atUs: number): void {
    if (type === B.ParameterStatus) {
      this.settings.report(
        parameterStatusName(buffer, start, end),
        parameterStatusValue(buffer, start, end),
        !this.parts.ready,
      );
    } else if (!isKnownType('backend', type)) {
      this.#unknownMessage();
    }
    if (!this.transaction.open || !(this.#exchange.answering || this.#hasPending())) return;
    this.#beginAnswer();
    this.#recorder.frame(type, buffer, start, end, atUs);
  }

  #step(type: number, startedAtUs: number): Reply {
    if (this.#deferred !== null) return Reply.outOfStep;
    const reply = this.#matcher.step(type);
    if (reply === Reply.unsolicited) {
      this.#fatal = true;
      return reply;
    }
    if (reply === Reply.outOfStep || !this.transaction.open) return Reply.outOfStep;
    this.#beginAnswer();
    this.#exchange.replied(this.#replies, startedAtUs);
    this.#replies += 1;
    if (this.#matcher.queryBegan) {
      this.#matcher.queryBegan = false;
      this.#use.queryBegan(this.#matcher.matched as ClientFrame);
    }
    return reply;
  }

  #beginAnswer(): void {
    if (this.#exchange.beginAnswer()) this.#effects.exchangeBegan();
  }

  #finishExchange(status: Status, atUs: number): void {
    const { frames } = this.intake;
    if (frames.incomplete && (frames.last as ClientFrame).start < this.#exchange.from) {
      this.#deferred = status;
      return;
    }
    this.#exchange.addWithoutAnswer(this.#matcher.skippedFrom, frames.cursor, StatementEnd.SKIPPED);
    const statusBefore = this.#status;
    this.#status = status;
    this.#exchange.finish(frames.cursor, status, atUs);
    this.exchanges += 1;
    if (status === 'I') this.#endTransaction(statusBefore);
  }

  #endTransaction(statusBefore: Status): void {
    const outcome = outcomeOf(this.#effects.endMark, statusBefore);
    this.transaction.end(outcome);
    this.#effects.ended();
    this.#statements.transactionEnded();
    this.#recorder.log.clear();
    const { log, frames } = this.intake;
    log.dropTo(this.#exchange.from);
    if (frames.count > 0) this.#openTransaction();
  }

  /** The connection was lost: the next exchange ends without ReadyForQuery. */
  #leaveUnanswered(): void {
    const { frames } = this.intake;
    const matcher = this.#matcher;
    const begun = matcher.mode !== 'ready' && matcher.mode !== 'skipping' && !this.#recorder.lastFailed;
    const skipping = matcher.mode === 'skipping';
    const count = Math.max(matcher.certainEnd(), frames.cursor) || frames.count;
    this.#use.leftUnanswered(frames.cursor, count);
    if (!this.#exchange.answering) this.#recorder.begin(count > 0 ? frames.at(0).sentUs : 0);
    if (begun) this.#recorder.add(StatementEnd.UNANSWERED);
    if (!skipping) this.#exchange.failedType = 0;
    this.#exchange.addWithoutAnswer(frames.cursor, count, skipping ? StatementEnd.SKIPPED : StatementEnd.UNANSWERED);
    this.#exchange.answering ||= this.#recorder.observations.length > 0;
    this.#exchange.finish(count, '', 0);
    matcher.reset();
  }
}
