// Which server each session is on, by the key that a CancelRequest for it carries. One entry per session, in memory only.
import { keyText } from '../capture/backend-key.ts';
import type { Route } from './connect-source.ts';

/** Who else may know: the other processes that share the port. Resolves with null when nobody does, and never rejects. */
export type RouteElsewhere = (key: Uint8Array) => Promise<Route | null>;

export class CancelRoutes {
  readonly #routes = new Map<string, Route>();
  readonly #elsewhere: RouteElsewhere | null;

  constructor(elsewhere: RouteElsewhere | null) {
    this.#elsewhere = elsewhere;
  }

  add(key: string, route: Route): void {
    this.#routes.set(key, route);
  }

  delete(key: string): void {
    this.#routes.delete(key);
  }

  /** Process id and secret of a CancelRequest. Null: no session of this process. */
  own(key: Uint8Array): Route | null {
    return this.#routes.get(keyText(key, 0, key.length)) ?? null;
  }

  /** Null: no session of any process; a cancel then goes the way that a new session would. */
  async find(key: Uint8Array): Promise<Route | null> {
    return this.own(key) ?? (await this.#elsewhere?.(key)) ?? null;
  }
}
