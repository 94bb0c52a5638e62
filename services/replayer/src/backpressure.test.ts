import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { Backpressure } from './backpressure.ts';
import type { Partition } from './partition.ts';

/** `ahead`: partitions that may wait; default: all. */
function stage(count: number, ahead?: Set<number>) {
  const log: string[] = [];
  const partitions = Array.from({ length: count }, (_, number) => ({ number, paused: false, largest: 0 }));
  const all = partitions.map((each) => Object.assign(each, { largestQueueBytes: () => each.largest }));
  const say = (word: string) => (some: readonly Partition[]) =>
    log.push(`${word} ${some.map(({ number }) => number).join(' ')}`);
  const pressure = new Backpressure(
    { maxQueueBytes: 100, maxLaneBytes: 40 },
    () => all as unknown as Partition[],
    { pause: say('pause'), resume: say('resume') },
    ({ number }) => ahead?.has(number) ?? true,
  );
  return { log, partitions, pressure, at: (number: number) => all[number] as unknown as Partition };
}

describe('backpressure', () => {
  it('pauses everything above the limit and resumes at half of it', async () => {
    const { log, pressure, at } = stage(2);
    pressure.queued(100);
    pressure.taken(at(0));
    assert.deepEqual(log, []);
    pressure.queued(1);
    pressure.taken(at(0));
    assert.deepEqual(log, ['pause 0 1']);
    pressure.queued(-40);
    await turn();
    assert.deepEqual(log, ['pause 0 1']);
    pressure.queued(-11);
    await turn();
    assert.deepEqual(log, ['pause 0 1', 'resume 0 1']);
  });

  it('pauses only the partition of a session with too much, until that one has worked it off', async () => {
    const { log, partitions, pressure, at } = stage(2);
    const [, second] = partitions;
    assert.ok(second);
    second.largest = 41;
    pressure.queued(41);
    pressure.taken(at(1));
    assert.deepEqual(log, ['pause 1']);
    second.largest = 21;
    pressure.queued(-20);
    await turn();
    assert.deepEqual(log, ['pause 1']);
    second.largest = 20;
    pressure.queued(-1);
    await turn();
    assert.deepEqual(log, ['pause 1', 'resume 1']);
  });

  it('reads on what the others wait for, up to twice the limit, and again when that is another partition', () => {
    const ahead = new Set([0, 2]);
    const { log, pressure, at } = stage(3, ahead);
    pressure.queued(101);
    pressure.taken(at(1));
    pressure.look();
    assert.deepEqual(log.splice(0), ['pause 0 2']);
    ahead.delete(2);
    ahead.add(1);
    pressure.look();
    assert.deepEqual(log.splice(0), ['resume 2']);
    pressure.queued(100);
    pressure.taken(at(2));
    pressure.look();
    assert.deepEqual(log, ['pause 0 1 2']);
  });

  it('resumes nothing after it was stopped', async () => {
    const { log, pressure } = stage(1);
    pressure.queued(10);
    pressure.stop();
    pressure.queued(-10);
    await turn();
    assert.deepEqual(log, ['pause 0']);
  });
});
