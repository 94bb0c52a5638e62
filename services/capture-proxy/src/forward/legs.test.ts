// A leg's end at awkward moments: whichever kind it is, the connection is gone afterwards and the process is not.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { describe, it, type TestContext } from 'node:test';
import { connect as connectTls, createSecureContext, TLSSocket } from 'node:tls';
import { createCertificateAuthority } from '@mirrorstream/testkit';
import { HandleLeg } from './handle-leg.ts';
import type { Leg } from './leg.ts';
import { type Libuv, loadLibuv, takeHandle } from './libuv.ts';
import { StreamLeg } from './stream-leg.ts';

const ignore = (): void => undefined;
const secureContext = (async () => {
  const { certFile, keyFile } = await (await createCertificateAuthority()).issue();
  return createSecureContext({ cert: await readFile(certFile), key: await readFile(keyFile) });
})();

interface Pair {
  readonly leg: Leg;
  readonly peer: Socket;
}

async function tcpPair(t: TestContext): Promise<readonly [Socket, Socket]> {
  const server = createServer({ allowHalfOpen: true, pauseOnConnect: true }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const peer = connect({ port: (server.address() as AddressInfo).port, host: '127.0.0.1', allowHalfOpen: true });
  const [[own]] = (await Promise.all([once(server, 'connection'), once(peer, 'connect')])) as [[Socket], unknown];
  server.close();
  for (const socket of [own, peer]) socket.on('error', ignore);
  t.after(() => [own, peer].forEach((socket) => void socket.destroy()));
  return [own, peer];
}

const kinds: Readonly<Record<string, (t: TestContext) => Promise<Pair>>> = {
  handle: async (t) => {
    const [own, peer] = await tcpPair(t);
    return {
      leg: new HandleLeg(loadLibuv() as Libuv, takeHandle(own) as NonNullable<ReturnType<typeof takeHandle>>, 'peer'),
      peer,
    };
  },
  stream: async (t) => {
    const [own, peer] = await tcpPair(t);
    return { leg: new StreamLeg(own, 'peer'), peer };
  },
  'TLS as the server': async (t) => {
    const [own, tcp] = await tcpPair(t);
    const tls = new TLSSocket(own, { isServer: true, secureContext: await secureContext });
    tls.on('error', ignore);
    const peer = connectTls({ socket: tcp, rejectUnauthorized: false });
    peer.on('error', ignore);
    await Promise.all([once(tls, 'secure'), once(peer, 'secureConnect')]);
    return { leg: new StreamLeg(tls, 'peer', own), peer };
  },
  'TLS as the client': async (t) => {
    const [tcp, own] = await tcpPair(t);
    const peer = new TLSSocket(tcp, { isServer: true, secureContext: await secureContext });
    peer.on('error', ignore);
    const tls = connectTls({ socket: own, rejectUnauthorized: false });
    await Promise.all([once(tls, 'secureConnect'), once(peer, 'secure')]);
    // A server whose last words of the handshake are still being written would not notice a reset: see the last test.
    peer.write('settled');
    await once(tls, 'readable');
    tls.read();
    return { leg: new StreamLeg(tls, 'peer', own), peer };
  },
};

const moments: Readonly<Record<string, (leg: Leg) => void>> = {
  'while its half-close is under way': (leg) => leg.end(),
  'while it writes': (leg) => void leg.write(Buffer.alloc(10_000)),
  'while it writes, its half-close asked for': (leg) => {
    leg.write(Buffer.alloc(10_000));
    leg.end();
  },
  'while more waits than the peer takes, its half-close asked for': (leg) => {
    leg.write(Buffer.alloc(64 * 1024 * 1024));
    leg.end();
  },
};

describe('the reset of a leg', { timeout: 90_000 }, () => {
  for (const [kind, pair] of Object.entries(kinds)) {
    for (const [moment, reach] of Object.entries(moments)) {
      it(`ends the connection ${moment} (${kind})`, { timeout: 20_000 }, async (t) => {
        const { leg, peer } = await pair(t);
        const closed = new Promise((resolve) => peer.once('close', resolve));
        reach(leg);
        leg.reset();
        peer.resume();
        // Who goes on writing is told, however the connection was closed.
        const writing = setInterval(() => peer.write('still here'), 5);
        t.after(() => clearInterval(writing));
        await closed;
        assert.ok(peer.destroyed);
      });
    }
  }
});

describe('a reset by the peer', { timeout: 60_000 }, () => {
  it('is told as one, though the last words of the handshake are still being written and take its error', async (t) => {
    for (let i = 0; i < 20; i++) {
      const [own, tcp] = await tcpPair(t);
      const tls = new TLSSocket(own, { isServer: true, secureContext: await secureContext });
      tls.on('error', ignore);
      const peer = connectTls({ socket: tcp, rejectUnauthorized: false });
      await Promise.all([once(tls, 'secure'), once(peer, 'secureConnect')]);
      const leg = new StreamLeg(tls, 'peer', own);
      tcp.resetAndDestroy();
      const told = await new Promise((resolve) => {
        leg.start({
          onChunk: ignore,
          onDrained: ignore,
          onEnd: () => resolve('an end'),
          onFailed: (code) => resolve(code),
        });
      });
      assert.equal(told, 'ECONNRESET');
      leg.close();
    }
  });
});
