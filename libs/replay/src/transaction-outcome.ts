// How a transaction ended, from what its statements answered: the tags and the last status decide, not the SQL text.
import { type ObservationDraft, StatementEnd, TransactionOutcome } from '@mirrorstream/envelope';

/** Collects the answers of a transaction's exchanges, in order. */
export class OutcomeTally {
  /** A statement that production's client cancelled went on here: what follows in the transaction differs by that. */
  cancelMissed = false;
  #failed = false;
  #lastTag = '';
  #unanswered = false;

  /** `answered`: the exchange ended in ReadyForQuery. */
  add(observations: readonly ObservationDraft[], answered: boolean): void {
    for (const { end, commandTag } of observations) {
      if (end === StatementEnd.ERROR) this.#failed = true;
      if (end === StatementEnd.COMPLETE) this.#lastTag = commandTag;
      if (end === StatementEnd.ERROR) this.#lastTag = '';
    }
    if (!answered) this.#unanswered = true;
  }

  /** It begins anew. */
  reset(): void {
    this.cancelMissed = false;
    this.#failed = false;
    this.#lastTag = '';
    this.#unanswered = false;
  }

  outcome(): TransactionOutcome {
    if (this.#unanswered) return TransactionOutcome.UNKNOWN;
    if (this.#failed && this.#lastTag !== 'COMMIT') return TransactionOutcome.FAILED;
    return this.#lastTag === 'ROLLBACK' ? TransactionOutcome.ROLLED_BACK : TransactionOutcome.COMMITTED;
  }
}
