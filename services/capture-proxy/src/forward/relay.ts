// Two legs joined: what one has read the other writes at once, and only then the tap hears of it. Ends when both have ended or one fails.
import { Authentication } from './authentication.ts';
import type { Greeting } from './greeting.ts';
import { type Leg, type LegEvents, readBufferBytes } from './leg.ts';
import type { ForwardCounts, Tap, TapSession } from './tap.ts';

/** What goes through: a session to capture, one that is not, a stream of physical or logical changes, bytes nobody can read, a cancel. */
export type Kind = 'captured' | 'passed' | 'replication' | 'opaque' | 'cancel';
export type Ending = 'plain' | 'reset';

export interface RelaySurroundings {
  readonly tap: Tap | null;
  readonly counts: ForwardCounts;
  readonly nowUs: () => number;
  /** How long a client may linger after the server has ended. */
  readonly lingerMs: number;
}

export interface Beginning {
  /** What the client has sent so far; the start-up packet is its beginning. */
  readonly sent: Buffer;
  readonly packetBytes: number;
  /** What the server has said already. */
  readonly answer: Buffer | null;
  readonly greeting: Greeting | null;
}

/** How long a client may be held back in a drain; how long a silence settles that nothing is under way. Longer than capture's delay. */
const holdUs = 400_000;
const settledUs = 200_000;

export class Relay {
  readonly #kind: Kind;
  readonly #client: Leg;
  readonly #server: Leg;
  readonly #around: RelaySurroundings;
  /** It is over: to be closed like this. May come more than once. */
  readonly #onOver: (how: Ending) => void;
  #tapped: TapSession | null = null;
  /** Until the server says for the first time that it is ready. */
  #authentication: Authentication | null = null;
  #clientEnded = false;
  #serverEnded = false;
  #lingering: NodeJS.Timeout | null = null;
  /** When the server's last bytes said that no transaction is open; 0: they did not, or the client has said something since. */
  #saidIdleUs = 0;
  #draining = false;
  /** What keeps the client from being read: the server takes no more; a drain that waits for capture to see that it may end here. */
  #pressed = false;
  #heldUs = 0;

  constructor(kind: Kind, client: Leg, server: Leg, around: RelaySurroundings, onOver: (how: Ending) => void) {
    this.#kind = kind;
    this.#client = client;
    this.#server = server;
    this.#around = around;
    this.#onOver = onOver;
  }

  start({ sent, packetBytes, answer, greeting }: Beginning): void {
    const { counts, nowUs, tap } = this.#around;
    const client = this.#client;
    const server = this.#server;
    if (this.#kind !== 'cancel') {
      counts.sessionsTotal += 1;
      counts.sessionsOpen += 1;
    }
    const startedUs = nowUs();
    const drained = sent.length === 0 || server.write(sent);
    counts.bytes += sent.length;
    if (this.#kind === 'captured' && tap !== null) {
      this.#tapped = tap.open(sent.subarray(0, packetBytes), startedUs);
      for (let at = packetBytes; at < sent.length; at += readBufferBytes) {
        this.#tapped.secret(sent.subarray(at, at + readBufferBytes), startedUs);
      }
    }
    const ordinary = this.#serverEvents();
    const authentication = this.#kind === 'opaque' ? null : new Authentication();
    authentication?.keep(sent);
    this.#authentication = authentication;
    const events = authentication === null ? ordinary : this.#readyEvents(ordinary);
    server.start(greeting === null ? events : this.#greetingEvents(greeting, events));
    client.start(authentication === null ? this.#clientEvents() : this.#authenticatingEvents(authentication));
    if (answer !== null) events.onChunk(answer);
    if (!drained) {
      this.#pressed = true;
      client.pause();
    }
  }

  /** To be called every few ms. True: no transaction is open, it may be closed now. */
  drain(): boolean {
    this.#draining = true;
    if (this.#mayEnd()) return true;
    if (this.#heldUs !== 0 && this.#around.nowUs() - this.#heldUs > holdUs) this.#release();
    return false;
  }

  /** Once. */
  close(how: Ending): void {
    if (this.#lingering !== null) clearTimeout(this.#lingering);
    for (const leg of [this.#client, this.#server]) {
      if (how === 'reset') leg.reset();
      else leg.close();
    }
    if (this.#kind !== 'cancel') this.#around.counts.sessionsOpen -= 1;
    this.#tapped?.closed(this.#around.nowUs());
    this.#wipe();
  }

  /** What capture says, where it follows the session; else what the server's last bytes said, a while ago (it may have more to answer). */
  #mayEnd(): boolean {
    const idle = this.#tapped?.idle() ?? 'unknown';
    if (idle !== 'unknown') return idle === 'yes';
    return this.#saidIdleUs !== 0 && this.#around.nowUs() - this.#saidIdleUs > settledUs;
  }

  #hold(atUs: number): void {
    if (this.#heldUs === 0 && !this.#clientEnded) this.#client.pause();
    this.#heldUs = atUs;
  }

  /** It was not the end of what the client had sent. */
  #release(): void {
    this.#heldUs = 0;
    if (!this.#pressed && !this.#clientEnded) this.#client.resume();
  }

  #clientEvents(): LegEvents {
    const { counts, nowUs } = this.#around;
    const client = this.#client;
    const server = this.#server;
    const tapped = this.#tapped;
    return {
      onChunk: (chunk) => {
        const atUs = nowUs();
        if (!server.write(chunk)) {
          this.#pressed = true;
          client.pause();
        }
        counts.bytes += chunk.length;
        this.#saidIdleUs = 0;
        if (tapped !== null) tapped.client(chunk, atUs);
      },
      onEnd: () => {
        this.#clientEnded = true;
        if (this.#kind !== 'cancel') server.end();
        this.#closeWhenBothEnded();
      },
      onFailed: () => this.#onClientFailed(),
      onDrained: () => server.resume(),
    };
  }

  #serverEvents(): LegEvents {
    const { counts, nowUs, lingerMs } = this.#around;
    const client = this.#client;
    const server = this.#server;
    const tapped = this.#tapped;
    return {
      onChunk: (chunk) => {
        const atUs = nowUs();
        if (!client.write(chunk)) server.pause();
        counts.bytes += chunk.length;
        this.#saidIdleUs = saysIdle(chunk) ? atUs : 0;
        if (tapped !== null) tapped.server(chunk, atUs);
        if (this.#draining && this.#saidIdleUs !== 0) this.#hold(atUs);
      },
      onEnd: () => {
        this.#serverEnded = true;
        client.end();
        if (this.#kind === 'cancel') this.#clientEnded = true;
        else this.#lingering = setTimeout(() => this.#onOver('reset'), lingerMs);
        this.#closeWhenBothEnded();
      },
      onFailed: () => this.#onOver('reset'),
      onDrained: () => {
        this.#pressed = false;
        if (this.#heldUs === 0) client.resume();
      },
    };
  }

  /** Until the client is authenticated: what it sends is blanked once that is so. Ordinary traffic never comes here. */
  #authenticatingEvents(authentication: Authentication): LegEvents {
    const { counts, nowUs } = this.#around;
    return {
      ...this.#clientEvents(),
      onChunk: (chunk) => {
        const atUs = nowUs();
        if (!this.#server.write(chunk)) {
          this.#pressed = true;
          this.#client.pause();
        }
        counts.bytes += chunk.length;
        this.#tapped?.secret(chunk, atUs);
        authentication.keep(chunk);
      },
    };
  }

  /** Until the server says that it is ready; then `events` take the leg. */
  #readyEvents(events: LegEvents): LegEvents {
    const server = this.#server;
    return {
      ...events,
      onChunk: (chunk) => {
        if (!saysIdle(chunk)) {
          events.onChunk(chunk);
          return;
        }
        server.pause();
        server.start(events);
        events.onChunk(chunk);
        this.#authenticated();
      },
    };
  }

  #authenticated(): void {
    const client = this.#client;
    if (!this.#clientEnded) {
      client.pause();
      client.start(this.#clientEvents());
      if (this.#pressed || this.#heldUs !== 0) client.pause();
    }
    this.#wipe();
  }

  /** Not while something of it waits for the server: then again when the session ends. */
  #wipe(): void {
    if (this.#authentication === null || !this.#server.settled) return;
    this.#authentication.wipe();
    this.#authentication = null;
  }

  /** Until the greeting is over; then `events` take the leg as if there had been none. */
  #greetingEvents(greeting: Greeting, events: LegEvents): LegEvents {
    const server = this.#server;
    return {
      ...events,
      onChunk: (chunk) => {
        const passed = greeting.feed(chunk);
        if (greeting.done) {
          server.pause();
          server.start(events);
        }
        if (passed.length > 0) events.onChunk(passed);
      },
      onEnd: () => {
        const rest = greeting.rest();
        if (rest.length > 0) events.onChunk(rest);
        events.onEnd();
      },
    };
  }

  /** A cancel goes on without its client: the server has not acted on it before it closes the connection. */
  #onClientFailed(): void {
    this.#clientEnded = true;
    if (this.#kind === 'cancel') this.#client.close();
    else this.#onOver('reset');
  }

  #closeWhenBothEnded(): void {
    if (this.#clientEnded && this.#serverEnded) this.#onOver('plain');
  }
}

/** Whether a server's bytes end in ReadyForQuery with status I: 'Z', Int32 5, 'I'. */
function saysIdle(reply: Uint8Array): boolean {
  const at = reply.length - 6;
  return (
    at >= 0 &&
    reply[at + 5] === 0x49 &&
    reply[at] === 0x5a &&
    reply[at + 4] === 5 &&
    reply[at + 3] === 0 &&
    reply[at + 2] === 0 &&
    reply[at + 1] === 0
  );
}
