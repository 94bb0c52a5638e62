// Connections to the source: several addresses, servers that are away and come back, time-outs, limits.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { after, describe, it, type TestContext } from 'node:test';
import { type PostgresAddress, sharedPostgres, waitFor } from '@mirrorstream/testkit';
import pg from 'pg';
import {
  ask,
  cancelled,
  cancelOnce,
  cancelStatement,
  configOf,
  endProxies,
  openSocket,
  readUntil,
  readyIdle,
  sendCancel,
  startProxy,
  startupMessage,
} from './proxy-scene.ts';

after(endProxies);

const at = ({ host, port }: { host: string; port: number }): string => `${host}:${port}`;

/** A way to a server that can be shut and opened again, always at the same address. */
interface Gate {
  readonly host: string;
  readonly port: number;
  open(): Promise<void>;
  shut(): Promise<void>;
}

async function gateTo(t: TestContext, { host, port }: PostgresAddress): Promise<Gate> {
  const sockets = new Set<Socket>();
  const server = createServer((client) => {
    const upstream = connect({ host, port });
    for (const socket of [client, upstream]) {
      sockets.add(socket.on('error', () => undefined));
      socket.on('close', () => [client, upstream].forEach((one) => void one.destroy()));
    }
    client.pipe(upstream).pipe(client);
  });
  let own = 0;
  const gate: Gate = {
    host: '127.0.0.1',
    get port() {
      return own;
    },
    open: async () => {
      server.listen(own, '127.0.0.1');
      await once(server, 'listening');
      own = (server.address() as AddressInfo).port;
    },
    shut: async () => {
      const closed = new Promise((resolve) => server.close(resolve));
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
  await gate.open();
  t.after(() => (server.listening ? gate.shut() : undefined));
  return gate;
}

async function connected(t: TestContext, url: string): Promise<pg.Client> {
  const client = new pg.Client(url);
  client.on('error', () => undefined);
  await client.connect();
  t.after(() => client.end().catch(() => undefined));
  return client;
}

const whichServer = 'SELECT system_identifier::text FROM pg_control_system()';

describe('a source of several addresses', { timeout: 120_000 }, () => {
  it('is tried in order for each session: the first that answers serves it', async (t) => {
    const [first, second] = await Promise.all([sharedPostgres('source'), sharedPostgres('control')]);
    const [one, two] = await Promise.all([ask(first.url, whichServer), ask(second.url, whichServer)]);
    const gate = await gateTo(t, first);
    const proxy = await startProxy(`${at(gate)},${at(second)}`);
    const through = proxy.via(first.url);
    assert.equal(await ask(through, whichServer), one);
    await gate.shut();
    assert.equal(await ask(through, whichServer), two);
    assert.equal(await proxy.metric('source_connect_failures_total'), 1);
    await gate.open();
    assert.equal(await ask(through, whichServer), one);
  });

  it('gets a cancel at the address that its session went to', async (t) => {
    const [first, second] = await Promise.all([sharedPostgres('source'), sharedPostgres('control')]);
    const gate = await gateTo(t, first);
    await gate.shut();
    const proxy = await startProxy(`${at(gate)},${at(second)}`);
    const through = proxy.via(first.url);
    const client = await connected(t, through);
    await gate.open(); // sessions, and cancels of unknown sessions, go there from now on
    assert.equal(await cancelStatement(client, proxy.port), '57014');
  });

  it('gets a cancel there although another worker process took it', async (t) => {
    const [first, second] = await Promise.all([sharedPostgres('source'), sharedPostgres('control')]);
    const gate = await gateTo(t, first);
    await gate.shut();
    const proxy = await startProxy(`${at(gate)},${at(second)}`, '--workers', '2');
    const onSecond = await connected(t, proxy.via(first.url));
    await gate.open();
    // The worker without a client gets the next connection: not the one whose session it is.
    assert.equal(await cancelOnce(onSecond, second.url, proxy.port), '57014');
    const onFirst = await connected(t, proxy.via(first.url));
    await onSecond.end();
    assert.equal(await cancelOnce(onFirst, first.url, proxy.port), '57014');
    // Of no session at all: goes where a new one would, and ends.
    await sendCancel(Buffer.from([0, 0, 0, 16, 0x04, 0xd2, 0x16, 0x2e, 0, 0, 0, 1, 0, 0, 0, 1]), proxy.port);
  });

  it('may be names, resolved at each connect; cancels find the server there, too', async () => {
    const server = await sharedPostgres('source');
    const proxy = await startProxy(`no-such-host.invalid:5432,localhost:${server.port}`);
    assert.equal(await ask(proxy.via(server.url), 'SELECT 42'), 42);
    assert.equal(await cancelled(configOf(proxy.via(server.url))), '57014');
    assert.ok((await proxy.metric('source_connect_failures_total')) > 0);
  });

  it('has not failed while one of the addresses of its name answers', async () => {
    const server = await sharedPostgres('source'); // listens on 127.0.0.1 only; localhost may be ::1 first
    const proxy = await startProxy(`localhost:${server.port}`);
    assert.equal(await ask(proxy.via(server.url), 'SELECT 42'), 42);
    assert.equal(await proxy.metric('source_connect_failures_total'), 0);
  });
});

describe('a source that is away', { timeout: 120_000 }, () => {
  it('is told to clients in the protocol, and serves the next one when it is back', async (t) => {
    const gate = await gateTo(t, await sharedPostgres('source'));
    const proxy = await startProxy(at(gate));
    const through = proxy.via((await sharedPostgres('source')).url);
    const open = new pg.Client(through);
    const lost = new Promise((resolve) => open.on('error', resolve));
    await open.connect();
    await gate.shut();
    await lost;
    await assert.rejects(ask(through, 'SELECT 1'), { code: '08006', message: /ECONNREFUSED/ });
    assert.equal(await proxy.metric('sessions_refused_total', '{reason="sourceUnreachable"}'), 1);
    await gate.open();
    assert.equal(await ask(through, 'SELECT 42'), 42);
  });

  it('counts as away when it does not finish the TLS handshake in --connect-timeout', async (t) => {
    const silent = createServer().listen(0, '127.0.0.1');
    await once(silent, 'listening');
    t.after(() => silent.close());
    const { port } = silent.address() as AddressInfo;
    silent.on('connection', (socket) => {
      socket.on('error', () => undefined);
      t.after(() => socket.destroy());
    });
    const proxy = await startProxy(`127.0.0.1:${port}`, '--source-tls', 'require', '--connect-timeout', '0.2');
    const client = ask(`postgres://postgres@127.0.0.1:${proxy.port}/postgres`, 'SELECT 1');
    await assert.rejects(client, { code: '08006', message: /ETIMEDOUT/ });
  });
});

describe('limits of connections', { timeout: 120_000 }, () => {
  it('refuse sessions beyond --max-sessions as PostgreSQL does, let cancels through, and let the next in when one has left', async (t) => {
    const server = await sharedPostgres('source');
    const proxy = await startProxy(at(server), '--max-sessions', '2');
    const through = proxy.via(server.url);
    const [one, two] = [await connected(t, through), await connected(t, through)];
    await assert.rejects(ask(through, 'SELECT 1'), { code: '53300' });
    assert.equal(await proxy.metric('sessions_refused_total', '{reason="tooManySessions"}'), 1);
    assert.equal(await cancelStatement(two, proxy.port), '57014');
    await one.end();
    const next = () => ask(through, 'SELECT 42').catch(() => null);
    await waitFor(async () => (await next()) === 42, { what: 'room for the next session' });
  });

  it('probe idle connections on both legs as --keepalives-idle says', {
    skip: process.platform !== 'linux',
  }, async () => {
    const server = await sharedPostgres('source');
    const proxy = await startProxy(at(server), '--keepalives-idle', '7');
    const socket = await openSocket(proxy.port);
    socket.write(startupMessage({ user: 'postgres' }));
    await readUntil(socket, readyIdle);
    // Timer 2 is keep-alive; when it fires is in ticks, a hundred a second.
    const probes = async (local: number | null, remote: number | null): Promise<number[]> =>
      (await readFile('/proc/net/tcp', 'utf8')).split('\n').flatMap((line) => {
        const match = /: \w+:(\w{4}) \w+:(\w{4}) 01 \w+:\w+ 02:(\w+)/.exec(line);
        const [from, to] = [Number.parseInt(match?.[1] ?? '', 16), Number.parseInt(match?.[2] ?? '', 16)];
        const wanted = match !== null && (local ?? from) === from && (remote ?? to) === to;
        return wanted ? [Number.parseInt(match?.[3] ?? '', 16) / 100] : [];
      });
    const clientPort = socket.localPort as number;
    await waitFor(async () => (await probes(proxy.port, clientPort)).some((at) => at <= 7), {
      what: "the client's leg",
    });
    await waitFor(async () => (await probes(null, server.port)).some((at) => at <= 7), { what: "the source's leg" });
    socket.destroy();
  });
});
