// The line of a bar: share, speed and what is left, and nothing invented where nothing is known.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ProgressBar, progressLine } from './progress.ts';

const progress = { what: 'replay', unit: 'transactions', total: 4_000, doneBefore: 0, elapsedMs: 4_000 };

test('share, speed and time left, by what this process has done itself', () => {
  assert.equal(
    progressLine({ ...progress, done: 1_000 }, 200),
    'replay  [######··················]  25 %  1 000 of 4 000 transactions · 250/s · 12.0 s left',
  );
  assert.match(progressLine({ ...progress, done: 2_000, doneBefore: 1_000 }, 200), /250\/s · 8\.0 s left/);
});

test('no speed before there is one, no time left at the end, nothing to do is done', () => {
  assert.doesNotMatch(progressLine({ ...progress, done: 0, elapsedMs: 0 }, 200), /\/s|left|NaN|Infinity/);
  assert.doesNotMatch(progressLine({ ...progress, done: 4_000 }, 200), /left/);
  assert.match(progressLine({ ...progress, total: 0, done: 0 }, 200), /100 %/);
});

test('it fits the terminal, and is a line now and then where there is none', () => {
  assert.equal(progressLine({ ...progress, done: 1 }, 30).length, 30);
  const written: string[] = [];
  const bar = new ProgressBar({ isTTY: false as true, columns: 80, write: (text: string) => written.push(text) > 0 });
  bar.show({ ...progress, done: 1 });
  bar.show({ ...progress, done: 2 });
  bar.say('done');
  assert.equal(written.length, 2);
  assert.match(written[0] ?? '', /^replay .*\n$/);
});
