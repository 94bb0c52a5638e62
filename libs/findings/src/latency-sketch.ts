// A histogram of latencies in buckets of equal ratio: quantiles within 2 % of the true value, mergeable, at most 2 KiB.
//
// The scheme is DDSketch's (Masson, Rim, Lee: "DDSketch", VLDB 2019): with γ = (1 + α) / (1 − α), bucket i holds (γ^(i−1), γ^i], and
// 2γ^i / (γ + 1) is within α of everything in it. As values lie between 1 µs and 3 hours, the number of buckets is bounded without
// collapsing any.
import type { SketchData } from './model.ts';

export const relativeError = 0.02;
const gamma = (1 + relativeError) / (1 - relativeError);
const lnGamma = Math.log(gamma);
/** Values outside count as the nearest inside. */
const minUs = 1;
const maxUs = 10_800_000_000;
const minRoom = 8;

export const emptySketch: SketchData = { first: 0, counts: [] };

export class LatencySketch {
  #first: number;
  #counts: Uint32Array;
  /** Buckets in use, from `#first` on. */
  #length: number;

  constructor(data: SketchData = emptySketch) {
    this.#first = data.first;
    this.#length = data.counts.length;
    this.#counts = Uint32Array.from(data.counts);
  }

  add(valueUs: number): void {
    const bucket = bucketOf(valueUs);
    this.#reach(bucket);
    const at = bucket - this.#first;
    this.#counts[at] = (this.#counts[at] ?? 0) + 1;
  }

  get sizeBytes(): number {
    return this.#counts.byteLength;
  }

  toData(): SketchData {
    return { first: this.#first, counts: [...this.#counts.subarray(0, this.#length)] };
  }

  /** Makes room for the bucket: grows by half at either end, so that adding stays cheap. */
  #reach(bucket: number): void {
    if (this.#length === 0) {
      this.#first = bucket;
      this.#length = 1;
      if (this.#counts.length === 0) this.#counts = new Uint32Array(minRoom);
      return;
    }
    const before = Math.max(0, this.#first - bucket);
    const length = Math.max(this.#length, bucket - this.#first + 1) + before;
    if (before === 0 && length <= this.#counts.length) {
      this.#length = length;
      return;
    }
    const grown = new Uint32Array(before === 0 ? length + (length >> 1) : length + minRoom);
    grown.set(this.#counts.subarray(0, this.#length), before);
    this.#counts = grown;
    this.#first -= before;
    this.#length = length;
  }
}

function bucketOf(valueUs: number): number {
  return Math.ceil(Math.log(Math.min(maxUs, Math.max(minUs, valueUs))) / lnGamma);
}

export function mergeSketches(a: SketchData, b: SketchData): SketchData {
  if (a.counts.length === 0) return b;
  if (b.counts.length === 0) return a;
  const first = Math.min(a.first, b.first);
  const end = Math.max(a.first + a.counts.length, b.first + b.counts.length);
  const counts = new Array<number>(end - first).fill(0);
  for (const { first: from, counts: some } of [a, b])
    for (const [i, count] of some.entries()) counts[from - first + i] = (counts[from - first + i] ?? 0) + count;
  return { first, counts };
}

export function sketchCount({ counts }: SketchData): number {
  return counts.reduce((sum, count) => sum + count, 0);
}

/** The value below which a share `q` of all lies, in µs; 0 of nothing. */
export function quantile(sketch: SketchData, q: number): number {
  const rank = q * (sketchCount(sketch) - 1);
  let seen = 0;
  for (const [i, count] of sketch.counts.entries()) {
    seen += count;
    if (seen > rank) return (2 * gamma ** (sketch.first + i)) / (gamma + 1);
  }
  return 0;
}
