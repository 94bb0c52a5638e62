// Conversations with a real PostgreSQL, recorded leg by leg, and what the assembler makes of them in any chunking.
import { connect, type Socket } from 'node:net';
import { type CaptureLimits, createSequencer, defaultCaptureLimits, openSession } from '@mirrorstream/capture';
import type { CaptureRecordDraft, EnvelopeDraft } from '@mirrorstream/envelope';
import {
  B,
  encodeFrontend,
  F,
  type FrontendMessage,
  frameEndAt,
  HEADER_BYTES,
  PROTOCOL_3_0,
  readyForQueryStatus,
  WireWriter,
} from '@mirrorstream/pg-wire';
import { waitFor } from '@mirrorstream/testkit';
import { summary } from '../../libs/capture/src/conversation-script.fixture.ts';

export type Leg = 'F' | 'B';
/** What went by in one direction, in the order the client saw. */
export type WireEvent = readonly [leg: Leg, bytes: Buffer];

export function framesOf(...messages: readonly (FrontendMessage | Uint8Array)[]): Buffer {
  const writer = new WireWriter();
  for (const message of messages) {
    if (message instanceof Uint8Array) writer.bytes(message);
    else encodeFrontend(message, writer);
  }
  return Buffer.from(writer.take());
}

/** Frames of one direction: their type bytes and places. */
export function* framesIn(bytes: Buffer, from = 0): Generator<{ type: number; start: number; end: number }> {
  for (let start = from; start < bytes.length; ) {
    const end = frameEndAt(bytes, start, bytes.length);
    if (end < 0) return;
    yield { type: bytes[start] as number, start, end };
    start = end;
  }
}

/** A client that records both legs of its connection. Only servers that ask for no password will do. */
export class RecordedClient {
  readonly events: WireEvent[] = [];
  ended = false;
  /** How often CloseComplete was followed by ReadyForQuery. */
  closes = 0;
  readonly #socket: Socket;
  #rest: Buffer = Buffer.alloc(0);
  /** How often each backend message came. */
  readonly #seen = new Map<number, number>();
  #last = 0;
  #wake: (() => void) | null = null;

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.on('data', (chunk: Buffer) => this.#take(chunk));
    socket.on('error', () => {});
    socket.on('close', () => {
      this.ended = true;
      this.#wake?.();
    });
  }

  static async connect(url: string, parameters: Readonly<Record<string, string>> = {}): Promise<RecordedClient> {
    const { hostname, port, username, pathname } = new URL(url);
    const client = new RecordedClient(connect({ host: hostname, port: Number(port), noDelay: true }));
    const named = {
      user: decodeURIComponent(username),
      database: decodeURIComponent(pathname.slice(1)),
      ...parameters,
    };
    await client.send(
      [
        {
          kind: 'startupMessage',
          protocolVersion: PROTOCOL_3_0,
          parameters: Object.entries(named).map(([name, value]) => ({ name, value })),
        },
      ],
      { ready: 1 },
    );
    return client;
  }

  /** Sends the messages in one write, and waits until the server has said ReadyForQuery, or another message, that often. */
  async send(
    messages: readonly (FrontendMessage | Uint8Array)[],
    until: { readonly ready?: number; readonly type?: number; readonly end?: true } = {},
  ): Promise<void> {
    const { ready, type = B.ReadyForQuery } = until;
    const wanted = this.seen(type) + (ready ?? (until.type === undefined ? 0 : 1));
    const bytes = framesOf(...messages);
    if (bytes.length > 0) {
      this.events.push(['F', bytes]);
      this.#socket.write(bytes);
    }
    if (until.end === true) await this.untilSaid(() => this.ended, 'the end of the connection');
    else await this.untilSaid(() => this.seen(type) >= wanted, `message ${String.fromCharCode(type)}`);
  }

  /** What was sent has left this process. */
  async drained(): Promise<void> {
    if (this.#socket.writableLength > 0)
      await new Promise<void>((resolve) => this.#socket.once('drain', () => resolve()));
  }

  /** A Query, answered. */
  async query(...texts: readonly string[]): Promise<void> {
    for (const query of texts) await this.send([{ kind: 'query', query }], { ready: 1 });
  }

  /** Says Terminate and waits until the server has closed. */
  async terminate(): Promise<void> {
    if (!this.ended) await this.send([{ kind: 'terminate' }], { end: true });
  }

  /** Asks the server, on a connection of its own, to cancel what this one does. Resolves when the server has closed that. */
  async cancel(): Promise<void> {
    const said = this.bytesOf('B');
    const key = [...framesIn(said)].find(({ type }) => type === B.BackendKeyData);
    if (key === undefined) throw new Error('the server gave no key');
    const processId = said.readInt32BE(key.start + HEADER_BYTES);
    const secretKey = said.subarray(key.start + HEADER_BYTES + 4, key.end);
    const socket = connect({ host: this.#socket.remoteAddress ?? '', port: this.#socket.remotePort ?? 0 });
    const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()));
    socket.on('error', () => {}); // A server that is done with it may reset.
    socket.resume().write(framesOf({ kind: 'cancelRequest', processId, secretKey }));
    await closed;
  }

  /** Ends it without a word. */
  destroy(): void {
    this.#socket.destroy();
  }

  /** All bytes of a direction. */
  bytesOf(leg: Leg): Buffer {
    return Buffer.concat(this.events.filter(([of]) => of === leg).map(([, bytes]) => bytes));
  }

  #take(chunk: Buffer): void {
    this.events.push(['B', chunk]);
    const bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    let at = 0;
    for (const { type, end } of framesIn(bytes)) {
      this.#seen.set(type, this.seen(type) + 1);
      if (type === B.ReadyForQuery && this.#last === B.CloseComplete) this.closes += 1;
      this.#last = type;
      at = end;
    }
    this.#rest = bytes.subarray(at);
    this.#wake?.();
  }

  /** How often this backend message came. */
  seen(type: number): number {
    return this.#seen.get(type) ?? 0;
  }

  async untilSaid(condition: () => boolean, what: string): Promise<void> {
    while (!condition()) {
      if (this.ended) throw new Error(`the connection ended before ${what}`);
      await new Promise<void>((wake, fail) => {
        const timer = setTimeout(() => fail(new Error(`no ${what} within 30 s`)), 30_000);
        this.#wake = () => {
          clearTimeout(timer);
          wake();
        };
      });
      this.#wake = null;
    }
  }
}

/** Where a client's bytes after start-up and authentication begin. */
export function startBytes(events: readonly WireEvent[]): number {
  return events[0]?.[1].length ?? 0;
}

/** What of the client's bytes belongs into envelopes: all but start-up and Terminate. */
export function capturedBytes(events: readonly WireEvent[]): Buffer {
  const bytes = Buffer.concat(events.filter(([leg]) => leg === 'F').map(([, it]) => it));
  const last = [...framesIn(bytes, startBytes(events))].at(-1);
  return bytes.subarray(startBytes(events), last?.type === F.Terminate ? last.start : bytes.length);
}

/** The server's own word on where each exchange ended, start-up left out. */
export function readyStates(events: readonly WireEvent[]): string {
  const bytes = Buffer.concat(events.filter(([leg]) => leg === 'B').map(([, it]) => it));
  let states = '';
  for (const { type, start, end } of framesIn(bytes))
    if (type === B.ReadyForQuery) states += String.fromCharCode(readyForQueryStatus(bytes, start, end));
  return states.slice(1);
}

/** Ends of the pieces in which `size` bytes are given to the assembler. */
export type Chunks = (size: number) => readonly number[];
export const whole: Chunks = (size) => [size];
export const byteByByte: Chunks = (size) => Array.from({ length: size }, (_, i) => i + 1);

export interface AssembleOptions {
  readonly chunks?: Chunks;
  readonly limits?: Partial<CaptureLimits>;
}

/** Plays recorded legs to the assembler. Each chunk is a buffer of its own, overwritten afterwards. */
export function assemble(events: readonly WireEvent[], options: AssembleOptions = {}): CaptureRecordDraft[] {
  const records: CaptureRecordDraft[] = [];
  const session = openSession({
    sessionId: 's-1',
    samplingDraw: 0.5,
    clock: { wallUsAtMonoZero: 0 },
    sequencer: createSequencer(),
    limits: { ...defaultCaptureLimits, ...options.limits },
    emit: (draft) => records.push(structuredClone(draft)),
  });
  let monoUs = 1000;
  for (const [leg, bytes] of events) {
    let from = 0;
    for (const to of (options.chunks ?? whole)(bytes.length)) {
      const chunk = Buffer.from(bytes.subarray(from, to));
      if (leg === 'F') session.clientChunk(chunk, 0, chunk.length, monoUs);
      else session.serverChunk(chunk, 0, chunk.length, monoUs);
      chunk.fill(0xee);
      from = to;
    }
    monoUs += 100;
  }
  session.close(monoUs);
  return records;
}

export const envelopesIn = (records: readonly CaptureRecordDraft[]): EnvelopeDraft[] =>
  records.filter((it): it is EnvelopeDraft => it.kind === 'envelope');

export const requestBytes = (records: readonly CaptureRecordDraft[]): Buffer =>
  Buffer.concat(envelopesIn(records).flatMap((it) => it.exchanges.map((exchange) => exchange.request)));

/** Records as lines, one each for envelopes and exchanges; start, end, user and database left out. */
export function linesOf(records: readonly CaptureRecordDraft[]): string[] {
  return summary(records)
    .filter((line) => !/^(?:start|end) /.test(line))
    .map((line) => line.replace(/postgres@\w+/, ''));
}

/** Waits until a condition in the database holds. */
export function untilTrue(observer: RecordedClient, sql: string, what: string): Promise<unknown> {
  return waitFor(
    async () => {
      const from = observer.events.length;
      await observer.query(sql);
      const answer = Buffer.concat(
        observer.events.slice(from).map(([leg, bytes]) => (leg === 'B' ? bytes : Buffer.alloc(0))),
      );
      return [...framesIn(answer)].some(({ type }) => type === B.DataRow);
    },
    { what },
  );
}
