// What the flags about the mirror mean, and which are refused.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { parseFlags } from '@mirrorstream/service-kit';
import { parseTarget, targetFlags } from './target-flags.ts';

const parsed = (...argv: readonly string[]) => parseTarget(parseFlags(targetFlags, argv, {}).values);

describe('flags about the mirror', () => {
  it('map users, and name where their passwords are', () => {
    const { target } = parsed(
      ...['--user-map', 'app=app_copy,report=reader', '--user-password-env', 'app_copy=APP'],
      ...['--user-password-file', 'reader=/run/secrets/reader', '--target-password-env', 'ALL', '--read-only'],
    );
    assert.deepEqual(target.credentials.mappings, [
      { captured: 'app', user: 'app_copy' },
      { captured: 'report', user: 'reader' },
    ]);
    assert.deepEqual(
      [...target.credentials.userPasswords],
      [
        ['app_copy', { env: 'APP' }],
        ['reader', { file: '/run/secrets/reader' }],
      ],
    );
    assert.deepEqual(target.credentials.password, { env: 'ALL' });
    assert.equal(target.readOnly, true);
    assert.equal(parsed().target.readOnly, false);
  });

  it('are refused when they contradict each other or hold something else, without showing it', () => {
    for (const argv of [
      ['--user-password-env', 'hunter2'],
      ['--user-map', 'a=b,a=c'],
      ['--user-password-env', 'a=X', '--user-password-file', 'a=/x'],
      ['--target-password-env', 'X', '--target-password-file', '/x'],
    ])
      assert.throws(
        () => parsed(...argv),
        (error: Error & { code?: string }) => error.code === 'badInput' && !error.message.includes('hunter2'),
      );
  });
});
