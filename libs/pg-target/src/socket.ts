// A TCP or TLS socket to the mirror's server, within a deadline: SSLRequest and what its one-byte answer means per sslmode.
import { readFile } from 'node:fs/promises';
import { connect as connectTcp, isIP, type Socket } from 'node:net';
import { type ConnectionOptions, connect as connectTls } from 'node:tls';
import { MirrorstreamError } from '@mirrorstream/domain';
import { encoded } from './start-up.ts';
import type { SslMode, TargetAddress } from './target-address.ts';

const stage = 'target';
const ACCEPTED = 0x53; // 'S'
const DECLINED = 0x4e; // 'N'

/** How a peer that vanished behind a silent network is noticed while nothing is sent. */
export interface KeepAlive {
  /** Idle so long, a connection is probed; 0: never. */
  readonly idleMs: number;
  readonly intervalMs: number;
  /** Unanswered probes after which it is dead. */
  readonly count: number;
}

export const defaultKeepAlive: KeepAlive = { idleMs: 60_000, intervalMs: 10_000, count: 9 };

/**
 * All plain sockets read into it, one after the other: libuv reads when it is the socket's turn and hands over at once. A buffer per
 * read, Node's way, costs more than the rest of a small answer's reading, and a collection every few thousand of them.
 */
const readBuffer = Buffer.allocUnsafeSlow(64 * 1024);

/** A socket whose bytes go to one receiver. While there is none, nothing is read. */
export class TargetSocket {
  readonly stream: Socket;
  #receiver: ((chunk: Uint8Array) => void) | null = null;

  /** `connect`: makes the socket; what it reads plain goes to the function it is given, which says whether to read on. */
  constructor(connect: (onRead: (chunk: Uint8Array) => boolean) => Socket) {
    this.stream = connect((chunk) => {
      this.#receiver?.(chunk);
      return this.#receiver !== null;
    });
  }

  /** From now on. A chunk is the receiver's only until it returns. */
  receive(receiver: (chunk: Uint8Array) => void): void {
    this.#receiver = receiver;
    this.stream.resume();
  }

  stopReceiving(): void {
    this.#receiver = null;
    this.stream.pause();
  }
}

function plainSocket(host: string, port: number): TargetSocket {
  return new TargetSocket((onRead) => {
    const callback = (sizeBytes: number): boolean => onRead(readBuffer.subarray(0, sizeBytes));
    return connectTcp({ host, port, noDelay: true, onread: { buffer: readBuffer, callback } });
  });
}

/** Errors: `targetUnreachable` (retryable), `targetRefused` when TLS cannot be had as asked. */
export async function openSocket(
  address: TargetAddress,
  signal: AbortSignal,
  { idleMs, intervalMs, count }: KeepAlive = defaultKeepAlive,
): Promise<TargetSocket> {
  const socket = plainSocket(address.host, address.port);
  const { stream } = socket;
  try {
    await settled(stream, signal, (done) => stream.once('connect', done));
    // For bytes that were sent and are not acknowledged the kernel keeps its own time: Node cannot set TCP_USER_TIMEOUT.
    if (idleMs > 0) stream.setKeepAlive(true, idleMs, intervalMs, count);
    return address.sslMode === 'disable' ? socket : await negotiateTls(socket, address, signal);
  } catch (error) {
    stream.destroy();
    throw error instanceof MirrorstreamError ? error : unreachable(error);
  }
}

async function negotiateTls(socket: TargetSocket, address: TargetAddress, signal: AbortSignal): Promise<TargetSocket> {
  const { stream } = socket;
  let answer: Uint8Array = new Uint8Array(0);
  stream.write(encoded({ kind: 'sslRequest' }));
  await settled(stream, signal, (done) =>
    socket.receive((chunk) => {
      answer = new Uint8Array(chunk);
      socket.stopReceiving();
      done();
    }),
  );
  // More than one byte before the handshake could have been put there by somebody in between.
  const byte = answer.length === 1 ? answer[0] : undefined;
  if (byte === DECLINED && address.sslMode === 'prefer') return socket;
  if (byte !== ACCEPTED) throw noTls(address.sslMode);
  const tls = connectTls({ socket: stream, ...(await tlsOptions(address)) });
  try {
    await settled(tls, signal, (done) => tls.once('secureConnect', done));
    return new TargetSocket((onRead) => tls.on('data', onRead).pause());
  } catch (error) {
    tls.destroy();
    throw error;
  }
}

/** The files are read each time: a certificate that was renewed is used from the next connection on. */
async function tlsOptions(address: TargetAddress): Promise<ConnectionOptions> {
  const { sslMode, sslRootCertFile, sslCertFile, sslKeyFile } = address;
  const checksName = sslMode === 'verify-full';
  const checksAuthority =
    checksName || sslMode === 'verify-ca' || (sslMode === 'require' && sslRootCertFile !== undefined);
  const [ca, cert, key] = await Promise.all([sslRootCertFile, sslCertFile, sslKeyFile].map(readPem));
  return {
    ALPNProtocols: ['postgresql'],
    rejectUnauthorized: checksAuthority,
    ...(checksName ? {} : { checkServerIdentity: () => undefined }),
    ...(ca === undefined ? {} : { ca }),
    ...(cert === undefined || key === undefined ? {} : { cert, key }),
    // Server Name Indication is for names; the certificate is checked against whichever of the two was given.
    ...(isIP(address.host) === 0 ? { servername: address.host } : { host: address.host }),
  };
}

async function readPem(file: string | undefined): Promise<Buffer | undefined> {
  if (file === undefined) return undefined;
  try {
    return await readFile(file);
  } catch (cause) {
    throw new MirrorstreamError('targetRefused', `the file ${file} of the mirror's TLS cannot be read`, {
      stage,
      hint: 'It is named by sslrootcert, sslcert or sslkey of the URL.',
      cause,
    });
  }
}

/** Resolves when `begin` says that it is done; rejects when the socket fails or closes before that, or the signal aborts. */
function settled(socket: Socket, signal: AbortSignal, begin: (done: () => void) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    const done = (error?: unknown) => {
      socket.off('error', onError);
      socket.off('close', onClose);
      signal.removeEventListener('abort', onAbort);
      if (error === undefined) resolve();
      else reject(error);
    };
    const onError = (error: Error) => done(error);
    const onClose = () => done(new Error('closed by the server'));
    const onAbort = () => done(signal.reason ?? new Error('aborted'));
    if (signal.aborted) return onAbort();
    socket.once('error', onError);
    socket.once('close', onClose);
    signal.addEventListener('abort', onAbort, { once: true });
    begin(() => done());
  });
}

export function unreachable(cause: unknown): MirrorstreamError {
  const code = cause instanceof Error && 'code' in cause ? ` (${String(cause.code)})` : '';
  return new MirrorstreamError('targetUnreachable', `the mirror's server does not answer${code}`, {
    stage,
    retryable: true,
    hint: 'Is it running, and are host and port right? Replay tries again.',
    cause,
  });
}

function noTls(mode: SslMode): MirrorstreamError {
  return new MirrorstreamError(
    'targetRefused',
    `the mirror's server does not speak TLS, which sslmode=${mode} asks for`,
    {
      stage,
      hint: 'Turn ssl on there, or use sslmode=disable.',
    },
  );
}
