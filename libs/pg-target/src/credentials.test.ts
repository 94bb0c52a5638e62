// Who logs in for whom: the order of what says it, files that change, and messages that tell nothing.
import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { Credentials, noCredentials } from './credentials.ts';
import { parseTargetUrl } from './target-address.ts';

const bare = parseTargetUrl('postgres://h/d', 'the test');
const named = parseTargetUrl('postgres://owner:url-secret@h/d', 'the test');

describe('credentials', () => {
  it('takes the mapped user, else the one of the URL, else the captured one', () => {
    const credentials = new Credentials({ ...noCredentials, mappings: [{ captured: 'app', user: 'app_copy' }] }, {});
    assert.equal(credentials.userOf(named, 'app'), 'app_copy');
    assert.equal(credentials.userOf(named, 'other'), 'owner');
    assert.equal(credentials.userOf(bare, 'other'), 'other');
  });

  it("takes the user's own password, else the mirror's, else the one of the URL", async () => {
    const options = {
      mappings: [{ captured: 'app', user: 'app_copy' }],
      userPasswords: new Map([['app_copy', { env: 'APP' }]]),
      password: { env: 'ALL' },
    };
    const env = { APP: 'app-secret', ALL: 'all-secret' };
    const credentials = new Credentials(options, env);
    assert.deepEqual(await credentials.loginOf(named, 'app'), { user: 'app_copy', password: 'app-secret' });
    assert.deepEqual(await credentials.loginOf(named, 'other'), { user: 'owner', password: 'all-secret' });
    const fromUrl = new Credentials({ ...options, password: null }, env);
    assert.deepEqual(await fromUrl.loginOf(named, 'other'), { user: 'owner', password: 'url-secret' });
    assert.deepEqual(await fromUrl.loginOf(bare, 'other'), { user: 'other', password: undefined });
  });

  it('reads a file each time, and keeps to what it last held while it cannot be read', async (t) => {
    const dir = await mkdtemp(join(tmpdir(), 'mirrorstream-test-credentials-'));
    t.after(() => rm(dir, { recursive: true }));
    const file = join(dir, 'password');
    const credentials = new Credentials({ ...noCredentials, password: { file } }, {});
    await assert.rejects(credentials.check(), { code: 'badInput', message: /holds no password/ });
    await writeFile(file, 'first\n');
    assert.equal((await credentials.loginOf(bare, 'app')).password, 'first');
    await writeFile(file, 'second\r\n');
    assert.equal((await credentials.loginOf(bare, 'app')).password, 'second');
    await rm(file);
    assert.equal((await credentials.loginOf(bare, 'app')).password, 'second');
  });

  it('says which variable is missing', async () => {
    const credentials = new Credentials(
      { ...noCredentials, userPasswords: new Map([['app', { env: 'NOWHERE' }]]) },
      {},
    );
    await assert.rejects(credentials.check(), { code: 'badInput', message: /NOWHERE/ });
  });
});
