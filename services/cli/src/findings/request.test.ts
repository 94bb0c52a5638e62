// The command line of `mirrorstream findings`: what it asks for, and what it refuses before anything is read or written.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { MirrorstreamError } from '@mirrorstream/domain';
import { readFindingsRequest } from './request.ts';

const nowMs = Date.parse('2026-11-21T12:00:00Z');
const read = (...argv: readonly string[]) => readFindingsRequest(argv, { user: 'ana', nowMs });
const id = '0123456789ab';

describe('mirrorstream findings', () => {
  it('lists by default, and says who speaks when somebody acknowledges, resolves or reopens', () => {
    assert.deepEqual(read('--mirror', 'm')?.action, { kind: 'list', all: false, limit: 20 });
    assert.deepEqual(read('list', '--mirror', 'm', '--all', '--limit', '3')?.action, {
      kind: 'list',
      all: true,
      limit: 3,
    });
    assert.deepEqual(read('show', id, '--mirror', 'm')?.action, { kind: 'show', id });
    const statuses = ['ack', 'resolve', 'reopen'].map(
      (word) => read(word, id, '--mirror', 'm', '--reason', 'why')?.action,
    );
    assert.deepEqual(
      statuses,
      ['acknowledged', 'resolved', 'reopened'].map((status) => ({
        kind: 'status',
        id,
        status,
        by: 'ana',
        reason: 'why',
      })),
    );
    assert.equal(read('--mirror', 'm')?.run, 'live');
    assert.equal(read('--mirror', 'm', '--run', 'nightly')?.run, 'nightly');
    assert.equal(read('suppress', '--help'), null);
  });

  it('suppresses a finding or what flags name, with owner, reason and expiry', () => {
    const flags = ['--mirror', 'm', '--reason', 'known', '--expires', '2d'];
    const common = { kind: 'suppress', owner: 'ana', reason: 'known', expiresAtMs: nowMs + 2 * 86_400_000 };
    assert.deepEqual(read('suppress', id, ...flags)?.action, { ...common, finding: id, scope: {} });
    assert.deepEqual(
      read('suppress', ...flags, '--column', 'at', '--class', 'value', '--table', 't', '--fingerprint', 'a'.repeat(16))
        ?.action,
      { ...common, finding: null, scope: { fingerprint: 'a'.repeat(16), class: 'value', column: 'at', table: 't' } },
    );
    const until = read(
      'suppress',
      id,
      '--mirror',
      'm',
      '--reason',
      'r',
      '--expires',
      '2026-12-31',
      '--owner',
      'bo',
    )?.action;
    assert.ok(until?.kind === 'suppress');
    assert.deepEqual([until.owner, until.expiresAtMs], ['bo', Date.parse('2026-12-31')]);
  });

  const refused: Readonly<Record<string, readonly string[]>> = {
    'no mirror': ['list'],
    'no id': ['resolve', '--mirror', 'm'],
    'an id that is none': ['show', 'xyz', '--mirror', 'm'],
    'a bare word after list': ['list', id, '--mirror', 'm'],
    'a suppression of everything': ['suppress', '--mirror', 'm', '--reason', 'r', '--expires', '1d'],
    'a suppression without reason': ['suppress', id, '--mirror', 'm', '--expires', '1d'],
    'a suppression for ever': ['suppress', id, '--mirror', 'm', '--reason', 'r'],
    'an expiry in the past': ['suppress', id, '--mirror', 'm', '--reason', 'r', '--expires', '2020-01-01'],
    'an expiry that is none': ['suppress', id, '--mirror', 'm', '--reason', 'r', '--expires', 'soon'],
    'an unknown class': ['suppress', '--mirror', 'm', '--reason', 'r', '--expires', '1d', '--class', 'nonsense'],
    'a fingerprint that is none': [
      'suppress',
      '--mirror',
      'm',
      '--reason',
      'r',
      '--expires',
      '1d',
      '--fingerprint',
      'zz',
    ],
    'a limit of 0': ['list', '--mirror', 'm', '--limit', '0'],
    'a mirror name that cannot be one': ['list', '--mirror', 'No/Name'],
  };
  for (const [what, argv] of Object.entries(refused))
    it(`refuses ${what}, with what to do`, () => {
      assert.throws(
        () => read(...argv),
        (error) => error instanceof MirrorstreamError && error.code === 'badInput' && (error.hint ?? '') !== '',
      );
    });
});
