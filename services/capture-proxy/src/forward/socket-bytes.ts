// Reads a socket piece by piece while a connection is negotiated, before its bytes begin to flow.
import type { Socket } from 'node:net';

/** The next bytes; null at the end of the stream. Rejects when the connection fails. The socket is paused before and after. */
export function nextBytes(socket: Socket): Promise<Buffer | null> {
  return new Promise((resolve, reject) => {
    if (socket.destroyed) return reject(closedError());
    const settle = (): void => {
      socket.off('data', onData).off('end', onEnd).off('error', onError).off('close', onClose);
      socket.pause();
    };
    const onData = (chunk: Buffer): void => {
      settle();
      resolve(chunk);
    };
    const onEnd = (): void => {
      settle();
      resolve(null);
    };
    const onError = (error: Error): void => {
      settle();
      reject(error);
    };
    const onClose = (): void => onError(closedError());
    socket.on('data', onData).once('end', onEnd).once('error', onError).once('close', onClose);
    socket.resume();
  });
}

/** What the socket has read already. Its handle can be taken right after. */
export function bufferedBytes(socket: Socket): Buffer {
  const bytes: unknown = socket.readableLength > 0 ? socket.read() : null;
  return Buffer.isBuffer(bytes) ? bytes : Buffer.alloc(0);
}

/** The system's or OpenSSL's name of a failure. */
export function failureCode(error: unknown): string {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  return typeof code === 'string' && code !== '' ? code : 'EUNKNOWN';
}

function closedError(): Error {
  return Object.assign(new Error('the connection is closed'), { code: 'ECONNRESET' });
}
