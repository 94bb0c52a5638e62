import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { WakeHeap } from './wake-heap.ts';

const sleeper = (name: string) => ({
  name,
  wakeAtUs: Number.POSITIVE_INFINITY,
  entryAtUs: Number.POSITIVE_INFINITY,
});

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

  it('does not grow when a wish moves on and on', () => {
    const heap = new WakeHeap<ReturnType<typeof sleeper>>();
    const [one, two] = [sleeper('one'), sleeper('two')];
    heap.set(two, 500_000);
    for (let at = 1; at <= 100_000; at++) heap.set(one, 600_000 + at);
    assert.equal(heap.size, 2);
    assert.equal(heap.takeDue(600_050), two);
    assert.equal(heap.takeDue(600_050), null);
    assert.equal(heap.takeDue(700_000), one);
    assert.equal(heap.size, 0);
  });

  it('agrees with a plain list through ten thousand seeded wishes', () => {
    const heap = new WakeHeap<ReturnType<typeof sleeper>>();
    const all = Array.from({ length: 20 }, (_, i) => sleeper(String(i)));
    const wishes = new Map<object, number>();
    let state = 7;
    const below = (limit: number): number => {
      state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
      return (state >>> 8) % limit;
    };
    for (let nowUs = 0; nowUs < 10_000; nowUs++) {
      const one = all[below(all.length)] as ReturnType<typeof sleeper>;
      const atUs = below(10) === 0 ? Number.POSITIVE_INFINITY : nowUs + 1 + below(300);
      heap.set(one, atUs);
      wishes.set(one, atUs);
      for (let due = heap.takeDue(nowUs); due !== null; due = heap.takeDue(nowUs)) {
        assert.ok((wishes.get(due) as number) <= nowUs, `woken early at ${nowUs}`);
        wishes.set(due, Number.POSITIVE_INFINITY);
      }
      const least = Math.min(...wishes.values());
      assert.ok(least > nowUs, `not woken at ${nowUs}`);
      assert.equal(heap.nextAtUs(), least);
    }
  });
});
