import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { parseTargetUrl, readTargetAddress } from './target-address.ts';

const place = 'environment variable X';
const secret = 'hunter2';

describe('target address', () => {
  it('reads host, port, user, password, database and TLS from the URL', () => {
    assert.deepEqual(
      parseTargetUrl('postgres://me:p%40ss@db.example:6543/my%20db?sslmode=verify-full&sslrootcert=/ca.pem', place),
      {
        host: 'db.example',
        port: 6543,
        user: 'me',
        password: 'p@ss',
        database: 'my db',
        sslMode: 'verify-full',
        sslRootCertFile: '/ca.pem',
      },
    );
  });

  it('leaves out what the URL does not say', () => {
    const address = parseTargetUrl('postgresql://[::1]', place);
    assert.deepEqual([address.host, address.port, address.user, address.database], ['::1', 5432, undefined, undefined]);
    assert.equal(address.sslMode, 'prefer');
  });

  it('names the place and never the URL when it is of no use', () => {
    const bad = [
      'not a url',
      `mysql://u:${secret}@h/d`,
      `postgres:///d`,
      `postgres://u:${secret}@h/d?sslmode=maybe`,
      `postgres://u:${secret}@h/d?passfile=x`,
      `postgres://u:%E0%A4%A@h/d`,
    ];
    for (const url of bad) {
      assert.throws(
        () => parseTargetUrl(url, place),
        (error: Error & { code?: string; hint?: string }) => {
          assert.equal(error.code, 'badInput');
          assert.ok(error.message.includes(place));
          assert.ok(!`${error.message}${error.hint}`.includes(secret));
          return true;
        },
      );
    }
  });

  it('says which variable or file is missing', async () => {
    await assert.rejects(readTargetAddress({ env: 'NOWHERE' }, {}), { code: 'badInput', message: /NOWHERE/ });
    await assert.rejects(readTargetAddress({ file: '/no/such/file' }, {}), { code: 'badInput', message: /no\/such/ });
    const address = await readTargetAddress({ env: 'HERE' }, { HERE: 'postgres://h/d' });
    assert.equal(address.database, 'd');
  });
});
