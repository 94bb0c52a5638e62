// A result of transactions that nobody can name: it counts them, and says nothing else of them.
import { TransactionOutcome } from './gen/mirrorstream/v1/envelope_pb.ts';

/** What all such results have in common. `at`: of the envelopes' record, or beyond its last envelope. */
export const anonymousResult = (at: { readonly offset: bigint; readonly index: number }, transactions: number) => ({
  ref: { ...at, sessionId: '', sessionSeq: 0n, part: 0, lastPart: true },
  capturedAtUs: 0n,
  scheduledAtUs: 0n,
  sentAtUs: 0n,
  doneAtUs: 0n,
  statements: [],
  capturedOutcome: TransactionOutcome.UNSPECIFIED,
  replayedOutcome: TransactionOutcome.UNSPECIFIED,
  transactions,
  sessionEnd: false,
});
