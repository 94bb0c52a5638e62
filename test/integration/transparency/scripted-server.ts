// A server under the test's control: hands over each connection it gets.
import { once } from 'node:events';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { type Acceptor, acceptorOf, type Legs, plainLegs } from './legs.ts';
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

  private constructor(server: Server, accept: Acceptor) {
    this.#server = server;
    this.port = (server.address() as AddressInfo).port;
    server.on('connection', (tcp) => {
      this.#sockets.add(tcp);
      tcp.once('close', () => this.#sockets.delete(tcp));
      // One that goes away before it has agreed on TLS is no connection yet.
      accept(tcp).then(
        (connection) => this.#take(new End(connection)),
        () => tcp.destroy(),
      );
    });
  }

  static async start(legs: Pick<Legs, 'server'> = plainLegs): Promise<ScriptedServer> {
    const accept = await acceptorOf(legs);
    const server = createServer({ allowHalfOpen: true });
    server.listen(0, '127.0.0.1', 4096);
    await once(server, 'listening');
    return new ScriptedServer(server, accept);
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

  #take(end: End): void {
    if (this.onConnection !== null) {
      this.onConnection(end);
      return;
    }
    const taker = this.#wanted.shift();
    if (taker !== undefined) {
      taker(end);
      return;
    }
    this.#waiting.push(end);
    void end.closed().then(() => {
      const at = this.#waiting.indexOf(end);
      if (at >= 0) this.#waiting.splice(at, 1);
    });
  }
}
