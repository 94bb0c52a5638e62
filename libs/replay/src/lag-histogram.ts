// How late things were sent against their schedule: counts in buckets that grow by a fifth, so that quantiles are right to a tenth.

const GROWTH = Math.log(1.2);
/** Up to about an hour. */
const BUCKETS = 122;

export class LagHistogram {
  readonly #counts = new Float64Array(BUCKETS);
  #total = 0;
  #sumUs = 0;
  #largestUs = 0;

  get total(): number {
    return this.#total;
  }

  get sumUs(): number {
    return this.#sumUs;
  }

  get largestUs(): number {
    return this.#largestUs;
  }

  /** A lag of a µs or less is none. */
  add(lagUs: number): void {
    const bucket = lagUs <= 1 ? 0 : Math.min(BUCKETS - 1, Math.ceil(Math.log(lagUs) / GROWTH));
    this.#counts[bucket] = (this.#counts[bucket] as number) + 1;
    this.#total += 1;
    this.#sumUs += Math.max(0, lagUs);
    if (lagUs > this.#largestUs) this.#largestUs = lagUs;
  }

  /** The middle of the bucket that holds this share of all, 0 to 1; 0 when there is nothing. */
  quantileUs(share: number): number {
    let left = Math.ceil(share * this.#total);
    for (let bucket = 0; bucket < BUCKETS; bucket++) {
      left -= this.#counts[bucket] as number;
      if (left <= 0) return bucket === 0 ? 0 : Math.min(this.#largestUs, Math.exp((bucket - 0.5) * GROWTH));
    }
    return this.#largestUs;
  }
}
