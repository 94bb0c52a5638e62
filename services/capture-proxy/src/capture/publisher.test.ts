// Nothing is lost unsaid: every transaction handed in is acknowledged, pending or dropped, and what was dropped is told as a gap.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  type CaptureRecordDraft,
  decodeEnvelopeBatch,
  type EnvelopeBatch,
  type EnvelopeDraft,
  GapReason,
  TransactionOutcome,
} from '@mirrorstream/envelope';
import { Ledger } from './ledger.ts';
import { type CaptureRecord, Publisher } from './publisher.ts';

const envelope = (sessionId: string, sessionSeq: number, lastPart = true): EnvelopeDraft => ({
  kind: 'envelope',
  sessionId,
  sessionSeq,
  part: 0,
  lastPart,
  startedAtUs: 1,
  startedMonoUs: 1,
  samplingDraw: 0.5,
  context: null,
  exchanges: [
    {
      index: 0,
      continues: false,
      request: Buffer.from('request'),
      segments: [],
      sentUs: 0,
      firstReplyUs: 1,
      doneUs: 2,
      afterSeq: 0,
      doneSeq: sessionSeq,
      answer: null,
      cancelledAfterUs: 0,
    },
  ],
  outcome: TransactionOutcome.COMMITTED,
  writes: false,
  dependsOnSession: [],
  redactions: 0,
});

const owner = (sessionId: string, partition: number) => ({ sessionId, partition });
const first = owner('a', 0);
const second = owner('b', 1);

function fixture(recordBytes = 64 * 1024) {
  const offered: CaptureRecord[] = [];
  const gate = { open: true, room: true };
  const ledger = new Ledger();
  const publisher = new Publisher(
    {
      topic: 't.envelopes',
      origin: { source: 't', captureNode: 'n', incarnation: 'i', worker: 0 },
      partitions: 2,
      recordBytes,
      lingerUs: 5_000,
      maxPooledBytes: 0,
      maxGapSessions: 2,
      wallUsAtMonoZero: 0,
    },
    {
      offer: (record) => {
        if (!gate.open) return GapReason.PUBLISH_BUFFER_FULL;
        offered.push(record);
        return 'accepted';
      },
      refusal: () => (gate.room ? null : GapReason.PUBLISH_BUFFER_FULL),
    },
    ledger,
  );
  const snapshot = () =>
    ledger.snapshot({
      source: 't',
      captureNode: 'n',
      incarnation: 'i',
      worker: 0,
      process: null,
      atMs: 0,
      final: false,
      sessions: { total: 0, open: 0 },
      bytes: 0,
      openTransactions: 0,
      backlogBytes: 0,
      ringDroppedBytes: 0,
    });
  /** Kafka acknowledges everything offered so far. */
  const acknowledge = () => {
    for (const [i, record] of offered.splice(0).entries()) ledger.acknowledged(record, record.partition, BigInt(i));
  };
  return { offered, gate, ledger, publisher, snapshot, acknowledge };
}

const batchOf = (record: CaptureRecord | undefined): EnvelopeBatch => {
  assert.ok(record?.value);
  return decodeEnvelopeBatch(record.value);
};

const reasonName = (reason: GapReason): string | undefined =>
  Object.entries(GapReason).find(([, value]) => value === reason)?.[0];

const lines = (batch: EnvelopeBatch): string[] =>
  batch.records.map(({ record }) => {
    if (record.case === 'envelope') return `${record.value.sessionId} ${record.value.sessionSeq}`;
    if (record.case !== 'gap') return record.case ?? 'unknown';
    const { sessionId, reason, transactions, afterSeq } = record.value;
    return `gap ${sessionId || '*'} ${reasonName(reason)} ${transactions} after ${afterSeq}`;
  });

describe('the publisher', () => {
  it('gathers drafts per partition until the oldest is old enough, and says in the headers how many transactions there are', () => {
    const { offered, publisher } = fixture();
    publisher.add(first, envelope('a', 1), 1_000);
    publisher.add(second, envelope('b', 1), 2_000);
    publisher.add(first, envelope('a', 2, false), 3_000);
    publisher.tick(5_999);
    assert.equal(offered.length, 0);
    publisher.tick(6_000);
    assert.deepEqual(
      offered.map(({ partition, headers }) => [partition, headers]),
      [
        [0, { transactions: '1', schema: '1', incarnation: 'i', record: '1' }],
        [1, { transactions: '1', schema: '1', incarnation: 'i', record: '1' }],
      ],
    );
    assert.deepEqual(lines(batchOf(offered[1])), ['b 1']);
    assert.equal(batchOf(offered[1]).partition, 1);
  });

  it('cuts a record at its size without waiting', () => {
    const { offered, publisher } = fixture(100);
    for (let seq = 1; seq <= 10; seq++) publisher.add(first, envelope('a', seq), 0);
    assert.ok(offered.length > 2);
  });

  it('counts what the buffer refuses, and tells one gap per session when there is room, before anything newer', () => {
    const { offered, gate, publisher, snapshot, acknowledge } = fixture();
    publisher.add(first, envelope('a', 1), 0);
    publisher.flushAll(0);
    gate.open = false;
    gate.room = false;
    for (const seq of [2, 3]) {
      publisher.add(first, envelope('a', seq), 0);
      publisher.tick(10_000);
    }
    gate.open = true;
    publisher.add(first, envelope('a', 4), 10_000);
    publisher.tick(20_000);
    assert.equal(offered.length, 1, 'no room was announced: still closed');
    gate.room = true;
    publisher.add(first, envelope('a', 5), 20_000);
    publisher.tick(30_000);
    assert.deepEqual(
      offered.map((record) => lines(batchOf(record))),
      [['a 1'], ['gap a PUBLISH_BUFFER_FULL 3 after 1'], ['a 5']],
    );
    assert.equal(offered[1]?.headers?.['transactions'], '0');
    assert.equal(snapshot().pending.transactions, 2);
    acknowledge();
    const { transactions, exchanges, dropped, pending } = snapshot();
    assert.deepEqual([transactions, exchanges, pending], [2, 2, { transactions: 0, bytes: 0 }]);
    assert.equal(dropped.transactions, 3);
    assert.deepEqual(dropped.byReason, { publishBufferFull: 3 });
  });

  it('tells of a session whose end there was no room for, though no transaction went with it', () => {
    const { offered, gate, publisher, snapshot } = fixture();
    publisher.add(first, envelope('a', 1), 0);
    publisher.flushAll(0);
    gate.open = false;
    const end = { kind: 'sessionEnd', sessionId: 'a', atUs: 1, monoUs: 1, lastSeq: 1, terminated: true } as const;
    publisher.add(first, end, 10_000);
    publisher.tick(20_000);
    gate.open = true;
    publisher.tick(30_000);
    assert.deepEqual(
      offered.map((record) => lines(batchOf(record))),
      [['a 1'], ['gap a PUBLISH_BUFFER_FULL 0 after 1']],
    );
    assert.deepEqual([snapshot().dropped.transactions, snapshot().pending.transactions], [0, 1]);
  });

  it('tells gaps of many sessions together once there are more than it keeps apart', () => {
    const { offered, gate, publisher, snapshot } = fixture();
    gate.open = false;
    for (const id of ['a', 'b', 'c', 'd']) publisher.add(owner(id, 0), envelope(id, 7), 0);
    publisher.flushAll(0);
    gate.open = true;
    publisher.tick(0);
    assert.deepEqual(lines(batchOf(offered[0])), [
      'gap a PUBLISH_BUFFER_FULL 1 after 6',
      'gap b PUBLISH_BUFFER_FULL 1 after 6',
      'gap * PUBLISH_BUFFER_FULL 2 after 0',
    ]);
    assert.equal(snapshot().dropped.transactions, 4);
  });

  it('tells of a record that came back from the spool and was then refused what it tells of any other', () => {
    const told = (again: (record: CaptureRecord) => CaptureRecord): string[] => {
      const { offered, publisher } = fixture();
      for (const seq of [4, 5]) publisher.add(first, envelope('a', seq), 0);
      publisher.add(owner('b', 0), envelope('b', 1, false), 0);
      publisher.flushAll(0);
      publisher.lost(again(offered.splice(0)[0] as CaptureRecord), GapReason.RECORD_REFUSED);
      publisher.tick(0);
      return lines(batchOf(offered[0]));
    };
    const readBack = ({ entries: _, ...record }: CaptureRecord): CaptureRecord => record;
    const expected = ['gap a RECORD_REFUSED 2 after 3', 'gap b RECORD_REFUSED 0 after 0'];
    assert.deepEqual(
      told((record) => record),
      expected,
    );
    assert.deepEqual(told(readBack), expected);
  });

  it('does not lose a gap that was itself refused, and counts it once', () => {
    const { offered, gate, publisher, snapshot } = fixture();
    const gap: CaptureRecordDraft = {
      kind: 'gap',
      sessionId: 'a',
      atUs: 0,
      reason: GapReason.RING_FULL,
      transactions: 4,
      sizeBytes: 100,
      afterSeq: 9,
      transactionsExact: false,
    };
    gate.open = false;
    publisher.add(first, gap, 0);
    publisher.flushAll(0);
    gate.open = true;
    publisher.tick(0);
    assert.deepEqual(lines(batchOf(offered[0])), ['gap a RING_FULL 4 after 9']);
    assert.deepEqual(snapshot().dropped.byReason, { ringFull: 4, publishBufferFull: 0 });
  });

  it('sends a heartbeat to every partition, behind what was added before it', () => {
    const { offered, publisher } = fixture();
    publisher.add(second, envelope('b', 1), 0);
    assert.equal(publisher.hadTraffic, true);
    publisher.heartbeat({ monoUs: 40, doneSeq: 12 }, 50);
    assert.equal(publisher.hadTraffic, false);
    publisher.add(second, envelope('b', 2), 60);
    publisher.flushAll(70);
    const byPartition = offered.toSorted((a, b) => a.partition - b.partition);
    assert.deepEqual(
      byPartition.map((record) => lines(batchOf(record))),
      [['heartbeat'], ['b 1', 'heartbeat', 'b 2']],
    );
    const { record } = batchOf(byPartition[0]).records[0] ?? {};
    assert.ok(record?.case === 'heartbeat');
    const { monoUs, doneSeq, last } = record.value;
    assert.deepEqual([monoUs, doneSeq, last], [40n, 12n, false]);
  });

  it('sends no heartbeat while nothing is accepted, and counts none as dropped', () => {
    const { offered, gate, publisher, snapshot } = fixture();
    gate.open = false;
    gate.room = false;
    publisher.add(first, envelope('a', 1), 0);
    publisher.flushAll(0);
    const { bytes } = snapshot().dropped;
    publisher.heartbeat({ monoUs: 40, doneSeq: 12 }, 50);
    publisher.tick(100_000);
    assert.equal(offered.length, 0);
    assert.equal(snapshot().dropped.bytes, bytes);
  });
});
