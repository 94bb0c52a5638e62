// TLS on either leg of the proxy, in every combination, with the drivers that people use.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { copyFile, readFile, rename } from 'node:fs/promises';
import { type AddressInfo, createServer as listenTcp } from 'node:net';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { createServer, type SecureVersion } from 'node:tls';
import { promisify } from 'node:util';
import {
  type CertificateAuthority,
  type CertificateFiles,
  createCertificateAuthority,
  spawnService,
  temporaryDirectory,
  waitFor,
} from '@mirrorstream/testkit';
import pg from 'pg';
import {
  ask,
  cancelled,
  configOf,
  endProxies,
  handshake,
  openSocket,
  type ProxyProcess,
  passwordOf,
  psqlCommand,
  psqlMissing,
  readSome,
  readToEnd,
  readUntil,
  readyIdle,
  requestTls,
  sslRequest,
  startLoginServer,
  startProxy,
  startupMessage,
  userOf,
} from './proxy-scene.ts';

type LoginServer = Awaited<ReturnType<typeof startLoginServer>>;

let authority: CertificateAuthority;
let stranger: CertificateAuthority;
/** The server's own certificate, and another one. */
let same: CertificateFiles;
let other: CertificateFiles;
let ca: string;
let encrypted: LoginServer;
let plain: LoginServer;

before(async () => {
  [authority, stranger] = await Promise.all([createCertificateAuthority(), createCertificateAuthority()]);
  [same, other] = await Promise.all([authority.issue(), authority.issue()]);
  ca = await readFile(authority.caFile, 'utf8');
  const ssl = { ssl: 'on', ssl_cert_file: same.certFile, ssl_key_file: same.keyFile, ssl_ca_file: authority.caFile };
  [encrypted, plain] = await Promise.all([startLoginServer('encrypted', ssl), startLoginServer('plain')]);
});
after(async () => {
  await endProxies();
  await Promise.all([encrypted.stop(), plain.stop()]);
});

const pair = ({ certFile, keyFile }: CertificateFiles): string[] => ['--tls-cert', certFile, '--tls-key', keyFile];
const toServer = (mode: string): string[] =>
  mode === 'disable' ? ['--source-tls', mode] : ['--source-tls', mode, '--source-tls-ca', authority.caFile];
const at = ({ host, port }: { host: string; port: number }): string => `${host}:${port}`;
const isEncrypted = 'SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()';

interface Cell {
  readonly name: string;
  /** How the client connects; `same` and `other`: TLS, with the server's certificate or another one. */
  readonly client: 'plain' | 'same' | 'other' | 'passthrough';
  readonly server: 'disable' | 'require';
  /** By the client's channel_binding: whether it can log in. */
  readonly works: { readonly disable: true; readonly prefer: boolean; readonly require: boolean };
}

const cell = (
  name: string,
  client: Cell['client'],
  server: Cell['server'],
  works: Omit<Cell['works'], 'disable'>,
): Cell => ({ name, client, server, works: { disable: true, ...works } });

describe('channel binding across two legs', { timeout: 120_000 }, () => {
  // SCRAM-SHA-256-PLUS binds to the certificate that the client saw: what works where, with each wish of the client.
  const cells = [
    cell('plain client, plain server', 'plain', 'disable', { prefer: true, require: false }),
    cell('plain client, TLS to the server: -PLUS is taken out', 'plain', 'require', { prefer: true, require: false }),
    cell('TLS client, plain server', 'same', 'disable', { prefer: true, require: false }),
    cell('TLS on both legs, the same certificate', 'same', 'require', { prefer: true, require: true }),
    cell('TLS on both legs, different certificates', 'other', 'require', { prefer: false, require: false }),
    cell('TLS passed through', 'passthrough', 'disable', { prefer: true, require: true }),
  ];

  for (const cell of cells) {
    let started: Promise<ProxyProcess> | undefined;
    const own = (): Promise<ProxyProcess> => {
      const certificate = cell.client === 'same' ? same : cell.client === 'other' ? other : null;
      const mode = cell.client === 'passthrough' ? ['--client-tls', 'passthrough'] : [];
      const server = cell.client === 'plain' && cell.server === 'disable' ? plain : encrypted;
      started ??= startProxy(
        at(server),
        ...(certificate === null ? mode : pair(certificate)),
        ...toServer(cell.server),
      );
      return started;
    };

    it(`${cell.name}: node-postgres without and with channel binding`, async () => {
      const proxy = await own();
      const ssl = cell.client === 'plain' ? undefined : { ca };
      const url = proxy.via(encrypted.url, userOf('scram'), passwordOf('scram'));
      const login = (enableChannelBinding: boolean) =>
        ask(configOf(url, { enableChannelBinding, ...(ssl && { ssl }) }), 'SELECT current_user::text');
      assert.equal(await login(false), userOf('scram'));
      // Asked for channel binding, node-postgres claims to be able to do it on a plain connection, too.
      const claimsTooMuch = cell.client === 'plain' && cell.server === 'require';
      if (cell.works.prefer && !claimsTooMuch) assert.equal(await login(true), userOf('scram'));
      else await assert.rejects(login(true), { code: '28000', message: /channel binding/ });
      const told = () => proxy.service.lines().filter((line) => /offers SCRAM-SHA-256-PLUS/.test(line));
      if (cell.works.prefer) return assert.equal(told().length, 0);
      assert.equal(told().length, 1, 'said, and once');
      assert.match(told()[0] ?? '', /channel_binding=disable/);
    });

    it(`${cell.name}: psql with each channel_binding`, { skip: psqlMissing }, async () => {
      const proxy = await own();
      const sslMode =
        cell.client === 'plain' ? 'sslmode=disable' : `sslmode=verify-full sslrootcert=${authority.caFile}`;
      for (const binding of ['disable', 'prefer', 'require'] as const) {
        const login = promisify(execFile)(
          psqlCommand,
          [
            ...['-w', '-XAtc', 'SELECT current_user'],
            `host=127.0.0.1 port=${proxy.port} user=${userOf('scram')} dbname=postgres ${sslMode} channel_binding=${binding}`,
          ],
          { env: { ...process.env, PGPASSWORD: passwordOf('scram') } },
        );
        if (cell.works[binding]) assert.equal((await login).stdout.trim(), userOf('scram'), binding);
        else await assert.rejects(login, /channel binding/, binding);
      }
    });
  }
});

describe("TLS on the client's leg", { timeout: 120_000 }, () => {
  it('is there for who asks, and with allow for nobody else', async () => {
    const proxy = await startProxy(at(plain), ...pair(other));
    assert.equal(
      await ask(configOf(proxy.via(plain.url), { ssl: { ca } }), isEncrypted),
      false,
      "the server's leg is plain",
    );
    assert.equal(await ask(proxy.via(plain.url), 'SELECT 42'), 42);
    assert.equal(await proxy.metric('tls_handshakes_total', '{leg="client",outcome="done"}'), 1);
  });

  it('is demanded with require: a plain session is refused as by hostssl, a plain cancel is not', async () => {
    const proxy = await startProxy(at(plain), '--client-tls', 'require', ...pair(other));
    await assert.rejects(ask(proxy.via(plain.url), 'SELECT 1'), { code: '28000' });
    const older = await openSocket(proxy.port);
    older.write(startupMessage({ user: 'postgres' }, 0x2_0000)); // what old servers take in a form that nobody reads here
    assert.match(String(await readToEnd(older)), /C28000/);
    const config = configOf(proxy.via(plain.url), { ssl: { ca } });
    assert.equal(await cancelled(config, configOf(proxy.via(plain.url))), '57014');
    assert.equal(await proxy.metric('sessions_refused_total', '{reason="tlsRequired"}'), 2);
  });

  it('carries cancel requests, too', async () => {
    const proxy = await startProxy(at(encrypted), ...pair(other), ...toServer('require'));
    assert.equal(await cancelled(configOf(proxy.via(encrypted.url), { ssl: { ca } })), '57014');
  });

  it('aborts when bytes lie before the handshake (CVE-2021-23214): nothing stuffed behind SSLRequest is taken', async () => {
    const proxy = await startProxy(at(plain), ...pair(other));
    const tcp = await openSocket(proxy.port);
    tcp.write(Buffer.concat([sslRequest, startupMessage({ user: 'postgres' })]));
    assert.equal(String(await readToEnd(tcp)), '');
    assert.equal(await proxy.metric('tls_handshakes_total', '{leg="client",outcome="failed"}'), 1);
    assert.equal(await proxy.metric('sessions_total'), 0);
  });

  it('may begin at once, with ALPN postgresql and not without', async () => {
    const proxy = await startProxy(at(plain), ...pair(other));
    const socket = await handshake(await openSocket(proxy.port), { ca, ALPNProtocols: ['postgresql'] });
    socket.write(startupMessage({ user: 'postgres' }));
    await readUntil(socket, readyIdle);
    socket.destroy();
    const wrong = handshake(await openSocket(proxy.port), { ca, ALPNProtocols: ['http/1.1'] });
    await assert.rejects(wrong, { code: 'ERR_SSL_TLSV1_ALERT_NO_APPLICATION_PROTOCOL' });
    const none = await handshake(await openSocket(proxy.port), { ca });
    none.write(startupMessage({ user: 'postgres' }));
    assert.equal(String(await readToEnd(none)), '');
    const asked = requestTls(await openSocket(proxy.port), { ca, ALPNProtocols: ['http/1.1'] });
    await assert.rejects(asked, { code: 'ERR_SSL_TLSV1_ALERT_NO_APPLICATION_PROTOCOL' });
  });

  it('is TLS 1.2 at least, however the client asks for less', async () => {
    const proxy = await startProxy(at(plain), ...pair(other));
    const only = (version: SecureVersion) => ({ ca, minVersion: version, maxVersion: version });
    const older = { ...only('TLSv1.1'), ciphers: 'DEFAULT@SECLEVEL=0' };
    await assert.rejects(requestTls(await openSocket(proxy.port), older), { code: /PROTOCOL_VERSION/ });
    for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
      const socket = await requestTls(await openSocket(proxy.port), only(version));
      assert.equal(socket.getProtocol(), version);
      socket.write(startupMessage({ user: 'postgres' }));
      await readUntil(socket, readyIdle);
      socket.destroy();
    }
  });

  it('takes one request for encryption, and none inside it', async () => {
    const proxy = await startProxy(at(plain), ...pair(other));
    const socket = await requestTls(await openSocket(proxy.port), { ca });
    socket.write(sslRequest);
    assert.match(String(await readSome(socket)), /C08P01/);
    socket.destroy();
  });

  it('asks for a client certificate where a CA is given, and takes none of another CA', async () => {
    const proxy = await startProxy(at(plain), ...pair(other), '--tls-ca', authority.caFile);
    const login = async (files: CertificateFiles | null) => {
      const shown = files && { cert: await readFile(files.certFile), key: await readFile(files.keyFile) };
      return await ask(configOf(proxy.via(plain.url), { ssl: { ca, ...shown } }), 'SELECT 42');
    };
    assert.equal(await login(await authority.issue({ commonName: 'app' })), 42);
    await assert.rejects(login(null));
    await assert.rejects(login(await stranger.issue({ commonName: 'app' })));
    assert.equal(await proxy.metric('tls_handshakes_total', '{leg="client",outcome="failed"}'), 2);
  });

  it('works in worker processes', async () => {
    const proxy = await startProxy(at(encrypted), '--workers', '2', ...pair(same), ...toServer('verify-full'));
    const config = configOf(proxy.via(encrypted.url, userOf('scram'), passwordOf('scram')), { ssl: { ca } });
    const answers = await Promise.all(
      [1, 2, 3, 4].map(() => ask({ ...config, enableChannelBinding: true }, isEncrypted)),
    );
    assert.deepEqual(answers, [true, true, true, true]);
    assert.equal(await cancelled(config), '57014');
  });
});

describe('TLS passed through', { timeout: 120_000 }, () => {
  it("is the server's own, uncaptured and counted; without TLS there the client hears N", async () => {
    const proxy = await startProxy(at(encrypted), '--client-tls', 'passthrough');
    const config = configOf(proxy.via(encrypted.url, userOf('tlsOnly'), passwordOf('tlsOnly')), { ssl: { ca } });
    assert.equal(await ask(config, isEncrypted), true);
    assert.equal(await cancelled(config), '57014');
    assert.ok((await proxy.metric('opaque_sessions_total', '{reason="encrypted"}')) >= 3);
    const toPlain = await startProxy(at(plain), '--client-tls', 'passthrough');
    const tcp = await openSocket(toPlain.port);
    tcp.write(sslRequest);
    assert.equal(String(await readSome(tcp)), 'N');
    tcp.write(startupMessage({ user: 'postgres' }));
    await readUntil(tcp, readyIdle);
    tcp.destroy();
    assert.equal(await toPlain.metric('opaque_sessions_total', '{reason="encrypted"}'), 0);
  });
});

describe("TLS on the server's leg", { timeout: 120_000 }, () => {
  it('is TLS 1.2 at least, however little the server offers', async (t) => {
    const old = createServer({
      key: await readFile(same.keyFile),
      cert: await readFile(same.certFile),
      minVersion: 'TLSv1.1',
      maxVersion: 'TLSv1.1',
      ciphers: 'DEFAULT@SECLEVEL=0',
    });
    const tcp = listenTcp((socket) => {
      socket.once('data', () => {
        socket.write('S');
        old.emit('connection', socket);
      });
    }).listen(0, '127.0.0.1');
    t.after(() => tcp.close());
    await once(tcp, 'listening');
    const { port } = tcp.address() as AddressInfo;
    const proxy = await startProxy(`127.0.0.1:${port}`, '--source-tls', 'require');
    await assert.rejects(ask(proxy.via(plain.url), 'SELECT 1'), { code: '08006', message: /PROTOCOL/ });
  });

  const login = (proxy: ProxyProcess) =>
    ask(proxy.via(encrypted.url, userOf('tlsOnly'), passwordOf('tlsOnly')), isEncrypted);

  it('is encrypted as sslmode says, for users that the server takes no other way', async () => {
    for (const mode of ['prefer', 'require', 'verify-ca', 'verify-full'])
      assert.equal(await login(await startProxy(at(encrypted), ...toServer(mode))), true, mode);
    await assert.rejects(login(await startProxy(at(encrypted))), { code: '28000' });
    assert.equal(await ask((await startProxy(at(plain), '--source-tls', 'prefer')).via(plain.url), isEncrypted), false);
  });

  it('tells clients that the source is away when its certificate or its lack of TLS is not acceptable', async () => {
    const cases: readonly (readonly [LoginServer, string[], RegExp])[] = [
      [plain, toServer('require'), /TLS_REFUSED_BY_SOURCE/],
      [encrypted, ['--source-tls', 'verify-full'], /UNABLE_TO|SELF_SIGNED/],
      [encrypted, ['--source-tls', 'verify-ca', '--source-tls-ca', stranger.caFile], /UNABLE_TO|SELF_SIGNED|CERT/],
      [encrypted, ['--source-tls', 'require', '--source-tls-ca', stranger.caFile], /UNABLE_TO|SELF_SIGNED|CERT/],
      [
        encrypted,
        [...toServer('verify-full'), '--source-tls-server-name', 'db.example'],
        /ERR_TLS_CERT_ALTNAME_INVALID/,
      ],
    ];
    for (const [server, flags, reason] of cases) {
      const proxy = await startProxy(at(server), ...flags);
      await assert.rejects(ask(proxy.via(server.url), 'SELECT 1'), { code: '08006', message: reason });
      assert.equal(await proxy.metric('source_connect_failures_total'), 1);
    }
    const named = [...toServer('verify-full'), '--source-tls-server-name', 'localhost'];
    assert.equal(await login(await startProxy(at(encrypted), ...named)), true);
    const anyName = await startProxy(at(encrypted), ...toServer('verify-ca'), '--source-tls-server-name', 'db.example');
    assert.equal(await login(anyName), true);
  });

  it("shows the proxy's own certificate to a server that asks for one", async () => {
    const { certFile, keyFile } = await authority.issue({ commonName: 'proxy' });
    const user = userOf('clientCertificate');
    const via = (proxy: ProxyProcess) => proxy.via(encrypted.url, user, passwordOf('clientCertificate'));
    const without = await startProxy(at(encrypted), ...toServer('verify-full'));
    await assert.rejects(ask(via(without), 'SELECT 1'), { code: '28000' });
    const own = ['--source-tls-cert', certFile, '--source-tls-key', keyFile];
    assert.equal(await ask(via(await startProxy(at(encrypted), ...toServer('verify-full'), ...own)), 'SELECT 42'), 42);
  });
});

describe('the files of TLS', { timeout: 120_000 }, () => {
  it('are checked before anything is listened to', async () => {
    const cases: readonly (readonly [string[], RegExp])[] = [
      [pair({ ...other, certFile: '/no/such/cert.pem' }), /--tls-cert \/no\/such\/cert\.pem cannot be read \(ENOENT\)/],
      [pair({ certFile: other.certFile, keyFile: same.keyFile }), /does not belong to the certificate/],
      [['--source-tls', 'verify-ca', '--source-tls-ca', other.keyFile], /--source-tls-ca .* holds no certificate/],
    ];
    for (const [flags, message] of cases) {
      const common = ['capture-proxy', '--source', 'x:1', '--capture', 'off', '--listen', '127.0.0.1:0'];
      const { exited } = await spawnService([...common, ...flags]);
      let exit: Awaited<typeof exited> | undefined;
      void exited.then((how) => {
        exit = how;
      });
      await waitFor(() => exit, { what: 'the proxy to refuse to start' });
      assert.ok(exit !== undefined);
      assert.equal(exit.code, 2);
      assert.match(exit.lastLogLines.join('\n'), message);
    }
  });

  it('warn when a certificate has expired, and it is used', async () => {
    const day = 86_400_000;
    const expired = await authority.issue({
      notBefore: new Date(Date.now() - 9 * day),
      notAfter: new Date(Date.now() - day),
    });
    const proxy = await startProxy(at(plain), ...pair(expired));
    await proxy.service.waitForLine(/--tls-cert .* expired on/);
    await assert.rejects(ask(configOf(proxy.via(plain.url), { ssl: { ca } }), 'SELECT 1'), {
      code: 'CERT_HAS_EXPIRED',
    });
  });

  it('are read again on SIGHUP: new handshakes use them, old connections live on, a broken file changes nothing', async () => {
    const dir = await temporaryDirectory('renewed');
    const files = { certFile: join(dir, 'cert.pem'), keyFile: join(dir, 'key.pem') };
    const put = async ({ certFile, keyFile }: CertificateFiles): Promise<void> => {
      await copyFile(keyFile, `${files.keyFile}.new`);
      await copyFile(certFile, `${files.certFile}.new`);
      await rename(`${files.keyFile}.new`, files.keyFile);
      await rename(`${files.certFile}.new`, files.certFile);
    };
    await put(other);
    const proxy = await startProxy(at(plain), ...pair(files));
    const shown = async (): Promise<string> => {
      const socket = await requestTls(await openSocket(proxy.port), { ca });
      const { fingerprint256 } = socket.getPeerCertificate();
      socket.end();
      await once(socket, 'close');
      return fingerprint256;
    };
    const before = await shown();
    const old = new pg.Client(configOf(proxy.via(plain.url), { ssl: { ca } }));
    await old.connect();

    await put({ certFile: other.certFile, keyFile: same.keyFile });
    proxy.service.signal('SIGHUP');
    await proxy.service.waitForLine(/"level":"?(50|error)"?.*changed TLS files cannot be used/i);
    assert.equal(await shown(), before);

    await put(same);
    proxy.service.signal('SIGHUP');
    await waitFor(async () => (await shown()) !== before, { what: 'the new certificate' });
    assert.equal((await old.query('SELECT 42 AS answer')).rows[0].answer, 42);
    await old.end();
    assert.equal(await proxy.metric('tls_reloads_total', '{outcome="failed"}'), 1);
  });
});
