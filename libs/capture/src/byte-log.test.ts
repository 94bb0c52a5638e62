// The byte queue against a plain array.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ByteLog } from './byte-log.ts';
import { seededRandom } from './seeded-random.fixture.ts';

test('appends, drops and truncations leave the same bytes as a plain array, at the same offsets', () => {
  for (let seed = 1; seed <= 50; seed++) {
    const random = seededRandom(seed);
    const log = new ByteLog();
    const all: number[] = [];
    let start = 0;
    for (let step = 0; step < 200; step++) {
      const choice = random();
      if (choice < 0.6) {
        const size = Math.floor(random() * (random() < 0.1 ? 5000 : 100));
        const source = Uint8Array.from({ length: size + 4 }, () => Math.floor(random() * 256));
        log.append(source, 2, 2 + size);
        all.push(...source.subarray(2, 2 + size));
      } else if (choice < 0.8) {
        start += Math.floor(random() * (all.length - start + 1));
        log.dropTo(start);
      } else if (choice < 0.9) {
        const end = all.length - Math.floor(random() * Math.min(20, all.length - start));
        log.truncateTo(end);
        all.length = end;
      }
      assert.equal(log.end, all.length);
      assert.equal(log.sizeBytes, all.length - start);
      assert.deepEqual([...log.view(start, all.length)], all.slice(start));
    }
  }
});

test('a log that was large and is empty again gives its buffer back', () => {
  const log = new ByteLog();
  log.append(new Uint8Array(1_000_000), 0, 1_000_000);
  log.dropTo(log.end);
  assert.ok(log.buffer.length <= 16 * 1024);
  assert.equal(log.end, 1_000_000);
});

test('a stream that is dropped as it comes needs a buffer of what is kept only', () => {
  const log = new ByteLog();
  const chunk = new Uint8Array(1000);
  for (let i = 0; i < 10_000; i++) {
    log.append(chunk, 0, 1000);
    log.dropTo(log.end - 1500);
  }
  assert.ok(log.buffer.length <= 8192, `${log.buffer.length}`);
});
