// Bytes, ends and resets go through as on a direct connection, whichever way the bytes are moved.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { after, describe, it, type TestContext } from 'node:test';
import type { Forwarding } from './leg.ts';
import { type ProxyOptions, type RunningProxy, startProxy } from './proxy.ts';
import type { ProxyEvent } from './proxy-events.ts';
import { take, takeAll } from './socket-takes.fixture.ts';
import type { ForwardCounts, Tap } from './tap.ts';

const deadlineMs = 20_000;
const servers: Server[] = [];
after(() => {
  for (const server of servers) server.close();
});

/** A source under the test's control: hands over each connection it gets. */
async function fakeSource(): Promise<{ port: number; next: () => Promise<Socket> }> {
  const waiting: Socket[] = [];
  const wanted: ((socket: Socket) => void)[] = [];
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    socket.on('error', () => undefined);
    const taker = wanted.shift();
    if (taker === undefined) waiting.push(socket);
    else taker(socket);
  });
  servers.push(server.listen(0, '127.0.0.1'));
  await once(server, 'listening');
  const next = () => {
    const ready = waiting.shift();
    if (ready !== undefined) return Promise.resolve(ready);
    return new Promise<Socket>((resolve) => wanted.push(resolve));
  };
  return { port: (server.address() as AddressInfo).port, next };
}

interface Fixture {
  readonly proxy: RunningProxy;
  readonly counts: ForwardCounts;
  readonly client: () => Promise<Socket>;
  readonly sourceLeg: () => Promise<Socket>;
}

async function fixture(t: TestContext, forwarding: Forwarding, options: Partial<ProxyOptions> = {}): Promise<Fixture> {
  const source = await fakeSource();
  const counts = { bytes: 0, sessionsTotal: 0, sessionsOpen: 0 };
  const proxy = await startProxy({
    listen: { host: '127.0.0.1', port: 0 },
    sources: [{ host: '127.0.0.1', port: source.port }],
    tap: null,
    counts,
    forwarding,
    ...options,
  });
  const sockets: Socket[] = [];
  t.after(() => {
    proxy.stopAccepting();
    for (const session of [...proxy.sessions()]) session.shutDown();
    for (const socket of sockets) socket.destroy();
  });
  const client = async () => {
    const socket = connect({ port: proxy.listening.port, host: '127.0.0.1', allowHalfOpen: true });
    socket.on('error', () => undefined);
    sockets.push(socket);
    await once(socket, 'connect');
    return socket;
  };
  const sourceLeg = async () => {
    const socket = await source.next();
    sockets.push(socket);
    return socket;
  };
  return { proxy, counts, client, sourceLeg };
}

function startupMessage(parameters: Readonly<Record<string, string>> = { user: 'app' }): Buffer {
  const strings = Object.entries(parameters).flat();
  const body = Buffer.from(`${strings.map((text) => `${text}\0`).join('')}\0`);
  const head = Buffer.alloc(8);
  head.writeInt32BE(body.length + 8, 0);
  head.writeInt32BE(196_608, 4);
  return Buffer.concat([head, body]);
}

function request(code: number, ...rest: number[]): Buffer {
  const packet = Buffer.alloc(8 + rest.length * 4);
  packet.writeInt32BE(packet.length, 0);
  packet.writeInt32BE(code, 4);
  rest.forEach((word, i) => {
    packet.writeInt32BE(word, 8 + i * 4);
  });
  return packet;
}
const sslRequest = request(80_877_103);
const gssencRequest = request(80_877_104);

const digest = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex');

function noise(bytes: number): Buffer {
  const buffer = Buffer.alloc(bytes);
  for (let i = 0; i < bytes; i += 4) buffer.writeInt32LE(Math.imul(i, 0x9e3779b1) | 0, Math.min(i, bytes - 4));
  return buffer;
}

/** A client and the source's end of its session, after the start-up packet. */
async function session(at: Fixture): Promise<{ client: Socket; source: Socket }> {
  const client = await at.client();
  const startup = startupMessage();
  client.write(startup);
  const source = await at.sourceLeg();
  await take(source, startup.length);
  return { client, source };
}

for (const forwarding of ['handles', 'streams'] as const) {
  describe(`forwarding on ${forwarding}`, { timeout: deadlineMs }, () => {
    it('passes the start-up packet byte for byte when it comes in single bytes, with what follows it', async (t) => {
      const at = await fixture(t, forwarding);
      const client = await at.client();
      const sent = Buffer.concat([
        startupMessage({ user: 'app', options: '-c geqo=off', _pq_: 'x' }),
        Buffer.from('early'),
      ]);
      client.setNoDelay(true);
      for (const byte of sent) client.write(Buffer.of(byte));
      assert.deepEqual(await take(await at.sourceLeg(), sent.length), sent);
      assert.equal(at.counts.bytes >= sent.length - 5, true);
    });

    it('answers SSLRequest and GSSENCRequest with N and passes only the StartupMessage', async (t) => {
      const at = await fixture(t, forwarding);
      const client = await at.client();
      client.write(gssencRequest);
      assert.equal(String(await take(client, 1)), 'N');
      client.write(sslRequest);
      assert.equal(String(await take(client, 1)), 'N');
      client.write(startupMessage());
      assert.deepEqual(await take(await at.sourceLeg(), startupMessage().length), startupMessage());
    });

    it('moves megabytes both ways at once without changing a byte', async (t) => {
      const at = await fixture(t, forwarding);
      const { client, source } = await session(at);
      const up = noise(9_000_001);
      const down = noise(12_345_678);
      client.end(up);
      source.end(down);
      const [gotUp, gotDown] = await Promise.all([takeAll(source), takeAll(client)]);
      assert.equal(digest(gotUp), digest(up));
      assert.equal(digest(gotDown), digest(down));
    });

    it('holds back a source whose client does not read, and loses nothing when it reads again', async (t) => {
      const at = await fixture(t, forwarding);
      const { client, source } = await session(at);
      client.pause();
      const big = noise(64 * 1024 * 1024);
      const before = process.memoryUsage().arrayBuffers;
      source.end(big);
      // Nothing moves any more: kernel buffers are full and the proxy does not read on.
      for (let last = -1; last !== at.counts.bytes; ) {
        last = at.counts.bytes;
        await new Promise((resolve) => setTimeout(resolve, 200));
      }
      assert.ok(
        at.counts.bytes < big.length / 2,
        `${at.counts.bytes} bytes went through to a client that reads nothing`,
      );
      assert.ok(process.memoryUsage().arrayBuffers - before < 8 * 1024 * 1024);
      assert.equal(digest(await takeAll(client)), digest(big));
    });

    it('passes a half-close and goes on with the other direction', async (t) => {
      const at = await fixture(t, forwarding);
      const { client, source } = await session(at);
      client.end('last words');
      assert.equal(String(await takeAll(source)), 'last words');
      source.end('answer');
      assert.equal(String(await takeAll(client)), 'answer');
    });

    it('passes a half-close that comes with the start-up packet, while the source is being connected to', async (t) => {
      const at = await fixture(t, forwarding);
      const client = await at.client();
      client.end(startupMessage());
      const source = await at.sourceLeg();
      assert.deepEqual(await takeAll(source), startupMessage());
      source.end('answer');
      assert.equal(String(await takeAll(client)), 'answer');
    });

    it('passes a reset of the source on to the client', async (t) => {
      const at = await fixture(t, forwarding);
      const { client, source } = await session(at);
      const failed = once(client, 'error').catch((error: unknown) => [error]);
      client.resume();
      source.resetAndDestroy();
      assert.equal(((await failed)[0] as NodeJS.ErrnoException).code, 'ECONNRESET');
      assert.deepEqual([...at.proxy.sessions()], []);
      assert.equal(at.counts.sessionsOpen, 0);
    });

    it('passes a reset of the client on to the source', async (t) => {
      const at = await fixture(t, forwarding);
      const { client, source } = await session(at);
      const failed = once(source, 'error');
      source.resume();
      client.resetAndDestroy();
      assert.equal(((await failed)[0] as NodeJS.ErrnoException).code, 'ECONNRESET');
    });

    it('tells the client in the protocol when the source cannot be reached', async (t) => {
      const reasons: string[] = [];
      const closed = createServer().listen(0, '127.0.0.1');
      await once(closed, 'listening');
      const { port } = closed.address() as AddressInfo;
      closed.close();
      await once(closed, 'close');
      const onEvent = (event: ProxyEvent) => event.kind === 'connectFailed' && reasons.push(event.code);
      const at = await fixture(t, forwarding, { sources: [{ host: '127.0.0.1', port }], onEvent });
      const client = await at.client();
      client.write(startupMessage());
      const answer = await takeAll(client);
      assert.equal(String(answer.subarray(0, 1)), 'E');
      assert.equal(answer.readInt32BE(1), answer.length - 1);
      assert.match(String(answer), /SFATAL\0.*C08006\0Mmirrorstream capture proxy cannot reach the source/);
      assert.deepEqual(reasons, ['ECONNREFUSED']);
    });

    it('passes a CancelRequest and keeps it alive until the server closes, even when its client is gone', async (t) => {
      const at = await fixture(t, forwarding);
      const cancel = request(80_877_102, 4711, 123_456_789);
      for (const leave of [(client: Socket) => client.resetAndDestroy(), (client: Socket) => client.end()]) {
        const client = await at.client();
        client.write(cancel);
        const source = await at.sourceLeg();
        assert.deepEqual(await take(source, cancel.length), cancel);
        leave(client);
        const other = await session(at);
        other.client.write('still served');
        assert.equal(String(await take(other.source, 12)), 'still served');
        other.client.end();
        await takeAll(other.source);
        assert.equal([...at.proxy.sessions()].length, 2);
        assert.equal(source.readableEnded, false);
        other.source.end();
        const ended = once(source, 'close');
        source.end();
        source.resume();
        await ended;
      }
    });

    it('passes what is not protocol 3 in plain text to the server unread', async (t) => {
      let opaque = 0;
      const onEvent = (event: ProxyEvent) => {
        if (event.kind === 'opaque') opaque += 1;
      };
      const at = await fixture(t, forwarding, { onEvent, tap: forbiddenTap });
      for (const bytes of [Buffer.from([0x16, 3, 1, 0, 5, 1]), Buffer.from('GET / HTTP/1.1'), request(80_877_110)]) {
        const client = await at.client();
        client.write(bytes);
        assert.deepEqual(await take(await at.sourceLeg(), bytes.length), bytes);
      }
      const tooLong = Buffer.alloc(12);
      tooLong.writeInt32BE(10_001, 0);
      const client = await at.client();
      client.write(tooLong);
      assert.deepEqual(await take(await at.sourceLeg(), 12), tooLong);
      assert.equal(opaque, 4);
    });

    it('shows the tap exactly what went by, in order, and nothing of a replication session', async (t) => {
      const lines: string[] = [];
      const tap = recordingTap(lines);
      const at = await fixture(t, forwarding, { tap });
      const { client, source } = await session(at);
      client.write('secret');
      assert.equal(String(await take(source, 6)), 'secret');
      source.write(readyForQuery);
      assert.deepEqual(await take(client, 6), readyForQuery);
      for (const word of ['one', 'two']) {
        client.write(`>${word}`);
        assert.equal(String(await take(source, 4)), `>${word}`);
        source.write(`<${word}`);
        assert.equal(String(await take(client, 4)), `<${word}`);
      }
      client.end();
      source.end();
      await Promise.all([takeAll(client), takeAll(source)]);
      const replication = await at.client();
      replication.write(startupMessage({ user: 'app', replication: 'database' }));
      const walSender = await at.sourceLeg();
      replication.write('IDENTIFY');
      await take(walSender, startupMessage({ user: 'app', replication: 'database' }).length + 8);
      const ordinary = await at.client();
      ordinary.write(startupMessage({ user: 'app', replication: 'off' }));
      await take(await at.sourceLeg(), startupMessage({ user: 'app', replication: 'off' }).length);
      const startup = startupMessage().length;
      const off = startupMessage({ user: 'app', replication: 'off' }).length;
      const authenticated = ['c? secret', `s ${readyForQuery}`];
      const afterwards = ['c >one', 's <one', 'c >two', 's <two', 'closed'];
      assert.deepEqual(lines, [`open ${startup}`, ...authenticated, ...afterwards, `open ${off}`]);
    });

    it('lets the server end a session and closes both ends when the client has ended, too', async (t) => {
      const at = await fixture(t, forwarding);
      const { client, source } = await session(at);
      source.end('bye');
      assert.equal(String(await takeAll(client)), 'bye');
      client.end();
      await takeAll(source);
      assert.equal(at.counts.sessionsOpen, 0);
    });
  });
}

const readyForQuery = Buffer.from('Z\0\0\0\x05I', 'latin1');

const forbiddenTap: Tap = {
  open: () => assert.fail('nothing here may be captured'),
  cancel: () => assert.fail('nothing here may be captured'),
};

function recordingTap(lines: string[]): Tap {
  return {
    open: (startup) => {
      lines.push(`open ${startup.length}`);
      return {
        client: (chunk) => lines.push(`c ${Buffer.from(chunk)}`),
        secret: (chunk) => lines.push(`c? ${Buffer.from(chunk)}`),
        server: (chunk) => lines.push(`s ${Buffer.from(chunk)}`),
        closed: () => lines.push('closed'),
        idle: () => 'yes',
      };
    },
    cancel: () => undefined,
  };
}
