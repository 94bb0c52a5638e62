// What the server's replies say of the statements they answer: parsed, bound, described, complete or failed.
import { StatementEnd } from '@mirrorstream/envelope';
import { B, F } from '@mirrorstream/pg-wire';
import type { AnswerRecorder } from './answer-recorder.ts';
import { severityOf, sqlStateOf } from './backend-messages.ts';
import type { ClientFrame } from './client-frames.ts';
import { type Tag, TagCache } from './command-tag.ts';
import type { OpenExchange } from './open-exchange.ts';
import type { Probation } from './probation.ts';
import { Reply, type ReplyMatcher } from './reply-matcher.ts';
import type { StatementEffects } from './statement-effects.ts';
import type { StatementUse } from './statement-use.ts';

/** Tags repeat over all sessions of a worker. */
const tags = new TagCache();

export interface StatementRepliesParts {
  readonly matcher: ReplyMatcher;
  readonly recorder: AnswerRecorder;
  readonly use: StatementUse;
  readonly effects: StatementEffects;
  readonly exchange: OpenExchange;
  readonly probation: Probation;
}

export class StatementReplies {
  readonly #matcher: ReplyMatcher;
  readonly #recorder: AnswerRecorder;
  readonly #use: StatementUse;
  readonly #effects: StatementEffects;
  readonly #exchange: OpenExchange;
  readonly #probation: Probation;

  constructor({ matcher, recorder, use, effects, exchange, probation }: StatementRepliesParts) {
    this.#matcher = matcher;
    this.#recorder = recorder;
    this.#use = use;
    this.#effects = effects;
    this.#exchange = exchange;
    this.#probation = probation;
  }

  /** Any reply that the matcher found a frame for, but ReadyForQuery. False: the frame cannot be answered so. */
  take(reply: Reply, type: number, buffer: Uint8Array, start: number, end: number, atUs: number): boolean {
    const matched = this.#matcher.matched as ClientFrame;
    switch (reply) {
      case Reply.parsed:
        this.#use.parsed(matched);
        return true;
      case Reply.bound:
        this.#use.bound(matched);
        return true;
      case Reply.closed:
        this.#use.closed(matched);
        return true;
      case Reply.statementDone:
        return this.#statementDone(type, buffer, start, end, atUs);
      case Reply.failed:
        this.#failed(buffer, start, end, atUs);
        return true;
      default:
        if (type === B.ParameterDescription) this.#use.described(matched);
        return true;
    }
  }

  /** Of a reply too large to hold, its end. `head`: of an error, its beginning. */
  takeLarge(type: number, head: Uint8Array, atUs: number): void {
    if (type === B.FunctionCallResponse) this.#recorder.observe(StatementEnd.FUNCTION, '', '', '', atUs);
    if (type === B.ParameterDescription) this.#use.described(this.#matcher.matched as ClientFrame);
    if (type === B.ErrorResponse) this.#failed(head, 0, head.length, atUs);
  }

  #statementDone(type: number, buffer: Uint8Array, start: number, end: number, atUs: number): boolean {
    const recorder = this.#recorder;
    switch (type) {
      case B.CommandComplete: {
        const tag: Tag = tags.read(buffer, start, end);
        const matched = this.#matcher.matched as ClientFrame;
        if (this.#probation.isOn && !this.#probation.accepts(tag.text, this.#use.textOf(matched))) return false;
        this.#use.completed(tag.kind, matched, this.#matcher.copiedIn);
        recorder.observe(StatementEnd.COMPLETE, tag.text, '', '', atUs);
        return true;
      }
      case B.EmptyQueryResponse:
        recorder.observe(StatementEnd.EMPTY, '', '', '', atUs);
        return true;
      case B.PortalSuspended:
        recorder.observe(StatementEnd.SUSPENDED, '', '', '', atUs);
        return true;
      default:
        recorder.observe(StatementEnd.FUNCTION, '', '', '', atUs);
        return true;
    }
  }

  #failed(frame: Uint8Array, start: number, end: number, atUs: number): void {
    this.#recorder.observe(StatementEnd.ERROR, '', sqlStateOf(frame, start, end), severityOf(frame, start, end), atUs);
    this.#effects.failed();
    const matched = this.#matcher.matched;
    this.#exchange.failedType = matched?.type ?? 0;
    if (matched !== null && matched.type !== F.Sync) this.#use.failed(matched);
  }
}
