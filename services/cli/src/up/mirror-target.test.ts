// What the file says about a mirror's server reaches its replayer as flags, without a password in them.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { mirrorTargetFlags } from './mirror-target.ts';

test('a mirror’s server is described to its replayer by flags', () => {
  assert.deepEqual(mirrorTargetFlags({}), []);
  const flags = mirrorTargetFlags({
    passwordFile: '/run/secrets/all',
    users: { app: { user: 'app_copy', passwordEnv: 'APP' }, report: { user: 'reader' } },
    readOnly: true,
    lanes: 'pooled',
    maxConnections: 8,
    statementTimeoutMs: 5000,
    mapIds: 'mirror',
    mapIdsReferences: ['mails.customer=customers.id'],
  });
  assert.equal(
    flags.join(' '),
    '--target-password-file /run/secrets/all --read-only --lanes pooled --max-connections 8 --statement-timeout-ms 5000 ' +
      '--map-ids mirror --map-ids-reference mails.customer=customers.id --user-map app=app_copy --user-password-env app_copy=APP --user-map report=reader',
  );
});
