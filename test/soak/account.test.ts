// The account finds what is missing, what is too much and what nobody saw.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { CaptureSnapshot } from '@mirrorstream/domain';
import {
  BatchEncoder,
  type CaptureRecordDraft,
  decodeEnvelopeBatch,
  type EnvelopeBatch,
  GapReason,
  TransactionOutcome,
} from '@mirrorstream/envelope';
import { Account } from './account.ts';
import type { ConnectionReport } from './recorder.ts';

const context = {
  ...{ database: 'd', user: 'u', protocolVersion: 196_608, settings: [], statements: [] },
  startupParameters: [{ name: 'application_name', value: 'soak-1' }],
};
const start: CaptureRecordDraft = {
  ...({ kind: 'sessionStart', sessionId: 's', atUs: 1, monoUs: 1, samplingDraw: 0, context } as const),
};
const end: CaptureRecordDraft = {
  kind: 'sessionEnd',
  sessionId: 's',
  atUs: 1,
  monoUs: 1,
  lastSeq: 2,
  terminated: true,
};
const transaction = (sessionSeq: number, requestBytes = 10): CaptureRecordDraft => ({
  ...{ kind: 'envelope', sessionId: 's', sessionSeq, part: 0, lastPart: true, startedAtUs: 1, startedMonoUs: 1 },
  ...{ samplingDraw: 0, context: null, writes: false, dependsOnSession: [], redactions: 0 },
  outcome: TransactionOutcome.COMMITTED,
  exchanges: [
    {
      ...{ index: 0, continues: false, request: new Uint8Array(requestBytes), segments: [], sentUs: 0 },
      ...{ firstReplyUs: 1, doneUs: 1, afterSeq: 0, doneSeq: sessionSeq, answer: null, cancelledAfterUs: 0 },
    },
  ],
});
const gap = (transactions: number, transactionsExact: boolean): CaptureRecordDraft => ({
  ...{ kind: 'gap', sessionId: 's', atUs: 1, reason: GapReason.PUBLISH_BUFFER_FULL, sizeBytes: 9, afterSeq: 1 },
  ...{ transactions, transactionsExact },
});

function batch(drafts: readonly CaptureRecordDraft[]): EnvelopeBatch {
  const origin = { source: 's', captureNode: 'n', incarnation: 'i', worker: 0, partition: 0 };
  const encoder = new BatchEncoder(origin);
  for (const draft of drafts) encoder.add(draft);
  return decodeEnvelopeBatch(encoder.take());
}

const connection: ConnectionReport = {
  ...{ name: 'soak-1', proxy: 'first', endedBy: 'client', upBytes: 55, downBytes: 99, startupBytes: 30 },
  ...{ terminateBytes: 5, transactions: 2, clean: true },
};

const books = (transactions: number, dropped = 0): CaptureSnapshot => ({
  ...{ kind: 'capture', source: 's', captureNode: 'n', incarnation: 'i', atMs: 1, final: true },
  ...{ sessions: { total: 1, open: 0 }, transactions, exchanges: 2, bytes: 1, publishedUpTo: {} },
  ...{ dropped: { transactions: dropped, bytes: 0, byReason: {} }, pending: { transactions: 0, bytes: 0 } },
});

function violations(
  drafts: readonly CaptureRecordDraft[],
  snapshot: CaptureSnapshot,
  report: Partial<ConnectionReport> = {},
): readonly string[] {
  const account = new Account();
  account.add(batch(drafts));
  return account.settle([{ ...connection, ...report }], [snapshot]).violations;
}

describe('the account of a soak', () => {
  const whole = [start, transaction(1), transaction(2), end];

  it('is settled when every transaction and every byte was captured, repeated records or not', () => {
    assert.deepEqual(violations(whole, books(2)), []);
    assert.deepEqual(violations([...whole, transaction(2)], books(2)), []);
    assert.deepEqual(violations([start, transaction(1), gap(1, true), end], books(1, 1)), []);
  });

  it('finds a transaction or a byte that is missing or too much', () => {
    assert.match(violations([start, transaction(1, 20), end], books(1)).join(), /1 captured or told as missing of 2/);
    assert.match(violations([start, transaction(1), transaction(2, 9), end], books(2)).join(), /19 request bytes/);
    assert.match(violations([start, transaction(1), transaction(2, 11), end], books(2)).join(), /21 bytes captured/);
    assert.match(violations([...whole.slice(0, 3), transaction(3, 0), end], books(3)).join(), /3 captured/);
    assert.match(violations([start, transaction(1), transaction(2)], books(2)).join(), /its end was not captured/);
    assert.match(violations([], books(0)).join(), /nothing of it was captured/);
    assert.match(violations(whole, books(2), { name: 'soak-2' }).join(), /no such connection/);
  });

  it('allows a connection that was cut off one transaction more, and no more', () => {
    assert.deepEqual(violations(whole, books(2), { clean: false, transactions: 1 }), []);
    assert.match(violations(whole, books(2), { clean: false, transactions: 0 }).join(), /2 captured or told/);
  });

  it('finds counters that do not agree with the topic, and books that are not closed', () => {
    assert.match(violations(whole, books(3)).join(), /say 3 captured, the topic holds 2/);
    assert.match(violations(whole, books(2, 1)).join(), /say 1 dropped, gaps tell of 0/);
    assert.match(violations(whole, { ...books(2), final: false }).join(), /has not closed its books/);
  });
});
