import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { decodeResultBatch, encodeResultBatch, type Result } from '@mirrorstream/envelope';
import { DoneLedger } from './done-ledger.ts';

interface Sketch {
  readonly offset: bigint;
  readonly session?: string;
  readonly seq?: bigint;
  readonly lastPart?: boolean;
  readonly sessionEnd?: boolean;
}

function results(...sketches: readonly Sketch[]): readonly Result[] {
  const value = encodeResultBatch({
    environment: 'default',
    mirror: 'm',
    run: 'live',
    results: sketches.map(({ offset, session = '', seq = 0n, lastPart = true, sessionEnd = false }) => ({
      ref: { offset, sessionId: session, sessionSeq: seq, lastPart },
      sessionEnd,
    })),
  });
  return decodeResultBatch(value).results;
}

describe('done ledger', () => {
  it('knows a session’s transactions up to the highest whose last part has a result', () => {
    const done = new DoneLedger();
    for (const result of results(
      { offset: 3n, session: 'a', seq: 4n },
      { offset: 5n, session: 'a', seq: 6n },
      { offset: 9n, session: 'a', seq: 7n, lastPart: false },
    ))
      done.add(result);
    assert.equal(done.transactionDone('a', 5n), true);
    assert.equal(done.transactionDone('a', 6n), true);
    assert.equal(done.transactionDone('a', 7n), false);
    assert.equal(done.transactionDone('b', 1n), false);
    assert.equal(done.upTo, 9n);
  });

  it('knows what a record settled that nobody can decode, by its header', () => {
    const done = new DoneLedger();
    const account = (upTo: bigint, transactions: number, firstSeq: number, lastSeq: number) => ({
      upTo,
      sessions: [{ sessionId: 'a', transactions, firstSeq, lastSeq }],
      anonymous: [{ offset: upTo - 1n, index: 0, transactions: 5 }],
    });
    done.addAccount(account(7n, 2, 3, 4));
    done.addAccount(account(5n, 1, 2, 2));
    assert.deepEqual(
      [4n, 5n, 6n, 7n].map((offset) => done.undecodableDone(offset)),
      [true, false, true, false],
    );
    assert.equal(done.transactionDone('a', 4n), true);
    assert.equal(done.transactionDone('a', 5n), false);
    assert.equal(done.upTo, 7n);
  });

  it('knows ended sessions and undecodable records', () => {
    const done = new DoneLedger();
    for (const result of results({ offset: 3n, session: 'a', lastPart: false, sessionEnd: true }, { offset: 4n }))
      done.add(result);
    assert.equal(done.sessionEndDone('a'), true);
    assert.equal(done.transactionDone('a', 1n), false);
    assert.equal(done.undecodableDone(4n), true);
    assert.equal(done.undecodableDone(3n), false);
  });
});
