import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type EnvelopeBatch, encodeResultBatch, ResultOutcome } from '@mirrorstream/envelope';
import { SettledTransactions, unsettledOf } from './settled.ts';

const results = (...of: readonly (readonly [session: string, seq: bigint, offset: bigint, lastPart?: boolean])[]) => ({
  headers: {},
  value: Buffer.from(
    encodeResultBatch({
      ...{ environment: 'default', mirror: 'm', run: 'live', replayer: 'r', partition: 0 },
      results: of.map(([sessionId, sessionSeq, offset, lastPart = true]) => ({
        ref: { offset, index: 0, sessionId, sessionSeq, part: 0, lastPart },
        outcome: ResultOutcome.REPLAYED,
        transactions: 1,
      })),
    }),
  ),
});

const captured = (...of: readonly (readonly [session: string, seq: bigint, lastPart?: boolean])[]) =>
  ({
    records: of.map(([sessionId, sessionSeq, lastPart = true]) => ({
      record: { case: 'envelope', value: { sessionId, sessionSeq, part: 0, lastPart } },
    })),
  }) as unknown as EnvelopeBatch;

describe('what the results of a partition leave open', () => {
  it('is each whole transaction that no result is about, in holes too', () => {
    const settled = new SettledTransactions();
    settled.take(results(['a', 1n, 5n], ['a', 2n, 5n], ['b', 1n, 6n], ['a', 5n, 9n], ['b', 2n, 9n, false]));
    const open = unsettledOf(
      { offset: 7n, headers: {} },
      captured(['a', 2n], ['a', 3n], ['a', 4n], ['a', 5n], ['b', 2n], ['b', 3n, false], ['c', 1n]),
      settled,
    );
    assert.deepEqual(
      open.map(({ sessionId, sessionSeq, index, offset }) => [sessionId, sessionSeq, index, offset]),
      [
        ['a', 3n, 1, 7n],
        ['a', 4n, 2, 7n],
        ['b', 2n, 4, 7n],
        ['c', 1n, 6, 7n],
      ],
    );
    assert.equal(settled.lowestOffset, 5n);
  });

  it('is not what a record that nobody can decode says it settles', () => {
    const settled = new SettledTransactions();
    const settles = JSON.stringify({ upTo: '9', sessions: { a: [2, 3, 4] }, anonymous: [['8', 0, 5]] });
    settled.take({ value: Buffer.from('spoiled'), headers: { settles } });
    settled.take({ value: Buffer.from('spoiled'), headers: {} });
    const spoiled = (offset: bigint) => unsettledOf({ offset, headers: { transactions: '5' } }, null, settled);
    assert.deepEqual(spoiled(8n), []);
    assert.deepEqual(
      spoiled(9n).map(({ transactions }) => transactions),
      [5],
    );
    const open = unsettledOf({ offset: 7n, headers: {} }, captured(['a', 3n], ['a', 4n], ['a', 5n]), settled);
    assert.deepEqual(
      open.map(({ sessionSeq }) => sessionSeq),
      [5n],
    );
  });
});
