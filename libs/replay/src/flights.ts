// Exchanges under way on one connection: attributes the mirror's answers to them, in order, and says when each is over.
import { AnswerDigester } from '@mirrorstream/compare';
import { AnswerStorage, type Exchange, type ObservationDraft } from '@mirrorstream/envelope';
import { B, encodeFrontend, FrameEvent, FrameSplitter, WireWriter } from '@mirrorstream/pg-wire';
import { AnswerWindow } from './answer-window.ts';
import type { ExchangeIds } from './ids/id-rewriter.ts';
import type { PartWork } from './lane-work.ts';
import { ReplyLedger } from './reply-ledger.ts';
import { type ExchangeTexts, RequestWalk } from './request-walk.ts';
import { StatementTable } from './statement-table.ts';

/** Larger backend frames are digested in pieces, in constant memory. */
const MAX_FRAME_BYTES = 256 * 1024;

export interface Flight {
  readonly id: number;
  readonly kind: 'exchange' | 'context';
  /** The last piece and its part, as soon as it is sent; null for a context. */
  exchange: Exchange | null;
  owner: PartWork | null;
  /** All its bytes are sent. */
  complete: boolean;
  /** On capture's monotonic clock; 0 while unknown, and for ever if production never answered. */
  doneMonoUs: number;
  readonly sentAtUs: number;
  /** When to cancel it, as production's client did; Infinity: never. */
  cancelAtUs: number;
  lastSendAtUs: number;
  repliesSinceSend: number;
  readonly texts: ExchangeTexts;
  readonly raw: Uint8Array[];
  rawBytes: number;
  rawTruncated: boolean;
  /** Of an answer that outgrew the cap, beside a kept one of production's. */
  window: AnswerWindow | null;
  /** With ID mapping: what its request says of ids. */
  ids: ExchangeIds | null;
  /** Set when it is over. */
  observations: readonly ObservationDraft[];
  status: '' | 'I' | 'T' | 'E';
}

/** Production never answered: its connection ended first. */
export function isUnanswered(flight: Flight): boolean {
  return flight.kind === 'exchange' && flight.complete && flight.doneMonoUs === 0;
}

export interface FlightEvents {
  /** Over: answered, or nothing of it expects an answer. */
  readonly onDone: (flight: Flight) => void;
  /** Bytes that production's client did not send, to get both sides out of waiting for each other. */
  readonly onRemedy: (bytes: Uint8Array) => void;
}

export class Flights {
  readonly ledger = new ReplyLedger();
  readonly #events: FlightEvents;
  readonly #rawCapBytes: number;
  readonly #table = new StatementTable();
  readonly #walk = new RequestWalk(this.#table);
  readonly #splitter = new FrameSplitter({ maxFrameBytes: MAX_FRAME_BYTES });
  readonly #digester = new AnswerDigester();
  #flights: Flight[] = [];
  #nextId = 1;

  constructor(rawCapBytes: number, events: FlightEvents) {
    this.#rawCapBytes = rawCapBytes;
    this.#events = events;
  }

  /** The oldest one that is not over. */
  get head(): Flight | undefined {
    return this.#flights[0];
  }

  /** The newest, which may still be growing. */
  get tail(): Flight | undefined {
    return this.#flights.at(-1);
  }

  get size(): number {
    return this.#flights.length;
  }

  /** A new connection: nothing is under way and no name is known. */
  reset(): void {
    this.#flights = [];
    this.ledger.reset();
    this.#walk.reset();
    this.#table.clear();
    this.#splitter.reset();
    this.#digester.reset();
  }

  /** Whether a Parse of this name went out on this connection and no Close after it. */
  isPrepared(name: string): boolean {
    return this.#table.hasStatement(name);
  }

  /** The session was somewhere else meanwhile: what its names mean is not known. */
  forgetNames(): void {
    this.#table.clear();
  }

  begin(kind: Flight['kind'], nowUs: number): Flight {
    const flight: Flight = {
      id: this.#nextId++,
      kind,
      exchange: null,
      owner: null,
      complete: false,
      doneMonoUs: 0,
      sentAtUs: nowUs,
      cancelAtUs: Number.POSITIVE_INFINITY,
      lastSendAtUs: nowUs,
      repliesSinceSend: 0,
      texts: { executed: [], parsed: '' },
      raw: [],
      rawBytes: 0,
      rawTruncated: false,
      window: null,
      ids: null,
      observations: [],
      status: '',
    };
    this.#flights.push(flight);
    return flight;
  }

  /** The bytes go out now on behalf of the newest flight. */
  sending(flight: Flight, bytes: Uint8Array, from: number, to: number, nowUs: number): void {
    flight.lastSendAtUs = nowUs;
    flight.repliesSinceSend = 0;
    this.#walk.walk(bytes, from, to, flight.texts, (type) => this.ledger.sent(type, flight.id));
  }

  /** False: the bytes are no frames, the connection is of no more use. The chunk is not kept. */
  receive(chunk: Uint8Array, nowUs: number): boolean {
    const splitter = this.#splitter;
    splitter.feed(chunk);
    for (let event = splitter.next(); event !== FrameEvent.needMore; event = splitter.next()) {
      if (event === FrameEvent.malformed) return false;
      const flight = this.#flights[0];
      if (flight === undefined) continue;
      if (event === FrameEvent.frame) this.#frame(flight, chunk, nowUs);
      else this.#piece(event, flight, nowUs);
    }
    this.#own(chunk);
    return true;
  }

  /** Copies what the flight under way kept of a chunk that is about to be used again. */
  #own({ buffer }: Uint8Array): void {
    const raw = this.#flights[0]?.raw ?? [];
    for (let at = raw.length - 1; at >= 0 && raw[at]?.buffer === buffer; at--) raw[at] = Uint8Array.from(raw[at] ?? []);
  }

  /** Ends what is over, and helps the mirror on where it waits for what production's client had no reason to send. */
  settle(nowUs: number): void {
    for (let head = this.#flights[0]; head?.complete && !this.#isWaiting(head, nowUs); head = this.#flights[0]) {
      this.finishHead();
    }
  }

  /** Takes the oldest flight as over with what it has. */
  finishHead(): void {
    const head = this.#flights.shift();
    if (head === undefined) return;
    head.observations = this.#digester.observations();
    this.#digester.reset();
    this.#events.onDone(head);
  }

  #isWaiting(head: Flight, nowUs: number): boolean {
    const remedy = this.ledger.remedy();
    if (remedy === null) return this.ledger.owes(head.id);
    // Production's connection ended here; so will this one.
    if (isUnanswered(head)) return true;
    const writer = new WireWriter();
    if (remedy !== 'sync') encodeFrontend({ kind: 'copyFail', reason: 'production refused this COPY' }, writer);
    if (remedy !== 'copyFail') encodeFrontend({ kind: 'sync' }, writer);
    const bytes = writer.take();
    this.sending(head, bytes, 0, bytes.length, nowUs);
    this.#events.onRemedy(bytes);
    return true;
  }

  #frame(flight: Flight, chunk: Uint8Array, nowUs: number): void {
    const { type, buffer, start, end } = this.#splitter;
    if (type === B.NoticeResponse || type === B.ParameterStatus || type === B.NotificationResponse) return;
    flight.repliesSinceSend += 1;
    if (flight.kind === 'exchange') {
      this.#digester.frame(buffer, start, end, nowUs - flight.sentAtUs);
      this.#keep(flight, buffer, start, end, buffer === chunk);
    }
    this.ledger.received(type);
    if (type === B.ReadyForQuery) flight.status = this.#digester.readyStatus;
    else if (type !== B.CopyInResponse && type !== B.ErrorResponse) return;
    this.settle(nowUs);
  }

  /** Only rows are this large, apart from answers nobody wants to keep: no reply that decides anything. */
  #piece(event: FrameEvent, flight: Flight, nowUs: number): void {
    const { type, length, buffer, start, end } = this.#splitter;
    flight.repliesSinceSend += 1;
    flight.rawTruncated = true;
    flight.window?.lose();
    if (event === FrameEvent.framePart) {
      this.#digester.part(buffer, start, end);
    } else if (event === FrameEvent.frameBegin) {
      this.#digester.begin(type, length - 4);
    } else {
      this.#digester.finishFrame(nowUs - flight.sentAtUs);
      this.ledger.received(type);
      if (type === B.ErrorResponse) this.settle(nowUs);
    }
  }

  /** What outgrew the cap is followed from its beginning; where production's answer was not kept there is nothing to follow it by. */
  #openWindow(flight: Flight): void {
    const answer = flight.exchange?.answer;
    if (answer === undefined || answer.storage !== AnswerStorage.FULL) return;
    flight.window = new AnswerWindow(answer.raw, this.#rawCapBytes);
    for (const bytes of flight.raw) flight.window.frames(bytes);
    flight.raw.length = 0;
    flight.rawBytes = 0;
  }

  /** Views of the chunk are kept, not copies: they are needed only when the answer differs, which is mostly known before the chunk ends. */
  #keep(flight: Flight, buffer: Uint8Array, start: number, end: number, mayView: boolean): void {
    if (flight.rawTruncated) {
      flight.window?.frame(buffer, start, end);
      return;
    }
    if (flight.rawBytes + end - start > this.#rawCapBytes) {
      flight.rawTruncated = true;
      this.#openWindow(flight);
      flight.window?.frame(buffer, start, end);
      return;
    }
    flight.rawBytes += end - start;
    const last = flight.raw.at(-1);
    if (
      mayView &&
      last !== undefined &&
      last.buffer === buffer.buffer &&
      last.byteOffset + last.length === buffer.byteOffset + start
    )
      flight.raw[flight.raw.length - 1] = new Uint8Array(last.buffer, last.byteOffset, last.length + end - start);
    else flight.raw.push(mayView ? buffer.subarray(start, end) : new Uint8Array(buffer.subarray(start, end)));
  }
}
