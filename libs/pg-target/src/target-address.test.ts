import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { parseTargetUrl, parseTargetUrls, readTargetAddresses } from './target-address.ts';

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
        sslCertFile: undefined,
        sslKeyFile: undefined,
      },
    );
  });

  it('leaves out what the URL does not say', () => {
    const address = parseTargetUrl('postgresql://[::1]', place);
    assert.deepEqual([address.host, address.port, address.user, address.database], ['::1', 5432, undefined, undefined]);
    assert.equal(address.sslMode, 'prefer');
  });

  it('reads several hosts as several addresses, in their order', () => {
    const addresses = parseTargetUrls('postgres://me:a%40b@one:1,[::1],two.example:3/d?sslmode=require', place);
    assert.deepEqual(
      addresses.map(({ host, port, user, password, database, sslMode }) => [
        host,
        port,
        user,
        password,
        database,
        sslMode,
      ]),
      [
        ['one', 1, 'me', 'a@b', 'd', 'require'],
        ['::1', 5432, 'me', 'a@b', 'd', 'require'],
        ['two.example', 3, 'me', 'a@b', 'd', 'require'],
      ],
    );
    for (const url of ['postgres://one,/d', `postgres://u:${secret}@one,two:x/d`])
      assert.throws(() => parseTargetUrls(url, place), { code: 'badInput', message: /environment variable X/ });
  });

  it('names the place and never the URL when it is of no use', () => {
    const bad = [
      'not a url',
      `mysql://u:${secret}@h/d`,
      `postgres:///d`,
      `postgres://u:${secret}@h/d?sslmode=maybe`,
      `postgres://u:${secret}@h/d?passfile=x`,
      `postgres://u:%E0%A4%A@h/d`,
      `postgres://u:${secret}@h/d?sslcert=/own.pem`,
      `postgres://u:${secret}@h/d?sslmode=verify-ca`,
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
    await assert.rejects(readTargetAddresses({ env: 'NOWHERE' }, {}), { code: 'badInput', message: /NOWHERE/ });
    await assert.rejects(readTargetAddresses({ file: '/no/such/file' }, {}), { code: 'badInput', message: /no\/such/ });
    const addresses = await readTargetAddresses({ env: 'HERE' }, { HERE: 'postgres://h/d' });
    assert.equal(addresses[0]?.database, 'd');
  });
});
