// The exchange under way: which of the client's bytes it is made of, when it was sent, and how it becomes part of its transaction.
import { AnswerStorage, type ObservationDraft, type StatementEnd } from '@mirrorstream/envelope';
import { F } from '@mirrorstream/pg-wire';
import type { Sequencer } from '../sequencer.ts';
import type { AnswerRecorder } from './answer-recorder.ts';
import { CancelNotes } from './cancel-notes.ts';
import { exchangeDraft, type SegmentScope, segmentsOf } from './exchange-draft.ts';
import { isSecret, type RequestIntake, redactionsOf } from './request-intake.ts';
import type { Transaction } from './transaction.ts';

export type Status = '' | 'I' | 'T' | 'E';

const NONE = -1;
const NO_BYTES = new Uint8Array(0);
const NO_OBSERVATIONS: readonly ObservationDraft[] = [];

export class OpenExchange {
  /** Something of the answer was seen. */
  answering = false;
  /** Request log offset of its first byte that is not published; all before belongs to earlier exchanges. */
  from = 0;
  /** The frame that failed. */
  failedType = 0;
  /** Some frame of it that is gone from the list held or used a secret. */
  #secret = false;
  #sentAtUs = NONE;
  readonly #cancels = new CancelNotes();
  /** Replies the session had seen before the first to this exchange. */
  #replyBase = Number.POSITIVE_INFINITY;
  #publishedReplies = Number.POSITIVE_INFINITY;
  readonly #intake: RequestIntake;
  readonly #recorder: AnswerRecorder;
  readonly #transaction: Transaction;
  readonly #sequencer: Sequencer;

  constructor(intake: RequestIntake, recorder: AnswerRecorder, transaction: Transaction, sequencer: Sequencer) {
    this.#intake = intake;
    this.#recorder = recorder;
    this.#transaction = transaction;
    this.#sequencer = sequencer;
  }

  /** The next exchange begins at this offset. */
  reset(from: number): void {
    this.answering = false;
    this.from = from;
    this.failedType = 0;
    this.#secret = false;
    this.#sentAtUs = NONE;
    this.#replyBase = Number.POSITIVE_INFINITY;
    this.#publishedReplies = Number.POSITIVE_INFINITY;
  }

  /** True when this is news. */
  beginAnswer(): boolean {
    if (this.answering) return false;
    this.answering = true;
    this.#recorder.begin(this.#sent());
    return true;
  }

  /** A reply, other than an asynchronous message; the session had seen `replies` before it. */
  replied(replies: number, startedAtUs: number): void {
    if (this.#replyBase !== Number.POSITIVE_INFINITY) return;
    this.#replyBase = replies;
    this.#recorder.firstReplyAtUs = Math.max(1, startedAtUs);
  }

  /** A cancel went by then, for this exchange or one to come. False: for one that is over, and not held any more. */
  cancelled(atUs: number): boolean {
    return this.#transaction.noteCancel(atUs) || this.#cancels.add(atUs);
  }

  /** Capture lost its place: the next exchange begins at the log's beginning. */
  abandon(): void {
    this.#cancels.clear();
    this.reset(0);
  }

  /** Statements among frames [from, to) that got no answer of their own. */
  addWithoutAnswer(from: number, to: number, end: StatementEnd): void {
    if (from < 0) return;
    // The statement whose Parse, Bind or Describe failed has its observation: the error.
    let passed = this.failedType === F.Parse || this.failedType === F.Bind || this.failedType === F.Describe;
    for (let i = from; i < to; i++) {
      const { type } = this.#intake.frames.at(i);
      if (type !== F.Execute && type !== F.Query) continue;
      if (passed && type === F.Execute) passed = false;
      else this.#recorder.add(end);
    }
  }

  /** It is over: the first `count` frames, or what is left of them. An empty status: the connection was lost first. */
  finish(count: number, status: Status, doneAtUs: number): void {
    const { frames } = this.#intake;
    const transaction = this.#transaction;
    const recorder = this.#recorder;
    const { from } = this;
    const to = count > 0 ? Math.max(from, frames.at(count - 1).end) : from;
    const sentAtUs = count > 0 ? this.#sent() : this.#sentAtUs;
    const started = transaction.startedMonoUs;
    const draft = exchangeDraft(transaction.exchangeCount, count > 0 ? frames.at(0) : null, started, sentAtUs);
    draft.segments = segmentsOf(frames, count, this.#scope());
    if (this.answering) {
      // What was answered may repeat the secret.
      if (this.#holdsSecret(count)) recorder.keepDigests();
      recorder.finish();
      const { storage, sizeBytes } = recorder;
      // An empty list stays with the recorder, which fills it in the next exchange.
      const observations = recorder.observations.length > 0 ? recorder.observations : NO_OBSERVATIONS;
      draft.answer = { storage, observations, raw: NO_BYTES, sizeBytes, status };
      if (recorder.firstReplyAtUs > 0) draft.firstReplyUs = Math.max(1, recorder.firstReplyAtUs - started);
    }
    if (status !== '') {
      draft.doneUs = Math.max(1, doneAtUs - started);
      draft.doneSeq = this.#sequencer.next();
    }
    const cancelledAtUs = this.#cancels.take(sentAtUs, status === '' ? Number.POSITIVE_INFINITY : doneAtUs);
    if (cancelledAtUs !== NONE) draft.cancelledAfterUs = Math.max(1, cancelledAtUs - sentAtUs);
    const stored = this.answering && recorder.storage === AnswerStorage.FULL;
    const rawTo = stored ? recorder.rawTo : recorder.rawFrom;
    transaction.add({ draft, sentAtUs, from, to, rawFrom: recorder.rawFrom, rawTo });
    transaction.exchangeCount += 1;
    this.#drop(count);
    this.reset(to);
  }

  /** Adds the first `count` frames, or what is left of them, as a piece that continues. The last may still be coming in. */
  addPiece(count: number): void {
    const { frames } = this.#intake;
    const to = this.#intake.prepareCut(count - 1);
    if (to <= this.from) return;
    const transaction = this.#transaction;
    const draft = exchangeDraft(transaction.exchangeCount, frames.at(0), transaction.startedMonoUs, this.#sent());
    draft.continues = true;
    draft.segments = segmentsOf(frames, count, this.#scope());
    transaction.add({ draft, sentAtUs: this.#sent(), from: this.from, to, rawFrom: 0, rawTo: 0 });
    this.#publishedReplies = frames.at(count - 1).replies;
    this.from = to;
    // What the server is done with goes; the frame it is at stays for its text.
    let done = 0;
    while (done < frames.cursor - 1 && frames.at(done).end <= to) done += 1;
    this.#drop(done);
    frames.mergeCopyData(to);
  }

  /** When its first byte was sent. Remembered, since that frame may go before the exchange ends. */
  #sent(): number {
    if (this.#sentAtUs === NONE) this.#sentAtUs = this.#intake.frames.at(0).sentUs;
    return this.#sentAtUs;
  }

  #scope(): SegmentScope {
    const { startedMonoUs } = this.#transaction;
    return { from: this.from, startedMonoUs, replyBase: this.#replyBase, publishedReplies: this.#publishedReplies };
  }

  #holdsSecret(count: number): boolean {
    const { frames, hadSecrets } = this.#intake;
    if (!hadSecrets) return false;
    for (let i = 0; i < count; i++) if (isSecret(frames.at(i))) return true;
    return this.#secret;
  }

  #drop(count: number): void {
    const { frames } = this.#intake;
    for (let i = 0; i < count; i++) {
      this.#transaction.redactions += redactionsOf(frames.at(i));
      this.#secret ||= isSecret(frames.at(i));
    }
    frames.drop(count);
  }
}
