// How a transaction ended, by the last statement of its last exchange and the state before: never by the text of its SQL.
import { TransactionOutcome } from '@mirrorstream/envelope';
import type { Status } from './open-exchange.ts';
import type { EndMark } from './statement-effects.ts';

/** Of several server transactions in one envelope (a Query of several, a chain) the last decides, unless a failed one was left behind. */
export function outcomeOf(endMark: EndMark, statusBefore: Status): TransactionOutcome {
  switch (endMark) {
    case 'error':
      return TransactionOutcome.FAILED;
    case 'rollback':
      return statusBefore === 'E' ? TransactionOutcome.FAILED : TransactionOutcome.ROLLED_BACK;
    case 'none':
      // A failed block was rolled back, and more was done since.
      return statusBefore === 'E' ? TransactionOutcome.FAILED : TransactionOutcome.COMMITTED;
    case 'commit':
      return TransactionOutcome.COMMITTED;
    default:
      return endMark satisfies never;
  }
}
