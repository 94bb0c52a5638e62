// The ring keeps order and content over wraps, refuses what has no room, and never shows a record in part to another thread.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Worker } from 'node:worker_threads';
import {
  createRingMemory,
  emptyRing,
  maxPayloadBytes,
  minRingBytes,
  RecordKind,
  RingConsumer,
  type RingHandler,
  RingProducer,
} from './ring.ts';
import { expectedPayload, ringScript } from './ring-script.ts';

interface Seen {
  readonly kind: number;
  readonly session: number;
  readonly monoUs: number;
  readonly payload: Buffer | number;
}

function collector(into: Seen[]): RingHandler {
  return {
    record: (kind, session, monoUs, bytes, start, end) =>
      into.push({ kind, session, monoUs, payload: Buffer.from(bytes.subarray(start, end)) }),
    mark: (kind, session, monoUs, count) => into.push({ kind, session, monoUs, payload: count }),
  };
}

function drainAll(consumer: RingConsumer): Seen[] {
  const seen: Seen[] = [];
  while (consumer.drain(collector(seen)) > 0);
  return seen;
}

describe('the ring', () => {
  it('is empty for a new pair of ends after one that left records behind', () => {
    const memory = createRingMemory(minRingBytes);
    const first = new RingProducer(memory);
    for (let i = 0; i < 3; i++) assert.ok(first.push(RecordKind.client, i, i, Buffer.from('left behind')));
    emptyRing(memory);
    const consumer = new RingConsumer(memory);
    const producer = new RingProducer(memory);
    assert.equal(producer.freeBytes(), producer.capacityBytes);
    assert.ok(producer.push(RecordKind.client, 9, 9, Buffer.from('new')));
    assert.deepEqual(drainAll(consumer), [
      { kind: RecordKind.client, session: 9, monoUs: 9, payload: Buffer.from('new') },
    ]);
  });

  it('gives back a record as it was pushed, times above 2^32 included', () => {
    const memory = createRingMemory(minRingBytes);
    const consumer = new RingConsumer(memory);
    const producer = new RingProducer(memory);
    assert.ok(producer.push(RecordKind.server, 7, 2 ** 45 + 3, Buffer.from('hello')));
    assert.ok(producer.pushMark(RecordKind.missedClient, -2, 5, 12_345));
    assert.ok(producer.push(RecordKind.client, 1, 0, new Uint8Array(0)));
    assert.deepEqual(drainAll(consumer), [
      { kind: RecordKind.server, session: 7, monoUs: 2 ** 45 + 3, payload: Buffer.from('hello') },
      { kind: RecordKind.missedClient, session: -2, monoUs: 5, payload: 12_345 },
      { kind: RecordKind.client, session: 1, monoUs: 0, payload: Buffer.alloc(0) },
    ]);
  });

  it('refuses a record without room, writes nothing of it, and takes it after the consumer has made room', () => {
    const memory = createRingMemory(minRingBytes);
    const consumer = new RingConsumer(memory);
    const producer = new RingProducer(memory);
    const payload = Buffer.alloc(maxPayloadBytes, 1);
    let pushed = 0;
    while (producer.push(RecordKind.client, pushed, pushed, payload)) pushed += 1;
    assert.equal(pushed, Math.floor(producer.capacityBytes / (maxPayloadBytes + 16)));
    assert.equal(drainAll(consumer).length, pushed);
    assert.equal(producer.freeBytes(), producer.capacityBytes);
    assert.ok(producer.push(RecordKind.client, 0, 0, payload));
  });

  it('uses its capacity to the last byte', () => {
    const memory = createRingMemory(minRingBytes);
    const producer = new RingProducer(memory);
    for (let i = 0; i < producer.capacityBytes / 16; i++) assert.ok(producer.pushMark(RecordKind.opened, i, 0, 0));
    assert.equal(producer.freeBytes(), 0);
    assert.equal(producer.pushMark(RecordKind.opened, 0, 0, 0), false);
    assert.equal(drainAll(new RingConsumer(memory)).length, producer.capacityBytes / 16);
  });

  it('keeps order and content over many wraps with seeded sizes', () => {
    const memory = createRingMemory(minRingBytes);
    const producer = new RingProducer(memory);
    const consumer = new RingConsumer(memory);
    const script = ringScript(41, 20_000);
    const seen: Seen[] = [];
    for (const { session, size, monoUs } of script) {
      while (!producer.push(RecordKind.client, session, monoUs, expectedPayload(session, size))) {
        assert.ok(consumer.drain(collector(seen)) > 0);
      }
    }
    while (consumer.drain(collector(seen)) > 0);
    assert.equal(seen.length, script.length);
    script.forEach(({ session, size, monoUs }, i) => {
      assert.deepEqual(seen[i], {
        kind: RecordKind.client,
        session,
        monoUs,
        payload: Buffer.from(expectedPayload(session, size)),
      });
    });
  });

  it('shows cancels before what is in front of them, and those that nobody wanted then once more in their turn', () => {
    const memory = createRingMemory(minRingBytes);
    const producer = new RingProducer(memory);
    const cancel = (key: string): void => void producer.push(RecordKind.cancel, 0, 7, Buffer.from(key));
    producer.push(RecordKind.server, 1, 5, Buffer.from('answer'));
    cancel('mine....');
    cancel('nobody..');
    producer.push(RecordKind.client, 1, 9, Buffer.from('next'));
    const seen: string[] = [];
    const text = (bytes: Uint8Array, start: number, end: number): string =>
      Buffer.from(bytes.subarray(start, end)).toString('latin1');
    const consumer = new RingConsumer(memory);
    consumer.drain({
      record: (_kind, _session, _us, bytes, start, end) => seen.push(text(bytes, start, end)),
      mark: () => assert.fail('no marks were pushed'),
      ahead: (us, bytes, start, end) => {
        seen.push(`ahead ${us} ${text(bytes, start, end)}`);
        return text(bytes, start, end) === 'mine....';
      },
    });
    assert.deepEqual(seen, [
      ...['ahead 7 mine....', 'ahead 7 nobody..'],
      ...['answer', '\0'.repeat(8), 'nobody..', 'next'],
    ]);
  });

  it('hands over a secret as what the client sent, and keeps no byte of it, wherever it lay', () => {
    const secret = Buffer.from('hunter2hunter2hunter2'.repeat(1_000));
    const ordinary = Buffer.alloc(secret.length, 'o');
    const memory = createRingMemory(minRingBytes);
    const producer = new RingProducer(memory);
    const consumer = new RingConsumer(memory);
    let memoryOfOwn: Uint8Array = new Uint8Array(0);
    const seen: Seen[] = [];
    const collect = collector(seen);
    const handler: RingHandler = {
      ...collect,
      record: (kind, session, monoUs, bytes, start, end) => {
        memoryOfOwn = bytes;
        collect.record(kind, session, monoUs, bytes, start, end);
      },
    };
    const rounds = 40; // more than one lap: some lie across the ring's end, some across what one look takes
    for (let i = 0; i < rounds; i++) {
      assert.ok(producer.push(RecordKind.client, i, i, ordinary));
      assert.ok(producer.push(RecordKind.clientSecret, i, i, secret));
      if (i % 5 === 4) while (consumer.drain(handler) > 0);
    }
    assert.deepEqual(
      seen.map(({ kind, payload }) => [kind, Buffer.compare(payload as Buffer, secret) === 0]),
      Array.from({ length: rounds }, () => [
        [RecordKind.client, false],
        [RecordKind.client, true],
      ]).flat(),
    );
    assert.equal(Buffer.from(memory).includes('unter'), false, 'in the ring');
    assert.equal(Buffer.from(memoryOfOwn).includes('unter'), false, 'in what was copied out of it');
    assert.equal(Buffer.from(memory).includes('ooooo'), true, 'ordinary traffic costs no wiping');
  });

  it('passes a seeded mix between two threads whole and in order', async () => {
    const memory = createRingMemory(minRingBytes);
    const records = 60_000;
    const worker = new Worker(new URL('./ring-script.ts', import.meta.url), {
      workerData: { memory, seed: 77, records },
    });
    const failed = new Promise<never>((_, reject) => worker.once('error', reject));
    const consumer = new RingConsumer(memory);
    const script = ringScript(77, records);
    let next = 0;
    const handler: RingHandler = {
      record: (_kind, session, monoUs, bytes, start, end) => {
        const expected = script[next++];
        assert.ok(expected !== undefined);
        assert.equal(session, expected.session);
        assert.equal(monoUs, expected.monoUs);
        assert.equal(Buffer.compare(bytes.subarray(start, end), expectedPayload(session, expected.size)), 0);
      },
      mark: () => assert.fail('no marks were pushed'),
    };
    const drained = (async () => {
      while (next < records) if (consumer.drain(handler) === 0) await new Promise((resolve) => setImmediate(resolve));
    })();
    await Promise.race([drained, failed]);
    await worker.terminate();
    assert.equal(consumer.backlogBytes(), 0);
  });
});
