// The books of an incarnation that died: what the topic shows counts, once, and what it had seen beyond that is dropped.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { create, toBinary } from '@bufbuild/protobuf';
import type { CaptureSnapshot } from '@mirrorstream/domain';
import { EnvelopeBatchSchema } from '@mirrorstream/envelope';
import { finalSnapshot, IncarnationCount, unfinished } from './predecessors.ts';

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

describe('predecessors', () => {
  it('are earlier incarnations of the same node and source without a final snapshot', () => {
    const search = { source: 's', captureNode: 'n', incarnation: 'new' };
    const snapshots = [
      last,
      { ...last, incarnation: 'new' },
      { ...last, incarnation: 'done', final: true },
      { ...last, captureNode: 'other' },
      { ...last, source: 'other' },
    ];
    assert.deepEqual(unfinished(snapshots, search), [last]);
  });

  it('get what the topic shows beyond their last snapshot; what was pending beyond that is dropped', () => {
    const snapshot = finalSnapshot(last, { transactions: 1, exchanges: 2, undecodable: 0 }, 9);
    assert.deepEqual(snapshot, {
      ...last,
      atMs: 9,
      final: true,
      sessions: { total: 3, open: 0 },
      transactions: 101,
      exchanges: 152,
      dropped: { transactions: 8, bytes: 50, byReason: { ringFull: 5, workerRestart: 3 } },
      pending: { transactions: 0, bytes: 0 },
    });
  });

  it('get nothing dropped when more was published than the last snapshot had seen', () => {
    const { transactions, dropped } = finalSnapshot(last, { transactions: 9, exchanges: 9, undecodable: 0 }, 9);
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
});
