// Seeded randomness: the same seed gives the same traffic.

export interface SeededRandom {
  /** 0 ≤ n < below, whole. */
  below(limit: number): number;
  /** 0 ≤ x < 1 */
  fraction(): number;
  shuffled<T>(items: readonly T[]): T[];
}

/** xoshiro128** seeded through splitmix32: plenty for a workload, a few lines, the same on every machine. */
export function seededRandom(seed: number): SeededRandom {
  const state = new Uint32Array(4);
  let mix = seed >>> 0;
  for (let i = 0; i < 4; i++) {
    mix = (mix + 0x9e3779b9) >>> 0;
    let z = mix;
    z = Math.imul(z ^ (z >>> 16), 0x85ebca6b);
    z = Math.imul(z ^ (z >>> 13), 0xc2b2ae35);
    state[i] = (z ^ (z >>> 16)) >>> 0;
  }
  const word = (at: number): number => state[at] ?? 0;
  const next = (): number => {
    const scaled = Math.imul(word(1), 5);
    const result = Math.imul((scaled << 7) | (scaled >>> 25), 9) >>> 0;
    const shifted = word(1) << 9;
    state[2] = word(2) ^ word(0);
    state[3] = word(3) ^ word(1);
    state[1] = word(1) ^ word(2);
    state[0] = word(0) ^ word(3);
    state[2] = word(2) ^ shifted;
    state[3] = (word(3) << 11) | (word(3) >>> 21);
    return result;
  };
  const fraction = (): number => next() / 4_294_967_296;
  const below = (limit: number): number => Math.floor(fraction() * limit);
  const shuffled = <T>(items: readonly T[]): T[] => {
    const copy = [...items];
    for (let i = copy.length - 1; i > 0; i--) {
      const j = below(i + 1);
      const kept = copy[i] as T;
      copy[i] = copy[j] as T;
      copy[j] = kept;
    }
    return copy;
  };
  return { below, fraction, shuffled };
}
