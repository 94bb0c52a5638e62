// The soak, for some seconds in each of its modes: that its machinery finds nothing wrong, and that each fault left its mark.
import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import type { FaultKind } from '../soak/fault-plan.ts';
import { runSoak, type SoakOptions, type SoakResult } from '../soak/soak.ts';

async function soak(
  t: TestContext,
  faults: readonly FaultKind[],
  options: Partial<SoakOptions> = {},
): Promise<SoakResult> {
  const defaults = { forMs: 12_000, seed: 4, clients: 8, turns: 100, workers: 1, spool: true, onProgress: () => {} };
  const result = await runSoak({ ...defaults, ...options, faults });
  const { account } = result;
  t.diagnostic(
    `${account.seen} transactions over ${account.connections} connections, ${account.clean} of them clean, ` +
      `${account.withGaps} with gaps, ${account.touched} held by a worker that died; ${account.lost} lost, ${account.dropped} dropped`,
  );
  assert.deepEqual(result.violations, []);
  assert.deepEqual(
    result.faults.map(({ kind }) => kind),
    faults,
  );
  assert.ok(account.clean > 8 && account.captured > 100 && account.requestBytes > 10_000);
  return result;
}

const cutOff = ({ load }: SoakResult): number => (load.left['reset'] ?? 0) + (load.left['closed'] ?? 0);

describe('a short soak', { timeout: 240_000 }, () => {
  it('settles every connection to the byte with a standing Kafka and a proxy drained while Kafka is there, and while it is not', async (t) => {
    const result = await soak(t, ['kafka-stop', 'drain', 'drain-away']);
    assert.ok(cutOff(result) > 0, 'some connections did not end in order');
    assert.equal(result.account.dropped, 0);
  });

  it('without a spool: what a standing Kafka costs is told in gaps, to the last transaction', async (t) => {
    const { account, dropped } = await soak(t, ['kafka-stop'], { spool: false });
    assert.ok(account.dropped > 0 && account.withGaps > 0);
    assert.deepEqual(Object.keys(dropped), ['publishBufferFull']);
    assert.equal(account.lost, 0);
  });

  it('with a killed capture worker thread, and a killed proxy: no client of the thread notices, and the rest is exact', async (t) => {
    const { account, dropped } = await soak(t, ['kill-thread', 'kill-proxy'], { turns: 800 });
    assert.ok(account.rejoined > 0, 'connections lived on and were captured again');
    assert.deepEqual(
      Object.keys(dropped).filter((reason) => reason !== 'workerRestart'),
      [],
    );
  });

  it('with two workers, one of them killed: only its connections end, and the rest is exact', async (t) => {
    const result = await soak(t, ['kill-worker'], { workers: 2, forMs: 8_000 });
    assert.ok(result.account.touched > 0 && cutOff(result) > 0);
    assert.ok(result.account.clean > result.account.touched);
  });
});
