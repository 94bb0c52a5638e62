// Encrypted legs behave as plain ones do: bytes, back-pressure, half-close and reset go through, whichever leg is encrypted.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { after, describe, it, type TestContext } from 'node:test';
import { connect as connectTls, TLSSocket } from 'node:tls';
import { createCertificateAuthority, waitFor } from '@mirrorstream/testkit';
import { type RunningProxy, startProxy } from '../proxy.ts';
import { take, takeAll } from '../socket-takes.fixture.ts';
import { StreamLeg } from '../stream-leg.ts';
import { type Credentials, loadCredentials } from './credentials.ts';

const deadlineMs = 30_000;
const ignore = (): void => undefined;
const credentials: Promise<Credentials> = (async () => {
  const { certFile, keyFile } = await (await createCertificateAuthority()).issue();
  return loadCredentials({ cert: { flag: 'cert', path: certFile }, key: { flag: 'key', path: keyFile } });
})();

const startup = Buffer.from('\0\0\0\x12\0\x03\0\0user\0app\0\0', 'latin1');
const sslRequest = Buffer.from([0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f]);
const servers: Server[] = [];
after(() => {
  for (const server of servers) server.close();
});

/** A connection, and what lies beneath it when it is encrypted. */
interface End {
  readonly stream: Socket;
  readonly tcp: Socket;
}

interface Scene {
  readonly proxy: RunningProxy;
  readonly counts: { bytes: number; sessionsTotal: number; sessionsOpen: number };
  client(): Promise<End>;
  /** The connection to the source, nothing read yet. */
  connected(): Promise<Socket>;
  /** The source's end of the session that a client has begun, its StartupMessage read. */
  source(): Promise<End>;
}

interface Encrypted {
  readonly client: boolean;
  readonly source: boolean;
}

async function accepted(tcp: Socket, encrypted: boolean): Promise<End> {
  tcp.on('error', ignore);
  if (!encrypted) return { stream: tcp, tcp };
  assert.deepEqual(await take(tcp, 8), sslRequest);
  tcp.removeAllListeners('readable');
  tcp.write('S');
  const stream = new TLSSocket(tcp, { isServer: true, secureContext: (await credentials).context });
  stream.on('error', ignore);
  await once(stream, 'secure');
  return { stream, tcp };
}

async function scene(t: TestContext, encrypted: Encrypted): Promise<Scene> {
  const waiting: Socket[] = [];
  const server = createServer({ allowHalfOpen: true, pauseOnConnect: true }, (socket) => waiting.push(socket));
  servers.push(server.listen(0, '127.0.0.1'));
  await once(server, 'listening');
  const counts = { bytes: 0, sessionsTotal: 0, sessionsOpen: 0 };
  const own = await credentials;
  const proxy = await startProxy({
    listen: { host: '127.0.0.1', port: 0 },
    sources: [{ host: '127.0.0.1', port: (server.address() as AddressInfo).port }],
    tap: null,
    counts,
    clientTls: { mode: 'allow', credentials: () => own },
    sourceTls: encrypted.source ? { mode: 'require', serverName: null, credentials: () => own } : null,
  });
  const ends: End[] = [];
  t.after(() => {
    proxy.stopAccepting();
    for (const session of [...proxy.sessions()]) session.shutDown();
    for (const { tcp } of ends) tcp.destroy();
  });
  const keep = (end: End): End => {
    ends.push(end);
    return end;
  };
  const client = async (): Promise<End> => {
    const tcp = connect({ port: proxy.listening.port, host: '127.0.0.1', allowHalfOpen: true });
    tcp.on('error', ignore);
    await once(tcp, 'connect');
    if (!encrypted.client) return keep({ stream: tcp, tcp });
    tcp.write(sslRequest);
    assert.equal(String(await take(tcp, 1)), 'S');
    tcp.removeAllListeners('readable');
    const stream = connectTls({ socket: tcp, rejectUnauthorized: false });
    stream.on('error', ignore);
    await once(stream, 'secureConnect');
    return keep({ stream, tcp });
  };
  const connected = () => waitFor(() => waiting.shift(), { what: 'the connection to the source' });
  const source = async (): Promise<End> => {
    const end = keep(await accepted(await connected(), encrypted.source));
    assert.deepEqual(await take(end.stream, startup.length), startup);
    return end;
  };
  return { proxy, counts, client, connected, source };
}

async function session(at: Scene): Promise<{ client: End; source: End }> {
  const client = await at.client();
  client.stream.write(startup);
  return { client, source: await at.source() };
}

const digest = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex');

function noise(bytes: number, seed: number): Buffer {
  const buffer = Buffer.alloc(bytes);
  for (let i = 0; i < bytes; i += 4) buffer.writeInt32LE(Math.imul(i + seed, 0x9e3779b1) | 0, Math.min(i, bytes - 4));
  return buffer;
}

const combinations: readonly (readonly [string, Encrypted])[] = [
  ["TLS on the client's leg", { client: true, source: false }],
  ["TLS on the source's leg", { client: false, source: true }],
  ['TLS on both legs', { client: true, source: true }],
];

for (const [name, encrypted] of combinations) {
  describe(name, { timeout: deadlineMs }, () => {
    it('moves megabytes both ways at once without changing a byte', async (t) => {
      const { client, source } = await session(await scene(t, encrypted));
      const up = noise(9_000_001, 1);
      const down = noise(12_345_678, 2);
      client.stream.end(up);
      source.stream.end(down);
      const [gotUp, gotDown] = await Promise.all([takeAll(source.stream), takeAll(client.stream)]);
      assert.equal(digest(gotUp), digest(up));
      assert.equal(digest(gotDown), digest(down));
    });

    it('holds back either side while the other does not read, in bounded memory, and loses nothing', async (t) => {
      for (const [from, to] of [
        ['source', 'client'],
        ['client', 'source'],
      ] as const) {
        const at = await scene(t, encrypted);
        const ends = await session(at);
        const big = noise(32 * 1024 * 1024, 3);
        const before = process.memoryUsage().arrayBuffers;
        ends[from].stream.end(big);
        // Nothing moves any more: kernel buffers are full and the proxy does not read on.
        for (let last = -1; last !== at.counts.bytes; ) {
          last = at.counts.bytes;
          await new Promise((resolve) => setTimeout(resolve, 50));
        }
        assert.ok(
          at.counts.bytes < big.length * 0.6,
          `${at.counts.bytes} bytes went through to a ${to} that reads nothing`,
        );
        // This test encrypts in the same process: it holds what it was told to send, once as it is and once encrypted.
        assert.ok(process.memoryUsage().arrayBuffers - before < big.length + 16 * 1024 * 1024);
        assert.equal(digest(await takeAll(ends[to].stream)), digest(big));
      }
    });

    it('passes a half-close and goes on with the other direction', async (t) => {
      const { client, source } = await session(await scene(t, encrypted));
      client.stream.end('last words');
      assert.equal(String(await takeAll(source.stream)), 'last words');
      source.stream.end('answer');
      assert.equal(String(await takeAll(client.stream)), 'answer');
    });

    it('takes a connection that ends without close_notify for one that ended', async (t) => {
      const { client, source } = await session(await scene(t, encrypted));
      client.tcp.end();
      assert.equal(String(await takeAll(source.stream)), '');
    });

    it('passes a reset on to the other side, as a reset', async (t) => {
      for (const [from, to] of [
        ['source', 'client'],
        ['client', 'source'],
      ] as const) {
        const at = await scene(t, encrypted);
        const ends = await session(at);
        const failed = new Promise<NodeJS.ErrnoException>((resolve) => ends[to].stream.once('error', resolve));
        ends[to].stream.resume();
        ends[from].tcp.resetAndDestroy();
        assert.equal((await failed).code, 'ECONNRESET', `reset of the ${from}`);
        assert.deepEqual([...at.proxy.sessions()], []);
        assert.equal(at.counts.sessionsOpen, 0);
      }
    });
  });
}

describe('a client that goes away while the source is being reached', { timeout: deadlineMs }, () => {
  for (const client of [true, false]) {
    it(`ends its session, ${client ? 'encrypted' : 'plain'}`, async (t) => {
      const at = await scene(t, { client, source: true });
      const end = await at.client();
      end.stream.write(startup);
      const tcp = await at.connected();
      end.tcp.resetAndDestroy();
      await accepted(tcp, true);
      await waitFor(() => [...at.proxy.sessions()].length === 0, { what: 'the end of the session' });
      assert.equal(at.counts.sessionsOpen, 0);
    });
  }
});

describe('a client that goes away in the middle of the handshake', { timeout: deadlineMs }, () => {
  it('leaves nothing behind, however it goes and wherever it was', async (t) => {
    const at = await scene(t, { client: false, source: false });
    const leave: ((socket: Socket) => void)[] = [
      (socket) => socket.resetAndDestroy(),
      (socket) => socket.end(),
      (socket) => socket.end('GET / HTTP/1.1\r\n\r\n'),
      (socket) => socket.end(Buffer.from([0x16, 3, 1, 2, 0, 1, 0])), // the beginning of a ClientHello
    ];
    for (const go of leave) {
      const { tcp } = await at.client();
      tcp.write(sslRequest);
      assert.equal(String(await take(tcp, 1)), 'S');
      go(tcp);
    }
    await waitFor(() => [...at.proxy.sessions()].length === 0, { what: 'the end of the sessions' });
    assert.equal(at.counts.sessionsTotal, 0);
  });
});

describe('an encrypted leg', { timeout: deadlineMs }, () => {
  it('has done with the memory of a chunk when write() returns true, however fast they come', async (t) => {
    const server = createServer({ allowHalfOpen: true, pauseOnConnect: true }).listen(0, '127.0.0.1');
    servers.push(server);
    await once(server, 'listening');
    const tcp = connect({ port: (server.address() as AddressInfo).port, host: '127.0.0.1', allowHalfOpen: true });
    const [peerTcp] = (await once(server, 'connection')) as [Socket];
    const peer = new TLSSocket(peerTcp, { isServer: true, secureContext: (await credentials).context });
    const stream = connectTls({ socket: tcp, rejectUnauthorized: false });
    t.after(() => [tcp, peerTcp].forEach((socket) => void socket.destroy()));
    await once(stream, 'secureConnect');
    const leg = new StreamLeg(stream, 'peer', tcp);
    const readBuffer = Buffer.alloc(1_000);
    const wanted: Buffer[] = [];
    for (let i = 0; i < 50; i++) {
      readBuffer.fill(i);
      wanted.push(Buffer.from(readBuffer));
      assert.equal(leg.write(readBuffer), true, `chunk ${i}`);
    }
    leg.end();
    assert.equal(digest(await takeAll(peer)), digest(Buffer.concat(wanted)));
  });
});
