// The command line of `mirrorstream capture`: what it changes, and what it refuses.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { readCaptureRequest } from './request.ts';

describe('the command line of capture', () => {
  for (const [argv, change] of [
    [[], null],
    [['status', '--json'], null],
    [['off'], { capture: 'off' }],
    [['on', '--sampling', '0.01'], { capture: 'on', sampling: 0.01 }],
    [['set', '--answers=digest', '--answer-cap', '65536'], { answers: 'digest', answerCapBytes: 65_536 }],
    [['clear'], 'clear'],
  ] as const) {
    it(`reads ${argv.join(' ') || 'nothing'}`, () => {
      assert.deepEqual(readCaptureRequest(argv).change, change);
    });
  }

  for (const [argv, named] of [
    [['set'], /set changes nothing/],
    [['off', '--sampling', '1'], /not with off/],
    [['--answers', 'full'], /not with status/],
    [['set', '--sampling', '2'], /--sampling/],
    [['set', '--sampling', 'half'], /--sampling/],
    [['set', '--answers', 'all'], /--answers/],
    [['set', '--answer-cap', '1000000'], /--answer-cap/],
    [['on', '--wait', 'long'], /--wait/],
    [['onn'], /bare word/],
  ] as const) {
    it(`refuses ${argv.join(' ')}`, () => {
      assert.throws(() => readCaptureRequest(argv), named);
    });
  }
});
