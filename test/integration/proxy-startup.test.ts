// How sessions begin, through the proxy and without it: the server sees the client's own bytes, and the client the server's.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { chmod, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { promisify } from 'node:util';
import { envelopesTopic, statusTopic } from '@mirrorstream/domain';
import { connectKafka } from '@mirrorstream/kafka';
import { sharedKafka, sharedPostgres, temporaryDirectory, uniqueName, waitFor } from '@mirrorstream/testkit';
import pg from 'pg';
import {
  ask,
  cancelled,
  configOf,
  endProxies,
  gssencRequest,
  type Login,
  openSocket,
  type ProxyProcess,
  passwordOf,
  psqlCommand,
  psqlMissing,
  readSome,
  readToEnd,
  readUntil,
  readyIdle,
  sendCancel,
  sslRequest,
  startLoginServer,
  startProxy,
  startupMessage,
  userOf,
} from './proxy-scene.ts';

type LoginServer = Awaited<ReturnType<typeof startLoginServer>>;
const logins: readonly Login[] = ['md5', 'scram', 'cleartext', 'trust'];
let server: LoginServer;
let proxy: ProxyProcess;

before(async () => {
  server = await startLoginServer('login', { wal_level: 'logical' });
  proxy = await startProxy(`${server.host}:${server.port}`, '--startup-timeout', '2');
});
after(async () => {
  await endProxies();
  await server.stop();
});

/** The server's first answer to a StartupMessage, without what differs from session to session. */
async function greeting(port: number, startup: Buffer): Promise<string> {
  const socket = await openSocket(port);
  socket.write(startup);
  const bytes = await readUntil(socket, readyIdle);
  socket.destroy();
  // BackendKeyData: 'K', length, process id and key.
  const at = bytes.indexOf('K\0\0\0', 0, 'latin1');
  const keyBytes = bytes.readInt32BE(at + 1) - 4;
  return Buffer.concat([bytes.subarray(0, at + 5), bytes.subarray(at + 5 + keyBytes)]).toString('latin1');
}

describe('the start of a session', { timeout: 120_000 }, () => {
  it('forwards the startup packet byte-exact, _pq_. options and odd minor versions too, and relays NegotiateProtocolVersion', async () => {
    const parameters = { user: 'postgres', database: 'postgres', '_pq_.not_known': '1', options: '-c geqo=off' };
    for (const source of [server, await sharedPostgres('candidate')]) {
      const through = await startProxy(`${source.host}:${source.port}`);
      for (const version of [0x3_0000, 0x3_0002, 0x3_270f]) {
        const startup = startupMessage(parameters, version);
        const direct = await greeting(source.port, startup);
        assert.match(direct, /^v\0\0/, 'the server speaks of what it does not know');
        assert.equal(await greeting(through.port, startup), direct, `version ${version.toString(16)}`);
      }
    }
  });

  it('answers GSSENCRequest with N, and takes SSLRequest and StartupMessage after it on one socket', async () => {
    const socket = await openSocket(proxy.port);
    for (const request of [gssencRequest, sslRequest]) {
      socket.write(request);
      assert.equal(String(await readSome(socket)), 'N');
    }
    socket.write(startupMessage({ user: 'postgres' }));
    await readUntil(socket, readyIdle);
    socket.destroy();
  });

  it('leaves a first packet of more than 10 000 bytes to the server, which refuses it', async () => {
    const startup = startupMessage({ user: 'postgres', options: `-c search_path=${'a'.repeat(10_000)}` });
    for (const port of [server.port, proxy.port]) {
      const socket = await openSocket(port);
      socket.write(startup);
      assert.equal((await readToEnd(socket)).length, 0);
    }
    assert.equal(await proxy.metric('opaque_sessions_total', '{reason="unknownProtocol"}'), 1);
  });

  it('ends a client whose first packet never comes to an end', async () => {
    const socket = await openSocket(proxy.port);
    socket.write(startupMessage({ user: 'postgres' }).subarray(0, 12));
    assert.equal((await readToEnd(socket)).length, 0);
  });

  it('gives the session all its startup parameters: options, TimeZone, search_path, application_name', async () => {
    const options = '-c TimeZone=Asia/Tokyo -c search_path=x,public';
    const config = configOf(proxy.via(server.url), { options, application_name: 'it is me' });
    const sql = `SELECT concat_ws('|', current_setting('TimeZone'), current_setting('search_path'), current_setting('application_name'))`;
    assert.equal(await ask(config, sql), 'Asia/Tokyo|x,public|it is me');
  });

  for (const login of logins) {
    it(`relays a login with ${login} untouched, and a wrong password's refusal`, async () => {
      const through = proxy.via(server.url, userOf(login), passwordOf(login));
      assert.equal(await ask(through, 'SELECT current_user::text'), userOf(login));
      if (login === 'trust') return;
      const wrong = proxy.via(server.url, userOf(login), 'other');
      await assert.rejects(ask(wrong, 'SELECT 1'), { code: '28P01' });
    });
  }

  it('is none of the business of a .pgpass file', { skip: psqlMissing }, async () => {
    const passfile = join(await temporaryDirectory('pgpass'), '.pgpass');
    await writeFile(passfile, `127.0.0.1:${proxy.port}:*:${userOf('scram')}:${passwordOf('scram')}\n`);
    await chmod(passfile, 0o600);
    const url = proxy.via(server.url, userOf('scram'));
    const env = { ...process.env, PGPASSFILE: passfile };
    const { stdout } = await promisify(execFile)(psqlCommand, ['-w', '-XAtc', 'SELECT current_user', url], { env });
    assert.equal(stdout.trim(), userOf('scram'));
  });

  it('passes a cancel verbatim to the server of its session, with keys of every length', async () => {
    assert.equal(await cancelled(configOf(proxy.via(server.url))), '57014');
    const candidate = await sharedPostgres('candidate');
    const through = await startProxy(`${candidate.host}:${candidate.port}`);
    const socket = await openSocket(through.port);
    socket.write(startupMessage({ user: 'postgres' }, 0x3_0002));
    const bytes = await readUntil(socket, readyIdle);
    const at = bytes.indexOf('K\0\0\0', 0, 'latin1');
    const key = bytes.subarray(at + 5, at + 1 + bytes.readInt32BE(at + 1));
    assert.equal(key.length, 4 + 32, 'protocol 3.2 has longer keys');
    const head = Buffer.alloc(8);
    head.writeInt32BE(8 + key.length, 0);
    head.writeInt32BE(80_877_102, 4);
    socket.write(Buffer.from(`Q\0\0\0\x18SELECT pg_sleep(60)\0`, 'latin1'));
    const ended = readUntil(socket, 'C57014');
    let over = false;
    void ended.then(() => {
      over = true;
    });
    await waitFor(
      async () => {
        await sendCancel(Buffer.concat([head, key]), through.port);
        return over;
      },
      { what: 'the statement to be cancelled' },
    );
    socket.destroy();
  });
});

describe('a replication session', { timeout: 120_000 }, () => {
  it('passes, is never captured, and does not hold up a stop of the proxy', async () => {
    const sourceName = uniqueName('replication');
    const { bootstrap } = await sharedKafka();
    const own = await startProxy(
      `${server.host}:${server.port}`,
      ...['--capture', 'on', '--brokers', bootstrap, '--source-name', sourceName, '--partitions', '2'],
      ...['--drain-deadline', '600'],
    );
    const socket = await openSocket(own.port);
    socket.write(startupMessage({ user: 'postgres', database: 'postgres', replication: 'database' }));
    await readUntil(socket, readyIdle);
    const slot = uniqueName('slot').replaceAll('-', '_');
    const say = (sql: string) => {
      const head = Buffer.alloc(5);
      head.write('Q');
      head.writeInt32BE(5 + sql.length, 1);
      socket.write(Buffer.concat([head, Buffer.from(`${sql}\0`)]));
    };
    say(`CREATE_REPLICATION_SLOT ${slot} TEMPORARY LOGICAL pgoutput`);
    await readUntil(socket, readyIdle);
    say(`START_REPLICATION SLOT ${slot} LOGICAL 0/0 (proto_version '1', publication_names 'none')`);
    await readUntil(socket, 'W\0\0\0');
    await ask(own.via(server.url), 'SELECT 4711');
    const ended = readToEnd(socket);
    const exit = await own.service.stop({ graceMs: 60_000 });
    assert.deepEqual([exit.code, exit.signal], [0, null], exit.lastLogLines.join('\n'));
    await ended;
    assert.equal(own.service.lines().filter((line) => line.includes('drain deadline')).length, 0);
    const records = await recordsOf(bootstrap, envelopesTopic(sourceName));
    assert.ok(records.some((bytes) => bytes.includes('SELECT 4711')));
    assert.ok(records.every((bytes) => !bytes.includes('REPLICATION')));
  });
});

describe('what is secret', { timeout: 120_000 }, () => {
  it('is in no record and no log line: passwords, their hashes, SASL messages, cancel keys', async () => {
    const sourceName = uniqueName('secrets');
    const { bootstrap } = await sharedKafka();
    const own = await startProxy(
      `${server.host}:${server.port}`,
      ...['--capture', 'on', '--brokers', bootstrap, '--source-name', sourceName, '--partitions', '2'],
      ...['--log-level', 'debug'],
    );
    const secrets: (string | Buffer)[] = ['SCRAM-SHA-256', 'n,,n=', 'c=biws', ',s=', ',p='];
    for (const login of logins) {
      const client = new pg.Client(own.via(server.url, userOf(login), passwordOf(login)));
      await client.connect();
      await client.query(`SELECT '${login} was here'`);
      const { processID, secretKey } = client as unknown as { processID: number; secretKey: number };
      const key = Buffer.alloc(8);
      key.writeInt32BE(processID, 0);
      key.writeInt32BE(secretKey, 4);
      await client.end();
      secrets.push(passwordOf(login), md5(`${passwordOf(login)}${userOf(login)}`), key, String(secretKey));
    }
    await cancelled(configOf(own.via(server.url)));
    const exit = await own.service.stop({ graceMs: 60_000 });
    assert.equal(exit.code, 0, exit.lastLogLines.join('\n'));
    const records = await recordsOf(bootstrap, envelopesTopic(sourceName));
    const said = own.service.lines().map((line) => Buffer.from(line));
    const statuses = (await recordsOf(bootstrap, statusTopic)).filter((bytes) => bytes.includes(sourceName));
    for (const login of logins) assert.ok(records.some((bytes) => bytes.includes(`${login} was here`)));
    for (const secret of secrets) {
      for (const bytes of [...records, ...statuses, ...said]) {
        assert.ok(!bytes.includes(secret), `${JSON.stringify(String(secret))} in ${bytes.toString('latin1')}`);
      }
    }
  });
});

const md5 = (text: string): string => createHash('md5').update(text).digest('hex');

/** Keys, headers and values of a topic. */
async function recordsOf(brokers: string, topic: string): Promise<Buffer[]> {
  const client = connectKafka({ brokers: [brokers], clientId: 'test' });
  const found: Buffer[] = [];
  try {
    const admin = await client.admin();
    const ends = (await admin.offsets(topic)).filter(({ low, high }) => low < high);
    const ranges = ends.map(({ partition, low, high }) => ({ partition, from: low, to: high }));
    await client.readRange(topic, ranges, ({ records }) => {
      for (const { key, value, headers } of records)
        found.push(Buffer.from(JSON.stringify(headers)), Buffer.from(key ?? ''), Buffer.from(value ?? ''));
    });
  } finally {
    await client.close();
  }
  return found;
}
