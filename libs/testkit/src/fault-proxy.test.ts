import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { describe, it, type TestContext } from 'node:test';
import { FaultProxy } from './fault-proxy.ts';
import { waitFor } from './waiting.ts';

describe('the fault proxy', () => {
  it('passes bytes and the ends of both directions', async (t) => {
    const { client, heard } = await talk(t);
    await closed(client.end('hello'));
    assert.equal(heard(), 'hello');
  });

  it('holds what runs into a black hole, in one direction only where told so, and passes it when healed', async (t) => {
    const { proxy, client, heard, echoed } = await talk(t);
    proxy.set('down', { blackHole: true });
    client.write('to be late');
    await waitFor(() => echoed() === 10, { what: 'the way up to be open' });
    assert.equal(heard(), '');
    proxy.set('up', { blackHole: true });
    client.write(', very late');
    await proxy.heal();
    await waitFor(() => heard() === 'to be late, very late', { what: 'all of it' });
  });

  it('accepts new connections into a black hole', async (t) => {
    const { proxy } = await talk(t);
    proxy.set('both', { blackHole: true });
    const late = connect(proxy.port, proxy.host);
    t.after(() => late.destroy());
    await once(late, 'connect');
    assert.equal(late.write('anyone?'), true);
  });

  it('resets open connections, and takes new ones', async (t) => {
    const { proxy, client } = await talk(t);
    const failed = once(client, 'close');
    proxy.reset();
    await assert.rejects(
      failed.then(() => Promise.reject(client.errored)),
      { code: 'ECONNRESET' },
    );
    assert.equal(proxy.open, 0);
    const again = connect(proxy.port, proxy.host);
    await closed(again.end('x').resume());
    assert.equal(again.errored, null);
  });

  it('cuts a connection after so many bytes, to the byte', async (t) => {
    const { proxy, client, heard } = await talk(t);
    proxy.set('down', { cutAfterBytes: 7 });
    client.write('1234567890');
    await closed(client);
    assert.equal(heard(), '1234567');
  });

  it('refuses, and on the same port takes connections again', async (t) => {
    const { proxy, client, heard } = await talk(t);
    proxy.refuse();
    const refused = connect(proxy.port, proxy.host);
    await assert.rejects(once(refused, 'connect'), { code: 'ECONNREFUSED' });
    client.write('still here');
    await waitFor(() => heard() === 'still here', { what: 'the open connection to go on' });
    await proxy.heal();
    const again = connect(proxy.port, proxy.host);
    t.after(() => again.destroy());
    await once(again, 'connect');
  });

  it('delays and slows down, in order', async (t) => {
    const { proxy, client, heard } = await talk(t);
    const startedMs = performance.now();
    proxy.set('up', { latencyMs: 60 });
    proxy.set('down', { bytesPerSecond: 1000 });
    const text = Array.from({ length: 20 }, (_, n) => String(n % 10).repeat(5)).join('');
    for (let at = 0; at < text.length; at += 5) client.write(text.slice(at, at + 5));
    await waitFor(() => heard() === text, { what: 'all of it, in order' });
    assert.ok(performance.now() - startedMs >= 60 + 75, 'no sooner than latency and bandwidth allow');
  });
});

const closed = (socket: Socket): Promise<void> => new Promise((resolve) => socket.once('close', () => resolve()));

interface Talk {
  readonly proxy: FaultProxy;
  readonly client: Socket;
  readonly heard: () => string;
  readonly echoed: () => number;
}

/** A client that is connected through the proxy to a server that says everything back. */
async function talk(t: TestContext): Promise<Talk> {
  let echoed = 0;
  const server = createServer((socket) => {
    socket.on('error', () => undefined).pipe(socket);
    socket.on('data', (chunk: Buffer) => {
      echoed += chunk.length;
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => server.close());
  const upstream = { host: '127.0.0.1', port: (server.address() as AddressInfo).port };
  const proxy = await FaultProxy.start({ upstream }, { after: (work) => t.after(work) });
  const client = connect(proxy.port, proxy.host);
  t.after(() => client.destroy());
  let heard = '';
  client.on('data', (chunk: Buffer) => {
    heard += String(chunk);
  });
  client.on('error', () => undefined);
  await once(client, 'connect');
  await waitFor(() => proxy.open === 1, { what: 'the proxy to have it' });
  return { proxy, client, heard: () => heard, echoed: () => echoed };
}
