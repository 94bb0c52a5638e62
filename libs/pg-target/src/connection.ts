// One connection to a mirror's server: logged in, marked, then raw bytes both ways.
import { MirrorstreamError } from '@mirrorstream/domain';
import { decodeBackend, FrameEvent, FrameSplitter } from '@mirrorstream/pg-wire';
import type { Login } from './credentials.ts';
import { type KeepAlive, openSocket, type TargetSocket, unreachable } from './socket.ts';
import {
  encoded,
  type SessionFacts,
  StartUp,
  type StartUpOptions,
  type StartupParameter,
  startupPacket,
} from './start-up.ts';
import type { TargetAddress } from './target-address.ts';

export interface TargetHandlers {
  /** Raw backend bytes after the first ReadyForQuery, as they come. The chunk is the callee's until it returns, and used again then. */
  readonly onBytes: (chunk: Uint8Array) => void;
  /** Once, unless this side closed it. Nothing comes after it. */
  readonly onLost: (error: MirrorstreamError) => void;
  /** What `write` accepted has gone out; only after a `write` that answered false. */
  readonly onDrain?: () => void;
}

export interface ConnectTargetOptions {
  readonly address: TargetAddress;
  /** The captured session's, used where neither `login` nor the address names one. */
  readonly user: string;
  readonly login?: Login;
  readonly database: string;
  /** The captured session's, without user and database. */
  readonly startupParameters: readonly StartupParameter[];
  /** Where the captured session gave none. */
  readonly applicationName: string;
  /** Value of the setting `mirrorstream.session`, by which the mirror's logs and triggers can tell. */
  readonly sessionMark: string;
  /** Further settings of this kind: `mirror` becomes `mirrorstream.mirror`. */
  readonly marks?: Readonly<Record<string, string>>;
  /** Transactions are read-only from the start; what the captured session said about it at its start does not count. */
  readonly readOnly?: boolean;
  /** The server's statement_timeout, unless the session asks for another; 0: the server's own. */
  readonly statementTimeoutMs?: number;
  readonly keepAlive?: KeepAlive;
  readonly connectTimeoutMs: number;
}

export interface TargetConnection extends SessionFacts {
  /** Where it really leads to: '' if the socket was gone already. */
  readonly remoteAddress: string;
  readonly remotePort: number;
  /** The settings that mark the session, as SQL: for one that is handed over to another session. */
  markStatements(sessionMark: string): readonly string[];
  /** From now on these are told; nothing is kept from before. */
  rebind(handlers: TargetHandlers): void;
  /** Resolves when the socket is closed, by whichever side. */
  readonly closed: Promise<void>;
  /** False: the socket's buffer is full, wait for onDrain. The bytes are taken either way and must not change any more. */
  write(bytes: Uint8Array): boolean;
  /** Sends a CancelRequest for what this connection is doing; resolves when the server closed that socket, or on failure. */
  cancel(): Promise<void>;
  /** Terminate, then the end. */
  close(): void;
  /** At once, without a word to the server. */
  destroy(): void;
}

const CLOSE_TIMEOUT_MS = 2_000;
const CANCEL_TIMEOUT_MS = 5_000;
const stage = 'target';
/** Bytes of one start-up message; an ErrorResponse of a server in trouble can be long. */
const MAX_STARTUP_FRAME_BYTES = 64 * 1024;
/** Start-up parameters that are not for the mirror: replaced here, or of the protocol rather than the session. */
const ownParameters: ReadonlySet<string> = new Set(['user', 'database', 'replication']);
const NO_DATABASE = '3D000';
const READ_ONLY = 'default_transaction_read_only';

/** Errors: `targetUnreachable` and `targetFull` (both retryable), `authenticationFailed`, `targetRefused`. */
export async function connectTarget(
  options: ConnectTargetOptions,
  handlers: TargetHandlers,
): Promise<TargetConnection> {
  const marked = await attempt(options, handlers, true);
  if (!('refusedState' in marked)) return marked;
  // The mark must never be what keeps a session out: poolers refuse `options`, extensions can reserve a prefix.
  const unmarked = await attempt(options, handlers, false);
  if ('refusedState' in unmarked) throw unmarked.error;
  return unmarked;
}

interface Refused {
  readonly refusedState: string;
  readonly error: MirrorstreamError;
}

async function attempt(
  options: ConnectTargetOptions,
  handlers: TargetHandlers,
  mark: boolean,
): Promise<TargetConnection | Refused> {
  const timeout = AbortSignal.timeout(options.connectTimeoutMs);
  const { address, login } = options;
  const socket = await openSocket(address, timeout, options.keepAlive);
  const startUp: StartUpOptions = {
    user: login?.user ?? address.user ?? options.user,
    database: address.database ?? options.database,
    password: login === undefined ? address.password : login.password,
    parameters: sessionParameters(options, mark),
  };
  const abort = () => socket.stream.destroy(new Error('connect timeout'));
  timeout.addEventListener('abort', abort, { once: true });
  try {
    const outcome = await logIn(socket, startUp);
    if ('refusedState' in outcome) return outcome;
    return new EstablishedConnection(socket, options, mark, outcome, handlers);
  } finally {
    timeout.removeEventListener('abort', abort);
  }
}

/**
 * The captured parameters, plus our own. The session's `options` are kept: what it may override stands before them, the marks behind.
 * A parameter by name wins over any option.
 */
export function sessionParameters(options: ConnectTargetOptions, mark: boolean): readonly StartupParameter[] {
  const { readOnly = false, statementTimeoutMs = 0 } = options;
  const kept = options.startupParameters.filter(
    ({ name }) => !ownParameters.has(name) && !name.startsWith('_pq_.') && !(readOnly && name === READ_ONLY),
  );
  const named = kept.some(({ name, value }) => name === 'application_name' && value !== '');
  const others = named ? kept : [...kept, { name: 'application_name', value: options.applicationName }];
  const given = others.findLast(({ name }) => name === 'options')?.value ?? '';
  const settings = [
    statementTimeoutMs > 0 ? `-c statement_timeout=${statementTimeoutMs}` : '',
    given,
    ...(mark ? marksOf(options, options.sessionMark).map(([name, value]) => `-c ${name}=${optionValue(value)}`) : []),
  ].filter((setting) => setting !== '');
  return [
    ...others.filter(({ name }) => name !== 'options'),
    ...(readOnly ? [{ name: READ_ONLY, value: 'on' }] : []),
    ...(settings.length === 0 ? [] : [{ name: 'options', value: settings.join(' ') }]),
  ];
}

function marksOf({ marks = {} }: ConnectTargetOptions, sessionMark: string): readonly (readonly [string, string])[] {
  return Object.entries({ session: sessionMark, ...marks }).map(([name, value]) => [`mirrorstream.${name}`, value]);
}

function optionValue(value: string): string {
  return value.replace(/[\s\\]/g, (character) => `\\${character}`);
}

/** Runs the start-up conversation. Throws what trying without the mark cannot mend. */
function logIn(socket: TargetSocket, options: StartUpOptions): Promise<SessionFacts | Refused> {
  const startUp = new StartUp(options);
  const splitter = new FrameSplitter({ maxFrameBytes: MAX_STARTUP_FRAME_BYTES });
  const { stream } = socket;
  return new Promise((resolve, reject) => {
    const finish = (settle: () => void) => {
      socket.stopReceiving();
      stream.removeAllListeners('error');
      stream.removeAllListeners('close');
      // A late error of a socket that nobody listens to would end the process.
      stream.on('error', () => {});
      settle();
    };
    const fail = (error: unknown) =>
      finish(() => {
        stream.destroy();
        reject(error);
      });
    stream.on('error', (error) => fail(unreachable(error)));
    stream.on('close', () => fail(unreachable(new Error('closed during start-up'))));
    socket.receive((chunk) => {
      splitter.feed(chunk);
      for (let event = splitter.next(); event !== FrameEvent.needMore; event = splitter.next()) {
        if (event !== FrameEvent.frame) return fail(outOfStep());
        const message = decodeBackend(splitter.type, splitter.buffer, splitter.start, splitter.end);
        if (message.kind === 'malformed') return fail(outOfStep());
        if (message.kind === 'unknown') continue;
        const step = startUp.step(message);
        if (step.kind === 'send') stream.write(step.bytes);
        else if (step.kind === 'ready') return finish(() => resolve(step.facts));
        else if (step.kind === 'failed') {
          if (step.error.code !== 'targetRefused' || step.sqlState === NO_DATABASE) return fail(step.error);
          return finish(() => {
            stream.destroy();
            resolve({ refusedState: step.sqlState, error: step.error });
          });
        }
      }
    });
    stream.write(startupPacket(options));
  });
}

function outOfStep(): MirrorstreamError {
  return new MirrorstreamError('protocolViolation', "the mirror's server does not speak PostgreSQL's protocol", {
    stage,
    hint: 'Do host and port lead to a PostgreSQL server?',
  });
}

class EstablishedConnection implements TargetConnection {
  readonly processId: number;
  readonly secretKey: Uint8Array;
  readonly parameters: ReadonlyMap<string, string>;
  readonly remoteAddress: string;
  readonly remotePort: number;
  readonly closed: Promise<void>;
  readonly #stream: TargetSocket['stream'];
  readonly #options: ConnectTargetOptions;
  readonly #marked: boolean;
  #handlers: TargetHandlers;
  #state: 'open' | 'closing' | 'gone' = 'open';

  constructor(
    socket: TargetSocket,
    options: ConnectTargetOptions,
    marked: boolean,
    facts: SessionFacts,
    handlers: TargetHandlers,
  ) {
    const { stream } = socket;
    this.#stream = stream;
    this.#options = options;
    this.#marked = marked;
    this.#handlers = handlers;
    this.remoteAddress = stream.remoteAddress ?? '';
    this.remotePort = stream.remotePort ?? 0;
    this.processId = facts.processId;
    this.secretKey = facts.secretKey;
    this.parameters = facts.parameters;
    this.closed = new Promise((resolve) => stream.once('close', () => resolve()));
    const lost = (cause: unknown) => {
      const told = this.#state === 'open';
      this.#state = 'gone';
      stream.destroy();
      if (told) this.#handlers.onLost(unreachable(cause));
    };
    stream.removeAllListeners('error');
    stream.on('error', lost);
    stream.on('close', () => lost(new Error('closed by the server')));
    stream.on('end', () => lost(new Error('closed by the server')));
    stream.on('drain', () => this.#state === 'open' && this.#handlers.onDrain?.());
    socket.receive((chunk) => {
      if (this.#state === 'open') this.#handlers.onBytes(chunk);
    });
  }

  markStatements(sessionMark: string): readonly string[] {
    if (!this.#marked) return [];
    return marksOf(this.#options, sessionMark).map(([name, value]) => `SET ${name} = '${value.replaceAll("'", "''")}'`);
  }

  rebind(handlers: TargetHandlers): void {
    this.#handlers = handlers;
  }

  write(bytes: Uint8Array): boolean {
    return this.#state === 'open' ? this.#stream.write(bytes) : true;
  }

  async cancel(): Promise<void> {
    if (this.#state !== 'open' || this.secretKey.length === 0) return;
    const timeout = AbortSignal.timeout(CANCEL_TIMEOUT_MS);
    const socket = await openSocket(this.#options.address, timeout).catch(() => null);
    if (socket === null) return;
    await new Promise<void>((resolve) => {
      const { stream } = socket;
      stream.on('error', () => {});
      stream.on('close', () => resolve());
      timeout.addEventListener('abort', () => stream.destroy(), { once: true });
      socket.receive(() => {});
      stream.write(encoded({ kind: 'cancelRequest', processId: this.processId, secretKey: this.secretKey }));
    });
  }

  close(): void {
    if (this.#state !== 'open') return;
    this.#state = 'closing';
    this.#stream.end(encoded({ kind: 'terminate' }));
    setTimeout(() => this.#stream.destroy(), CLOSE_TIMEOUT_MS).unref();
  }

  destroy(): void {
    this.#state = 'gone';
    this.#stream.destroy();
  }
}
