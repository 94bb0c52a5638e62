// Bare bytes: one end of a connection that counts and hashes what it sends and gets, and the few frames a session begins with.
import { createHash } from 'node:crypto';
import type { Socket } from 'node:net';
import { encodeFrontend, type FrontendMessage, PROTOCOL_3_0, WireWriter } from '@mirrorstream/pg-wire';
import { type Connection, connectTo, type Encryption, reset } from './legs.ts';

export function frames(...messages: readonly FrontendMessage[]): Buffer {
  const writer = new WireWriter();
  for (const message of messages) encodeFrontend(message, writer);
  return Buffer.from(writer.take());
}

export function startup(user = 'app', database = 'shop'): Buffer {
  const parameters = Object.entries({ user, database }).map(([name, value]) => ({ name, value }));
  return frames({ kind: 'startupMessage', protocolVersion: PROTOCOL_3_0, parameters });
}

/** AuthenticationOk and ReadyForQuery: all a client needs to go on. */
export const welcome = Buffer.from('R\0\0\0\x08\0\0\0\0Z\0\0\0\x05I', 'latin1');

export class End {
  /** What the bytes go through: encrypted or not. */
  readonly socket: Socket;
  readonly #connection: Connection;
  received = 0;
  /** The peer half-closed. */
  ended = false;
  /** Code of the error the socket died of. */
  failure: string | null = null;
  readonly #receivedHash = createHash('sha256');
  readonly #sentHash = createHash('sha256');
  readonly #closed: Promise<void>;
  #last: Buffer = Buffer.alloc(0);
  #awaited: { readonly bytes: number; readonly resolve: () => void; readonly reject: (error: Error) => void } | null =
    null;
  #drained: (() => void) | null = null;

  constructor(connection: Connection) {
    const socket = connection.stream;
    this.socket = socket;
    this.#connection = connection;
    connection.tcp.setNoDelay(true);
    socket.on('data', (chunk: Buffer) => {
      this.received += chunk.length;
      this.#receivedHash.update(chunk);
      this.#last = chunk;
      if (this.#awaited !== null && this.received >= this.#awaited.bytes) this.#awaited.resolve();
    });
    socket.on('drain', () => this.#drained?.());
    socket.on('end', () => {
      this.ended = true;
    });
    socket.on('error', (error: NodeJS.ErrnoException) => {
      this.failure = error.code ?? error.message;
    });
    this.#closed = new Promise((resolve) => {
      socket.on('close', () => {
        this.#drained?.();
        this.#awaited?.reject(new Error(`closed with ${this.received} of ${this.#awaited.bytes} bytes`));
        resolve();
      });
    });
  }

  static async connect(port: number, encryption: Encryption = 'plain'): Promise<End> {
    return new End(await connectTo({ host: '127.0.0.1', port }, encryption));
  }

  /** Ends the connection with a reset, on both sides at once. */
  reset(): void {
    reset(this.#connection);
  }

  /** What came last, as it came. */
  get last(): Buffer {
    return this.#last;
  }

  get receivedDigest(): string {
    return this.#receivedHash.copy().digest('hex');
  }

  get sentDigest(): string {
    return this.#sentHash.copy().digest('hex');
  }

  /** Resolves when the socket's own buffer is empty enough for more, or the socket is gone. `hashed`: false saves the time. */
  async send(bytes: Uint8Array, hashed = true): Promise<void> {
    if (hashed) this.#sentHash.update(bytes);
    if (this.socket.write(bytes) || this.socket.destroyed) return;
    await new Promise<void>((resolve) => {
      this.#drained = resolve;
    });
    this.#drained = null;
  }

  /** Resolves when so many bytes have come in all; the test's own deadline is its end. */
  async has(bytes: number): Promise<void> {
    if (this.received >= bytes) return;
    await new Promise<void>((resolve, reject) => {
      this.#awaited = { bytes, resolve, reject };
    });
    this.#awaited = null;
  }

  closed(): Promise<void> {
    return this.#closed;
  }
}

interface OpenedSession {
  readonly client: End;
  readonly server: End;
}

let opening: Promise<unknown> = Promise.resolve();

/**
 * A client and the server's end of its session, after the start-up packet and the server's welcome. One after the other, so that
 * the server's next connection is this client's.
 */
export function openSession(
  proxy: { connect(): Promise<End> },
  server: { next(): Promise<End> },
): Promise<OpenedSession> {
  const opened = opening.then(async () => {
    const meeting = server.next();
    const client = await proxy.connect();
    const packet = startup();
    await client.send(packet);
    const other = await meeting;
    await other.has(packet.length);
    await other.send(welcome);
    await client.has(welcome.length);
    return { client, server: other };
  });
  opening = opened.catch(() => undefined);
  return opened;
}
