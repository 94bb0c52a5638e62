// What holds of every captured session, whoever the client: each transaction is whole, ended, answered, and in sequence.
import assert from 'node:assert/strict';
import type { CapturedSession } from './capture-log.ts';
import { wholeExchanges } from './notation.ts';

/** Nothing was taken out either: no case has a secret in its SQL. */
export function checkAccounts(sessions: readonly CapturedSession[]): void {
  assert.ok(sessions.length > 0, 'no session was captured');
  for (const { transactions } of sessions) {
    transactions.forEach((parts, i) => {
      assert.equal(parts[0]?.sessionSeq, BigInt(i + 1));
      assert.deepEqual(
        parts.map(({ part, lastPart, redactions }) => ({ part, lastPart, redactions })),
        parts.map((_, part) => ({ part, lastPart: part === parts.length - 1, redactions: 0 })),
      );
      assert.ok(
        wholeExchanges(parts).every(({ isAnswered }) => isAnswered),
        'an exchange has no answer',
      );
    });
  }
}
