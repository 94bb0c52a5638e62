// Tests of text for a terminal.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fit, formatBytes, formatCount, harmless, widthOf } from './text.ts';

test('what a terminal would obey is taken out', () => {
  assert.equal(harmless('a\u001b[31mred\u0007\n\tb'), 'a [31mred b');
  assert.equal(harmless('x\u202ey\u009b2J'), 'x y 2J');
});

test('wide characters count double, combining marks nothing', () => {
  assert.equal(widthOf('日本'), 4);
  assert.equal(widthOf('e\u0301'), 1);
  assert.equal(widthOf('→…×'), 3);
});

test('a cut text ends in an ellipsis and never exceeds its columns', () => {
  assert.equal(fit('abcdef', 4), 'abc…');
  assert.equal(fit('abc', 3), 'abc');
  for (let columns = 0; columns < 8; columns++) assert.ok(widthOf(fit('日本語ab', columns)) <= columns);
});

test('numbers are readable', () => {
  assert.equal(formatCount(1_234_567), '1 234 567');
  assert.equal(formatBytes(900), '900 B');
  assert.equal(formatBytes(3_400_000), '3.2 MiB');
});
