// Randomness that repeats: the same seed gives the same numbers on every machine.

/** Numbers in [0, 1). mulberry32: 32 bits of state, good enough to choose test data, not for anything secret. */
export interface SeededRandom {
  next(): number;
  /** A whole number from `low` to `high`, both included. */
  integer(low: number, high: number): number;
  pick<T>(items: readonly T[]): T;
  /** The same items in another order, in a new array. */
  shuffle<T>(items: readonly T[]): T[];
  bytes(length: number): Buffer;
  /** A generator with a seed of its own: drawing from one does not change the other. */
  fork(): SeededRandom;
}

export function seededRandom(seed: number): SeededRandom {
  let state = seed >>> 0;
  const next32 = (): number => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return (mixed ^ (mixed >>> 14)) >>> 0;
  };
  const random: SeededRandom = {
    next: () => next32() / 2 ** 32,
    integer: (low, high) => low + Math.floor(random.next() * (high - low + 1)),
    pick: (items) => {
      if (items.length === 0) throw new RangeError('nothing to pick from');
      return items[Math.floor(random.next() * items.length)] as (typeof items)[number];
    },
    shuffle: (items) => {
      const shuffled = [...items];
      for (let i = shuffled.length - 1; i > 0; i--) {
        const j = random.integer(0, i);
        [shuffled[i], shuffled[j]] = [shuffled[j] as (typeof items)[number], shuffled[i] as (typeof items)[number]];
      }
      return shuffled;
    },
    bytes: (length) => Buffer.from(Array.from({ length }, () => next32() & 0xff)),
    fork: () => seededRandom(next32()),
  };
  return random;
}
