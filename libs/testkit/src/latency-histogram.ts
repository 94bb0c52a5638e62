// Counts latencies in buckets of about 3 % width: constant memory, percentiles without keeping the values.

/** Buckets per doubling. */
const resolution = 32;
const doublings = 40;

export interface LatencySummary {
  readonly count: number;
  readonly meanMs: number;
  readonly p50Ms: number;
  readonly p90Ms: number;
  readonly p99Ms: number;
  readonly maxMs: number;
}

export class LatencyHistogram {
  readonly #counts = new Uint32Array(resolution * doublings);
  #count = 0;
  #sumUs = 0;
  #maxUs = 0;

  record(latencyUs: number): void {
    const bucket = Math.min(this.#counts.length - 1, Math.floor(Math.log2(Math.max(1, latencyUs)) * resolution));
    this.#counts[bucket] = (this.#counts[bucket] ?? 0) + 1;
    this.#count++;
    this.#sumUs += latencyUs;
    if (latencyUs > this.#maxUs) this.#maxUs = latencyUs;
  }

  /** The upper end of the bucket in which the percentile (0–100) lies, in µs; 0 when nothing was recorded. */
  percentileUs(percentile: number): number {
    const wanted = Math.ceil((this.#count * percentile) / 100);
    let seen = 0;
    for (let bucket = 0; bucket < this.#counts.length; bucket++) {
      seen += this.#counts[bucket] ?? 0;
      if (seen >= wanted && seen > 0) return Math.min(this.#maxUs, 2 ** ((bucket + 1) / resolution));
    }
    return 0;
  }

  summary(): LatencySummary {
    const ms = (latencyUs: number): number => Math.round(latencyUs) / 1000;
    return {
      count: this.#count,
      meanMs: ms(this.#count === 0 ? 0 : this.#sumUs / this.#count),
      p50Ms: ms(this.percentileUs(50)),
      p90Ms: ms(this.percentileUs(90)),
      p99Ms: ms(this.percentileUs(99)),
      maxMs: ms(this.#maxUs),
    };
  }
}
