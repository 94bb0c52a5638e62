// One client connection: the start-up packet is read, then bytes go both ways as they come.
//
// waiting ──start-up packet──► connecting ──connected──► relaying ──both ends ended, or one failed──► closed
//                                         └─source away──► refused ──client ended──► closed
import { type Leg, type LegEvents, readBufferBytes } from './leg.ts';
import { sourceAwayResponse } from './source-away.ts';
import { readStartupPacket } from './startup-packet.ts';
import type { ForwardCounts, Tap, TapSession } from './tap.ts';

export type SourceConnection = { readonly leg: Leg } | { readonly failure: string };

export interface SessionSurroundings {
  /** Calls back once. */
  connectSource(done: (connection: SourceConnection) => void): void;
  readonly source: string;
  readonly tap: Tap | null;
  readonly counts: ForwardCounts;
  readonly nowUs: () => number;
  /** How long a client may take for its start-up packet; how long a client may linger after the server has ended. */
  readonly startupTimeoutMs: number;
  readonly lingerMs: number;
  onSourceUnreachable(code: string): void;
  onOpaque(): void;
  onClosed(session: Session): void;
}

type State = 'waiting' | 'connecting' | 'relaying' | 'refused' | 'closed';
/** What goes through: a session to capture, one that only passes, a cancel that must outlive its client. */
type Kind = 'captured' | 'passed' | 'cancel';

/** The one byte that answers SSLRequest and GSSENCRequest: not here. TLS on the client's leg begins at this place one day. */
const refuseEncryption = Buffer.from('N', 'latin1');
const noBytes = Buffer.alloc(0);

export class Session {
  readonly #client: Leg;
  readonly #around: SessionSurroundings;
  #server: Leg | null = null;
  #tapped: TapSession | null = null;
  #state: State = 'waiting';
  #kind: Kind = 'passed';
  #startup = noBytes;
  #clientEnded = false;
  #serverEnded = false;
  #timer: NodeJS.Timeout | null = null;
  /** Of a session that is not captured: the server's last bytes, if the client said nothing since. Only looked at to shut down. */
  #lastReply: Uint8Array | null = null;

  constructor(client: Leg, around: SessionSurroundings) {
    this.#client = client;
    this.#around = around;
  }

  start(): void {
    this.#timer = setTimeout(() => this.#close('plain'), this.#around.startupTimeoutMs);
    this.#client.start({
      onChunk: (chunk) => this.#onStartupChunk(chunk),
      onEnd: () => this.#close('plain'),
      onFailed: () => this.#close('plain'),
      onDrained: () => undefined,
    });
  }

  /** No transaction is known to be open: the session may be closed without breaking anybody's work. */
  isIdle(): boolean {
    if (this.#state === 'waiting' || this.#state === 'refused') return true;
    return this.#tapped === null ? saysIdle(this.#lastReply) : this.#tapped.isIdle();
  }

  /** Ends the session from this side, as a server that shuts down would: both peers see the end of the stream. */
  shutDown(): void {
    this.#close('plain');
  }

  #onStartupChunk(chunk: Uint8Array): void {
    if (this.#state !== 'waiting') return;
    this.#startup = Buffer.concat([this.#startup, chunk]);
    for (;;) {
      const packet = readStartupPacket(this.#startup);
      switch (packet.kind) {
        case 'incomplete':
          return;
        case 'sslRequest':
        case 'gssencRequest':
          this.#startup = this.#startup.subarray(packet.sizeBytes);
          this.#client.write(refuseEncryption);
          continue;
        case 'cancelRequest':
          this.#around.tap?.cancel(this.#startup.subarray(8, packet.sizeBytes), this.#around.nowUs());
          this.#connect('cancel', packet.sizeBytes);
          return;
        case 'startup':
          this.#connect(packet.replication || this.#around.tap === null ? 'passed' : 'captured', packet.sizeBytes);
          return;
        case 'opaque':
          this.#around.onOpaque();
          this.#connect('passed', 0);
          return;
        default:
          packet satisfies never;
          return;
      }
    }
  }

  #connect(kind: Kind, packetBytes: number): void {
    this.#kind = kind;
    this.#state = 'connecting';
    this.#clearTimer();
    this.#client.pause();
    this.#around.connectSource((connection) => {
      if (this.#state === 'closed') {
        if ('leg' in connection) connection.leg.close();
      } else if ('leg' in connection) this.#relay(connection.leg, packetBytes);
      else this.#refuse(connection.failure);
    });
  }

  #relay(server: Leg, packetBytes: number): void {
    const { counts, nowUs, tap } = this.#around;
    const sent = this.#startup;
    this.#startup = noBytes;
    this.#state = 'relaying';
    this.#server = server;
    if (this.#kind !== 'cancel') {
      counts.sessionsTotal += 1;
      counts.sessionsOpen += 1;
    }
    const startedUs = nowUs();
    const drained = server.write(sent);
    counts.bytes += sent.length;
    if (this.#kind === 'captured' && tap !== null) {
      this.#tapped = tap.open(sent.subarray(0, packetBytes), startedUs);
      for (let at = packetBytes; at < sent.length; at += readBufferBytes) {
        this.#tapped.client(sent.subarray(at, at + readBufferBytes), startedUs);
      }
    }
    server.start(this.#serverEvents(server));
    this.#client.start(this.#clientEvents(server));
    if (!drained) this.#client.pause();
  }

  #clientEvents(server: Leg): LegEvents {
    const { counts, nowUs } = this.#around;
    const client = this.#client;
    const tapped = this.#tapped;
    return {
      onChunk: (chunk) => {
        const atUs = nowUs();
        if (!server.write(chunk)) client.pause();
        counts.bytes += chunk.length;
        if (tapped !== null) tapped.client(chunk, atUs);
        else this.#lastReply = null;
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

  #serverEvents(server: Leg): LegEvents {
    const { counts, nowUs } = this.#around;
    const client = this.#client;
    const tapped = this.#tapped;
    return {
      onChunk: (chunk) => {
        const atUs = nowUs();
        if (!client.write(chunk)) server.pause();
        counts.bytes += chunk.length;
        if (tapped !== null) tapped.server(chunk, atUs);
        else this.#lastReply = chunk;
      },
      onEnd: () => {
        this.#serverEnded = true;
        client.end();
        if (this.#kind === 'cancel') this.#clientEnded = true;
        else this.#timer = setTimeout(() => this.#close('reset'), this.#around.lingerMs);
        this.#closeWhenBothEnded();
      },
      onFailed: () => this.#close('reset'),
      onDrained: () => client.resume(),
    };
  }

  /** A cancel goes on without its client: the server has not acted on it before it closes the connection. */
  #onClientFailed(): void {
    this.#clientEnded = true;
    if (this.#kind === 'cancel') this.#client.close();
    else this.#close('reset');
  }

  #closeWhenBothEnded(): void {
    if (this.#clientEnded && this.#serverEnded) this.#close('plain');
  }

  #refuse(code: string): void {
    this.#around.onSourceUnreachable(code);
    this.#state = 'refused';
    if (this.#kind !== 'cancel') this.#client.write(sourceAwayResponse(this.#around.source, code));
    this.#client.end();
    // Closing before the client has read would reset the connection and lose the answer.
    this.#timer = setTimeout(() => this.#close('plain'), this.#around.lingerMs);
    this.#client.start({
      onChunk: () => undefined,
      onEnd: () => this.#close('plain'),
      onFailed: () => this.#close('plain'),
      onDrained: () => undefined,
    });
  }

  #close(how: 'plain' | 'reset'): void {
    if (this.#state === 'closed') return;
    const counted = this.#state === 'relaying' && this.#kind !== 'cancel';
    this.#state = 'closed';
    this.#clearTimer();
    if (how === 'reset') this.#client.reset();
    else this.#client.close();
    if (how === 'reset') this.#server?.reset();
    else this.#server?.close();
    if (counted) this.#around.counts.sessionsOpen -= 1;
    this.#tapped?.closed(this.#around.nowUs());
    this.#around.onClosed(this);
  }

  #clearTimer(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
  }
}

/** ReadyForQuery with status I: 'Z', Int32 5, 'I'. */
const readyIdle = Buffer.from([0x5a, 0, 0, 0, 5, 0x49]);

function saysIdle(reply: Uint8Array | null): boolean {
  return reply !== null && readyIdle.equals(reply.subarray(-readyIdle.length));
}
