// Which server each session is on, by the key that a CancelRequest for it carries. One entry per session, in memory only.
import type { Route } from './connect-source.ts';

export class CancelRoutes {
  readonly #routes = new Map<string, Route>();

  add(key: string, route: Route): void {
    this.#routes.set(key, route);
  }

  delete(key: string): void {
    this.#routes.delete(key);
  }

  /** Null: no session of this process; a cancel then goes the way that a new session would. */
  find(key: string): Route | null {
    return this.#routes.get(key) ?? null;
  }
}
