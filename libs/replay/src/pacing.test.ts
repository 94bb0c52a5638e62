import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createPacing, scheduleLagUs } from './pacing.ts';

const second = 1_000_000;

describe('pacing', () => {
  it('moves production’s moments by the delay at speed 1, whenever it is asked', () => {
    const pacing = createPacing({ mode: 'timed', speed: 1, replayDelayMs: 1500 });
    for (const nowUs of [0, 100 * second]) assert.equal(pacing.dueAtUs(10 * second, nowUs), 11.5 * second);
  });

  it('lets captured time pass faster or slower from the first moment it is asked about', () => {
    const twice = createPacing({ mode: 'timed', speed: 2, replayDelayMs: 0 });
    assert.equal(twice.dueAtUs(10 * second, 50 * second), 50 * second);
    assert.equal(twice.dueAtUs(14 * second, 51 * second), 52 * second);
    const half = createPacing({ mode: 'timed', speed: 0.5, replayDelayMs: 1000 });
    assert.equal(half.dueAtUs(10 * second, 10 * second), 11 * second);
    assert.equal(half.dueAtUs(11 * second, 10 * second), 13 * second);
  });

  it('keeps the order of moments at any speed', () => {
    for (const speed of [0.1, 1, 3.7]) {
      const pacing = createPacing({ mode: 'timed', speed, replayDelayMs: 10 });
      let before = Number.NEGATIVE_INFINITY;
      for (let captured = 0; captured < 1000; captured += 7) {
        const due = pacing.dueAtUs(captured, 5);
        assert.ok(due >= before);
        before = due;
      }
    }
  });

  it('plans nothing as soon as possible, and counts lag only against a plan', () => {
    const pacing = createPacing({ mode: 'asap', speed: 1, replayDelayMs: 1000 });
    assert.equal(pacing.dueAtUs(10 * second, 0), 0);
    assert.equal(scheduleLagUs(0, 5), 0);
    assert.equal(scheduleLagUs(3, 5), 2);
    assert.equal(scheduleLagUs(7, 5), 0);
  });

  it('plays a window of the past from its beginning on, whoever asks first, at any speed', () => {
    for (const speed of [1, 4]) {
      const pacing = createPacing({ mode: 'timed', speed, replayDelayMs: 0, beginsAtUs: 100 * second });
      assert.equal(pacing.dueAtUs(120 * second, 5_000 * second), 5_000 * second + (20 * second) / speed);
      assert.equal(pacing.dueAtUs(100 * second, 5_001 * second), 5_000 * second);
    }
  });
});
