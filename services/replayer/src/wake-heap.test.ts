import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { WakeHeap } from './wake-heap.ts';

const sleeper = (name: string) => ({ name, wakeAtUs: Number.POSITIVE_INFINITY });

describe('wake heap', () => {
  it('wakes in the order of time and only who is due', () => {
    const heap = new WakeHeap<ReturnType<typeof sleeper>>();
    const all = Array.from({ length: 200 }, (_, i) => ({ it: sleeper(String(i)), at: (i * 7919) % 200 }));
    for (const { it, at } of all) heap.set(it, at);
    const woken: number[] = [];
    for (let due = heap.takeDue(99); due !== null; due = heap.takeDue(99))
      woken.push(all.find(({ it }) => it === due)?.at ?? -1);
    assert.deepEqual(
      woken,
      Array.from({ length: 100 }, (_, i) => i),
    );
    assert.equal(heap.nextAtUs(), 100);
  });

  it('keeps only the last wish of each', () => {
    const heap = new WakeHeap<ReturnType<typeof sleeper>>();
    const one = sleeper('one');
    heap.set(one, 10);
    heap.set(one, 30);
    assert.equal(heap.nextAtUs(), 30);
    assert.equal(heap.takeDue(20), null);
    heap.set(one, Number.POSITIVE_INFINITY);
    assert.equal(heap.nextAtUs(), Number.POSITIVE_INFINITY);
    assert.equal(heap.size, 0);
  });
});
