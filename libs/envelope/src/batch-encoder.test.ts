// The hand encoder against the generated one: equal bytes for everything it can be given.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BatchEncoder } from './batch-encoder.ts';
import { decodeEnvelopeBatch } from './decode.ts';
import { generatedBatch, sampleRecord, seededRandom } from './sample-drafts.ts';

const origin = { source: 'orders', captureNode: 'node-1', incarnation: 'k3f9', worker: 2, partition: 17 };

test('the hand encoder writes byte for byte what the generated code writes, for 800 seeded batches', () => {
  const encoder = new BatchEncoder(origin);
  for (let seed = 1; seed <= 800; seed++) {
    const random = seededRandom(seed);
    const drafts = Array.from({ length: 1 + Math.floor(random() * 4) }, () => sampleRecord(random));
    encoder.reset();
    for (const draft of drafts) encoder.add(draft);
    const expected = generatedBatch(origin, drafts);
    assert.ok(Buffer.from(encoder.take()).equals(expected), `seed ${seed} differs`);
    assert.equal(encoder.sizeBytes, expected.length);
  }
});

test('the encoder counts records and transactions, and a reset begins a batch with the same origin', () => {
  const encoder = new BatchEncoder(origin);
  const random = seededRandom(7);
  const drafts = Array.from({ length: 50 }, () => sampleRecord(random));
  for (const draft of drafts) encoder.add(draft);
  const ended = drafts.filter((draft) => draft.kind === 'envelope' && draft.lastPart).length;
  assert.equal(encoder.records, 50);
  assert.equal(encoder.transactions, ended);
  assert.ok(ended > 5);
  encoder.reset();
  assert.equal(encoder.records + encoder.transactions, 0);
  const batch = decodeEnvelopeBatch(encoder.take());
  assert.deepEqual([batch.source, batch.captureNode, batch.worker, batch.partition], ['orders', 'node-1', 2, 17]);
  assert.deepEqual(batch.records, []);
});

test('a batch of several megabytes is encoded, and the buffer is given back afterwards', () => {
  const encoder = new BatchEncoder(origin);
  const drafts = Array.from({ length: 300 }, (_, i) => sampleRecord(seededRandom(i)));
  const large = drafts.flatMap((draft) => [draft, draft]);
  for (const draft of large) encoder.add(draft);
  assert.ok(encoder.sizeBytes > 2 ** 20);
  assert.ok(Buffer.from(encoder.take()).equals(generatedBatch(origin, large)));
  encoder.reset();
  encoder.add(drafts[0] as (typeof drafts)[0]);
  assert.ok(Buffer.from(encoder.take()).equals(generatedBatch(origin, drafts.slice(0, 1))));
});

test('a batch can be taken into memory that was used before', () => {
  const encoder = new BatchEncoder(origin);
  const draft = sampleRecord(seededRandom(5));
  encoder.add(draft);
  const memory = Buffer.alloc(encoder.sizeBytes + 100, 0xff);
  const taken = encoder.take(memory);
  assert.equal(taken.buffer, memory.buffer);
  assert.ok(Buffer.from(taken).equals(generatedBatch(origin, [draft])));
});

test('a context encoded once is written again from what was kept, unchanged', () => {
  const encoder = new BatchEncoder(origin);
  const random = seededRandom(3);
  let draft = sampleRecord(random);
  while (draft.kind !== 'envelope' || draft.context === null) draft = sampleRecord(random);
  for (let i = 0; i < 5; i++) encoder.add(draft);
  assert.ok(Buffer.from(encoder.take()).equals(generatedBatch(origin, [draft, draft, draft, draft, draft])));
});

test('a draft that throws while it is read leaves nothing of itself in the batch', () => {
  const encoder = new BatchEncoder(origin);
  const drafts = Array.from({ length: 40 }, (_, i) => sampleRecord(seededRandom(i)));
  const good = drafts.slice(0, 2);
  for (const draft of good) encoder.add(draft);
  let broken = 0;
  for (const draft of drafts) {
    if (draft.kind !== 'envelope' || draft.exchanges.length === 0) continue;
    const poisoned = [...draft.exchanges];
    Object.defineProperty(poisoned, poisoned.length - 1, {
      get: () => {
        throw new Error('poisoned');
      },
    });
    assert.throws(() => encoder.add({ ...draft, exchanges: poisoned }), /poisoned/);
    broken += 1;
  }
  assert.ok(broken > 5);
  assert.equal(encoder.records, 2);
  assert.ok(Buffer.from(encoder.take()).equals(generatedBatch(origin, good)));
});
