// Much, slow, many, and nonsense: bounded memory, no file left open, the same bytes.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { after, before, describe, it, type TestContext } from 'node:test';
import { type SeededRandom, seededRandom, sharedKafka, waitFor } from '@mirrorstream/testkit';
import { snapshotsOf } from './capture-scene.ts';
import { encryptedLegs, type Legs, plainLegs } from './transparency/legs.ts';
import { type Capture, type Forwarding, ProxyProcess } from './transparency/proxy-process.ts';
import { type End, frames, openSession, startup, welcome } from './transparency/raw-client.ts';
import { ScriptedServer } from './transparency/scripted-server.ts';

const seed = 20_261_121;
const mib = 1024 * 1024;
const toMib = (bytes: number): number => Math.round(bytes / mib);
const block = seededRandom(seed).bytes(mib);
/** How much there is of it: encryption costs the test as much as the proxy. */
interface Sizes {
  readonly messageBytes: number;
  readonly idleSessions: number;
  readonly storm: number;
}
const plainSizes: Sizes = { messageBytes: 1024 * mib, idleSessions: 1_000, storm: 2_000 };
const encryptedSizes: Sizes = { messageBytes: 64 * mib, idleSessions: 100, storm: 300 };

interface Mode {
  readonly forwarding: Forwarding;
  readonly capture: Capture;
  readonly legs: Legs;
  readonly sizes: Sizes;
}

/** Capture on, on handles, as in production; the fallback with a ring that cannot keep up; and with TLS. */
const modes: readonly Mode[] = [
  { forwarding: 'handles', capture: 'captured', legs: plainLegs, sizes: plainSizes },
  { forwarding: 'streams', capture: 'overflowing', legs: plainLegs, sizes: plainSizes },
  ...encryptedLegs.map(
    (legs) => ({ forwarding: 'handles', capture: 'captured', legs, sizes: encryptedSizes }) as const,
  ),
];

/** What eight stuck sessions may add to a proxy that has seen as much traffic before: each leg holds one chunk of 64 KiB. */
const stuckBytes = 48 * mib;
/** What a huge message may add at its highest: the ring, the worker's young heap, chunks under way. */
const hugeMessageBytes = 256 * mib;

for (const { forwarding, capture, legs, sizes } of modes) {
  describe(`load (${forwarding}, ${capture}, ${legs.name})`, { timeout: 240_000 }, () => {
    let server: ScriptedServer;
    let proxy: ProxyProcess;
    before(async () => {
      server = await ScriptedServer.start(legs);
      proxy = await ProxyProcess.start(forwarding, capture, server, legs);
    });
    after(async () => {
      await proxy?.service.kill9();
      server.stop();
    });

    const finish = async (...sessions: readonly { readonly client: End; readonly server: End }[]): Promise<void> => {
      for (const { client, server: other } of sessions) {
        client.socket.end();
        other.socket.end();
      }
      await Promise.all(sessions.flatMap(({ client, server: other }) => [client.closed(), other.closed()]));
      for (const { client, server: other } of sessions) {
        assert.equal(client.receivedDigest, other.sentDigest);
        assert.equal(other.receivedDigest, client.sentDigest);
      }
      await proxy.sessionsClosed();
      proxy.assertNothingDied();
    };

    for (const slow of ['client', 'server'] as const) {
      it(`eight sessions whose ${slow} stops reading hold a fixed number of bytes, and lose none`, async (t) => {
        const sessions = await Promise.all(Array.from({ length: 8 }, () => openSession(proxy, server)));
        const [fast, lazy] = slow === 'client' ? (['server', 'client'] as const) : (['client', 'server'] as const);
        const sendAll = (): Promise<unknown> =>
          Promise.all(sessions.map(async (session) => sendBlocks(session[fast], 24)));
        await sendAll(); // warm: what the traffic itself costs is not what being stuck costs
        await proxy.isStill();
        const before = await proxy.memory();
        for (const session of sessions) session[lazy].socket.pause();
        const sending = sendAll();
        await proxy.isStill();
        const stuck = await proxy.memory();
        const [held] = sessions.map((session) => session[lazy].received);
        t.diagnostic(
          `stuck sessions: ${toMib(stuck.nowBytes - before.nowBytes)} MiB more than ${toMib(before.nowBytes)}`,
        );
        assert.ok(stuck.nowBytes - before.nowBytes < stuckBytes, `${toMib(stuck.nowBytes - before.nowBytes)} MiB more`);
        assert.ok((held ?? 0) < 48 * mib, 'the traffic was stuck');
        for (const session of sessions) session[lazy].socket.resume();
        await sending;
        await finish(...sessions);
      });
    }

    it('peers that write byte by byte are passed on byte for byte', async () => {
      const session = await openSession(proxy, server);
      const drip = async (end: End, bytes: Buffer): Promise<void> => {
        for (let i = 0; i < bytes.length; i++) {
          await end.send(bytes.subarray(i, i + 1));
          await new Promise((resolve) => setImmediate(resolve));
        }
      };
      await Promise.all([
        drip(session.client, block.subarray(0, 1_500)),
        drip(session.server, block.subarray(500, 2_000)),
      ]);
      await finish(session);
    });

    it(`a message of ${toMib(sizes.messageBytes)} MiB passes each way in bounded memory`, async (t) => {
      const session = await openSession(proxy, server);
      const { client, server: other } = session;
      const { messageBytes } = sizes;
      await proxy.forgetPeak();
      const before = await proxy.memory();
      const wanted = hugeFrame('Q', messageBytes, (bytes) => client.send(bytes, false));
      await other.has(startup().length + messageBytes);
      assert.equal(other.receivedDigest, digestAfter(startup(), (await wanted).digest));
      const answered = hugeFrame('D', messageBytes, (bytes) => other.send(bytes, false));
      await client.has(welcome.length + messageBytes);
      assert.equal(client.receivedDigest, digestAfter(welcome, (await answered).digest));
      const { peakBytes } = await proxy.memory();
      t.diagnostic(`at most ${toMib(peakBytes)} MiB resident, ${toMib(before.nowBytes)} MiB before`);
      assert.ok(peakBytes - before.nowBytes < hugeMessageBytes, `${toMib(peakBytes - before.nowBytes)} MiB more`);
      client.socket.end();
      other.socket.end();
      await Promise.all([client.closed(), other.closed()]);
      await proxy.sessionsClosed();
      proxy.assertNothingDied();
    });

    it(`${sizes.idleSessions} idle sessions are held, still served, and let go without a trace`, async (t) => {
      await warmUp(proxy, server);
      const [filesBefore, memoryBefore] = [await proxy.openFiles(), await proxy.memory()];
      const sessions: Awaited<ReturnType<typeof openSession>>[] = [];
      while (sessions.length < sizes.idleSessions)
        sessions.push(...(await Promise.all(Array.from({ length: 50 }, () => openSession(proxy, server)))));
      assert.equal(await proxy.metric('sessions_open'), sizes.idleSessions);
      const held = await proxy.memory();
      t.diagnostic(
        `an idle session: ${Math.round((held.nowBytes - memoryBefore.nowBytes) / sizes.idleSessions / 1024)} KiB resident`,
      );
      await Promise.all(
        sessions.map(async ({ client, server: other }, i) => {
          await client.send(frames({ kind: 'query', query: `SELECT ${i}` }));
          await other.has(startup().length + 1);
          await other.send(Buffer.from(`D${i}`));
        }),
      );
      await finish(...sessions);
      await waitFor(async () => (await proxy.openFiles()) <= filesBefore, { what: 'the files to be closed' });
    });

    it(`a storm of connects and disconnects leaves no session and no file open (seed ${seed})`, async (t) => {
      await warmUp(proxy, server);
      const filesBefore = await proxy.openFiles();
      server.onConnection = (end) => stormServer(end);
      t.after(() => {
        server.onConnection = null;
      });
      const random = seededRandom(seed);
      let left = sizes.storm;
      await Promise.all(
        Array.from({ length: 40 }, async () => {
          for (; left > 0; left--) await stormClient(proxy, random);
        }),
      );
      await proxy.sessionsClosed();
      await waitFor(() => server.openConnections === 0, { what: 'the server to have no connection' });
      await waitFor(async () => (await proxy.openFiles()) <= filesBefore, { what: 'the files to be closed' });
      server.onConnection = null;
      await warmUp(proxy, server);
      proxy.assertNothingDied();
    });

    it(`random and broken messages pass unchanged, and capture goes on after them (seed ${seed})`, async (t) => {
      const random = seededRandom(seed + 1);
      const conversations = recordedConversations();
      for (let round = 0; round < 15; round++) {
        await Promise.all(
          Array.from({ length: 16 }, async () => {
            const session = await openSession(proxy, server);
            const [frontend, backend] = random.pick(conversations);
            const own = random.fork();
            await Promise.all([
              sendChopped(session.client, broken(frontend, own), own),
              sendChopped(session.server, broken(backend, own), own.fork()),
            ]);
            await finishOne(session);
          }),
        );
      }
      await proxy.sessionsClosed();
      proxy.assertNothingDied();
      await (legs.passedThrough ? assertCountsUnread(proxy, server) : assertCaptures(t, proxy, server));
    });
  });
}

async function sendBlocks(end: End, count: number): Promise<void> {
  for (let i = 0; i < count; i++) await end.send(block);
}

/** Sends a frame of type `type` that takes so many bytes (MiBs) on the wire. The digest is begun, for more to be put before. */
async function hugeFrame(
  type: string,
  sizeBytes: number,
  send: (bytes: Buffer) => Promise<void>,
): Promise<{ digest: readonly Buffer[] }> {
  const header = Buffer.alloc(5);
  header.write(type, 'latin1');
  header.writeInt32BE(sizeBytes - 1, 1);
  const sent = [header, ...new Array<Buffer>(sizeBytes / mib - 1).fill(block), block.subarray(0, mib - 5)];
  for (const bytes of sent) await send(bytes);
  return { digest: sent };
}

function digestAfter(first: Buffer, rest: readonly Buffer[]): string {
  const hash = createHash('sha256').update(first);
  for (const bytes of rest) hash.update(bytes);
  return hash.digest('hex');
}

/** A session that comes and goes, so that what is opened once is open. */
async function warmUp(proxy: ProxyProcess, server: ScriptedServer): Promise<void> {
  await finishOne(await openSession(proxy, server));
  await proxy.sessionsClosed();
}

async function finishOne({ client, server }: { readonly client: End; readonly server: End }): Promise<void> {
  client.socket.end();
  server.socket.end();
  await Promise.all([client.closed(), server.closed()]);
  assert.equal(client.receivedDigest, server.sentDigest);
  assert.equal(server.receivedDigest, client.sentDigest);
}

function stormServer(end: End): void {
  end.socket.once('data', () => void end.send(welcome));
  end.socket.on('end', () => end.socket.end());
}

/** Leaves in one of many ways, at one of many moments. */
async function stormClient(proxy: ProxyProcess, random: SeededRandom): Promise<void> {
  const [stage, leave] = [random.integer(0, 4), random.pick(['end', 'reset', 'destroy'] as const)];
  const client = await proxy.connect();
  const packet = startup();
  if (stage === 1) await client.send(packet.subarray(0, random.integer(1, packet.length - 1)));
  if (stage >= 2) await client.send(packet);
  if (stage >= 3) await client.has(1);
  if (stage === 4) await client.send(frames({ kind: 'query', query: 'BEGIN' }));
  if (leave === 'reset') client.reset();
  else client.socket[leave]();
  await client.closed();
}

function recordedConversations(): (readonly [Buffer, Buffer])[] {
  const file = new URL('../../libs/pg-wire/fixtures/recorded-conversations.json', import.meta.url);
  const recordings = JSON.parse(readFileSync(file, 'utf8')) as { frontend: string; backend: string }[];
  return recordings.map(({ frontend, backend }) => {
    const sent = Buffer.from(frontend, 'hex');
    return [sent.subarray(sent.readInt32BE(0)), Buffer.from(backend, 'hex')];
  });
}

/** A few bytes changed, some left out, some put in; now and then nothing but noise. */
function broken(bytes: Buffer, random: SeededRandom): Buffer {
  if (random.next() < 0.2) return random.bytes(random.integer(1, 20_000));
  let result = Buffer.from(bytes);
  for (let i = random.integer(0, 6); i > 0 && result.length > 0; i--) {
    const at = random.integer(0, result.length - 1);
    const kind = random.integer(0, 2);
    if (kind === 0) result[at] = random.integer(0, 255);
    else if (kind === 1) result = Buffer.concat([result.subarray(0, at), result.subarray(at + random.integer(1, 9))]);
    else result = Buffer.concat([result.subarray(0, at), random.bytes(random.integer(1, 50)), result.subarray(at)]);
  }
  return result;
}

async function sendChopped(end: End, bytes: Buffer, random: SeededRandom): Promise<void> {
  const most = random.pick([7, 100, 10_000]);
  for (let at = 0; at < bytes.length; ) {
    const size = Math.ceil(bytes.length / 60) + random.integer(0, most);
    await end.send(bytes.subarray(at, at + size));
    await new Promise((resolve) => setImmediate(resolve));
    at += size;
  }
}

/** A transaction after all that is in the books of the proxy when it has stopped in order. */
async function assertCaptures(t: TestContext, proxy: ProxyProcess, server: ScriptedServer): Promise<void> {
  await oneTransaction(proxy, server);
  const last = await lastSnapshot(proxy);
  assert.ok(last.transactions > 0, 'transactions were captured');
  t.diagnostic(`captured ${last.transactions} transactions; gaps ${JSON.stringify(last.dropped)}`);
}

/** What only the two ends can read is in no envelope and in no gap: it is counted as what it is. */
async function assertCountsUnread(proxy: ProxyProcess, server: ScriptedServer): Promise<void> {
  const unread = (): Promise<number> => proxy.metric('opaque_sessions_total{reason="encrypted"}');
  const before = await unread();
  await oneTransaction(proxy, server);
  assert.equal(await unread(), before + 1);
  const { transactions, dropped } = await lastSnapshot(proxy);
  assert.deepEqual([transactions, dropped.transactions], [0, 0]);
}

async function oneTransaction(proxy: ProxyProcess, server: ScriptedServer): Promise<void> {
  const session = await openSession(proxy, server);
  await session.client.send(frames({ kind: 'query', query: 'SELECT 1' }));
  await session.server.has(startup().length + 1);
  await session.server.send(Buffer.from('C\0\0\0\x0dSELECT 1\0Z\0\0\0\x05I', 'latin1'));
  await finishOne(session);
  await proxy.sessionsClosed();
}

async function lastSnapshot(proxy: ProxyProcess): Promise<Awaited<ReturnType<typeof snapshotsOf>>[number]> {
  const exit = await proxy.service.stop({ graceMs: 60_000 });
  assert.deepEqual([exit.code, exit.signal], [0, null], exit.lastLogLines.join('\n'));
  const brokers = (await sharedKafka()).bootstrap;
  const last = (await snapshotsOf({ brokers, sourceName: proxy.sourceName })).at(-1);
  assert.ok(last?.final);
  return last;
}
