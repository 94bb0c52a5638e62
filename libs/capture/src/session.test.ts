// Conversations as PostgreSQL has them: what comes out, and that chunking changes nothing.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Chunking, greeting, play, requestsOf, transactionsOf } from './conversation-script.fixture.ts';
import { conversations } from './conversations.fixture.ts';
import { seededRandom } from './seeded-random.fixture.ts';

const byteByByte: Chunking = (size) => Array.from({ length: size }, (_, i) => i + 1);

function randomly(seed: number): Chunking {
  const random = seededRandom(seed);
  return (size) => {
    const ends: number[] = [];
    for (let at = 0; at < size; at += 1 + Math.floor(random() * 40)) ends.push(at);
    return [...ends.filter((end) => end > 0), size];
  };
}

for (const { name, steps, expected } of conversations) {
  test(name, () => {
    assert.deepEqual(transactionsOf(steps), expected);
  });
}

test('every conversation comes to the same records when each step is cut in two at any byte', () => {
  for (const { name, steps } of conversations) {
    const all = [...greeting, ...steps];
    const whole = play(all).records;
    const sizes: number[] = [];
    const measured: Chunking = (size, step) => {
      sizes[step] = size;
      return [size];
    };
    play(all, { chunking: measured });
    sizes.forEach((size, step) => {
      for (let cut = 1; cut < size; cut++) {
        const chunking: Chunking = (bytes, at) => (at === step ? [cut, bytes] : [bytes]);
        assert.deepEqual(play(all, { chunking }).records, whole, `${name}: step ${step} cut at ${cut}`);
      }
    });
  }
});

test('every conversation comes to the same records byte by byte and in seeded random chunks', () => {
  for (const { name, steps } of conversations) {
    const all = [...greeting, ...steps];
    const whole = play(all).records;
    assert.deepEqual(play(all, { chunking: byteByByte }).records, whole, `${name}: byte by byte`);
    for (let seed = 1; seed <= 20; seed++) {
      assert.deepEqual(play(all, { chunking: randomly(seed) }).records, whole, `${name}: seed ${seed}`);
    }
  }
});

test('the requests of all envelopes are what the client sent, in order, without start-up, password and Terminate', () => {
  const before = play(greeting).sent.length;
  for (const { name, steps } of conversations) {
    const { records, sent } = play([...greeting, ...steps]);
    const end = name.startsWith('a transaction idle at the end') ? sent.length - 5 : sent.length;
    assert.ok(requestsOf(records).equals(sent.subarray(before, end)), name);
  }
});

test('every conversation is captured the same when everything in it passes in pieces and in many parts', () => {
  const before = play(greeting).sent.length;
  for (const { name, steps } of conversations) {
    const limits = { partBytes: 4096, maxFrameBytes: 10_004, answers: 'none' as const };
    const { records, sent } = play([...greeting, ...steps], { limits, chunking: byteByByte });
    const end = name.startsWith('a transaction idle at the end') ? sent.length - 5 : sent.length;
    assert.ok(requestsOf(records).equals(sent.subarray(before, end)), name);
  }
});
