// One client connection: its opening is read, then bytes go both ways as they come.
//
// opening ──it wants a session, or to cancel──► connecting ──connected──► relaying ──both ends ended, or one failed──► closed
//    └──not admitted──► refused ◄──no server answers──┘                       └─────────► refused ──client ended──► closed
import type { Socket } from 'node:net';
import { keyText } from '../capture/backend-key.ts';
import type { CancelRoutes } from './cancel-routes.ts';
import type { Route, SourceEncryption, SourceSocket } from './connect-source.ts';
import { Greeting, type GreetingWants } from './greeting.ts';
import { type Leg, type LegEvents, readBufferBytes } from './leg.ts';
import type { ClientEnd, Opening } from './opening.ts';
import type { ProxyEvent } from './proxy-events.ts';
import { type Refusal, refusalResponse } from './refusals.ts';
import { failureCode } from './socket-bytes.ts';
import type { ForwardCounts, Tap, TapSession } from './tap.ts';

export interface SessionSurroundings {
  readOpening(socket: Socket): Promise<Opening | null>;
  connectSource(encryption: SourceEncryption, only: Route | null): Promise<SourceSocket>;
  legOf(end: Pick<ClientEnd, 'socket' | 'tls'>): Leg;
  /** What has to be looked at in the server's first bytes; null: nothing. */
  greetingWants(client: ClientEnd, server: SourceSocket): GreetingWants | null;
  /** False: there are as many sessions as may be. */
  admit(): boolean;
  left(): void;
  readonly cancelRoutes: CancelRoutes;
  readonly source: string;
  readonly tap: Tap | null;
  readonly counts: ForwardCounts;
  readonly nowUs: () => number;
  /** How long a client may take for its start-up packet; how long a client may linger after the server has ended. */
  readonly startupTimeoutMs: number;
  readonly lingerMs: number;
  onEvent(event: ProxyEvent): void;
  onClosed(session: Session): void;
}

type State = 'opening' | 'connecting' | 'relaying' | 'refused' | 'closed';
/** What goes through: a session to capture, one that is not, a stream of physical or logical changes, bytes nobody can read, a cancel. */
type Kind = 'captured' | 'passed' | 'replication' | 'opaque' | 'cancel';

interface Admission {
  readonly client: ClientEnd;
  readonly kind: Kind;
  /** What the client has sent so far; the start-up packet is its beginning. */
  readonly sent: Buffer;
  readonly packetBytes: number;
  /** What the server has said already (passthrough). */
  readonly answer: Buffer | null;
}

/** How long a client may be held back in a drain; how long a silence settles that nothing is under way. Longer than capture's delay. */
const holdUs = 400_000;
const settledUs = 200_000;

export class Session {
  readonly #socket: Socket;
  readonly #around: SessionSurroundings;
  #client: Leg | null = null;
  #server: Leg | null = null;
  #tapped: TapSession | null = null;
  #state: State = 'opening';
  #kind: Kind = 'passed';
  #admitted = false;
  #cancelKey: string | null = null;
  #clientEnded = false;
  #serverEnded = false;
  #timer: NodeJS.Timeout | null = null;
  /** When the server's last bytes said that no transaction is open; 0: they did not, or the client has said something since. */
  #saidIdleUs = 0;
  #draining = false;
  /** What keeps the client from being read: the server takes no more; a drain that waits for capture to see that it may end here. */
  #pressed = false;
  #heldUs = 0;

  constructor(socket: Socket, around: SessionSurroundings) {
    this.#socket = socket;
    this.#around = around;
  }

  start(): void {
    this.#timer = setTimeout(() => this.#close('plain'), this.#around.startupTimeoutMs);
    this.#around
      .readOpening(this.#socket)
      .catch(() => null)
      .then((opening) => this.#onOpening(opening))
      .catch((error: unknown) => this.#onBug(error));
  }

  /**
   * Ends the session if no transaction is open; else it ends at a later call. Call it every few ms: a client without think time is
   * held back for a moment when the server has just said that it is idle, so that there is such a moment.
   */
  drain(): void {
    this.#draining = true;
    if (this.#mayEnd()) this.#close('plain');
    else if (this.#heldUs !== 0 && this.#around.nowUs() - this.#heldUs > holdUs) this.#release();
  }

  /** What capture says, where it follows the session; else what the server's last bytes said, a while ago (it may have more to answer). */
  #mayEnd(): boolean {
    if (this.#state === 'opening' || this.#state === 'refused') return true;
    const idle = this.#tapped?.idle() ?? 'unknown';
    if (idle !== 'unknown') return idle === 'yes';
    return this.#saidIdleUs !== 0 && this.#around.nowUs() - this.#saidIdleUs > settledUs;
  }

  #hold(client: Leg, atUs: number): void {
    if (this.#heldUs === 0 && !this.#clientEnded) client.pause();
    this.#heldUs = atUs;
  }

  /** It was not the end of what the client had sent. */
  #release(): void {
    this.#heldUs = 0;
    if (!this.#pressed && !this.#clientEnded) this.#client?.resume();
  }

  /** Streams changes for as long as its client likes: a server that shuts down ends such a one when all others have ended. */
  endsLast(): boolean {
    return this.#kind === 'replication';
  }

  /** Ends the session from this side, as a server that shuts down would: both peers see the end of the stream. */
  shutDown(): void {
    this.#close('plain');
  }

  #onOpening(opening: Opening | null): void {
    if (this.#state !== 'opening' || opening === null) {
      if (opening?.wish.kind === 'passthrough') opening.wish.server.destroy();
      this.#close('plain');
      return;
    }
    this.#clearTimer();
    const { client, wish, sent } = opening;
    this.#client = this.#around.legOf(client);
    const admission = { client, sent, packetBytes: 0, answer: null };
    switch (wish.kind) {
      case 'startup': {
        const kind = wish.replication ? 'replication' : this.#around.tap === null ? 'passed' : 'captured';
        this.#connect({ ...admission, kind, packetBytes: wish.packetBytes }, 'asConfigured');
        return;
      }
      case 'cancel':
        this.#connect({ ...admission, kind: 'cancel', packetBytes: wish.packetBytes }, 'asConfigured');
        return;
      case 'opaque':
        this.#around.onEvent({ kind: 'opaque', why: wish.why });
        // A client that speaks TLS to the server itself must find the server's own TLS there.
        this.#connect({ ...admission, kind: 'opaque' }, wish.why === 'encrypted' ? 'plain' : 'asConfigured');
        return;
      case 'passthrough':
        this.#around.onEvent({ kind: 'opaque', why: 'encrypted' });
        this.#kind = 'opaque';
        if (!this.#admit()) {
          wish.server.destroy();
          return;
        }
        this.#relay(
          { ...admission, kind: 'opaque', answer: wish.answer },
          this.#around.legOf({ socket: wish.server, tls: null }),
          null,
        );
        return;
      case 'refused':
        this.#refuse(wish.refusal);
        return;
      case 'unreachable':
        this.#refuse({ kind: 'sourceUnreachable', source: this.#around.source, code: wish.code });
        return;
      default:
        wish satisfies never;
    }
  }

  #connect(admission: Admission, encryption: SourceEncryption): void {
    this.#kind = admission.kind;
    if (!this.#admit()) return;
    this.#state = 'connecting';
    let route: Route | null = null;
    if (this.#kind === 'cancel') {
      const key = admission.sent.subarray(8, admission.packetBytes);
      this.#around.tap?.cancel(key, this.#around.nowUs());
      route = this.#around.cancelRoutes.find(keyText(key, 0, key.length));
    }
    this.#around
      .connectSource(encryption, route)
      .then(
        (source) => this.#onConnected(admission, source),
        (error: unknown) => this.#onUnreachable(failureCode(error)),
      )
      .catch((error: unknown) => this.#onBug(error));
  }

  /** A cancel is no session, and must get through when there are too many. */
  #admit(): boolean {
    if (this.#kind === 'cancel') return true;
    this.#admitted = this.#around.admit();
    if (!this.#admitted) this.#refuse({ kind: 'tooManySessions' });
    return this.#admitted;
  }

  #onConnected(admission: Admission, source: SourceSocket): void {
    if (this.#state !== 'connecting') {
      source.socket.destroy();
      return;
    }
    const { kind, client } = admission;
    const wants = kind === 'cancel' || kind === 'opaque' ? null : this.#around.greetingWants(client, source);
    const greeting = wants === null ? null : this.#greet(wants, source.route);
    this.#relay(admission, this.#around.legOf(source), greeting);
  }

  #onUnreachable(code: string): void {
    if (this.#state === 'connecting') this.#refuse({ kind: 'sourceUnreachable', source: this.#around.source, code });
  }

  #greet(wants: GreetingWants, route: Route): Greeting {
    return new Greeting(wants, {
      onUnusableOffer: () => this.#around.onEvent({ kind: 'channelBindingUnusable' }),
      onCancelKey: (key) => {
        this.#cancelKey = key;
        this.#around.cancelRoutes.add(key, route);
      },
    });
  }

  #relay({ kind, sent, packetBytes, answer }: Admission, server: Leg, greeting: Greeting | null): void {
    const client = this.#client as Leg;
    const { counts, nowUs, tap } = this.#around;
    this.#state = 'relaying';
    this.#server = server;
    if (kind !== 'cancel') {
      counts.sessionsTotal += 1;
      counts.sessionsOpen += 1;
    }
    const startedUs = nowUs();
    const drained = sent.length === 0 || server.write(sent);
    counts.bytes += sent.length;
    if (kind === 'captured' && tap !== null) {
      this.#tapped = tap.open(sent.subarray(0, packetBytes), startedUs);
      for (let at = packetBytes; at < sent.length; at += readBufferBytes) {
        this.#tapped.client(sent.subarray(at, at + readBufferBytes), startedUs);
      }
    }
    const events = this.#serverEvents(client, server);
    server.start(greeting === null ? events : this.#greetingEvents(greeting, events, server));
    client.start(this.#clientEvents(client, server));
    if (answer !== null) events.onChunk(answer);
    if (!drained) {
      this.#pressed = true;
      client.pause();
    }
  }

  #clientEvents(client: Leg, server: Leg): LegEvents {
    const { counts, nowUs } = this.#around;
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

  #serverEvents(client: Leg, server: Leg): LegEvents {
    const { counts, nowUs } = this.#around;
    const tapped = this.#tapped;
    return {
      onChunk: (chunk) => {
        const atUs = nowUs();
        if (!client.write(chunk)) server.pause();
        counts.bytes += chunk.length;
        this.#saidIdleUs = saysIdle(chunk) ? atUs : 0;
        if (tapped !== null) tapped.server(chunk, atUs);
        if (this.#draining && this.#saidIdleUs !== 0) this.#hold(client, atUs);
      },
      onEnd: () => {
        this.#serverEnded = true;
        client.end();
        if (this.#kind === 'cancel') this.#clientEnded = true;
        else this.#timer = setTimeout(() => this.#close('reset'), this.#around.lingerMs);
        this.#closeWhenBothEnded();
      },
      onFailed: () => this.#close('reset'),
      onDrained: () => {
        this.#pressed = false;
        if (this.#heldUs === 0) client.resume();
      },
    };
  }

  /** Until the greeting is over; then `events` take the leg as if there had been none. */
  #greetingEvents(greeting: Greeting, events: LegEvents, server: Leg): LegEvents {
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
    if (this.#kind === 'cancel') this.#client?.close();
    else this.#close('reset');
  }

  #closeWhenBothEnded(): void {
    if (this.#clientEnded && this.#serverEnded) this.#close('plain');
  }

  #refuse(refusal: Refusal): void {
    const client = this.#client as Leg;
    this.#around.onEvent({ kind: 'refused', refusal });
    this.#state = 'refused';
    // What is encrypted, or another protocol, would not understand it; a cancel gets no answer at all.
    if (this.#kind !== 'cancel' && this.#kind !== 'opaque') client.write(refusalResponse(refusal));
    client.end();
    // Closing before the client has read would reset the connection and lose the answer.
    this.#timer = setTimeout(() => this.#close('plain'), this.#around.lingerMs);
    client.start({
      onChunk: () => undefined,
      onEnd: () => this.#close('plain'),
      onFailed: () => this.#close('plain'),
      onDrained: () => undefined,
    });
  }

  #onBug(error: unknown): void {
    this.#around.onEvent({ kind: 'sessionFailed', error });
    this.#close('reset');
  }

  #close(how: 'plain' | 'reset'): void {
    if (this.#state === 'closed') return;
    const counted = this.#state === 'relaying' && this.#kind !== 'cancel';
    this.#state = 'closed';
    this.#clearTimer();
    if (this.#client === null) this.#socket.destroySoon();
    else if (how === 'reset') this.#client.reset();
    else this.#client.close();
    if (how === 'reset') this.#server?.reset();
    else this.#server?.close();
    if (this.#admitted) this.#around.left();
    if (this.#cancelKey !== null) this.#around.cancelRoutes.delete(this.#cancelKey);
    if (counted) this.#around.counts.sessionsOpen -= 1;
    this.#tapped?.closed(this.#around.nowUs());
    this.#around.onClosed(this);
  }

  #clearTimer(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
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
