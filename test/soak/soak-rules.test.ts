// The rules the soak judges by, and what it compares with: themselves tested, since nobody soaks the soak.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { seededRandom } from '@mirrorstream/testkit';
import { DirectionCheck } from './direction-check.ts';
import { faultKinds, faultsWith, planFaults } from './fault-plan.ts';
import { BackendWatch, FrontendWatch } from './frame-watch.ts';
import { judgeMemory } from './memory-rule.ts';

const mib = 1024 * 1024;
const samples = (bytesAt: (second: number) => number, seconds = 900) =>
  Array.from({ length: seconds }, (_, second) => ({ atMs: second * 1000, bytes: bytesAt(second) }));

describe('the memory rule', () => {
  it('calls a warm-up, noise and peaks that come again flat', () => {
    const { next } = seededRandom(3);
    const peaks = (second: number): number => (second % 150 < 10 ? 80 * mib : 0);
    const warm = (second: number): number => 150 * mib * (1 - Math.exp(-second / 60)) + 50 * mib;
    const verdict = judgeMemory(samples((second) => warm(second) + peaks(second) + next() * 8 * mib));
    assert.deepEqual([verdict.flat, verdict.judged], [true, true]);
  });

  it('finds a slow leak, a step, and peaks that grow', () => {
    const leak = (second: number): number => 200 * mib + second * 0.1 * mib;
    const step = (second: number): number => (second < 650 ? 200 : 240) * mib;
    const growing = (second: number): number => 200 * mib + (second % 100 < 10 ? second * 0.2 * mib : 0);
    for (const bytesAt of [leak, step, growing]) assert.equal(judgeMemory(samples(bytesAt)).flat, false);
  });

  it('does not judge two minutes or less', () => {
    assert.equal(judgeMemory(samples(() => 1, 100)).judged, false);
    assert.equal(judgeMemory([]).judged, false);
  });
});

describe('the plan of faults', () => {
  it('has every kind in each third after the warm-up, none overlapping and none at the end', () => {
    const plan = planFaults(faultKinds, 900_000);
    for (const third of [1, 2])
      for (const kind of faultKinds)
        assert.ok(plan.some((fault) => fault.kind === kind && Math.floor(fault.atMs / 300_000) === third));
    for (const [i, fault] of plan.entries()) assert.ok(fault.atMs + fault.lastsMs < (plan[i + 1]?.atMs ?? 900_000));
  });

  it('fits a short run too', () => {
    assert.equal(planFaults(faultKinds, 20_000).length, faultKinds.length);
    assert.deepEqual(planFaults([], 20_000), []);
  });

  it('kills no worker where another could not go on', () => {
    assert.deepEqual(faultsWith(2), faultKinds);
    assert.deepEqual(
      faultsWith(1),
      faultKinds.filter((kind) => kind !== 'kill-worker'),
    );
  });
});

describe('one direction of a connection', () => {
  it('is equal in any chunking', () => {
    const random = seededRandom(5);
    const bytes = random.bytes(20_000);
    const check = new DirectionCheck();
    for (let entered = 0, left = 0; left < bytes.length; ) {
      const more = bytes.subarray(entered, entered + random.integer(0, 900));
      check.enter(more);
      entered += more.length;
      const out = bytes.subarray(left, Math.min(entered, left + random.integer(0, 900)));
      check.leave(out);
      left += out.length;
    }
    assert.deepEqual([check.mismatchAt, check.undeliveredBytes, check.leftBytes], [null, 0, 20_000]);
  });

  it('tells where a byte was changed, invented or left out', () => {
    const check = (entered: string, ...left: string[]): number | null => {
      const direction = new DirectionCheck();
      direction.enter(Buffer.from(entered));
      for (const chunk of left) direction.leave(Buffer.from(chunk));
      return direction.mismatchAt;
    };
    assert.equal(check('abcdef', 'abc', 'dXf'), 3);
    assert.equal(check('abc', 'abc', 'd'), 3);
    assert.equal(check('abcdef', 'abdef'), 0);
    assert.equal(check('abcdef', 'abc'), null);
  });
});

describe('the watch over frames', () => {
  const ready = (status: string): Buffer => Buffer.from(`Z\0\0\0\x05${status}`, 'latin1');

  it('counts transactions by the status, wherever chunks are cut', () => {
    const tag = Buffer.from('C\0\0\0\x0dSELECT 1\0', 'latin1');
    const empty = Buffer.from('2\0\0\0\x04', 'latin1');
    const all = Buffer.concat([ready('I'), empty, tag, ready('I'), tag, ready('T'), empty, tag, ready('I')]);
    for (let cut = 1; cut < all.length; cut++) {
      const watch = new BackendWatch();
      watch.feed(all.subarray(0, cut));
      watch.feed(all.subarray(cut));
      assert.deepEqual(
        [watch.transactions, watch.answers, watch.status, watch.inFrame],
        [2, 3, 'I', false],
        `cut at ${cut}`,
      );
    }
  });

  it('knows who a client is, and what of its bytes is no request', () => {
    const parameters = Buffer.from('user\0app\0application_name\0soak-7\0\0', 'latin1');
    const head = Buffer.alloc(8);
    head.writeInt32BE(8 + parameters.length, 0);
    head.writeInt32BE(196_608, 4);
    const all = Buffer.concat([head, parameters, Buffer.from('Q\0\0\0\x06;\0X\0\0\0\x04', 'latin1')]);
    for (let cut = 1; cut < all.length; cut++) {
      const watch = new FrontendWatch();
      watch.feed(all.subarray(0, cut));
      watch.feed(all.subarray(cut));
      assert.deepEqual(
        [watch.name, watch.startupBytes, watch.terminateBytes, watch.requests, watch.inFrame],
        ['soak-7', 8 + parameters.length, 5, 1, false],
      );
    }
  });
});
