// A session that is asked one statement at a time, in text or binary format, and gives the raw frames of the answer.
import { connect, type Socket } from 'node:net';
import type { PostgresAddress } from '@mirrorstream/testkit';

const READY_FOR_QUERY = 0x5a;

export class AnswerClient {
  readonly #socket: Socket;
  #bytes: Buffer = Buffer.alloc(0);
  #waiting: { resolve(frames: Buffer): void; reject(error: Error): void } | null = null;

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.on('data', (chunk: Buffer) => this.#take(chunk));
    socket.on('error', (error) => this.#waiting?.reject(error));
    socket.on('close', () => this.#waiting?.reject(new Error('the server closed the connection')));
  }

  /** Logs in as the superuser, who needs no password, and makes the settings. */
  static async open(server: PostgresAddress, settings: Readonly<Record<string, string>>): Promise<AnswerClient> {
    const client = new AnswerClient(connect({ host: server.host, port: server.port, noDelay: true }));
    const parameters = { user: server.superuser, database: 'postgres', client_encoding: 'UTF8', ...settings };
    const body = Buffer.from(`${Object.entries(parameters).flat().join('\0')}\0\0`, 'utf8');
    const head = Buffer.alloc(8);
    head.writeInt32BE(8 + body.length, 0);
    head.writeInt32BE(196_608, 4);
    await client.#exchange(Buffer.concat([head, body]));
    return client;
  }

  /** Parse, Bind, Describe, Execute, Sync; all columns in the format. */
  ask(sql: string, format: 'text' | 'binary'): Promise<Buffer> {
    const int16 = (value: number): Buffer => Buffer.from([0, value]);
    return this.#exchange(
      Buffer.concat([
        frame('P', '', sql, int16(0)),
        frame('B', '', '', int16(0), int16(0), int16(1), int16(format === 'binary' ? 1 : 0)),
        frame('D', Buffer.from('P'), ''),
        frame('E', '', Buffer.alloc(4)),
        frame('S'),
      ]),
    );
  }

  close(): void {
    this.#socket.end(frame('X'));
  }

  #exchange(bytes: Buffer): Promise<Buffer> {
    return new Promise((resolve, reject) => {
      this.#waiting = { resolve, reject };
      this.#socket.write(bytes);
    });
  }

  #take(chunk: Buffer): void {
    this.#bytes = Buffer.concat([this.#bytes, chunk]);
    for (let at = 0; at + 5 <= this.#bytes.length; ) {
      const end = at + 1 + this.#bytes.readInt32BE(at + 1);
      if (end > this.#bytes.length) return;
      if (this.#bytes[at] === READY_FOR_QUERY) {
        const answer = this.#bytes.subarray(0, end);
        this.#bytes = this.#bytes.subarray(end);
        const waiting = this.#waiting;
        this.#waiting = null;
        waiting?.resolve(answer);
        return;
      }
      at = end;
    }
  }
}

function frame(type: string, ...parts: readonly (string | Buffer)[]): Buffer {
  const body = Buffer.concat(parts.map((part) => (typeof part === 'string' ? Buffer.from(`${part}\0`) : part)));
  const head = Buffer.alloc(5);
  head.write(type, 'latin1');
  head.writeInt32BE(4 + body.length, 1);
  return Buffer.concat([head, body]);
}
