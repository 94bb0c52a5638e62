// The mirror's addresses in their order, each with its breaker: which one to try now, and whether any is left.
import { admits, type Breaker, type BreakerOptions, closed, failed, nextTryMs, trying } from './breaker.ts';

export class TargetRoutes {
  readonly #options: BreakerOptions;
  readonly #chance: () => number;
  readonly #breakers: Breaker[];

  constructor(addresses: number, options: BreakerOptions, chance: () => number) {
    this.#options = options;
    this.#chance = chance;
    this.#breakers = Array.from({ length: addresses }, () => closed);
  }

  /** Since when no address is to be had; null: one is. */
  get downSinceMs(): number | null {
    let sinceMs = Number.NEGATIVE_INFINITY;
    for (const breaker of this.#breakers) {
      if (breaker.kind === 'closed') return null;
      sinceMs = Math.max(sinceMs, breaker.sinceMs);
    }
    return sinceMs;
  }

  /** Addresses that are taken out. */
  get takenOut(): number {
    return this.#breakers.filter(({ kind }) => kind !== 'closed').length;
  }

  /** The first address that lets one in; the caller tries it, and says what came of it. */
  pick(nowMs: number): number | null {
    const route = this.#breakers.findIndex((breaker) => admits(breaker, nowMs));
    if (route < 0) return null;
    this.#breakers[route] = trying(this.#breakers[route] as Breaker);
    return route;
  }

  succeeded(route: number): void {
    this.#breakers[route] = closed;
  }

  failed(route: number, nowMs: number): void {
    this.#breakers[route] = failed(this.#breakers[route] as Breaker, this.#options, nowMs, this.#chance());
  }

  nextTryMs(nowMs: number): number {
    return Math.min(...this.#breakers.map((breaker) => nextTryMs(breaker, nowMs)));
  }
}
