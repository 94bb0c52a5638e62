// One PostgreSQL connection over a bare socket: sends prepared bytes, counts what comes back, decodes nothing. For load, not for looking.
//
// It has its own few lines of protocol on purpose: load that shares a codec with what it measures would hide that codec's mistakes.
import { connect, type Socket } from 'node:net';

/** What came back for one exchange. */
export interface ExchangeCount {
  /** CommandComplete messages. */
  readonly commands: number;
  /** DataRow messages. */
  readonly rows: number;
  /** SQLSTATE of the first ErrorResponse, or undefined. */
  readonly sqlState: string | undefined;
}

interface Waiting {
  resolve(count: ExchangeCount): void;
  reject(error: Error): void;
}

const readyForQuery = 0x5a;
const commandComplete = 0x43;
const dataRow = 0x44;
const errorResponse = 0x45;
const authentication = 0x52;
const backendKeyData = 0x4b;
const cancelRequest = 80_877_102;

export class WireConnection {
  readonly #socket: Socket;
  #rest: Buffer = Buffer.alloc(0);
  readonly #url: string;
  /** Process id and secret: what a cancel request names. */
  #key: Buffer = Buffer.alloc(0);
  #waiting: Waiting | undefined;
  #readies = 1;
  #commands = 0;
  #rows = 0;
  #sqlState: string | undefined;
  #ended: Error | undefined;

  private constructor(socket: Socket, url: string) {
    this.#socket = socket;
    this.#url = url;
    socket.on('data', (chunk: Buffer) => this.#take(chunk));
    socket.on('error', (error) => this.#end(error));
    socket.on('close', () => this.#end(new Error('the server closed the connection')));
  }

  /** Connects as the URL's user to its database, under its `application_name`. Only servers that ask for no password will do. */
  static async connect(url: string, timeoutMs = 10_000): Promise<WireConnection> {
    const { hostname, port, username, pathname, searchParams } = new URL(url);
    const socket = connect({ host: hostname, port: Number(port || 5432), noDelay: true });
    const timer = setTimeout(() => socket.destroy(new Error(`no connection within ${timeoutMs} ms`)), timeoutMs);
    const connection = new WireConnection(socket, url);
    try {
      const user = decodeURIComponent(username) || 'postgres';
      const database = decodeURIComponent(pathname.slice(1)) || user;
      const { sqlState } = await connection.exchange(
        startupFrame(user, database, searchParams.get('application_name') ?? 'load'),
      );
      if (sqlState !== undefined) throw new Error(`the server refused the session: ${sqlState}`);
      return connection;
    } catch (error) {
      socket.destroy();
      throw error;
    } finally {
      clearTimeout(timer);
    }
  }

  /** Sends whole frames that end in Query or Sync, and resolves at ReadyForQuery, the n-th when n of them are pipelined. One call at a time. */
  exchange(frames: Buffer, pipelined = 1): Promise<ExchangeCount> {
    if (this.#ended !== undefined) return Promise.reject(this.#ended);
    if (this.#waiting !== undefined) return Promise.reject(new Error('an exchange is under way'));
    return new Promise((resolve, reject) => {
      this.#waiting = { resolve, reject };
      this.#readies = pipelined;
      this.#socket.write(frames);
    });
  }

  /** Asks the server, on a connection of its own, to cancel what this one does. Resolves when the server has closed that. */
  async cancel(): Promise<void> {
    const { hostname, port } = new URL(this.#url);
    const socket = connect({ host: hostname, port: Number(port || 5432) });
    const head = Buffer.alloc(8);
    head.writeInt32BE(8 + this.#key.length, 0);
    head.writeInt32BE(cancelRequest, 4);
    const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()));
    socket.on('error', () => {}); // A server that is done with it may reset.
    socket.resume().write(Buffer.concat([head, this.#key]));
    await closed;
  }

  /** Reads nothing more until `resume`: a slow client. */
  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    this.#socket.resume();
  }

  /** Ends the stream without Terminate, and waits until the server has closed. */
  async leave(): Promise<void> {
    if (this.#socket.closed) return;
    const closed = new Promise<void>((resolve) => this.#socket.once('close', () => resolve()));
    this.#socket.end();
    await closed;
  }

  /** Says goodbye and waits until the server has closed. */
  async close(): Promise<void> {
    if (this.#socket.closed) return;
    const closed = new Promise<void>((resolve) => this.#socket.once('close', () => resolve()));
    this.#socket.end(frame('X'));
    await closed;
  }

  /** Ends it without a word, as a crashed client would. */
  destroy(): void {
    this.#socket.resetAndDestroy();
  }

  #take(chunk: Buffer): void {
    const bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    let at = 0;
    while (bytes.length - at >= 5) {
      const end = at + 1 + bytes.readInt32BE(at + 1);
      if (end > bytes.length) break;
      this.#count(bytes[at] ?? 0, bytes.subarray(at + 5, end));
      at = end;
    }
    this.#rest = bytes.subarray(at);
  }

  #count(type: number, body: Buffer): void {
    if (type === commandComplete) this.#commands++;
    else if (type === dataRow) this.#rows++;
    else if (type === backendKeyData) this.#key = Buffer.from(body);
    else if (type === errorResponse) {
      this.#sqlState ??= sqlStateOf(body);
      // An error during start-up is the last word; the server closes.
    } else if (type === authentication && body.readInt32BE(0) !== 0) {
      this.#end(new Error('the server asks for a password; the load driver has none'));
      this.#socket.destroy();
    } else if (type === readyForQuery) {
      this.#readies -= 1;
      if (this.#readies > 0) return;
      const waiting = this.#waiting;
      const count = { commands: this.#commands, rows: this.#rows, sqlState: this.#sqlState };
      this.#commands = 0;
      this.#rows = 0;
      this.#sqlState = undefined;
      this.#waiting = undefined;
      waiting?.resolve(count);
    }
  }

  #end(error: Error): void {
    this.#ended ??= this.#sqlState === undefined ? error : new Error(`${error.message} after error ${this.#sqlState}`);
    this.#waiting?.reject(this.#ended);
    this.#waiting = undefined;
  }
}

/** ErrorResponse = {field:byte value\0}* \0; field C is the SQLSTATE. */
function sqlStateOf(body: Buffer): string {
  for (const field of body.toString('latin1').split('\0')) if (field.startsWith('C')) return field.slice(1);
  return '?????';
}

/** A frame: type, length, then the parts; text ends in a zero byte. */
function frame(type: string, ...parts: (string | Buffer)[]): Buffer {
  const body = Buffer.concat(parts.map((part) => (typeof part === 'string' ? Buffer.from(`${part}\0`) : part)));
  const head = Buffer.alloc(5);
  head.write(type, 'latin1');
  head.writeInt32BE(4 + body.length, 1);
  return Buffer.concat([head, body]);
}

function startupFrame(user: string, database: string, name: string): Buffer {
  const body = Buffer.from(`user\0${user}\0database\0${database}\0application_name\0${name}\0\0`);
  const head = Buffer.alloc(8);
  head.writeInt32BE(8 + body.length, 0);
  head.writeInt32BE(196608, 4);
  return Buffer.concat([head, body]);
}

const int16 = (value: number): Buffer => Buffer.from([value >> 8, value & 0xff]);
const syncFrame = frame('S');
const describePortalFrame = frame('D', Buffer.from('P'), '');
const executeFrame = frame('E', '', Buffer.alloc(4));

export const queryFrame = (sql: string): Buffer => frame('Q', sql);

export const parseFrame = (name: string, sql: string): Buffer => frame('P', name, sql, int16(0));

/** Bind (text parameters), Describe portal, Execute, Sync: what libpq sends for a prepared statement. */
export function executeFrames(statement: string, parameters: readonly (string | number)[]): Buffer {
  const values = parameters.map((parameter) => {
    const text = Buffer.from(String(parameter));
    const length = Buffer.alloc(4);
    length.writeInt32BE(text.length);
    return Buffer.concat([length, text]);
  });
  const bind = frame('B', '', statement, int16(0), int16(values.length), ...values, int16(0));
  return Buffer.concat([bind, describePortalFrame, executeFrame, syncFrame]);
}

/** Parse of the unnamed statement and all the rest: what libpq sends for a query with parameters. */
export function extendedQueryFrames(sql: string, parameters: readonly (string | number)[]): Buffer {
  return Buffer.concat([parseFrame('', sql), executeFrames('', parameters)]);
}

export const parseAndSyncFrames = (name: string, sql: string): Buffer =>
  Buffer.concat([parseFrame(name, sql), syncFrame]);
