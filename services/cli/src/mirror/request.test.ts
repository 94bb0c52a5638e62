// The command line of `mirrorstream mirror`: what it changes, and what it refuses.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { neverShed, noFilters } from '@mirrorstream/domain';
import { readMirrorRequest } from './request.ts';

const later = { immediate: false };

describe('the command line of mirror', () => {
  for (const [argv, mirror, change] of [
    [[], null, null],
    [['status', 'candidate', '--json'], 'candidate', null],
    [['candidate'], 'candidate', null],
    [['pause', 'candidate'], 'candidate', { replay: 'paused' }],
    [['resume', 'candidate'], 'candidate', { replay: 'on' }],
    [['clear', 'candidate'], 'candidate', 'clear'],
    [['set', 'a', '--role', 'control'], 'a', { role: 'control', ...later }],
    [['set', 'a', '--exposure', '0.05', '--immediate'], 'a', { exposure: 0.05, immediate: true }],
    [
      ['set', 'a', '--exclude-table', 'audit, log.events', '--exclude-table=x', '--include-class', 'reads'],
      'a',
      { filters: { excludeTables: ['audit', 'log.events', 'x'], includeClasses: ['reads'] }, ...later },
    ],
    [
      ['set', 'a', '--no-filters', '--include-user', 'app'],
      'a',
      { filters: { ...noFilters, includeUsers: ['app'] }, ...later },
    ],
    [
      ['set', 'a', '--shed-reads-behind-ms', '5000', '--shed-skip-behind-ms', 'off'],
      'a',
      { shed: { readsBehindMs: 5_000, skipBehindMs: null }, ...later },
    ],
    [['set', 'a', '--no-shed'], 'a', { shed: neverShed, ...later }],
  ] as const) {
    it(`reads ${argv.join(' ') || 'nothing'}`, () => {
      const request = readMirrorRequest(argv);
      assert.deepEqual([request.mirror, request.change], [mirror, change]);
    });
  }

  for (const [argv, named] of [
    [['set', 'a'], /set changes nothing/],
    [['set', '--exposure', '1'], /set needs the name of a mirror/],
    [['pause', 'a', '--exposure', '1'], /not with pause/],
    [['status', '--immediate'], /not with status/],
    [['set', 'A', '--exposure', '1'], /mirror name/],
    [['set', 'a', '--exposure', '2'], /--exposure is not a share/],
    [['set', 'a', '--include-class', 'dml'], /--include-class/],
    [['set', 'a', '--include-time', '9-17'], /--include-time must be HH:MM/],
    [['set', 'a', '--shed-reads-behind-ms', 'soon'], /--shed-reads-behind-ms/],
    [['set', 'a', '--shed-recover-share', '2'], /--shed-recover-share/],
    [['set', 'a', '--exposre', '1'], /unknown flag --exposre/],
  ] as const) {
    it(`refuses ${argv.join(' ')}`, () => {
      assert.throws(() => readMirrorRequest(argv), named);
    });
  }
});
