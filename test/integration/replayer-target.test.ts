// Connections to a mirror's server: every way to log in, TLS, marks, losses and cancelling, against real PostgreSQL.
import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import {
  type ConnectTargetOptions,
  connectTarget,
  parseTargetUrl,
  systemIdentifier,
  type TargetConnection,
} from '@mirrorstream/pg-target';
import { encodeFrontend, WireWriter } from '@mirrorstream/pg-wire';
import {
  createCertificateAuthority,
  execute,
  queryFrame,
  sharedPostgres,
  startPostgres,
  waitFor,
} from '@mirrorstream/testkit';

const session = {
  user: 'postgres',
  database: 'postgres',
  startupParameters: [{ name: 'TimeZone', value: 'Asia/Tokyo' }],
  applicationName: 'mirrorstream',
  sessionMark: 'session-1',
  connectTimeoutMs: 10_000,
};

interface Opened {
  readonly connection: TargetConnection;
  /** All bytes received so far, as text. */
  text(): string;
  readonly losses: Error[];
  ask(sql: string): Promise<string>;
}

async function open(t: TestContext, url: string, changes: Partial<ConnectTargetOptions> = {}): Promise<Opened> {
  let received = '';
  const losses: Error[] = [];
  const connection = await connectTarget(
    { ...session, ...changes, address: parseTargetUrl(url, 'the test') },
    { onBytes: (chunk) => (received += Buffer.from(chunk).toString('latin1')), onLost: (error) => losses.push(error) },
  );
  t.after(() => connection.destroy());
  const ask = async (sql: string): Promise<string> => {
    received = '';
    connection.write(queryFrame(sql));
    await waitFor(() => received.includes('Z\0\0\0\x05'), { what: 'ReadyForQuery' });
    return received;
  };
  return { connection, text: () => received, losses, ask };
}

describe('connections to a mirror', { timeout: 120_000 }, () => {
  for (const auth of ['password', 'md5', 'scram-sha-256'] as const) {
    it(`logs in with ${auth}, and says when the password is wrong or missing`, async (t) => {
      const server = await startPostgres({ name: auth, auth, password: "it's, secret=1" });
      t.after(() => server.stop());
      const { ask } = await open(t, server.url);
      assert.match(await ask('SELECT 40 + 2'), /42/);
      const wrong = new URL(server.url);
      wrong.password = 'other';
      await assert.rejects(open(t, wrong.href), { code: 'authenticationFailed', retryable: false });
      wrong.password = '';
      await assert.rejects(open(t, wrong.href), { code: 'authenticationFailed', message: /asks for a password/ });
    });
  }

  it('is what the captured session was: database, parameters; and can be told from others', async (t) => {
    const server = await sharedPostgres('control');
    const { ask } = await open(t, server.url);
    assert.match(await ask('SHOW TimeZone'), /Asia\/Tokyo/);
    assert.match(await ask('SHOW application_name'), /mirrorstream/);
    assert.match(await ask('SHOW mirrorstream.session'), /session-1/);
  });

  it('says that a database does not exist, and that nobody answers', async (t) => {
    const server = await sharedPostgres('control');
    const url = new URL(server.url);
    url.pathname = '/no_such_database';
    await assert.rejects(open(t, url.href), { code: 'targetRefused', message: /3D000/ });
    url.port = '1';
    await assert.rejects(open(t, url.href), { code: 'targetUnreachable', retryable: true });
  });

  it('logs in as another user, marks the session, refuses writes and limits statements, all on the server', async (t) => {
    const server = await startPostgres({ name: 'login', auth: 'scram-sha-256', password: 'root' });
    t.after(() => server.stop());
    await execute(server.url, "CREATE ROLE app_copy LOGIN PASSWORD 'copy'", 'CREATE TABLE public.t (n int)');
    await execute(server.url, 'GRANT ALL ON t TO app_copy');
    const { ask } = await open(t, server.url, {
      login: { user: 'app_copy', password: 'copy' },
      marks: { mirror: 'candidate' },
      startupParameters: [{ name: 'options', value: '-c default_transaction_read_only=off' }],
      readOnly: true,
      statementTimeoutMs: 123_000,
    });
    assert.match(await ask('SELECT current_user'), /app_copy/);
    assert.match(await ask('SHOW mirrorstream.mirror'), /candidate/);
    assert.match(await ask('SHOW statement_timeout'), /123s/);
    assert.match(await ask('INSERT INTO t VALUES (1)'), /25006/);
    await ask('RESET ALL');
    assert.match(await ask('INSERT INTO t VALUES (1)'), /25006/);
    await assert.rejects(open(t, server.url, { login: { user: 'app_copy', password: 'wrong' } }), {
      code: 'authenticationFailed',
    });
  });

  it('says that a server has no connection left, as something that can pass', async (t) => {
    const settings = { max_connections: '4', superuser_reserved_connections: '0', reserved_connections: '0' };
    const server = await startPostgres({ name: 'full', settings });
    t.after(() => server.stop());
    const opened = await Promise.all([1, 2, 3, 4].map(() => open(t, server.url)));
    await assert.rejects(open(t, server.url), { code: 'targetFull', retryable: true });
    opened[0]?.connection.close();
    await opened[0]?.connection.closed;
    await open(t, server.url);
  });

  it('connects unmarked where the server refuses a start-up parameter for being marked', async (t) => {
    const server = await sharedPostgres('control');
    // What a reserved prefix would do: a mark that is no valid option.
    const { ask } = await open(t, server.url, { sessionMark: 'x -c no_such_setting=1' });
    assert.match(await ask('SELECT 40 + 2'), /42/);
  });

  it('tells once that the connection was lost, and nothing when it closed it itself', async (t) => {
    const server = await startPostgres({ name: 'loss' });
    t.after(() => server.stop());
    const lost = await open(t, server.url);
    const closed = await open(t, server.url);
    closed.connection.close();
    await execute(server.url, `SELECT pg_terminate_backend(${lost.connection.processId})`);
    await waitFor(() => lost.losses.length > 0, { what: 'the loss' });
    assert.match(lost.text(), /57P01/);
    await server.stop();
    assert.equal(lost.losses.length, 1);
    assert.equal(closed.losses.length, 0);
    assert.equal(lost.connection.write(queryFrame('SELECT 1')), true);
  });

  it('cancels what it is doing', async (t) => {
    const server = await sharedPostgres('control');
    const { connection, text } = await open(t, server.url);
    connection.write(queryFrame('SELECT pg_sleep(60)'));
    await waitFor(
      async () => {
        await connection.cancel();
        return text().includes('57014');
      },
      { what: 'the statement to be cancelled' },
    );
  });

  it('asks a server which cluster it is', async () => {
    const [source, control] = await Promise.all([sharedPostgres('source'), sharedPostgres('control')]);
    const identify = (url: string) => systemIdentifier(parseTargetUrl(url, 'the test'), session, 10_000);
    const [one, again, other] = await Promise.all([identify(source.url), identify(source.url), identify(control.url)]);
    assert.match(one ?? '', /^\d{10,20}$/);
    assert.equal(one, again);
    assert.notEqual(one, other);
  });

  it('speaks TLS as sslmode says', async (t) => {
    const authority = await createCertificateAuthority();
    const { certFile, keyFile } = await authority.issue({ altNames: ['localhost'] });
    const plain = await sharedPostgres('control');
    const server = await startPostgres({
      name: 'tls',
      settings: { ssl: 'on', ssl_cert_file: certFile, ssl_key_file: keyFile, ssl_ca_file: authority.caFile },
    });
    t.after(() => server.stop());
    const isEncrypted = async (url: string, query: string): Promise<boolean> => {
      const { ask } = await open(t, `${url}?${query}`);
      return (await ask("SELECT 'encrypted=' || ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()")).includes('=true');
    };
    assert.equal(await isEncrypted(server.url, 'sslmode=disable'), false);
    assert.equal(await isEncrypted(server.url, 'sslmode=prefer'), true);
    assert.equal(await isEncrypted(server.url, 'sslmode=require'), true);
    const verified = new URL(server.url);
    verified.hostname = 'localhost';
    assert.equal(await isEncrypted(verified.href, `sslmode=verify-full&sslrootcert=${authority.caFile}`), true);
    await assert.rejects(open(t, `${verified.href}?sslmode=verify-full`), { code: 'targetUnreachable' });
    await assert.rejects(open(t, `${server.url}?sslmode=verify-full&sslrootcert=${authority.caFile}`));
    assert.equal(await isEncrypted(server.url, `sslmode=verify-ca&sslrootcert=${authority.caFile}`), true);
    const stranger = await createCertificateAuthority();
    for (const mode of ['verify-ca', 'require'])
      await assert.rejects(open(t, `${server.url}?sslmode=${mode}&sslrootcert=${stranger.caFile}`));
    const own = await authority.issue({ commonName: 'replayer' });
    const { ask } = await open(t, `${server.url}?sslmode=require&sslcert=${own.certFile}&sslkey=${own.keyFile}`);
    assert.match(await ask('SELECT client_dn FROM pg_stat_ssl WHERE pid = pg_backend_pid()'), /CN=replayer/);
    await assert.rejects(open(t, `${server.url}?sslmode=require&sslcert=/no/such.pem&sslkey=${own.keyFile}`), {
      code: 'targetRefused',
      message: /no\/such/,
    });
    await assert.rejects(open(t, `${plain.url}?sslmode=require`), { code: 'targetRefused' });
    assert.equal(await isEncrypted(plain.url, 'sslmode=prefer'), false);
  });

  it('hands over large answers and takes large requests, with back-pressure', async (t) => {
    const server = await sharedPostgres('control');
    const { connection, text } = await open(t, server.url);
    const writer = new WireWriter();
    encodeFrontend({ kind: 'query', query: `SELECT length('${'x'.repeat(20_000_000)}')` }, writer);
    assert.equal(connection.write(writer.take()), false);
    await waitFor(() => text().includes('20000000'), { what: 'the answer' });
  });
});
