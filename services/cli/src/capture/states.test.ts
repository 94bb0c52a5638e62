// Which proxies run, what they do, and which of them have taken up what the control topic says.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { CaptureSnapshot } from '@mirrorstream/domain';
import { type CaptureReport, captureJson, captureText, notAcknowledged } from './report.ts';
import { proxyStates, silentAfterMs } from './states.ts';

const nowMs = 1_000_000;

function snapshot(over: Partial<CaptureSnapshot> & { readonly revision?: string | null }): CaptureSnapshot {
  const { revision = null, ...rest } = over;
  return {
    kind: 'capture',
    source: 'shop',
    captureNode: 'db-1',
    incarnation: 'i1',
    atMs: nowMs - 400,
    final: false,
    sessions: { total: 10, open: 4 },
    transactions: 12_345,
    exchanges: 0,
    bytes: 0,
    dropped: { transactions: 0, bytes: 0, byReason: {} },
    pending: { transactions: 0, bytes: 0 },
    publishedUpTo: {},
    leftOut: { unsampled: { sessions: 3, bytes: 2048 }, captureOff: { sessions: 1, bytes: 2048 } },
    control: { revision, capture: 'on', sampling: 0.5, answers: 'full', answerCapBytes: 65_536 },
    ...rest,
  };
}

const reportOf = (snapshots: readonly CaptureSnapshot[], revision: bigint | null = 7n): CaptureReport => ({
  source: 'shop',
  control: revision === null ? null : { version: 1, capture: 'on', sampling: 0.5 },
  revision,
  proxies: proxyStates(snapshots, 'shop', nowMs),
});

describe('what proxies say of capture', () => {
  it('shows the newest incarnation of each worker that has not ended', () => {
    const states = proxyStates(
      [
        snapshot({ incarnation: 'old', atMs: nowMs - 9_000, transactions: 1 }),
        snapshot({ incarnation: 'new' }),
        snapshot({ incarnation: 'w1', worker: 1 }),
        snapshot({ incarnation: 'ended', captureNode: 'db-0', final: true }),
        snapshot({ incarnation: 'other', source: 'crm' }),
      ],
      'shop',
      nowMs,
    );
    assert.deepEqual(
      states.map(({ node, worker, transactions }) => [node, worker, transactions]),
      [
        ['db-1', 0, 12_345],
        ['db-1', 1, 12_345],
      ],
    );
    assert.deepEqual(states[0]?.leftOut, { sessions: 4, bytes: 4096 });
  });

  it('waits for proxies that run with an older revision, not for silent ones', () => {
    const report = reportOf([
      snapshot({ revision: '7' }),
      snapshot({ worker: 1, incarnation: 'b', revision: '6' }),
      snapshot({ worker: 2, incarnation: 'c', atMs: nowMs - silentAfterMs - 1 }),
    ]);
    assert.deepEqual(
      notAcknowledged(report).map(({ worker }) => worker),
      [1],
    );
    const text = captureText(report);
    assert.match(text, /control topic for shop: capture on, sampling 0.5 \(revision 7\)/);
    assert.match(text, /db-1\/1 .* does not say so yet/);
    assert.match(text, /db-1\/2 .* silent/);
    assert.equal((JSON.parse(captureJson(report)) as { acknowledged: boolean }).acknowledged, false);
  });

  it('has nothing to wait for where nobody has ever said anything, and says so', () => {
    const report = reportOf([snapshot({})], null);
    assert.deepEqual(notAcknowledged(report), []);
    assert.match(captureText(report), /nothing: the flags of each proxy hold$/m);
    assert.match(captureText(reportOf([])), /no proxy of this source runs now/);
  });
});
