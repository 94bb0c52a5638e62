// The listening socket: takes connections and hands them over as they are, nothing read yet.
import { createServer, type Server, type Socket } from 'node:net';
import { MirrorstreamError } from '@mirrorstream/domain';

export interface Address {
  readonly host: string;
  readonly port: number;
}

export interface Listener {
  readonly listening: Address;
  /** Frees the port at once; what was accepted goes on. */
  close(): void;
}

/** Rejects with `portTaken` or `badInput`. */
export async function startListener(at: Address, onConnection: (socket: Socket) => void): Promise<Listener> {
  const server = createServer({ allowHalfOpen: true, pauseOnConnect: true, noDelay: true }, onConnection);
  const listening = await listen(server, at);
  return { listening, close: () => server.close() };
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
