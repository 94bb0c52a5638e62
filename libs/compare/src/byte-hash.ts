// A 64-bit hash of bytes as two unsigned 32-bit halves: fast in plain JavaScript, the same whether the bytes come whole or in pieces.
//
// Two 32-bit lanes take each little-endian 4-byte word by multiply and xorshift and feed each other; the second one takes the word
// rotated by half, so that a difference that hardly moves one lane (its top bit) moves the other. Not cryptographic: it tells answers
// of two servers apart, it does not resist somebody who chooses them. The last word is padded with zeros and the length closes the hash.

const PRIME_1 = 0x9e3779b1;
const PRIME_2 = 0x85ebca77;
const SEED_1 = 0x27d4eb2f;
const SEED_2 = 0x165667b1;

/** Murmur3's 32-bit finaliser: every input bit reaches every output bit. */
function avalanche(value: number): number {
  let h = value ^ (value >>> 16);
  h = Math.imul(h, 0x85ebca6b);
  h ^= h >>> 13;
  h = Math.imul(h, 0xc2b2ae35);
  return h ^ (h >>> 16);
}

/** `begin`, any number of `update`s, `finish`; then `hi` and `lo` hold the hash until the next `finish`. */
export class ByteHasher {
  hi = 0;
  lo = 0;
  private lane1 = SEED_1;
  private lane2 = SEED_2;
  private sizeBytes = 0;
  private tail = 0;
  private tailBytes = 0;

  begin(): void {
    this.lane1 = SEED_1;
    this.lane2 = SEED_2;
    this.sizeBytes = 0;
    this.tail = 0;
    this.tailBytes = 0;
  }

  update(buf: Uint8Array, start: number, end: number): void {
    let at = start;
    this.sizeBytes += end - start;
    while (this.tailBytes > 0 && at < end) this.addByte(buf[at++] as number);
    let h1 = this.lane1;
    let h2 = this.lane2;
    for (const last = end - 3; at < last; at += 4) {
      const word =
        (buf[at] as number) |
        ((buf[at + 1] as number) << 8) |
        ((buf[at + 2] as number) << 16) |
        ((buf[at + 3] as number) << 24);
      h1 = Math.imul(h1 ^ word, PRIME_1);
      h1 = ((h1 ^ (h1 >>> 15)) + h2) | 0;
      h2 = Math.imul(h2 ^ ((word << 16) | (word >>> 16)), PRIME_2);
      h2 = ((h2 ^ (h2 >>> 13)) + h1) | 0;
    }
    this.lane1 = h1;
    this.lane2 = h2;
    while (at < end) this.addByte(buf[at++] as number);
  }

  finish(): void {
    if (this.tailBytes > 0) this.addWord(this.tail);
    let h1 = avalanche(this.lane1 ^ this.sizeBytes);
    let h2 = avalanche((this.lane2 + h1) | 0);
    h1 = avalanche((h1 + h2) | 0);
    h2 = (h2 + Math.imul(h1, PRIME_2)) | 0;
    this.hi = h1 >>> 0;
    this.lo = h2 >>> 0;
  }

  private addByte(byte: number): void {
    this.tail |= byte << (this.tailBytes << 3);
    this.tailBytes += 1;
    if (this.tailBytes < 4) return;
    this.addWord(this.tail);
    this.tail = 0;
    this.tailBytes = 0;
  }

  private addWord(word: number): void {
    let h1 = Math.imul(this.lane1 ^ word, PRIME_1);
    h1 = ((h1 ^ (h1 >>> 15)) + this.lane2) | 0;
    let h2 = Math.imul(this.lane2 ^ ((word << 16) | (word >>> 16)), PRIME_2);
    h2 = ((h2 ^ (h2 >>> 13)) + h1) | 0;
    this.lane1 = h1;
    this.lane2 = h2;
  }
}

/** Combines the hashes of rows: `ordered` depends on their order, `multiset` (their sum modulo 2^64) does not. */
export class RowSetHash {
  orderedHi = 0;
  orderedLo = 0;
  multisetHi = 0;
  multisetLo = 0;

  reset(): void {
    this.orderedHi = 0;
    this.orderedLo = 0;
    this.multisetHi = 0;
    this.multisetLo = 0;
  }

  add(hi: number, lo: number): void {
    let h1 = Math.imul(this.orderedHi ^ hi, PRIME_1);
    h1 = ((h1 ^ (h1 >>> 15)) + this.orderedLo + SEED_1) | 0;
    let h2 = Math.imul(this.orderedLo ^ lo, PRIME_2);
    h2 = ((h2 ^ (h2 >>> 13)) + h1) | 0;
    this.orderedHi = h1 >>> 0;
    this.orderedLo = h2 >>> 0;
    const low = this.multisetLo + lo;
    this.multisetLo = low >>> 0;
    this.multisetHi = (this.multisetHi + hi + (low > 0xffffffff ? 1 : 0)) >>> 0;
  }
}
