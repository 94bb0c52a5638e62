// The proxy: gets clients, connects to the source, and keeps the table of sessions.
import { connect, type Socket } from 'node:net';
import { MirrorstreamError } from '@mirrorstream/domain';
import { HandleLeg } from './handle-leg.ts';
import type { Forwarding, Leg } from './leg.ts';
import { loadLibuv, takeHandle } from './libuv.ts';
import { type Address, keepAliveInitialDelay, startListener } from './listener.ts';
import { createMonoClock } from './mono-clock.ts';
import { Session, type SessionSurroundings, type SourceConnection } from './session.ts';
import { StreamLeg } from './stream-leg.ts';
import type { ForwardCounts, Tap } from './tap.ts';

export interface ProxyOptions {
  readonly source: Address;
  readonly tap: Tap | null;
  readonly counts: ForwardCounts;
  /** `auto`: handles where this Node is known, else streams. */
  readonly forwarding?: Forwarding | 'auto';
  readonly connectTimeoutMs?: number; // default 10 000
  readonly startupTimeoutMs?: number; // default 60 000, PostgreSQL's authentication_timeout
  readonly lingerMs?: number; // default 60 000, Linux's tcp_fin_timeout
  readonly onSourceUnreachable?: (code: string) => void;
  /** A connection that does not begin like PostgreSQL's protocol 3 in plain text: it passes, uncaptured. */
  readonly onOpaque?: () => void;
}

export interface ForwardingProxy {
  readonly forwarding: Forwarding;
  sessions(): Iterable<Session>;
  /** How many those are. */
  connections(): number;
  /** A client: a socket that has not begun to read and lets its ends close one by one. */
  accept(socket: Socket): void;
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
  const legOf = (socket: Socket): Leg => {
    const peer = `${socket.remoteAddress ?? '?'}:${socket.remotePort ?? 0}`;
    const handle = uv === null ? null : takeHandle(socket);
    return uv === null || handle === null ? new StreamLeg(socket, peer) : new HandleLeg(uv, handle, peer);
  };
  const sessions = new Set<Session>();
  const around: SessionSurroundings = {
    connectSource: (done) => connectSource(options, legOf, done),
    source: `${options.source.host}:${options.source.port}`,
    tap: options.tap,
    counts: options.counts,
    nowUs: createMonoClock(),
    startupTimeoutMs: options.startupTimeoutMs ?? 60_000,
    lingerMs: options.lingerMs ?? 60_000,
    onSourceUnreachable: options.onSourceUnreachable ?? (() => undefined),
    onOpaque: options.onOpaque ?? (() => undefined),
    onClosed: (session) => sessions.delete(session),
  };
  return {
    forwarding: uv === null ? 'streams' : 'handles',
    sessions: () => sessions,
    connections: () => sessions.size,
    accept: (socket) => {
      const session = new Session(legOf(socket), around);
      sessions.add(session);
      session.start();
    },
  };
}

function connectSource(
  options: ProxyOptions,
  legOf: (socket: Socket) => Leg,
  done: (connection: SourceConnection) => void,
): void {
  const { host, port } = options.source;
  const socket = connect({ host, port, allowHalfOpen: true, noDelay: true, keepAlive: true, keepAliveInitialDelay });
  socket.pause();
  const timer = setTimeout(() => fail('ETIMEDOUT'), options.connectTimeoutMs ?? 10_000);
  const fail = (code: string): void => {
    clearTimeout(timer);
    socket.removeAllListeners();
    socket.on('error', () => undefined);
    socket.destroy();
    done({ failure: code });
  };
  socket.once('error', (error: NodeJS.ErrnoException) => fail(error.code ?? 'EUNKNOWN'));
  socket.once('connect', () => {
    clearTimeout(timer);
    socket.removeAllListeners();
    done({ leg: legOf(socket) });
  });
}
