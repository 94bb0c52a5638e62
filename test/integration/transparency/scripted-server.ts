// A server under the test's control: hands over each connection it gets.
import { once } from 'node:events';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { End } from './raw-client.ts';

export class ScriptedServer {
  readonly host = '127.0.0.1';
  readonly port: number;
  readonly #server: Server;
  readonly #waiting: End[] = [];
  readonly #wanted: ((end: End) => void)[] = [];
  readonly #sockets = new Set<Socket>();
  /** When set, gets every connection instead of `next`. */
  onConnection: ((end: End) => void) | null = null;

  private constructor(server: Server) {
    this.#server = server;
    this.port = (server.address() as AddressInfo).port;
    server.on('connection', (socket) => this.#take(socket));
  }

  static async start(): Promise<ScriptedServer> {
    const server = createServer({ allowHalfOpen: true });
    server.listen(0, '127.0.0.1', 4096);
    await once(server, 'listening');
    return new ScriptedServer(server);
  }

  /** The next connection, come or to come. */
  next(): Promise<End> {
    const ready = this.#waiting.shift();
    return ready === undefined ? new Promise((resolve) => this.#wanted.push(resolve)) : Promise.resolve(ready);
  }

  get openConnections(): number {
    return this.#sockets.size;
  }

  stop(): void {
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
  }

  #take(socket: Socket): void {
    this.#sockets.add(socket);
    socket.once('close', () => this.#sockets.delete(socket));
    const end = new End(socket);
    if (this.onConnection !== null) this.onConnection(end);
    else {
      const taker = this.#wanted.shift();
      if (taker === undefined) this.#waiting.push(end);
      else taker(end);
    }
  }
}
