// One client connection: its opening is read, the source is reached, then a relay has both.
//
// opening ──wants a session, or to cancel──► connecting ──connected──► relaying ──over──► closed
//    └──not admitted──► refused ◄──no server answers──┘                refused ──client ended──► closed
import type { Socket } from 'node:net';
import type { CancelRoutes } from './cancel-routes.ts';
import type { Route, SourceEncryption, SourceSocket } from './connect-source.ts';
import { Greeting, type GreetingWants } from './greeting.ts';
import type { Leg } from './leg.ts';
import type { ClientEnd, Opening } from './opening.ts';
import type { ProxyEvent } from './proxy-events.ts';
import { type Refusal, refusalResponse } from './refusals.ts';
import { type Beginning, type Ending, type Kind, Relay, type RelaySurroundings } from './relay.ts';
import { failureCode } from './socket-bytes.ts';

export interface SessionSurroundings extends RelaySurroundings {
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
  /** How long a client may take for its start-up packet. */
  readonly startupTimeoutMs: number;
  onEvent(event: ProxyEvent): void;
  onClosed(session: Session): void;
}

type State = 'opening' | 'connecting' | 'relaying' | 'refused' | 'closed';

interface Admission extends Omit<Beginning, 'greeting'> {
  readonly client: ClientEnd;
  readonly kind: Kind;
}

export class Session {
  readonly #socket: Socket;
  readonly #around: SessionSurroundings;
  #client: Leg | null = null;
  #relay: Relay | null = null;
  #state: State = 'opening';
  #kind: Kind = 'passed';
  #admitted = false;
  #cancelKey: string | null = null;
  #timer: NodeJS.Timeout | null = null;

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
    const mayEnd = this.#relay?.drain() ?? (this.#state === 'opening' || this.#state === 'refused');
    if (mayEnd) this.#close('plain');
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
        this.#join(
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
    this.#reachSource(admission, encryption)
      .then(
        (source) => this.#onConnected(admission, source),
        (error: unknown) => this.#onUnreachable(failureCode(error)),
      )
      .catch((error: unknown) => this.#onBug(error));
  }

  async #reachSource({ kind, sent, packetBytes }: Admission, encryption: SourceEncryption): Promise<SourceSocket> {
    const { cancelRoutes, connectSource, nowUs, tap } = this.#around;
    if (kind !== 'cancel') return await connectSource(encryption, null);
    const key = sent.subarray(8, packetBytes);
    tap?.cancel(key, nowUs());
    return await connectSource(encryption, await cancelRoutes.find(key));
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
    this.#join(admission, this.#around.legOf(source), greeting);
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

  #join(admission: Admission, server: Leg, greeting: Greeting | null): void {
    this.#state = 'relaying';
    const client = this.#client as Leg;
    this.#relay = new Relay(admission.kind, client, server, this.#around, (how) => this.#close(how));
    this.#relay.start({ ...admission, greeting });
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

  #close(how: Ending): void {
    if (this.#state === 'closed') return;
    this.#state = 'closed';
    this.#clearTimer();
    if (this.#relay !== null) this.#relay.close(how);
    else if (this.#client === null) this.#socket.destroySoon();
    else if (how === 'reset') this.#client.reset();
    else this.#client.close();
    if (this.#admitted) this.#around.left();
    if (this.#cancelKey !== null) this.#around.cancelRoutes.delete(this.#cancelKey);
    this.#around.onClosed(this);
  }

  #clearTimer(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
  }
}
