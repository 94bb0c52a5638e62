// Moments: absolute, relative, and what is refused.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatMoment, parseMoment } from './moment.ts';

const nowMs = Date.parse('2026-11-21T14:00:00Z');

test('a time with a zone, a date, how long ago, and now', () => {
  const said = [
    '2026-11-21T13:00:00Z',
    '2026-11-21T13:00:00.250Z',
    '2026-11-21T14:00+01:00',
    '2026-11-21',
    '-15m',
    '-1.5h',
    'now',
  ];
  assert.deepEqual(
    said.map((text) => formatMoment(parseMoment(text, nowMs) ?? Number.NaN)),
    [
      '2026-11-21T13:00:00Z',
      '2026-11-21T13:00:00.250Z',
      '2026-11-21T13:00:00Z',
      '2026-11-21T00:00:00Z',
      '2026-11-21T13:45:00Z',
      '2026-11-21T12:30:00Z',
      '2026-11-21T14:00:00Z',
    ],
  );
});

test('a time without a zone, an impossible one and words are refused', () => {
  for (const text of ['2026-11-21T13:00:00', '13:00', '2026-13-45', '15m', '-15', 'yesterday', '', '1795269600'])
    assert.equal(parseMoment(text, nowMs), undefined, text);
});
