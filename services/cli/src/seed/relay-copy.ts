// COPY from one server straight into another: the rows pass through as they come, held up when the receiver is slower.
import type { Socket } from 'node:net';
import type { Client, Connection, Submittable } from 'pg';

interface CopyConnection extends Connection {
  readonly stream: Socket;
  query(text: string): void;
  sendCopyFromChunk(chunk: Buffer): void;
  endCopyFrom(): void;
  sendCopyFail(message: string): void;
}

const connectionOf = (client: Client): CopyConnection =>
  (client as unknown as { connection: CopyConnection }).connection;

/** What `pg` calls on a query, by the messages that arrive; settled by ReadyForQuery, or by the loss of the connection. */
abstract class CopyQuery implements Submittable {
  readonly done: Promise<void>;
  readonly #sql: string;
  #settle: { resolve: () => void; reject: (error: Error) => void } = { resolve() {}, reject() {} };
  #error: Error | undefined;

  constructor(sql: string) {
    this.#sql = sql;
    this.done = new Promise((resolve, reject) => {
      this.#settle = { resolve, reject };
    });
    this.done.catch(() => {}); // looked at later
  }

  submit(connection: Connection): void {
    (connection as CopyConnection).query(this.#sql);
  }

  handleCommandComplete(): void {}

  handleError(error: Error): void {
    this.#error ??= error;
    this.#settle.reject(error);
  }

  handleReadyForQuery(): void {
    if (this.#error === undefined) this.#settle.resolve();
  }
}

class CopyIn extends CopyQuery {
  readonly #started: () => void;

  constructor(sql: string, started: () => void) {
    super(sql);
    this.#started = started;
  }

  handleCopyInResponse(): void {
    this.#started();
  }
}

class CopyOut extends CopyQuery {
  readonly #onChunk: (chunk: Buffer) => void;

  constructor(sql: string, onChunk: (chunk: Buffer) => void) {
    super(sql);
    this.#onChunk = onChunk;
  }

  handleCopyData(message: { readonly chunk: Buffer }): void {
    this.#onChunk(message.chunk);
  }
}

export interface CopyEnd {
  readonly client: Client;
  readonly sql: string;
}

/** Rejects with the error of whichever server failed first. `onBytes`: of rows, as they pass. */
export async function relayCopy(from: CopyEnd, to: CopyEnd, onBytes: (count: number) => void): Promise<void> {
  const source = connectionOf(from.client);
  const target = connectionOf(to.client);
  const started = Promise.withResolvers<void>();
  const copyIn = new CopyIn(to.sql, started.resolve);
  to.client.query(copyIn);
  await Promise.race([started.promise, copyIn.done]);
  const copyOut = new CopyOut(from.sql, (chunk) => {
    onBytes(chunk.length);
    target.sendCopyFromChunk(chunk);
    if (!target.stream.writableNeedDrain || source.stream.isPaused()) return;
    source.stream.pause();
    target.stream.once('drain', () => source.stream.resume());
  });
  copyIn.done.catch(() => source.stream.resume()); // nobody drains any more
  from.client.query(copyOut);
  try {
    await copyOut.done;
  } catch (error) {
    target.sendCopyFail('the source failed');
    await copyIn.done.catch(() => {});
    throw error;
  }
  target.endCopyFrom();
  await copyIn.done;
}
