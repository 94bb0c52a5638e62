// One connection to a server for a few requests of our own, one after the other: frames out, the whole answer in.
import { MirrorstreamError } from '@mirrorstream/domain';
import type { SessionContext } from '@mirrorstream/envelope';
import {
  type ConnectTargetOptions,
  connectTarget,
  type SourceGuard,
  systemIdentifierOn,
  type TargetAddress,
  type TargetConnection,
  type TargetHandlers,
} from '@mirrorstream/pg-target';
import { B, encodeFrontend, FrameEvent, FrameSplitter, type FrontendMessage, WireWriter } from '@mirrorstream/pg-wire';

const connectTimeoutMs = 10_000;
const maxAnswerBytes = 16 * 1024 * 1024;

export interface RawTarget {
  readonly address: TargetAddress;
  readonly context: SessionContext;
  readonly sessionMark: string;
  /** null: it may be the source. */
  readonly guard: SourceGuard | null;
  readonly statementTimeoutMs: number;
}

/** Errors: as connectTarget; `targetIsSource` before anything of the session is sent. */
export async function openTarget(
  { address, context, sessionMark, guard, statementTimeoutMs }: RawTarget,
  handlers: TargetHandlers,
): Promise<TargetConnection> {
  const options: ConnectTargetOptions = {
    address,
    user: context.user,
    database: context.database,
    startupParameters: context.startupParameters,
    applicationName: 'mirrorstream',
    sessionMark,
    statementTimeoutMs,
    connectTimeoutMs,
  };
  const connection = await connectTarget(options, handlers);
  try {
    if (guard !== null) {
      const systemIdentifier = guard.wantsIdentifier ? await systemIdentifierOn(connection, connectTimeoutMs) : null;
      const remote = { host: connection.remoteAddress, port: connection.remotePort };
      await guard.check({ configured: { host: address.host, port: address.port }, remote, systemIdentifier });
    }
    connection.rebind(handlers);
    return connection;
  } catch (error) {
    connection.destroy();
    throw error;
  }
}

export class RawSession {
  readonly #connection: TargetConnection;
  readonly #answerMs: number;
  #chunks: Buffer[] = [];
  #splitter = new FrameSplitter({ maxFrameBytes: 64 * 1024 });
  #waiting: PromiseWithResolvers<Uint8Array> | null = null;
  #sizeBytes = 0;

  private constructor(connection: TargetConnection, answerMs: number) {
    this.#connection = connection;
    this.#answerMs = answerMs;
  }

  static async open(target: RawTarget): Promise<RawSession> {
    const connection = await openTarget(target, { onBytes: () => {}, onLost: () => {} });
    const session = new RawSession(connection, target.statementTimeoutMs + 5_000);
    connection.rebind({ onBytes: (chunk) => session.#take(chunk), onLost: (error) => session.#waiting?.reject(error) });
    return session;
  }

  /** `17.6`; '' where the server does not say. */
  get serverVersion(): string {
    return this.#connection.parameters.get('server_version') ?? '';
  }

  query(sql: string): Promise<Uint8Array> {
    return this.ask({ kind: 'query', query: sql });
  }

  /** All frames up to ReadyForQuery; the messages must ask for one. Rejects when it takes too long, or the connection is lost. */
  async ask(...messages: readonly FrontendMessage[]): Promise<Uint8Array> {
    const writer = new WireWriter();
    for (const message of messages) encodeFrontend(message, writer);
    const waiting = Promise.withResolvers<Uint8Array>();
    this.#waiting = waiting;
    const timer = setTimeout(() => waiting.reject(late()), this.#answerMs);
    this.#connection.write(writer.take());
    try {
      return await waiting.promise;
    } finally {
      clearTimeout(timer);
      this.#waiting = null;
    }
  }

  close(): void {
    this.#connection.close();
  }

  #take(chunk: Uint8Array): void {
    this.#sizeBytes += chunk.length;
    if (this.#sizeBytes > maxAnswerBytes) {
      this.#waiting?.reject(late());
      return;
    }
    this.#chunks.push(Buffer.from(chunk));
    this.#splitter.feed(chunk);
    for (let event = this.#splitter.next(); event !== FrameEvent.needMore; event = this.#splitter.next()) {
      if (event !== FrameEvent.frame || this.#splitter.type !== B.ReadyForQuery) continue;
      const answer = Buffer.concat(this.#chunks);
      this.#chunks = [];
      this.#sizeBytes = 0;
      this.#waiting?.resolve(answer);
    }
  }
}

function late(): MirrorstreamError {
  return new MirrorstreamError('targetUnreachable', 'the server did not answer in time, or with too much', {
    stage: 'rerun',
    retryable: true,
  });
}
