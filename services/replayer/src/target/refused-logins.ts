// Users whom the mirror refused: not asked for again at once, session after session, but at growing distances.
import { admits, type Breaker, type BreakerOptions, closed, failed, trying } from './breaker.ts';

/** Beyond it the oldest is forgotten, and asked for once more. */
const MAX_LOGINS = 1000;

export class RefusedLogins {
  readonly #options: BreakerOptions;
  readonly #chance: () => number;
  readonly #logins = new Map<string, Breaker>();

  constructor(options: BreakerOptions, chance: () => number) {
    this.#options = options;
    this.#chance = chance;
  }

  refuses(login: string, nowMs: number): boolean {
    return !admits(this.#logins.get(login) ?? closed, nowMs);
  }

  refused(login: string, nowMs: number): void {
    const before = this.#logins.get(login) ?? closed;
    const [oldest] = this.#logins.keys();
    if (this.#logins.size >= MAX_LOGINS && oldest !== undefined && before === closed) this.#logins.delete(oldest);
    const due = admits(before, nowMs);
    this.#logins.set(login, failed(due ? trying(before) : before, this.#options, nowMs, this.#chance()));
  }

  accepted(login: string): void {
    this.#logins.delete(login);
  }
}
