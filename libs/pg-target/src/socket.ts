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

/** Errors: `targetUnreachable` (retryable), `targetRefused` when the server does not speak TLS as asked. */
export async function openSocket(address: TargetAddress, signal: AbortSignal): Promise<Socket> {
  const socket = connectTcp({ host: address.host, port: address.port, noDelay: true, keepAlive: true });
  try {
    await settled(socket, 'connect', signal);
    return address.sslMode === 'disable' ? socket : await negotiateTls(socket, address, signal);
  } catch (error) {
    socket.destroy();
    throw error instanceof MirrorstreamError ? error : unreachable(error);
  }
}

async function negotiateTls(socket: Socket, address: TargetAddress, signal: AbortSignal): Promise<Socket> {
  socket.write(encoded({ kind: 'sslRequest' }));
  await settled(socket, 'readable', signal);
  const answer: unknown = socket.read();
  // More than one byte before the handshake could have been put there by somebody in between.
  const byte = answer instanceof Uint8Array && answer.length === 1 ? answer[0] : undefined;
  if (byte === DECLINED && address.sslMode === 'prefer') return socket;
  if (byte !== ACCEPTED) throw noTls(address.sslMode);
  const tls = connectTls({ socket, ...(await tlsOptions(address)) });
  try {
    await settled(tls, 'secureConnect', signal);
    return tls;
  } catch (error) {
    tls.destroy();
    throw error;
  }
}

async function tlsOptions(address: TargetAddress): Promise<ConnectionOptions> {
  const verify = address.sslMode === 'verify-full';
  const ca = address.sslRootCertFile === undefined ? undefined : await readFile(address.sslRootCertFile);
  return {
    ALPNProtocols: ['postgresql'],
    rejectUnauthorized: verify,
    ...(ca === undefined ? {} : { ca }),
    // Server Name Indication is for names; the certificate is checked against whichever of the two was given.
    ...(isIP(address.host) === 0 ? { servername: address.host } : { host: address.host }),
  };
}

function settled(socket: Socket, event: 'connect' | 'secureConnect' | 'readable', signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const done = (error?: unknown) => {
      socket.off(event, onEvent);
      socket.off('error', onError);
      socket.off('close', onClose);
      signal.removeEventListener('abort', onAbort);
      if (error === undefined) resolve();
      else reject(error);
    };
    const onEvent = () => done();
    const onError = (error: Error) => done(error);
    const onClose = () => done(new Error('closed by the server'));
    const onAbort = () => done(signal.reason ?? new Error('aborted'));
    if (signal.aborted) return onAbort();
    socket.once(event, onEvent);
    socket.once('error', onError);
    socket.once('close', onClose);
    signal.addEventListener('abort', onAbort, { once: true });
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
