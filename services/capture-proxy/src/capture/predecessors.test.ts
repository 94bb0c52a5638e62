// The books of an incarnation that died: what the topic shows counts, once, and what it had seen beyond that is dropped.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { create, toBinary } from '@bufbuild/protobuf';
import type { CaptureSnapshot } from '@mirrorstream/domain';
import { EnvelopeBatchSchema } from '@mirrorstream/envelope';
import { InheritedBooks } from './inherited-books.ts';
import { IncarnationCount, unfinished } from './predecessors.ts';

const last: CaptureSnapshot = {
  kind: 'capture',
  source: 's',
  captureNode: 'n',
  incarnation: 'old',
  atMs: 1,
  final: false,
  sessions: { total: 3, open: 2 },
  transactions: 100,
  exchanges: 150,
  bytes: 1_000,
  dropped: { transactions: 5, bytes: 50, byReason: { ringFull: 5 } },
  pending: { transactions: 4, bytes: 400 },
  publishedUpTo: { '0': '10' },
};

const books = (found: { transactions: number; exchanges: number; records?: ReadonlyMap<number, number> }) =>
  new InheritedBooks(last, { undecodable: 0, records: new Map(), ...found }, [{ partition: 0, low: 0n, high: 12n }]);

const spooled = (number: number, transactions = 1) => ({
  partition: 0,
  number,
  transactions,
  exchanges: 2,
  sizeBytes: 100,
});

describe('predecessors', () => {
  it('are earlier incarnations of the same node and source without a final snapshot', () => {
    const search = { source: 's', captureNode: 'n', incarnation: 'new', worker: 0, workers: 2 };
    const snapshots = [
      last,
      { ...last, incarnation: 'new' },
      { ...last, incarnation: 'done', final: true },
      { ...last, captureNode: 'other' },
      { ...last, source: 'other' },
    ];
    assert.deepEqual(unfinished(snapshots, search), [last]);
  });

  it('of other workers are left to those; of workers that exist no more, to the first', () => {
    const of = (worker: number) => ({ ...last, incarnation: `of-${worker}`, worker });
    const heirs = (worker: number) =>
      unfinished([of(0), of(1), of(2)], { source: 's', captureNode: 'n', incarnation: 'new', worker, workers: 2 }).map(
        ({ incarnation }) => incarnation,
      );
    assert.deepEqual([heirs(0), heirs(1)], [['of-0', 'of-2'], ['of-1']]);
  });

  it('get what the topic shows beyond their last snapshot; what was pending beyond that is dropped', () => {
    const snapshot = books({ transactions: 1, exchanges: 2 }).final(9);
    assert.deepEqual(snapshot, {
      ...last,
      atMs: 9,
      final: true,
      sessions: { total: 3, open: 0 },
      transactions: 101,
      exchanges: 152,
      dropped: { transactions: 8, bytes: 50, byReason: { ringFull: 5, workerRestart: 3 } },
      pending: { transactions: 0, bytes: 0 },
      publishedUpTo: { '0': '12' },
      settledRecords: {},
    });
  });

  it('get nothing dropped when more was published than the last snapshot had seen', () => {
    const { transactions, dropped } = books({ transactions: 9, exchanges: 9 }).final(9);
    assert.deepEqual([transactions, dropped], [109, last.dropped]);
  });

  it('are counted from where their last snapshot ends, a repeated request once, an unreadable record by its header', () => {
    const count = new IncarnationCount(last);
    const record = (offset: bigint, ...seqs: bigint[]) => ({
      offset,
      timestampMs: 0,
      key: null,
      headers: { transactions: String(seqs.length) },
      value: Buffer.from(
        toBinary(
          EnvelopeBatchSchema,
          create(EnvelopeBatchSchema, {
            schemaVersion: 1,
            source: 's',
            captureNode: 'n',
            incarnation: 'old',
            records: seqs.map((sessionSeq) => ({
              record: {
                case: 'envelope' as const,
                value: { sessionId: 'x', sessionSeq, lastPart: sessionSeq !== 4n, exchanges: [{}] },
              },
            })),
          }),
        ),
      ),
    });
    count.add(0, record(9n, 1n));
    count.add(0, record(10n, 2n, 3n));
    count.add(0, record(11n, 2n, 3n));
    count.add(0, record(12n, 4n));
    count.add(1, { ...record(0n, 1n, 1n), value: Buffer.from('garbage') });
    assert.deepEqual(
      { transactions: count.transactions, exchanges: count.exchanges, undecodable: count.undecodable },
      { transactions: 4, exchanges: 3, undecodable: 1 },
    );
  });

  it('count a numbered record once, whatever its offset, and none that their last snapshot had settled', () => {
    const count = new IncarnationCount({ ...last, publishedUpTo: {}, settledRecords: { '0': 5 } });
    for (const [offset, number] of [5, 6, 7, 6, 7, 8].entries()) {
      const headers = { transactions: '2', record: String(number) };
      count.add(0, { offset: BigInt(offset), timestampMs: 0, key: null, headers, value: Buffer.from('garbage') });
    }
    assert.deepEqual([count.transactions, [...count.records]], [6, [[0, 8]]]);
  });

  it('get what their spool still delivers, each record once, and leave books that a next successor can go on with', () => {
    const inherited = books({ transactions: 1, exchanges: 1, records: new Map([[0, 7]]) });
    assert.deepEqual(
      [7, 8].map((number) => inherited.isSettled(spooled(number))),
      [true, false],
    );
    inherited.acknowledged(spooled(8), 20n);
    inherited.refused(spooled(9));
    const between = inherited.snapshot(5);
    assert.deepEqual(
      [between.final, between.transactions, between.dropped.transactions, between.pending.transactions],
      [false, 102, 6, 1],
    );
    assert.deepEqual([between.publishedUpTo, between.settledRecords], [{ '0': '21' }, { '0': 9 }]);
    const nothing = { transactions: 0, exchanges: 0, undecodable: 0, records: new Map() };
    const next = new InheritedBooks(between, nothing, [{ partition: 0, low: 0n, high: 21n }]);
    assert.equal(next.isSettled(spooled(9)), true);
    next.acknowledged(spooled(10, 3), 21n);
    const end = next.final(6);
    assert.deepEqual([end.transactions, end.dropped.byReason], [105, { ringFull: 5, recordRefused: 1 }]);
  });
});
