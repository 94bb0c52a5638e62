// The listener: accepts clients, connects to the source, and keeps the table of sessions.
import { connect, createServer, type Server, type Socket } from 'node:net';
import { MirrorstreamError } from '@mirrorstream/domain';
import { HandleLeg } from './handle-leg.ts';
import type { Forwarding, Leg } from './leg.ts';
import { loadLibuv, takeHandle } from './libuv.ts';
import { createMonoClock } from './mono-clock.ts';
import { Session, type SessionSurroundings, type SourceConnection } from './session.ts';
import { StreamLeg } from './stream-leg.ts';
import type { ForwardCounts, Tap } from './tap.ts';

export interface Address {
  readonly host: string;
  readonly port: number;
}

export interface ProxyOptions {
  readonly listen: Address;
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

export interface RunningProxy {
  readonly listening: Address;
  readonly forwarding: Forwarding;
  sessions(): Iterable<Session>;
  /** Accepts no more; open sessions go on. */
  stopAccepting(): void;
}

/** A dead peer behind a silent network is noticed as the server would notice it. */
const keepAliveInitialDelay = 60_000;

/** Listens. Rejects with `portTaken` or `badInput`. */
export async function startProxy(options: ProxyOptions): Promise<RunningProxy> {
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
  const server = createServer(
    { allowHalfOpen: true, pauseOnConnect: true, noDelay: true, keepAlive: true, keepAliveInitialDelay },
    (socket) => {
      const session = new Session(legOf(socket), around);
      sessions.add(session);
      session.start();
    },
  );
  const listening = await listen(server, options.listen);
  return {
    listening,
    forwarding: uv === null ? 'streams' : 'handles',
    sessions: () => sessions,
    stopAccepting: () => server.close(),
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

function listen(server: Server, at: Address): Promise<Address> {
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => reject(listenError(at, error)));
    server.listen(at.port, at.host, () => {
      // A failing accept (out of file descriptors) must not end the process.
      server.removeAllListeners('error').on('error', () => undefined);
      const bound = server.address();
      if (bound === null || typeof bound === 'string') throw new Error('a TCP server has an address');
      resolve({ host: at.host, port: bound.port });
    });
  });
}

function listenError(at: Address, error: NodeJS.ErrnoException): MirrorstreamError {
  const taken = error.code === 'EADDRINUSE';
  return new MirrorstreamError(
    taken ? 'portTaken' : 'badInput',
    `cannot listen on ${at.host}:${at.port} (${error.code})`,
    {
      stage: 'capture-proxy',
      hint: taken ? 'Another process listens there: stop it or choose another --listen.' : 'Check --listen.',
      cause: error,
    },
  );
}
