// The window around the first row that differs: where it lies, what it shows of both sides, and what it costs.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { AnswerWindow, type DifferenceWindow } from './answer-window.ts';
import { backend, ready, row, tag } from './lane.fixture.ts';

const CAP_BYTES = 1_000;

function follow(production: Uint8Array, mirror: Uint8Array, capBytes = CAP_BYTES): DifferenceWindow | null {
  const window = new AnswerWindow(production, capBytes);
  window.frames(mirror);
  return window.difference();
}

const rows = (count: number, change: Readonly<Record<number, string>> = {}) =>
  Array.from({ length: count }, (_, i) => row(change[i] ?? `row ${i}`));
const text = (bytes: Uint8Array | undefined): string =>
  [
    ...Buffer.from(bytes ?? [])
      .toString('latin1')
      .matchAll(/row \d+|[a-z]+!|SELECT \d+|ERROR/g),
  ].join(' ');

describe('answer window', () => {
  it('shows the rows before the first that differs, and what comes after it on each side', () => {
    const production = backend(...rows(100), tag('SELECT 100'), ready());
    const found = follow(production, backend(...rows(100, { 97: 'other!' }), tag('SELECT 100'), ready()));
    assert.deepEqual([found?.statement, found?.rowsBefore], [0, 92]);
    assert.equal(text(found?.captured), 'row 92 row 93 row 94 row 95 row 96 row 97 row 98 row 99 SELECT 100');
    assert.equal(text(found?.replayed), 'row 92 row 93 row 94 row 95 row 96 other! row 98 row 99 SELECT 100');
  });

  it('finds a row that one side lacks at the end', () => {
    const long = backend(...rows(3), tag('SELECT 3'), ready());
    const short = backend(...rows(2), tag('SELECT 2'), ready());
    assert.equal(text(follow(long, short)?.captured), 'row 0 row 1 row 2 SELECT 3');
    assert.equal(text(follow(long, short)?.replayed), 'row 0 row 1 SELECT 2');
    assert.equal(text(follow(short, long)?.captured), 'row 0 row 1 SELECT 2');
    assert.equal(text(follow(short, long)?.replayed), 'row 0 row 1 row 2 SELECT 3');
  });

  it('tells the statements of an exchange apart', () => {
    const production = backend(...rows(2), tag('SELECT 2'), ...rows(9), tag('SELECT 9'), ready());
    const mirror = backend(...rows(2), tag('SELECT 2'), ...rows(9, { 1: 'other!' }), tag('SELECT 9'), ready());
    const found = follow(production, mirror);
    assert.deepEqual([found?.statement, found?.rowsBefore], [1, 0]);
    assert.equal(text(found?.replayed).slice(0, 13), 'row 0 other! ');
  });

  it('keeps no more than the cap of what comes after the difference', () => {
    const production = backend(...rows(50_000), tag('SELECT 50000'), ready());
    const found = follow(production, backend(...rows(50_000, { 40000: 'other!' }), tag('SELECT 50000'), ready()));
    assert.equal(found?.rowsBefore, 39_995);
    assert.ok((found?.captured.length ?? 0) < 2 * CAP_BYTES && (found?.replayed.length ?? 0) < 2 * CAP_BYTES);
  });

  it('says nothing where no row differs, or what it follows by was lost', () => {
    const production = backend(...rows(20), tag('SELECT 20'), ready());
    assert.equal(follow(production, production), null);
    const window = new AnswerWindow(production, CAP_BYTES);
    window.frames(backend(...rows(3)));
    window.lose();
    window.frames(backend(row('other!')));
    assert.equal(window.difference(), null);
  });
});
