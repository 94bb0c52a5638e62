// The proxy: gets clients, connects to the source, and keeps the table of sessions.
import { isIP, type Socket } from 'node:net';
import { MirrorstreamError } from '@mirrorstream/domain';
import { CancelRoutes, type RouteElsewhere } from './cancel-routes.ts';
import { connectSource, type Route, type SourceOptions, type SourceSocket } from './connect-source.ts';
import type { GreetingWants } from './greeting.ts';
import { HandleLeg } from './handle-leg.ts';
import { defaultKeepAlive, type KeepAlive, keepAlive } from './keep-alive.ts';
import type { Forwarding, Leg } from './leg.ts';
import { type Libuv, loadLibuv, takeHandle } from './libuv.ts';
import { type Address, startListener } from './listener.ts';
import { createMonoClock } from './mono-clock.ts';
import { askSourceForTls, type ClientEnd, readOpening } from './opening.ts';
import type { ProxyEvent } from './proxy-events.ts';
import { Session, type SessionSurroundings } from './session.ts';
import { StreamLeg } from './stream-leg.ts';
import type { ForwardCounts, Tap } from './tap.ts';
import type { Credentials } from './tls/credentials.ts';
import type { ClientTlsMode } from './tls/tls-settings.ts';

export interface ProxyOptions {
  /** Tried in this order for each session. */
  readonly sources: readonly Address[];
  readonly tap: Tap | null;
  readonly counts: ForwardCounts;
  /** `auto`: handles where this Node is known, else streams. Encrypted legs are streams always. */
  readonly forwarding?: Forwarding | 'auto';
  /** Default: off. `credentials` for `allow` and `require`: what the next handshake uses. */
  readonly clientTls?: { readonly mode: ClientTlsMode; readonly credentials: (() => Credentials) | null };
  /** Default: none. */
  readonly sourceTls?: SourceOptions['tls'];
  readonly connectTimeoutMs?: number; // default 10 000
  readonly startupTimeoutMs?: number; // default 60 000, PostgreSQL's authentication_timeout
  readonly lingerMs?: number; // default 60 000, Linux's tcp_fin_timeout
  readonly keepAlive?: KeepAlive;
  /** Default: no limit. */
  readonly maxSessions?: number;
  /** Who is asked for the server of a cancel when it is no session of this proxy. Default: nobody. */
  readonly routeElsewhere?: RouteElsewhere;
  readonly onEvent?: (event: ProxyEvent) => void;
}

export interface ForwardingProxy {
  readonly forwarding: Forwarding;
  sessions(): Iterable<Session>;
  /** How many those are. */
  connections(): number;
  /** A client: a socket that has not begun to read and lets its ends close one by one. */
  accept(socket: Socket): void;
  /** The server that this cancel key's session is on. Null: no session of this proxy, or there is one server only. */
  routeOf(cancelKey: Uint8Array): Route | null;
}

export interface RunningProxy extends ForwardingProxy {
  readonly listening: Address;
  /** Accepts no more; open sessions go on. */
  stopAccepting(): void;
}

/** Listens. Rejects with `portTaken` or `badInput`. */
export async function startProxy(options: ProxyOptions & { readonly listen: Address }): Promise<RunningProxy> {
  const proxy = createProxy(options);
  const listener = await startListener(options.listen, proxy.accept);
  return { ...proxy, listening: listener.listening, stopAccepting: listener.close };
}

/** A proxy that is handed its clients. Throws `missingPrerequisite`. */
export function createProxy(options: ProxyOptions): ForwardingProxy {
  const uv = options.forwarding === 'streams' ? null : loadLibuv();
  if (uv === null && options.forwarding === 'handles') {
    throw new MirrorstreamError('missingPrerequisite', `Node ${process.version} has no known TCP handles`, {
      stage: 'capture-proxy',
      hint: 'Leave --forwarding at auto.',
    });
  }
  const sessions = new Set<Session>();
  const alive = options.keepAlive ?? defaultKeepAlive;
  const around = surroundingsOf(options, uv, alive, (session) => sessions.delete(session));
  return {
    forwarding: uv === null ? 'streams' : 'handles',
    sessions: () => sessions,
    connections: () => sessions.size,
    routeOf: (cancelKey) => around.cancelRoutes.own(cancelKey),
    accept: (socket) => {
      socket.on('error', ignore);
      keepAlive(socket, alive);
      const session = new Session(socket, around);
      sessions.add(session);
      session.start();
    },
  };
}

function surroundingsOf(
  options: ProxyOptions,
  uv: Libuv | null,
  alive: KeepAlive,
  onClosed: (session: Session) => void,
): SessionSurroundings {
  const onEvent = options.onEvent ?? ignore;
  const clientTls = options.clientTls ?? { mode: 'off', credentials: null };
  const source: SourceOptions = {
    addresses: options.sources,
    connectTimeoutMs: options.connectTimeoutMs ?? 10_000,
    keepAlive: alive,
    tls: options.sourceTls ?? null,
    onAttemptFailed: (address, code) => onEvent({ kind: 'connectFailed', address, code }),
    onHandshake: (outcome, code) => onEvent({ kind: 'handshake', leg: 'source', outcome, code }),
  };
  const opening = {
    ...clientTls,
    askSource: () => askSourceForTls(() => connectSource(source, 'plain', null), source.connectTimeoutMs),
    onHandshake: (outcome: 'done' | 'failed', code: string) =>
      onEvent({ kind: 'handshake', leg: 'client', outcome, code }),
  };
  const severalServers = options.sources.length > 1 || options.sources.some(({ host }) => isIP(host) === 0);
  const maxSessions = options.maxSessions ?? Number.POSITIVE_INFINITY;
  let admitted = 0;
  return {
    readOpening: (socket) => readOpening(socket, opening),
    connectSource: (encryption, only) => connectSource(source, encryption, only),
    legOf: ({ socket, tls }) => legOf(uv, socket, tls),
    greetingWants: (client, server) => greetingWants(client, server, severalServers),
    admit: () => {
      if (admitted >= maxSessions) return false;
      admitted += 1;
      return true;
    },
    left: () => {
      admitted -= 1;
    },
    cancelRoutes: new CancelRoutes(severalServers ? (options.routeElsewhere ?? null) : null),
    source: options.sources.map(({ host, port }) => `${host}:${port}`).join(','),
    tap: options.tap,
    counts: options.counts,
    nowUs: createMonoClock(),
    startupTimeoutMs: options.startupTimeoutMs ?? 60_000,
    lingerMs: options.lingerMs ?? 60_000,
    onEvent,
    onClosed,
  };
}

/** Only of a socket whose bytes have all been taken out of its own buffer. */
function legOf(uv: Libuv | null, socket: Socket, tls: Socket | null): Leg {
  const peer = `${socket.remoteAddress ?? '?'}:${socket.remotePort ?? 0}`;
  if (tls !== null) return new StreamLeg(tls, peer, socket);
  const handle = uv === null ? null : takeHandle(socket);
  return uv === null || handle === null ? new StreamLeg(socket, peer) : new HandleLeg(uv, handle, peer);
}

/** Channel binding ties the client's password to the certificate it was shown: see docs/tls.md for what follows. */
function greetingWants(client: ClientEnd, server: SourceSocket, severalServers: boolean): GreetingWants | null {
  const channelBinding =
    server.tls === null
      ? null
      : client.tls === null
        ? 'strip'
        : showsTheSame(client.credentials, server.tls.getPeerX509Certificate()?.raw)
          ? null
          : 'watch';
  return channelBinding === null && !severalServers ? null : { channelBinding, cancelKey: severalServers };
}

function showsTheSame(shown: Credentials | null, certificate: Buffer | undefined): boolean {
  const own = shown?.certificate?.raw;
  return own !== undefined && certificate !== undefined && own.equals(certificate);
}

const ignore = (): void => undefined;
