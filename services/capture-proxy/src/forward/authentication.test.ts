// What a client sends until it is authenticated is blanked afterwards, never before the server has it; what it sends later is let be.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Leg, LegEvents } from './leg.ts';
import { type Kind, Relay } from './relay.ts';
import type { Tap } from './tap.ts';

class FakeLeg implements Leg {
  readonly peer = 'peer';
  settled = true;
  reading = false;
  closed = false;
  readonly written: string[] = [];
  events: LegEvents | null = null;
  /** What the next writes say. */
  takes = true;

  start(events: LegEvents): void {
    this.events = events;
    this.reading = true;
  }
  pause(): void {
    this.reading = false;
  }
  resume(): void {
    this.reading = true;
  }
  write(chunk: Uint8Array): boolean {
    this.written.push(String(Buffer.from(chunk)));
    if (!this.takes) this.settled = false;
    return this.takes;
  }
  end(): void {}
  reset(): void {
    this.closed = true;
  }
  close(): void {
    this.closed = true;
  }

  get to(): LegEvents {
    assert.ok(this.events);
    return this.events;
  }
}

const ready = Buffer.from('R\0\0\0\x08\0\0\0\0Z\0\0\0\x05I', 'latin1');
const packet = Buffer.from('packet');

function scene(kind: Kind = 'captured') {
  const [client, server] = [new FakeLeg(), new FakeLeg()];
  const seen: string[] = [];
  const tap: Tap = {
    open: () => ({
      client: (chunk) => seen.push(`client ${Buffer.from(chunk)}`),
      secret: (chunk) => seen.push(`secret ${Buffer.from(chunk)}`),
      server: () => seen.push('server'),
      closed: () => seen.push('closed'),
      idle: () => 'yes',
    }),
    cancel: () => undefined,
  };
  const counts = { bytes: 0, sessionsTotal: 0, sessionsOpen: 0 };
  const around = { tap, counts, nowUs: () => 1, lingerMs: 1_000 };
  const relay = new Relay(kind, client, server, around, (how) => relay.close(how));
  const sent = Buffer.concat([packet, Buffer.from('early')]);
  relay.start({ sent, packetBytes: packet.length, answer: null, greeting: null });
  return { client, server, seen, relay, sent, counts };
}

const isBlank = (bytes: Uint8Array): boolean => bytes.every((byte) => byte === 0);

describe('what a client sends until it is authenticated', () => {
  it('is forwarded, shown to the tap as a secret, and blanked when the server is ready', () => {
    const { client, server, seen, relay, sent } = scene();
    const first = Buffer.from('hunter2');
    client.to.onChunk(first);
    server.to.onChunk(Buffer.from('R more'));
    const second = Buffer.from('proof');
    client.to.onChunk(second);
    assert.deepEqual([isBlank(first), isBlank(second)], [false, false]);
    server.to.onChunk(Buffer.from(ready));
    assert.deepEqual([isBlank(sent), isBlank(first), isBlank(second)], [true, true, true]);
    const later = Buffer.from('SELECT');
    client.to.onChunk(later);
    server.to.onChunk(Buffer.from(ready));
    relay.close('plain');
    assert.equal(String(later), 'SELECT', 'ordinary traffic is nobody’s to blank');
    assert.deepEqual(server.written, ['packetearly', 'hunter2', 'proof', 'SELECT']);
    assert.deepEqual(client.written, ['R more', String(ready), String(ready)]);
    assert.deepEqual(seen, [
      ...['secret early', 'secret hunter2', 'server', 'secret proof', 'server'],
      ...['client SELECT', 'server', 'closed'],
    ]);
  });

  it('is not touched while some of it waits for the server, then blanked when the session ends', () => {
    const { client, server, relay } = scene();
    server.takes = false;
    const early = Buffer.from('much, without waiting');
    client.to.onChunk(early);
    assert.equal(client.reading, false);
    server.to.onChunk(Buffer.from(ready));
    assert.equal(String(early), 'much, without waiting');
    assert.equal(client.reading, false, 'the client stays held back');
    server.settled = true;
    server.to.onDrained();
    assert.equal(client.reading, true);
    relay.close('plain');
    assert.ok(isBlank(early));
  });

  it('is blanked when it was refused, and when the connection fails first', () => {
    for (const end of ['refused', 'reset'] as const) {
      const { client, server, counts } = scene();
      const password = Buffer.from('wrong');
      client.to.onChunk(password);
      if (end === 'refused') {
        server.to.onChunk(Buffer.from('E28P01'));
        server.to.onEnd();
        client.to.onEnd();
      } else server.to.onFailed('ECONNRESET');
      assert.ok(isBlank(password), end);
      assert.deepEqual([client.closed, server.closed, counts.sessionsOpen], [true, true, 0]);
    }
  });

  it('goes on to be read when the client is asked for more, and stays paused when the client takes no more', () => {
    const { client, server } = scene();
    client.takes = false;
    server.to.onChunk(Buffer.from(ready));
    assert.deepEqual([client.reading, server.reading], [true, false]);
    client.to.onDrained();
    assert.equal(server.reading, true);
  });

  it('is not looked at where nobody here can read it', () => {
    const { client, server, relay } = scene('opaque');
    const ciphertext = Buffer.from('ciphertext');
    client.to.onChunk(ciphertext);
    server.to.onChunk(Buffer.from(ready));
    relay.close('plain');
    assert.equal(String(ciphertext), 'ciphertext');
  });
});
