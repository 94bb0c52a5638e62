// How many connections to ask the mirror for: the configured cap, or what it was seen to have when it refused one for want of room.
//
// 53300 makes what is open the limit; then one more is tried every so often, less often each time that fails.

export interface ConnectionCapOptions {
  readonly maxConnections: number;
  /** The wait for one connection more doubles from min to max. */
  readonly regrowMinMs: number;
  readonly regrowMaxMs: number;
}

export class ConnectionCap {
  readonly #options: ConnectionCapOptions;
  /** null: the mirror has given all that it was asked for. */
  #shrunk: { limit: number; growAtMs: number; waitMs: number } | null = null;

  constructor(options: ConnectionCapOptions) {
    this.#options = options;
  }

  limit(nowMs: number): number {
    const { maxConnections } = this.#options;
    if (this.#shrunk === null) return maxConnections;
    const { limit, growAtMs } = this.#shrunk;
    return Math.min(maxConnections, nowMs >= growAtMs ? limit + 1 : limit);
  }

  /** When limit() may be more than it is; Infinity: never by itself. */
  growsAtMs(nowMs: number): number {
    return this.#shrunk === null || nowMs >= this.#shrunk.growAtMs ? Number.POSITIVE_INFINITY : this.#shrunk.growAtMs;
  }

  /** The mirror refused one more beside those that are open. */
  refused(open: number, nowMs: number): void {
    const { regrowMinMs, regrowMaxMs } = this.#options;
    const early = this.#shrunk !== null && nowMs < this.#shrunk.growAtMs;
    const limit = Math.max(1, open);
    // Several that were under way together are one refusal.
    if (early && this.#shrunk !== null) {
      this.#shrunk.limit = Math.min(this.#shrunk.limit, limit);
      return;
    }
    const waitMs = this.#shrunk === null ? regrowMinMs : Math.min(regrowMaxMs, this.#shrunk.waitMs * 2);
    this.#shrunk = { limit, growAtMs: nowMs + waitMs, waitMs };
  }

  /** The mirror gave one, and so many are open with it. */
  opened(open: number, nowMs: number): void {
    if (this.#shrunk === null || open <= this.#shrunk.limit) return;
    const { regrowMinMs, maxConnections } = this.#options;
    this.#shrunk = open >= maxConnections ? null : { limit: open, growAtMs: nowMs + regrowMinMs, waitMs: regrowMinMs };
  }
}
