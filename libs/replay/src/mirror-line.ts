// The line to the mirror: whether it is there, what is under way on it, what may follow, and how long an answer may take.
import type { Exchange, SessionContext } from '@mirrorstream/envelope';
import { type Flight, Flights, isUnanswered } from './flights.ts';
import type { SessionIds } from './ids/session-ids.ts';
import type { LaneClock } from './lane-clock.ts';
import type { CloseHow, LaneEffect, LaneOptions } from './lane-types.ts';
import type { Chunk, PartWork, Piece } from './lane-work.ts';

type LineOptions = Pick<
  LaneOptions,
  'rawCapBytes' | 'segmentWaitMs' | 'unansweredWaitMs' | 'exchangeTimeoutMs' | 'replayCancels'
>;

export interface LineEvents {
  readonly onDone: (flight: Flight) => void;
  readonly out: (effect: LaneEffect) => void;
  /** Whether a client's cancel ended it in production. */
  readonly wasCancelled: (exchange: Exchange) => boolean;
}

export class MirrorLine {
  readonly flights: Flights;
  readonly #options: LineOptions;
  readonly #clock: LaneClock;
  readonly #events: LineEvents;
  readonly #ids: SessionIds | null;
  #connection: 'none' | 'connecting' | 'open' = 'none';
  #blocked = false;
  /** A cancel is on its way: what were sent now could be hit by it. */
  #cancelling = false;
  /** The client waited at the end of the piece before. */
  #waitsAtPiece = false;

  constructor(options: LineOptions, clock: LaneClock, events: LineEvents, ids: SessionIds | null = null) {
    this.#ids = ids;
    this.#options = options;
    this.#clock = clock;
    this.#events = events;
    this.flights = new Flights(options.rawCapBytes, {
      onDone: events.onDone,
      onRemedy: (bytes) => events.out({ kind: 'send', bytes }),
    });
  }

  get isOpen(): boolean {
    return this.#connection === 'open';
  }

  get isBlocked(): boolean {
    return this.#blocked;
  }

  get isCancelling(): boolean {
    return this.#cancelling;
  }

  /** Asks for a connection where there is none and none is under way. */
  want(context: SessionContext): void {
    if (this.#connection !== 'none') return;
    this.#connection = 'connecting';
    this.#events.out({ kind: 'connect', context });
  }

  connected(): void {
    this.#connection = 'open';
    this.flights.reset();
  }

  /** There is no connection any more; what was under way on it is forgotten. */
  gone(): void {
    this.#connection = 'none';
    this.flights.reset();
    this.#waitsAtPiece = false;
    this.#blocked = false;
    this.#cancelling = false;
  }

  /** Gives up what there is of a connection. */
  drop(how: CloseHow): void {
    if (this.#connection !== 'none') this.#events.out({ kind: 'close', how });
    this.gone();
  }

  block(on: boolean): void {
    this.#blocked = on;
  }

  cancelDone(): void {
    this.#cancelling = false;
  }

  /** Whether production's client sent the next chunk without waiting for what is still under way here. */
  mayFollow(piece: Piece, atPieceStart: boolean): boolean {
    const { head, tail } = this.flights;
    if (tail !== undefined && !tail.complete) return (atPieceStart && !this.#waitsAtPiece) || this.#hasReplied(tail);
    if (head === undefined) return true;
    return head.kind === 'exchange' && head.doneMonoUs > piece.sentMonoUs;
  }

  /** The client waited for a reply at this point of the exchange. The mirror may have none to give. */
  #hasReplied(flight: Flight): boolean {
    if (flight !== this.flights.head) return false;
    const { mode } = this.flights.ledger;
    if (flight.repliesSinceSend > 0 || mode === 'copyIn' || mode === 'discarding') return true;
    return this.#clock.reached(flight.lastSendAtUs + this.#options.segmentWaitMs * 1000);
  }

  /** What the client did not send, to bring the session to where an envelope expects it. Not compared. */
  sendContext(bytes: Uint8Array): void {
    const flight = this.flights.begin('context', this.#clock.nowUs);
    const rewritten = this.#ids?.outgoing(bytes, 0, bytes.length, null) ?? bytes;
    this.#send(flight, rewritten, 0, rewritten.length);
    flight.complete = true;
  }

  /** The chunk goes out as part of the exchange under way, or begins the next. */
  sendChunk({ request }: Piece, { from, to }: Chunk): void {
    const { tail } = this.flights;
    const flight = tail !== undefined && !tail.complete ? tail : this.flights.begin('exchange', this.#clock.nowUs);
    if (this.#ids !== null) this.#sendMapped(this.#ids, flight, request, from, to);
    else if (to > from) this.#send(flight, request, from, to);
  }

  #sendMapped(ids: SessionIds, flight: Flight, request: Uint8Array, from: number, to: number): void {
    flight.ids ??= ids.begin();
    const rewritten = ids.outgoing(request, from, to, flight.ids);
    if (rewritten !== null) this.#send(flight, rewritten, 0, rewritten.length);
    else if (to > from) this.#send(flight, request, from, to);
  }

  /** The last chunk of the piece is sent. */
  pieceSent(work: PartWork, piece: Piece): void {
    const flight = this.flights.tail;
    const { exchange } = piece;
    if (exchange.continues || flight === undefined) {
      this.#waitsAtPiece = piece.waitsAtEnd;
      return;
    }
    flight.exchange = exchange;
    flight.owner = work;
    flight.doneMonoUs = piece.doneMonoUs;
    flight.complete = true;
    if (this.#options.replayCancels && this.#events.wasCancelled(exchange))
      flight.cancelAtUs = flight.sentAtUs + Number(exchange.cancelledAfterUs);
    this.#waitsAtPiece = false;
    this.flights.settle(this.#clock.nowUs);
  }

  #send(flight: Flight, bytes: Uint8Array, from: number, to: number): void {
    this.flights.sending(flight, bytes, from, to, this.#clock.nowUs);
    this.#events.out({ kind: 'send', bytes: from === 0 && to === bytes.length ? bytes : bytes.subarray(from, to) });
  }

  /** Looks after the oldest exchange under way. True: its answer has not come in time, the connection is of no more use. */
  isOverdue(): boolean {
    const { head } = this.flights;
    // Production's client is still sending: a COPY may take its time.
    if (head === undefined || !head.complete) return false;
    this.#cancelWhenDue(head);
    const { unansweredWaitMs, exchangeTimeoutMs } = this.#options;
    const unanswered = isUnanswered(head);
    // A mirror that waits for more of what will never come has given all the answer there is.
    const helpless = unanswered && this.flights.ledger.remedy() !== null;
    const waitMs = helpless ? 0 : unanswered ? unansweredWaitMs : exchangeTimeoutMs;
    if (!this.#clock.reached(head.lastSendAtUs + waitMs * 1000)) return false;
    if (unanswered) this.flights.finishHead();
    return true;
  }

  /** A cancel names a connection, not a statement: it goes out when the mirror works on this one, and nothing follows until it has arrived. */
  #cancelWhenDue(head: Flight): void {
    if (head.cancelAtUs === Number.POSITIVE_INFINITY || !this.#clock.reached(head.cancelAtUs)) return;
    head.cancelAtUs = Number.POSITIVE_INFINITY;
    this.#cancelling = true;
    this.#events.out({ kind: 'cancel' });
  }
}
