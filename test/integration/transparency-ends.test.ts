// How connections end goes through as it is: half-closes, resets, clients and servers that vanish.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { startPostgres, waitFor, withClient } from '@mirrorstream/testkit';
import { encryptedLegs, plainLegs } from './transparency/legs.ts';
import { forwardings, ProxyProcess } from './transparency/proxy-process.ts';
import { End, frames, openSession, startup, welcome } from './transparency/raw-client.ts';
import { ScriptedServer } from './transparency/scripted-server.ts';

const block = Buffer.alloc(1024 * 1024, 'transparent ');

/** In order, and not. */
const leavings: readonly ((end: End) => void)[] = [(end) => end.socket.end(), (end) => end.reset()];
/** Encrypted legs are streams whatever `forwarding` says: where one is plain, the two ways meet. */
const modes = [
  ...forwardings.map((forwarding) => [forwarding, plainLegs] as const),
  ...encryptedLegs.map((legs) => ['handles', legs] as const),
];

for (const [forwarding, legs] of modes) {
  describe(`the end of a connection (${forwarding}, ${legs.name})`, { timeout: 120_000 }, () => {
    let server: ScriptedServer;
    let proxy: ProxyProcess;
    before(async () => {
      server = await ScriptedServer.start(legs);
      proxy = await ProxyProcess.start(forwarding, 'captured', server, legs);
    });
    after(async () => {
      await proxy?.service.kill9();
      server.stop();
    });

    /** Nothing of it is left: not at the server, not in the proxy. */
    const nothingIsLeft = async (...ends: readonly End[]): Promise<void> => {
      await Promise.all(ends.map((end) => end.closed()));
      await waitFor(() => server.openConnections === 0, { what: 'the server to have no connection' });
      await proxy.sessionsClosed();
      proxy.assertNothingDied();
    };

    it('a client that half-closes still gets all that the server goes on sending', async () => {
      const { client, server: other } = await openSession(proxy, server);
      await client.send(Buffer.from('last words'));
      client.socket.end();
      await waitFor(() => other.ended, { what: 'the half-close to arrive' });
      for (let i = 0; i < 8; i++) await other.send(block);
      other.socket.end();
      await nothingIsLeft(client, other);
      assert.equal(client.receivedDigest, other.sentDigest);
      assert.equal(other.receivedDigest, client.sentDigest);
      assert.deepEqual([client.ended, client.failure, other.failure], [true, null, null]);
    });

    it('a client that half-closes right after its start-up packet is served', async () => {
      for (let i = 0; i < 10; i++) {
        const meeting = server.next();
        const client = await proxy.connect();
        await client.send(startup());
        client.socket.end();
        const other = await meeting;
        await waitFor(() => other.ended, { what: 'the half-close to arrive' });
        await other.send(welcome);
        other.socket.end();
        await nothingIsLeft(client, other);
        assert.equal(client.receivedDigest, other.sentDigest);
        assert.equal(other.receivedDigest, client.sentDigest);
      }
    });

    it('a server that half-closes still gets all that the client goes on sending', async () => {
      const { client, server: other } = await openSession(proxy, server);
      await other.send(Buffer.from('no more from here'));
      other.socket.end();
      await waitFor(() => client.ended, { what: 'the half-close to arrive' });
      for (let i = 0; i < 8; i++) await client.send(block);
      client.socket.end();
      await nothingIsLeft(client, other);
      assert.equal(client.receivedDigest, other.sentDigest);
      assert.equal(other.receivedDigest, client.sentDigest);
      assert.deepEqual([other.ended, client.failure, other.failure], [true, null, null]);
    });

    it('a reset of either side reaches the other as a reset, not as an end', async () => {
      for (const who of ['client', 'server'] as const) {
        const session = await openSession(proxy, server);
        const other = who === 'client' ? session.server : session.client;
        session[who].reset();
        await nothingIsLeft(session.client, session.server);
        assert.deepEqual([other.failure, other.ended], ['ECONNRESET', false], `the ${who} reset`);
      }
    });

    it('a reset reaches a side that had half-closed before', async () => {
      for (const who of ['client', 'server'] as const) {
        const session = await openSession(proxy, server);
        const [resetting, other] =
          who === 'client' ? [session.client, session.server] : [session.server, session.client];
        other.socket.end();
        await waitFor(() => resetting.ended, { what: 'the half-close to arrive' });
        resetting.reset();
        await nothingIsLeft(session.client, session.server);
        assert.deepEqual([other.failure, other.ended], ['ECONNRESET', false], `the ${who} reset`);
      }
    });

    it('a reset reaches the other side while bytes for the resetting side are stuck', async () => {
      for (const who of ['client', 'server'] as const) {
        const session = await openSession(proxy, server);
        const [resetting, other] =
          who === 'client' ? [session.client, session.server] : [session.server, session.client];
        resetting.socket.pause();
        const sending = (async () => {
          while (!other.socket.destroyed) await other.send(block, false);
        })();
        await proxy.isStill();
        resetting.reset();
        await sending;
        await nothingIsLeft(session.client, session.server);
        // Who writes into a reset connection may be told of a broken pipe.
        assert.match(String(other.failure), /ECONNRESET|EPIPE/, `the ${who} reset`);
        assert.equal(other.ended, false, `the ${who} reset`);
      }
    });

    it('a reset in the midst of what both send ends that session, and nothing else', async () => {
      const chunk = block.subarray(0, 96 * 1024);
      for (let i = 0; i < 30; i++) {
        const session = await openSession(proxy, server);
        const sending = [session.client, session.server].map(async (end) => {
          while (!end.socket.destroyed) await end.send(chunk, false);
        });
        const resetting = i % 2 === 0 ? session.client : session.server;
        await resetting.has(i * 50_000);
        resetting.reset();
        await Promise.all(sending);
        await nothingIsLeft(session.client, session.server);
      }
    });

    it('a client that is gone before its start-up packet is whole leaves nothing behind', async (t) => {
      // With TLS passed through the server has been reached by then.
      server.onConnection = (end) => end.socket.on('end', () => end.socket.end());
      t.after(() => {
        server.onConnection = null;
      });
      const packet = startup();
      for (const sent of [0, 1, 7, packet.length - 1]) {
        for (const leave of leavings) {
          const client = await proxy.connect();
          await client.send(packet.subarray(0, sent));
          leave(client);
          await nothingIsLeft(client);
        }
      }
    });

    it('clients that reset while the proxy is still connecting for them cost nobody anything', async (t) => {
      server.onConnection = (end) => {
        end.socket.once('data', () => void end.send(welcome));
        end.socket.on('end', () => end.socket.end());
      };
      t.after(() => {
        server.onConnection = null;
      });
      for (let i = 0; i < 20; i++) {
        const gone = await proxy.connect();
        await gone.send(startup());
        gone.reset();
        await gone.closed();
      }
      const client = await proxy.connect();
      await client.send(startup());
      await client.has(welcome.length);
      client.socket.end();
      await nothingIsLeft(client);
    });
  });
}

describe('sessions of a real server that end early', { timeout: 180_000 }, () => {
  it('a client that vanishes in mid-transaction is noticed by the server as on a direct connection', async (t) => {
    const postgres = await startPostgres();
    t.after(() => postgres.stop());
    const proxy = await ProxyProcess.start('handles', 'captured', postgres);
    t.after(() => proxy.service.kill9());
    for (const leave of leavings) {
      const client = await backend(proxy.port, postgres.superuser);
      await client.ask("SET application_name = 'vanishing'");
      await client.ask('BEGIN; CREATE TABLE unfinished (i int); LOCK TABLE pg_description');
      leave(client.end);
      await client.end.closed();
      await withClient(postgres.url, (watch) =>
        waitFor(
          async () => {
            const sql = "SELECT count(*)::int AS left FROM pg_stat_activity WHERE application_name = 'vanishing'";
            return (await watch.query<{ left: number }>(sql)).rows[0]?.left === 0;
          },
          { what: 'the backend to end' },
        ),
      );
      await withClient(postgres.url, async (watch) => {
        const found = await watch.query("SELECT to_regclass('unfinished') AS found");
        assert.deepEqual(found.rows, [{ found: null }]);
      });
      await proxy.sessionsClosed();
    }
    proxy.assertNothingDied();
  });

  it('a backend that is killed ends the session as on a direct connection', async (t) => {
    const postgres = await startPostgres();
    t.after(() => postgres.stop());
    const ends: string[] = [];
    const proxies = await Promise.all(forwardings.map((how) => ProxyProcess.start(how, 'captured', postgres)));
    t.after(() => Promise.all(proxies.map(({ service }) => service.kill9())));
    for (const port of [postgres.port, ...proxies.map((proxy) => proxy.port)]) {
      // After the kill the server starts anew and refuses sessions for a moment.
      const client = await waitFor(() => backend(port, postgres.superuser).catch(() => null), { what: 'a session' });
      const pid = Number(/(\d+)\0*C/.exec(await client.ask('SELECT pg_backend_pid()'))?.[1]);
      assert.ok(pid > 1);
      process.kill(pid, 'SIGKILL');
      await waitFor(() => client.end.ended || client.end.failure !== null, { what: 'the end of the session' });
      ends.push(`ended ${client.end.ended}, failed ${client.end.failure}, ${client.end.last.toString('latin1').at(0)}`);
      client.end.socket.end();
      await client.end.closed();
    }
    assert.deepEqual(ends, [ends[0], ends[0], ends[0]]);
    for (const proxy of proxies) {
      await proxy.sessionsClosed();
      proxy.assertNothingDied();
    }
  });
});

/** A session of a real server that asks one question at a time. */
async function backend(
  port: number,
  user: string,
): Promise<{ readonly end: End; readonly ask: (sql: string) => Promise<string> }> {
  const end = await End.connect(port);
  const ready = welcome.subarray(-6, -1);
  const untilReady = (): Promise<unknown> =>
    waitFor(
      () => {
        if (end.failure !== null || end.ended) throw new Error('the session ended');
        return end.last.subarray(-6, -1).equals(ready);
      },
      { what: 'ReadyForQuery', everyMs: 2 },
    );
  await end.send(startup(user, 'postgres'));
  try {
    await untilReady();
  } catch (error) {
    end.socket.destroy();
    throw error;
  }
  const ask = async (sql: string): Promise<string> => {
    const before = end.received;
    await end.send(frames({ kind: 'query', query: sql }));
    await end.has(before + 1);
    await untilReady();
    return end.last.toString('latin1');
  };
  return { end, ask };
}
