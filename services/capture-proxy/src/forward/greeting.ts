// What is looked at in a server's first bytes, and only there, when the legs ask for it: which authentication it offers, and the key
// that a later CancelRequest will carry. After that nothing on the forwarding thread reads what passes.
import { BackendKeyFinder } from '../capture/backend-key.ts';
import { SaslOffer } from './tls/channel-binding.ts';

export interface GreetingWants {
  /** `strip`: the client's leg has no TLS and the server's has. `watch`: the legs show different certificates. */
  readonly channelBinding: 'strip' | 'watch' | null;
  /** The source may be one of several servers: a cancel must find the one that its session is on. */
  readonly cancelKey: boolean;
}

export interface GreetingEvents {
  /** The server offers channel binding, which will fail if the client takes it up: it was shown another certificate. */
  onUnusableOffer(): void;
  onCancelKey(key: string): void;
}

export class Greeting {
  readonly #offer: SaslOffer | null;
  readonly #watching: boolean;
  readonly #keys: BackendKeyFinder | null;
  readonly #events: GreetingEvents;

  constructor({ channelBinding, cancelKey }: GreetingWants, events: GreetingEvents) {
    this.#offer = channelBinding === null ? null : new SaslOffer(channelBinding === 'strip');
    this.#watching = channelBinding === 'watch';
    this.#keys = cancelKey ? new BackendKeyFinder() : null;
    this.#events = events;
  }

  /** Nothing more to look at. */
  get done(): boolean {
    return (this.#offer === null || this.#offer.done) && (this.#keys === null || this.#keys.done);
  }

  /** Returns what is to be passed on now. */
  feed(chunk: Uint8Array): Uint8Array {
    if (this.#keys !== null && !this.#keys.done) {
      const key = this.#keys.feed(chunk, 0, chunk.length);
      if (key !== null) this.#events.onCancelKey(key);
    }
    if (this.#offer === null || this.#offer.done) return chunk;
    const passed = this.#offer.feed(chunk);
    if (this.#offer.done && this.#offer.plus && this.#watching) this.#events.onUnusableOffer();
    return passed;
  }

  /** What was kept back of a server that has ended too early. */
  rest(): Uint8Array {
    return this.#offer?.rest() ?? new Uint8Array(0);
  }
}
