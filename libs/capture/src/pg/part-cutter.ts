// Keeps what a session holds within bounds: a large or long transaction leaves in parts, copy messages that nobody will read are dropped.
import type { CaptureLimits } from '../limits.ts';
import type { AnswerRecorder } from './answer-recorder.ts';
import type { OpenExchange } from './open-exchange.ts';
import { isCopyData, type ReplyMatcher } from './reply-matcher.ts';
import type { RequestIntake } from './request-intake.ts';
import type { Transaction } from './transaction.ts';

/** A part is cut when this share of its size is waiting: one more exchange will usually still fit. */
const CUT_AT_SHARE = 0.75;
/** A request under way is published in pieces when this share of a part is there. */
const PIECE_SHARE = 0.25;

export interface PartCutterParts {
  readonly limits: CaptureLimits;
  readonly intake: RequestIntake;
  readonly recorder: AnswerRecorder;
  readonly matcher: ReplyMatcher;
  readonly transaction: Transaction;
  readonly exchange: OpenExchange;
}

export class PartCutter {
  /** The server said ReadyForQuery once: what is sent outside of a transaction gets no reply. */
  ready = false;
  /** The frame coming in is a stray copy message of which bytes were dropped. */
  strayTail = false;
  readonly #limits: CaptureLimits;
  readonly #intake: RequestIntake;
  readonly #recorder: AnswerRecorder;
  readonly #matcher: ReplyMatcher;
  readonly #transaction: Transaction;
  readonly #exchange: OpenExchange;

  constructor({ limits, intake, recorder, matcher, transaction, exchange }: PartCutterParts) {
    this.#limits = limits;
    this.#intake = intake;
    this.#recorder = recorder;
    this.#matcher = matcher;
    this.#transaction = transaction;
    this.#exchange = exchange;
  }

  /** Bytes kept for what is not published. */
  get unpublishedBytes(): number {
    const { log, frames } = this.#intake;
    return log.sizeBytes + this.#recorder.log.sizeBytes + frames.costBytes + this.#transaction.costBytes;
  }

  /** Publishes a part when enough is waiting. False: more is kept than a session may keep. */
  checkSize(atUs: number): boolean {
    if (this.unpublishedBytes < this.#limits.partBytes * CUT_AT_SHARE) return true;
    if (this.ready && !this.#transaction.open) this.dropStrays();
    if (this.#transaction.open) this.#cut(atUs, this.#limits.partBytes * PIECE_SHARE);
    return this.unpublishedBytes <= this.#limits.sessionBufferBytes;
  }

  /** Publishes a part when it is old enough. */
  tick(atUs: number): void {
    const transaction = this.#transaction;
    if (!transaction.open || atUs - transaction.partAtUs < this.#limits.partAgeUs) return;
    const copying = this.#matcher.mode === 'copyInQuery' || this.#matcher.mode === 'copyInExecute';
    if (transaction.hasFinished || copying) this.#cut(atUs, copying ? 1 : Number.POSITIVE_INFINITY);
  }

  /**
   * A failed COPY can leave gigabytes of copy messages under way, eaten by the server in silence. A few are kept with the next
   * transaction; these are too many. One that is still coming in goes when it ends.
   */
  dropStrays(): void {
    const { frames, log } = this.#intake;
    // Others without a reply the server did read: they are told, in an envelope or as a gap.
    for (let i = 0; i < frames.count; i++) if (!isCopyData(frames.at(i).type)) return;
    this.strayTail = frames.incomplete;
    if (this.strayTail) frames.drop(frames.count - 1);
    else frames.clear();
    log.dropTo(log.end);
    this.#exchange.from = log.end;
  }

  /** Publishes what is finished, and of the request under way what certainly belongs to it if that is `leastBytes` or more. */
  #cut(atUs: number, leastBytes: number): void {
    const { frames, log } = this.#intake;
    const certain = this.#matcher.certainEnd();
    const available = certain > 0 ? frames.at(certain - 1).end - this.#exchange.from : 0;
    if (available >= leastBytes) this.#exchange.addPiece(certain);
    if (!this.#transaction.hasFinished) return;
    this.#transaction.publishPart(atUs);
    log.dropTo(this.#exchange.from);
    this.#recorder.log.dropTo(this.#exchange.answering ? this.#recorder.rawFrom : this.#recorder.log.end);
  }
}
