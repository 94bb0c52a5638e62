// The quality of the hash: no collisions among a million similar rows, avalanche, and independence of piece borders.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { ByteHasher, RowSetHash } from './byte-hash.ts';
import { seeded } from './pg/backend-frames.fixture.ts';

function hashOf(bytes: Uint8Array, hasher = new ByteHasher()): [number, number] {
  hasher.begin();
  hasher.update(bytes, 0, bytes.length);
  hasher.finish();
  return [hasher.hi, hasher.lo];
}

/** Counts equal 64-bit values, and equal values of each half, among the rows of a generator. */
function countCollisions(rows: number, next: (index: number) => Uint8Array): { both: number; hi: number; lo: number } {
  const his = new Uint32Array(rows);
  const los = new Uint32Array(rows);
  const both = new BigUint64Array(rows);
  const hasher = new ByteHasher();
  for (let i = 0; i < rows; i++) {
    const [hi, lo] = hashOf(next(i), hasher);
    his[i] = hi;
    los[i] = lo;
    both[i] = (BigInt(hi) << 32n) | BigInt(lo);
  }
  const repeats = (sorted: Uint32Array | BigUint64Array) => {
    let count = 0;
    for (let i = 1; i < rows; i++) if (sorted[i] === sorted[i - 1]) count += 1;
    return count;
  };
  return { both: repeats(both.sort()), hi: repeats(his.sort()), lo: repeats(los.sort()) };
}

/** n²/2³³ pairs of n random 32-bit values are expected to collide; within 4σ of a Poisson count. */
function assertLikeRandom(collisions: number, rows: number): void {
  const expected = (rows * rows) / 2 ** 33;
  assert.ok(
    collisions < expected + 4 * Math.sqrt(expected) + 1,
    `${collisions} collisions, ${expected.toFixed(0)} expected`,
  );
}

describe('byte hash', () => {
  it('does not collide over a million rows that differ in a counter, and each half behaves like a random one', () => {
    const rows = 1_000_000;
    const row = Buffer.alloc(32, 0x41);
    const found = countCollisions(rows, (i) => {
      row.writeUInt32BE(i, 9);
      return row;
    });
    assert.equal(found.both, 0);
    assertLikeRandom(found.hi, rows);
    assertLikeRandom(found.lo, rows);
  });

  it('does not collide over seeded rows of decimal numbers in two columns', () => {
    const rows = 1_000_000;
    const random = seeded(7);
    const seen = new Set<string>();
    const found = countCollisions(rows, (i) => {
      const text = `${i % 1000}\0\0\0\x08${i}|${Math.floor(random() * 10)}`;
      seen.add(text);
      return Buffer.from(text, 'latin1');
    });
    assert.equal(seen.size, rows);
    assert.equal(found.both, 0);
    assertLikeRandom(found.hi, rows);
    assertLikeRandom(found.lo, rows);
  });

  it('does not collide when only the top bits of words differ', () => {
    const bytes = Buffer.alloc(64);
    const found = countCollisions(65_536, (i) => {
      for (let bit = 0; bit < 16; bit++) bytes[bit * 4 + 3] = (i >> bit) & 1 ? 0x80 : 0;
      return bytes;
    });
    assert.equal(found.both, 0);
    assertLikeRandom(found.hi, 65_536);
    assertLikeRandom(found.lo, 65_536);
  });

  it('tells apart zero bytes of different number', () => {
    const found = countCollisions(4096, (i) => new Uint8Array(i));
    assert.equal(found.both, 0);
  });

  it('flips each output bit with a probability of one half when one input bit flips', () => {
    const random = seeded(11);
    const trials = 400;
    const sizeBytes = 20;
    for (let bit = 0; bit < sizeBytes * 8; bit += 3) {
      const flips = new Array<number>(64).fill(0);
      for (let trial = 0; trial < trials; trial++) {
        const bytes = Uint8Array.from({ length: sizeBytes }, () => Math.floor(random() * 256));
        const [hi, lo] = hashOf(bytes);
        bytes[bit >> 3] = (bytes[bit >> 3] as number) ^ (1 << (bit & 7));
        const [hi2, lo2] = hashOf(bytes);
        for (let out = 0; out < 32; out++) {
          flips[out] = (flips[out] as number) + (((hi ^ hi2) >>> out) & 1);
          flips[32 + out] = (flips[32 + out] as number) + (((lo ^ lo2) >>> out) & 1);
        }
      }
      // 5σ of a fair coin: 54 × 64 counts are looked at.
      const bound = 5 * Math.sqrt(trials / 4);
      for (const count of flips) assert.ok(Math.abs(count - trials / 2) < bound, `input bit ${bit}: ${count}`);
    }
  });

  it('is the same at every pair of piece borders', () => {
    const bytes = Uint8Array.from({ length: 23 }, (_, i) => (i * 37) & 0xff);
    const whole = hashOf(bytes);
    const hasher = new ByteHasher();
    for (let a = 0; a <= bytes.length; a++) {
      for (let b = a; b <= bytes.length; b++) {
        hasher.begin();
        hasher.update(bytes, 0, a);
        hasher.update(bytes, a, b);
        hasher.update(bytes, b, bytes.length);
        hasher.finish();
        assert.deepEqual([hasher.hi, hasher.lo], whole);
      }
    }
  });
});

describe('row set hash', () => {
  it('gives one multiset and another order for the same rows shuffled', () => {
    const random = seeded(3);
    const rows = Array.from({ length: 50 }, (_, i) => hashOf(Buffer.from(`row ${i % 40}`)));
    const digest = (list: readonly [number, number][]) => {
      const set = new RowSetHash();
      for (const [hi, lo] of list) set.add(hi, lo);
      return set;
    };
    const straight = digest(rows);
    for (let round = 0; round < 20; round++) {
      const shuffled = rows.map((row) => ({ row, at: random() })).sort((a, b) => a.at - b.at);
      const other = digest(shuffled.map((entry) => entry.row));
      assert.deepEqual([other.multisetHi, other.multisetLo], [straight.multisetHi, straight.multisetLo]);
      assert.notDeepEqual([other.orderedHi, other.orderedLo], [straight.orderedHi, straight.orderedLo]);
    }
  });

  it('adds modulo 2^64', () => {
    const set = new RowSetHash();
    let expected = 0n;
    const random = seeded(5);
    for (let i = 0; i < 1000; i++) {
      const hi = Math.floor(random() * 2 ** 32);
      const lo = Math.floor(random() * 2 ** 32);
      set.add(hi, lo);
      expected = BigInt.asUintN(64, expected + ((BigInt(hi) << 32n) | BigInt(lo)));
    }
    assert.equal((BigInt(set.multisetHi) << 32n) | BigInt(set.multisetLo), expected);
  });

  it('sees a row that comes twice instead of once', () => {
    const once = new RowSetHash();
    const twice = new RowSetHash();
    const [hi, lo] = hashOf(Buffer.from('a'));
    once.add(hi, lo);
    twice.add(hi, lo);
    twice.add(hi, lo);
    assert.notEqual(once.multisetLo, twice.multisetLo);
  });
});
