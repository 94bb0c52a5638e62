// The session table: repeats of whole transactions and of parts, survival of a save, and its bounds.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { SessionTable } from './session-table.ts';

const limits = { maxEnded: 100, maxBytes: 100_000 };

describe('session table', () => {
  it('takes each transaction of a session once', () => {
    const table = new SessionTable(limits);
    assert.equal(table.note('s', 1, 0, true), true);
    assert.equal(table.note('s', 1, 0, true), false);
    assert.equal(table.note('s', 3, 0, true), true);
    assert.equal(table.note('s', 2, 0, true), false);
    assert.equal(table.note('t', 1, 0, true), true);
  });

  it('takes each part of a transaction once, also when all parts come again', () => {
    const table = new SessionTable(limits);
    assert.equal(table.note('s', 1, 0, false), true);
    assert.equal(table.note('s', 1, 1, false), true);
    assert.equal(table.note('s', 1, 0, false), false);
    assert.equal(table.note('s', 1, 1, false), false);
    assert.equal(table.note('s', 1, 2, true), true);
    assert.equal(table.note('s', 1, 0, false), false);
    assert.equal(table.note('s', 1, 2, true), false);
    assert.equal(table.note('s', 2, 0, false), true);
  });

  it('knows the same after being saved and restored at any point', () => {
    const events: readonly (readonly [number, number, boolean])[] = [
      [1, 0, false],
      [1, 1, true],
      [2, 0, true],
      [3, 0, false],
      [3, 1, false],
      [3, 2, true],
    ];
    for (let cut = 0; cut <= events.length; cut++) {
      const first = new SessionTable(limits);
      for (const [seq, part, last] of events.slice(0, cut)) first.note('s', seq, part, last);
      const second = new SessionTable(limits, JSON.parse(JSON.stringify(first.save())));
      for (const [index, [seq, part, last]] of events.entries())
        assert.equal(second.note('s', seq, part, last), index >= cut, `event ${index} after a cut at ${cut}`);
    }
  });

  it('recognises repeats of an ended session until enough others have ended after it', () => {
    const table = new SessionTable({ maxEnded: 2, maxBytes: 100_000 });
    for (const id of ['a', 'b', 'c']) {
      table.note(id, 1, 0, true);
      table.end(id);
    }
    const restored = new SessionTable({ maxEnded: 2, maxBytes: 100_000 }, table.save());
    assert.equal(restored.note('c', 1, 0, true), false);
    assert.equal(restored.note('b', 1, 0, true), false);
    assert.equal(restored.note('a', 1, 0, true), true);
  });

  it('tells envelopes without a session by their place', () => {
    const table = new SessionTable(limits);
    assert.equal(table.noteAnonymous(7n, 0), true);
    assert.equal(table.noteAnonymous(7n, 1), true);
    assert.equal(new SessionTable(limits, table.save()).noteAnonymous(7n, 0), false);
  });

  it('stays within its bytes by forgetting the longest idle sessions', () => {
    const table = new SessionTable({ maxEnded: 100, maxBytes: 2_000 });
    table.note('busy', 1, 0, true);
    for (let i = 0; i < 1_000; i++) {
      table.note(`session-${i}`, 1, 0, true);
      table.note('busy', i + 2, 0, true);
    }
    assert.ok(JSON.stringify(table.save()).length <= 2_000);
    assert.equal(table.note('busy', 1_000, 0, true), false);
    assert.equal(table.note('session-999', 1, 0, true), false);
    assert.equal(table.note('session-0', 1, 0, true), true);
  });
});
