// How late transactions were sent against their schedule: a histogram of fixed size, exact to a twentieth.

const perDecade = 50;
const decades = 10; // 1 µs to 10 000 s

export interface ScheduleError {
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly maxMs: number;
}

export class ScheduleErrors {
  readonly #counts = new Uint32Array(perDecade * decades + 1);
  #total = 0;
  #maxUs = 0;

  add(scheduledAtUs: bigint, sentAtUs: bigint): void {
    if (scheduledAtUs === 0n || sentAtUs === 0n) return;
    const lateUs = Math.max(0, Number(sentAtUs - scheduledAtUs));
    const at = lateUs < 1 ? 0 : Math.min(perDecade * decades, 1 + Math.floor(Math.log10(lateUs) * perDecade));
    this.#counts[at] = (this.#counts[at] ?? 0) + 1;
    this.#total += 1;
    if (lateUs > this.#maxUs) this.#maxUs = lateUs;
  }

  /** Null: nothing was sent. */
  summary(): ScheduleError | null {
    if (this.#total === 0) return null;
    return { p50Ms: this.#quantileMs(0.5), p99Ms: this.#quantileMs(0.99), maxMs: this.#maxUs / 1000 };
  }

  #quantileMs(share: number): number {
    let left = share * this.#total;
    for (const [at, count] of this.#counts.entries()) {
      left -= count;
      if (left > 0) continue;
      const upperUs = at === 0 ? 0 : 10 ** (at / perDecade);
      return Math.round(Math.min(upperUs, this.#maxUs)) / 1000;
    }
    return this.#maxUs / 1000;
  }
}
