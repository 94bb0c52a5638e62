// Finds the server of a cancel's session among the workers: one asks, the others are asked, the first who knows is who answers.
import type { SupervisorBounds } from '../bound-flags.ts';
import type { Route } from '../forward/connect-source.ts';

/** A worker that asks or is asked. */
export interface Peer {
  readonly ready: boolean;
  whose(question: number, key: Uint8Array): void;
  answer(question: number, route: Route | null): void;
}

interface Open {
  readonly asker: Peer;
  /** The asker's own number. */
  readonly asked: number;
  readonly waitsFor: Set<Peer>;
  readonly timer: NodeJS.Timeout;
}

export class RouteQuestions {
  readonly #peers: () => readonly Peer[];
  readonly #bounds: Pick<SupervisorBounds, 'routeQuestions' | 'routeTimeoutMs'>;
  readonly #open = new Map<number, Open>();
  #last = 0;

  /** Beyond `routeQuestions` under way a cancel goes the way that a new session would, as if nobody knew. */
  constructor(peers: () => readonly Peer[], bounds: Pick<SupervisorBounds, 'routeQuestions' | 'routeTimeoutMs'>) {
    this.#peers = peers;
    this.#bounds = bounds;
  }

  /** Under way. */
  get open(): number {
    return this.#open.size;
  }

  ask(asker: Peer, asked: number, key: Uint8Array): void {
    const others = this.#peers().filter((peer) => peer !== asker && peer.ready);
    if (others.length === 0 || this.#open.size >= this.#bounds.routeQuestions) {
      asker.answer(asked, null);
      return;
    }
    this.#last += 1;
    const question = this.#last;
    // One that does not answer must not hold the cancel for ever.
    const timer = setTimeout(() => this.#settle(question, null), this.#bounds.routeTimeoutMs);
    this.#open.set(question, { asker, asked, waitsFor: new Set(others), timer });
    for (const other of others) other.whose(question, key);
  }

  onAnswer(peer: Peer, question: number, route: Route | null): void {
    const open = this.#open.get(question);
    if (open === undefined) return;
    open.waitsFor.delete(peer);
    if (route !== null || open.waitsFor.size === 0) this.#settle(question, route);
  }

  /** Its sessions are gone with it. */
  onDied(peer: Peer): void {
    for (const question of [...this.#open.keys()]) this.onAnswer(peer, question, null);
  }

  #settle(question: number, route: Route | null): void {
    const open = this.#open.get(question);
    if (open === undefined) return;
    this.#open.delete(question);
    clearTimeout(open.timer);
    open.asker.answer(open.asked, route);
  }
}
