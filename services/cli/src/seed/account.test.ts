// Tests of what a seeded mirror has behind it: capture's counters lie before its beginning or behind it, and records tell the difference.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { CaptureSnapshot } from '@mirrorstream/domain';
import { transactionsBefore } from './account.ts';

const place = { source: 'shop', environment: 'default', mirror: 'candidate' };

/** Of one proxy: so many transactions counted, up to that offset of each partition. */
const counted = (transactions: number, publishedUpTo: Record<string, string>): CaptureSnapshot => ({
  kind: 'capture',
  source: 'shop',
  captureNode: 'n',
  incarnation: 'a',
  atMs: 0,
  final: false,
  sessions: { total: 1, open: 1 },
  transactions,
  exchanges: 0,
  bytes: 0,
  dropped: { transactions: 0, bytes: 0, byReason: {} },
  pending: { transactions: 0, bytes: 0 },
  publishedUpTo,
});

/** Offsets 0 to 9 of partition 0, ten transactions each. */
const records = Array.from({ length: 10 }, (_, n) => ({
  ...{ partition: 0, offset: BigInt(n), transactions: 10, incarnation: 'a', number: n + 1 },
}));

describe('transactions before the beginning of a seeded mirror', () => {
  const starts = new Map([[0, 6n]]);

  it('are those capture has counted, less what lies behind the beginning', () => {
    assert.equal(transactionsBefore([counted(90, { 0: '9' })], place, starts, records), 60);
  });

  it('are more than capture had counted, where it said so before the beginning was published', () => {
    assert.equal(transactionsBefore([counted(40, { 0: '4' })], place, starts, records), 60);
    assert.equal(transactionsBefore([counted(0, {})], place, starts, records), 60);
    assert.equal(transactionsBefore([], place, starts, records), 60);
  });

  it('are counted per partition', () => {
    const other = records.map((record) => ({ ...record, partition: 1, number: record.number + 10 }));
    const both = new Map([...starts, [1, 2n]]);
    const found = transactionsBefore([counted(90, { 0: '3', 1: '6' })], place, both, [...records, ...other]);
    assert.equal(found, 60 + 20);
  });

  it('are counted once where a record was sent again', () => {
    const again = { ...(records[5] as (typeof records)[number]), offset: 6n };
    assert.equal(
      transactionsBefore([counted(40, { 0: '4' })], place, new Map([[0, 7n]]), [...records.slice(0, 6), again]),
      60,
    );
  });
});
