// What the client receives is byte for byte what the server sent, and the reverse: for traffic capture understands, and for any other.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before, describe, it } from 'node:test';
import {
  createDatabase,
  type SeededRandom,
  seededRandom,
  sharedPostgres,
  type TestDatabase,
} from '@mirrorstream/testkit';
import { converse, realConversations } from './transparency/conversations.ts';
import type { Target } from './transparency/proxy-process.ts';
import { End, startup, welcome } from './transparency/raw-client.ts';
import { ScriptedServer } from './transparency/scripted-server.ts';
import { Wire, wireModes } from './transparency/wire.ts';

const seed = 20_261_121;
/** A byte that is not what it was may be one that somebody waits for. */
const testTimeoutMs = 60_000;

interface Recording {
  readonly name: string;
  readonly server: string;
  readonly frontend: string;
  readonly backend: string;
}

const recordings = JSON.parse(
  readFileSync(new URL('../../libs/pg-wire/fixtures/recorded-conversations.json', import.meta.url), 'utf8'),
) as readonly Recording[];

describe('on the wire', { timeout: 240_000 }, () => {
  const wires: Wire[] = [];
  let scripted: ScriptedServer;
  let target: Target;
  let database: TestDatabase;
  before(async () => {
    wires.push(...(await Wire.layAll(() => target)));
    scripted = await ScriptedServer.start();
    database = await createDatabase(await sharedPostgres('source'));
  });
  after(async () => {
    await Promise.all(wires.map((wire) => wire.takeUp()));
    scripted?.stop();
    await database?.drop();
  });

  for (const [index, { name }] of wireModes.entries()) {
    it(`conversations with PostgreSQL are the same on both legs (${name}; seed ${seed})`, {
      timeout: testTimeoutMs,
    }, async () => {
      const wire = wires[index] as Wire;
      target = await sharedPostgres('source');
      const random = seededRandom(seed + index);
      const who = { user: (await sharedPostgres('source')).superuser, database: database.name };
      await Promise.all(realConversations.map((conversation) => converse(wire.port, who, conversation, random.fork())));
      await wire.sameOnBothLegs(realConversations.length);
    });

    it(`what is not PostgreSQL is the same on both legs (${name}; seed ${seed})`, {
      timeout: testTimeoutMs,
    }, async () => {
      const wire = wires[index] as Wire;
      target = scripted;
      const random = seededRandom(seed + 100 + index);
      const beginnings = [
        Buffer.concat([startup(), random.bytes(40)]),
        Buffer.concat([startup(), Buffer.from('~\0\0\0\x08huhu~\0\0\0\x04Q\0\0\0\x0dSELECT 1\0')]),
        Buffer.concat([startup(), Buffer.from('Q\x7f\xff\xff\xff', 'latin1'), random.bytes(100)]),
        Buffer.from('GET / HTTP/1.1\r\nHost: db\r\n\r\n'),
        Buffer.concat([Buffer.of(0, 0, 0, 9), random.bytes(60)]),
        random.bytes(300).fill(0xff, 0, 1),
      ];
      await Promise.all(beginnings.map((beginning) => babble(wire.port, scripted, beginning, random.fork())));
      await wire.sameOnBothLegs(beginnings.length);
    });
  }

  it('the small rings did run full, the others did not', async () => {
    for (const wire of wires.filter(({ name }) => !name.endsWith('uncaptured'))) {
      const overflows = await wire.proxy.metric('ring_overflows_total');
      assert.equal(overflows > 0, wire.name.endsWith('overflowing'), `${wire.name}: ${overflows} overflows`);
    }
  });

  for (const [index, { name }] of wireModes.entries()) {
    if (!name.endsWith(', captured')) continue;
    it(`recorded conversations pass when they are split at any byte, in both directions (${name})`, async () => {
      const wire = wires[index] as Wire;
      target = scripted;
      // The encryption requests of one are answered by the proxy itself.
      const passing = recordings.filter(({ server, name }) => server === '17.10' && name !== 'encryption refused');
      let connections = 0;
      for (const { frontend, backend } of passing)
        connections += await splitEverywhere(
          wire.port,
          scripted,
          Buffer.from(frontend, 'hex'),
          Buffer.from(backend, 'hex'),
        );
      await wire.sameOnBothLegs(connections);
    });
  }
});

/** Begins like this, then says anything, and so does the server; both end. */
async function babble(port: number, server: ScriptedServer, beginning: Buffer, random: SeededRandom): Promise<void> {
  const client = await End.connect(port);
  const meeting = server.next();
  await client.send(beginning);
  const other = await meeting;
  const sends = async (end: End): Promise<void> => {
    for (let i = 0; i < 12; i++) await end.send(random.bytes(random.integer(1, random.pick([9, 2_000, 60_000]))));
    end.socket.end();
  };
  await Promise.all([sends(client), sends(other)]);
  await Promise.all([client.closed(), other.closed()]);
}

/**
 * Says the whole conversation once for each place where its bytes can be cut in two: the second piece follows when the first has
 * arrived. What comes after the start-up packet is said over and over on one connection. Returns how many connections that took.
 */
async function splitEverywhere(
  port: number,
  server: ScriptedServer,
  frontend: Buffer,
  backend: Buffer,
): Promise<number> {
  const startupBytes = frontend.readInt32BE(0);
  const rest = frontend.subarray(startupBytes);
  for (let cut = 1; cut < startupBytes; cut++) {
    const client = await End.connect(port);
    const meeting = server.next();
    await client.send(frontend.subarray(0, cut));
    // The proxy connects when the packet is whole: nothing to see before.
    await new Promise((resolve) => setImmediate(resolve));
    await client.send(frontend.subarray(cut, startupBytes));
    const other = await meeting;
    await other.has(startupBytes);
    await endBoth(client, other);
  }
  const client = await End.connect(port);
  const meeting = server.next();
  await client.send(frontend.subarray(0, startupBytes));
  const other = await meeting;
  await other.has(startupBytes);
  await other.send(welcome);
  await client.has(welcome.length);
  await Promise.all([sayCut(client, other, rest), sayCut(other, client, backend)]);
  await endBoth(client, other);
  return startupBytes;
}

async function sayCut(from: End, to: End, bytes: Buffer): Promise<void> {
  let expected = to.received;
  for (let cut = 1; cut < bytes.length; cut++) {
    await from.send(bytes.subarray(0, cut));
    await to.has(expected + cut);
    await from.send(bytes.subarray(cut));
    expected += bytes.length;
    await to.has(expected);
    assert.ok(to.last.equals(bytes.subarray(bytes.length - to.last.length)), `cut at ${cut}`);
  }
}

async function endBoth(client: End, server: End): Promise<void> {
  client.socket.end();
  server.socket.end();
  await Promise.all([client.closed(), server.closed()]);
}
