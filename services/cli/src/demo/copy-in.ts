// COPY … FROM STDIN over the `pg` client, which leaves the protocol's copy part to the one who submits the query.
import type { Client, Connection, Submittable } from 'pg';

interface CopyConnection extends Connection {
  query(text: string): void;
  sendCopyFromChunk(chunk: Buffer): void;
  endCopyFrom(): void;
  sendCopyFail(message: string): void;
}

/** What `pg` calls on the query it runs, by the messages that arrive. */
class CopyIn implements Submittable {
  readonly done: Promise<void>;
  readonly #sql: string;
  readonly #chunks: readonly string[];
  #resolve: () => void = () => {};
  #reject: (error: Error) => void = () => {};
  #error: Error | undefined;

  constructor(sql: string, chunks: readonly string[]) {
    this.#sql = sql;
    this.#chunks = chunks;
    this.done = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
  }

  submit(connection: Connection): void {
    (connection as CopyConnection).query(this.#sql);
  }

  handleCopyInResponse(connection: CopyConnection): void {
    for (const chunk of this.#chunks) connection.sendCopyFromChunk(Buffer.from(chunk));
    connection.endCopyFrom();
  }

  handleCommandComplete(): void {}

  handleError(error: Error): void {
    this.#error = error;
    // A lost connection brings no ReadyForQuery; a failed COPY does, and settling twice is harmless.
    this.#reject(error);
  }

  handleReadyForQuery(): void {
    if (this.#error === undefined) this.#resolve();
    else this.#reject(this.#error);
  }
}

/** Runs a COPY from the given pieces of data. Rejects with the server's error. */
export async function copyIn(client: Client, sql: string, chunks: readonly string[]): Promise<void> {
  await client.query(new CopyIn(sql, chunks)).done;
}
