// How tests read what came over a socket: so many bytes, or all of them.
import { once } from 'node:events';
import type { Socket } from 'node:net';

/** Reads exactly this many bytes. */
export async function take(socket: Socket, bytes: number): Promise<Buffer> {
  const taken: Buffer[] = [];
  let missing = bytes;
  while (missing > 0) {
    const chunk = socket.read(Math.min(missing, Math.max(1, socket.readableLength))) as Buffer | null;
    if (chunk === null) {
      if (socket.readableEnded) throw new Error(`ended with ${missing} of ${bytes} bytes missing`);
      await once(socket, 'readable');
      continue;
    }
    taken.push(chunk);
    missing -= chunk.length;
  }
  return Buffer.concat(taken);
}

/** All bytes until the end. (Not `for await`: that destroys the socket at the end, with what it still had to write.) */
export function takeAll(socket: Socket): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const taken: Buffer[] = [];
    socket.on('data', (chunk: Buffer) => taken.push(chunk));
    socket.once('end', () => resolve(Buffer.concat(taken)));
    socket.once('error', reject);
    socket.resume();
  });
}
