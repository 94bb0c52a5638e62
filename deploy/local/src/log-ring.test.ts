import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LogRing } from './log-ring.ts';

test('lines are put together from chunks, per stream, and only the last are kept', () => {
  const seen: string[] = [];
  const ring = new LogRing({ lines: 3, lineLength: 10 }, (line) => seen.push(line));
  const out = ring.stream();
  const err = ring.stream();
  out('one\r\nt');
  err('warn');
  out('wo\nthree\n');
  err('ing\n');
  out('unfinished');
  out(undefined);
  assert.deepEqual(seen, ['one', 'two', 'three', 'warning', 'unfinished']);
  assert.deepEqual(ring.lines(), ['three', 'warning', 'unfinished']);
});

test('a line without end takes no more room than the limit', () => {
  const ring = new LogRing({ lines: 3, lineLength: 10 });
  const out = ring.stream();
  for (let i = 0; i < 1000; i++) out('0123456789');
  out('\nnext\n');
  assert.deepEqual(ring.lines(), ['0123456789', 'next']);
});
