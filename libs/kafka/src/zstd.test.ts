import assert from 'node:assert/strict';
import { test } from 'node:test';
import { compressZstd, decompressZstd } from './zstd.ts';

/** Hardly compressible, so that both directions cross the border between the two ways. */
const noise = (sizeBytes: number): Buffer => {
  let state = sizeBytes;
  return Buffer.from(
    Array.from({ length: sizeBytes }, () => {
      state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
      return state >>> 24;
    }),
  );
};

test('bytes of any size come back as they were', async () => {
  for (const sizeBytes of [0, 1, 1000, 8191, 8192, 8193, 16_383, 16_384, 16_385, 200_000]) {
    const bytes = noise(sizeBytes);
    assert.ok((await decompressZstd(await compressZstd(bytes))).equals(bytes), `${sizeBytes} bytes`);
  }
});

test('what is no zstd is refused by rejecting, whatever its size', async () => {
  for (const sizeBytes of [10, 100_000]) await assert.rejects(decompressZstd(noise(sizeBytes)));
});
