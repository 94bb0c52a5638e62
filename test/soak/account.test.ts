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
import { type Incident, type Settlement, settle } from './settlement.ts';

const context = {
  ...{ database: 'd', user: 'u', protocolVersion: 196_608, settings: [], statements: [] },
  startupParameters: [{ name: 'application_name', value: 'soak-1' }],
};
const start: CaptureRecordDraft = {
  ...({ kind: 'sessionStart', sessionId: 's', atUs: 1, monoUs: 1, samplingDraw: 0, context } as const),
};
const end: CaptureRecordDraft = {
  ...({ kind: 'sessionEnd', sessionId: 's', atUs: 1, monoUs: 1, lastSeq: 2, terminated: true } as const),
};
/** The same of the session that a new worker makes of the connection. */
const again = (draft: CaptureRecordDraft): CaptureRecordDraft => ({ ...draft, sessionId: 't' }) as CaptureRecordDraft;
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
const gap = (
  transactions: number,
  transactionsExact: boolean,
  reason: GapReason = GapReason.PUBLISH_BUFFER_FULL,
): CaptureRecordDraft => ({
  ...{ kind: 'gap', sessionId: 's', atUs: 1, reason, sizeBytes: 9, afterSeq: 1 },
  ...{ transactions, transactionsExact },
});

function batch(drafts: readonly CaptureRecordDraft[], incarnation = 'i'): EnvelopeBatch {
  const origin = { source: 's', captureNode: 'n', incarnation, worker: 0, partition: 0 };
  const encoder = new BatchEncoder(origin);
  for (const draft of drafts) encoder.add(draft);
  return decodeEnvelopeBatch(encoder.take());
}

const connection: ConnectionReport = {
  ...{ name: 'soak-1', proxy: 'first', endedBy: 'client', upBytes: 55, downBytes: 99, startupBytes: 30 },
  ...{ terminateBytes: 5, transactions: 2, openedMs: 100, endedMs: 200, transactionsWhenBack: null, clean: true },
};

const books = (transactions: number, dropped = 0): CaptureSnapshot => ({
  ...{ kind: 'capture', source: 's', captureNode: 'n', incarnation: 'i', atMs: 1, final: true },
  ...{ sessions: { total: 1, open: 0 }, transactions, exchanges: 2, bytes: 1, publishedUpTo: {} },
  ...{ dropped: { transactions: dropped, bytes: 0, byReason: {} }, pending: { transactions: 0, bytes: 0 } },
});

interface Scene {
  readonly drafts: readonly CaptureRecordDraft[];
  /** Of a second incarnation. */
  readonly later?: readonly CaptureRecordDraft[];
  readonly reports?: readonly Partial<ConnectionReport>[];
  readonly snapshots: readonly CaptureSnapshot[];
  readonly incidents?: readonly Incident[];
}

function settled({ drafts, later = [], reports = [{}], snapshots, incidents = [] }: Scene): Settlement {
  const account = new Account();
  account.add(batch(drafts));
  account.add(batch(later, 'j'));
  const connections = reports.map((report) => ({ ...connection, ...report }));
  return settle({ account, connections, snapshots, incidents });
}

const violations = (
  drafts: readonly CaptureRecordDraft[],
  snapshot: CaptureSnapshot,
  report: Partial<ConnectionReport> = {},
): readonly string[] => settled({ drafts, snapshots: [snapshot], reports: [report] }).violations;

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
    assert.match(violations([], books(0)).join(), /nothing captured of 2 transactions .*gaps tell of 0/);
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

  it('takes gaps of sessions without a name for the connections of which nothing else is there, and no more', () => {
    assert.deepEqual(violations([gap(2, true)], books(0, 2)), []);
    assert.match(violations([gap(1, true)], books(0, 1)).join(), /nothing captured of 2 transactions/);
    assert.match(violations([gap(3, true)], books(0, 3)).join(), /tell of 3 transactions, 2 are not captured/);
  });

  it('lets nobody but a client end a connection', () => {
    const ended = { endedBy: 'proxy', clean: false } as const;
    const drained = { kind: 'drained', proxy: 'first', incarnation: null, fromMs: 150, untilMs: 190 } as const;
    const scene = { drafts: whole, snapshots: [books(2)], reports: [ended] };
    assert.deepEqual(settled({ ...scene, incidents: [drained] }).violations, []);
    assert.match(settled(scene).violations.join(), /ended by the proxy/);
    const before = { ...drained, fromMs: 250, untilMs: 290 };
    for (const other of [{ ...drained, proxy: 'second' }, before])
      assert.match(settled({ ...scene, incidents: [other] }).violations.join(), /ended by the proxy/);
    const ofServer = { ...scene, incidents: [drained], reports: [{ ...ended, endedBy: 'server' as const }] };
    assert.match(settled(ofServer).violations.join(), /ended by the server/);
  });
});

describe('the account of a worker that died', () => {
  const died: Incident = { kind: 'workerDied', proxy: 'first', incarnation: 'i', fromMs: 140, untilMs: 160 };
  const dead = books(1, 1);
  const successor = (transactions: number, dropped: number): CaptureSnapshot => ({
    ...books(transactions, dropped),
    incarnation: 'j',
  });
  const restart = again(gap(1, false, GapReason.WORKER_RESTART));
  const scene: Scene = {
    drafts: [start, transaction(1)],
    later: [again(start), restart, again(transaction(1)), again(transaction(2)), again(end)],
    snapshots: [dead, successor(2, 1)],
    reports: [{ transactions: 5, upBytes: 85, transactionsWhenBack: 3 }],
    incidents: [died],
  };
  const wrong = (changed: Partial<Scene>): string => settled({ ...scene, ...changed }).violations.join();

  it('is a lower bound for the connections it held: what is lost is counted, and all that came later is there', () => {
    const { totals, violations: found } = settled(scene);
    assert.deepEqual(found, []);
    assert.deepEqual([totals.touched, totals.lost, totals.rejoined], [1, 1, 1]);
    assert.match(
      wrong({ reports: [{ transactions: 6, upBytes: 95, transactionsWhenBack: 3 }] }),
      /2 captured since .*of 3/,
    );
  });

  it('excuses neither what was captured twice nor a connection that it did not hold', () => {
    assert.match(wrong({ reports: [{ transactions: 2, upBytes: 85 }] }), /3 captured of 2/);
    assert.match(wrong({ reports: [{ transactions: 5, upBytes: 55 }] }), /30 bytes captured of 20/);
    for (const incident of [
      { ...died, proxy: 'second' },
      { ...died, fromMs: 201, untilMs: 210 },
    ])
      assert.match(wrong({ incidents: [incident] }), /captured as two sessions/);
    const cut = { drafts: [start, transaction(1), end], later: [], snapshots: [books(1), successor(0, 0)] };
    assert.match(wrong({ ...cut, reports: [{}] }), /1 captured or told as missing of 2/);
  });

  it('has its books closed, with what the topic holds', () => {
    assert.match(wrong({ snapshots: [{ ...dead, final: false }, successor(2, 1)] }), /has not closed its books/);
    assert.match(wrong({ snapshots: [books(2, 1), successor(2, 1)] }), /say 4 captured, the topic holds 3/);
    assert.match(wrong({ snapshots: [dead, successor(2, 0)] }), /say 0 dropped, gaps tell of 1/);
    assert.match(wrong({ snapshots: [successor(2, 1)] }), /nobody knows the books of i/);
    assert.match(wrong({ snapshots: [books(1, 9), successor(2, 1)] }), /3 captured and 10 dropped of 5/);
  });

  it('ends connections only with its process, and only its own', () => {
    const cut = { transactions: 5, upBytes: 85, clean: false, endedBy: 'proxy' } as const;
    assert.match(wrong({ reports: [cut] }), /ended by the proxy/);
    const killed: Incident = { ...died, kind: 'processDied' };
    assert.equal(wrong({ reports: [cut], incidents: [killed] }), '');
    assert.match(wrong({ reports: [cut], incidents: [{ ...killed, incarnation: 'x' }] }), /ended by the proxy/);
  });
});
