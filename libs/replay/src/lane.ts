// One captured session on the mirror: a state machine that takes envelopes and the mirror's bytes and says what to send, and when.
//
// Envelopes queue up; an exchange is sent when its time has come and all that production had answered before it was sent is answered
// here: so what production's client pipelined is pipelined, and what it waited for is waited for. Opens nothing; one step, one list of
// effects.
import { DependencyReason, type SessionContext } from '@mirrorstream/envelope';
import { FlightJudge } from './flight-verdict.ts';
import { type Flight, Flights, isUnanswered } from './flights.ts';
import { LaneClock } from './lane-clock.ts';
import { LaneQueue } from './lane-queue.ts';
import { LaneResults } from './lane-results.ts';
import type { FailedReason, LaneEffect, LaneInput, LaneOptions, RecordPlace, ResultEffect } from './lane-types.ts';
import type { Chunk, PartWork, Piece, SkippedWork } from './lane-work.ts';
import { SessionHistory } from './session-history.ts';

/** After the partition went to another owner, for the answer to the exchange under way. */
const ABANDON_WAIT_US = 2_000_000;

const MAX_FRUITLESS_CONNECTIONS = 3;

type Readiness = 'go' | 'wait' | 'again';

export class Lane {
  readonly sessionId: string;
  readonly #options: LaneOptions;
  readonly #clock = new LaneClock();
  readonly #queue: LaneQueue;
  readonly #history = new SessionHistory();
  readonly #flights: Flights;
  readonly #results: LaneResults;
  readonly #judge: FlightJudge;

  #connection: 'none' | 'connecting' | 'open' = 'none';
  #purpose: 'running' | 'draining' | 'abandoned' | 'ended' = 'running';
  #blocked = false;
  /** A cancel is on its way: what were sent now could be hit by it. */
  #cancelling = false;
  #held = false;
  #paused = false;
  /** Of the first envelope that brought one: says whom to connect as. */
  #context: SessionContext | null = null;
  /** session_seq of the transaction whose last byte is not sent yet. */
  #open: number | null = null;
  /** The client waited at the end of the piece before. */
  #waitsAtPiece = false;
  #fruitless = 0;
  /** Results that Kafka does not have yet. */
  #unacknowledged = 0;
  #abandonedAtUs = 0;
  #activeAtUs = 0;
  #out: LaneEffect[] = [];

  constructor(options: LaneOptions) {
    this.sessionId = options.sessionId;
    this.#options = options;
    this.#queue = new LaneQueue((envelope) => options.order?.settled(envelope));
    this.#results = new LaneResults(options.sessionId);
    this.#judge = new FlightJudge(options.rawCapBytes, options.order);
    this.#flights = new Flights(options.rawCapBytes, {
      onDone: (flight) => this.#flightDone(flight),
      onRemedy: (bytes) => this.#out.push({ kind: 'send', bytes }),
    });
  }

  /** Neither queued nor under way, and outside a transaction. */
  get idle(): boolean {
    return this.#queue.isEmpty && this.#flights.size === 0 && this.#open === null;
  }

  /** When production was done with the oldest transaction that waits here or is under way, µs since the epoch; null: none. */
  get oldestDoneAtUs(): number | null {
    return this.#queue.oldestDoneAtUs;
  }

  /** The highest session_seq taken in, and whether to its last part. */
  get accepted(): { readonly seq: number; readonly part: number; readonly last: boolean } {
    return this.#queue.accepted;
  }

  step(input: LaneInput, nowUs: number): readonly LaneEffect[] {
    this.#out = [];
    if (this.#purpose === 'ended') return this.#out;
    this.#clock.begin(nowUs);
    this.#take(input);
    this.#pump();
    const atUs = this.#clock.newWish();
    if (atUs !== null) this.#out.push({ kind: 'wakeAt', atUs });
    return this.#out;
  }

  /**
   * After a step that threw: what it had decided stays, everything else here has failed, and the lane ends. The session goes on in another
   * one, from its next envelope's context.
   */
  surrender(input: LaneInput): readonly LaneEffect[] {
    if (this.#purpose === 'ended') return this.#out;
    if (this.#purpose !== 'abandoned') {
      if (input.kind === 'envelope' && !this.#hasSettled(input.place)) this.#queue.takeFailed(input, 'internal');
      for (const work of this.#queue.giveUp('internal'))
        this.#out.push(work.kind === 'sessionEnd' ? this.#results.ofSessionEnd(work) : this.#resultOf(work));
      for (const offset of this.#results.release(null))
        this.#out.push({ kind: 'duplicate', offset, transactions: 0, releasedBytes: 0 });
    }
    this.#end('destroy');
    return this.#out;
  }

  #hasSettled({ offset, index }: RecordPlace): boolean {
    return this.#out.some(
      (effect) =>
        (effect.kind === 'duplicate' && effect.offset === offset) ||
        (effect.kind === 'result' && effect.result.ref.offset === offset && effect.result.ref.index === index),
    );
  }

  #take(input: LaneInput): void {
    switch (input.kind) {
      case 'envelope':
        this.#takeEnvelope(input);
        return;
      case 'sessionEnd':
        this.#queue.takeEnd(input);
        return;
      case 'gap':
        this.#history.gap();
        return;
      case 'connected':
        this.#connection = 'open';
        this.#history.connected();
        this.#flights.reset();
        return;
      case 'connectFailed':
        this.#connectFailed(input.reason);
        return;
      case 'bytes':
        if (this.#flights.receive(input.chunk, this.#clock.nowUs)) return;
        this.#failTouched('connectionLost');
        this.#dropConnection('destroy');
        return;
      case 'lost':
        this.#lost();
        return;
      case 'blocked':
        this.#blocked = true;
        return;
      case 'drained':
        this.#blocked = false;
        return;
      case 'cancelDone':
        this.#cancelling = false;
        return;
      case 'hold':
        this.#held = input.on;
        return;
      case 'pause':
        this.#paused = input.on;
        return;
      case 'review':
        this.#released(this.#queue.review(this.#open, input.judge));
        return;
      case 'timer':
        this.#clock.fired();
        return;
      case 'acknowledged':
        this.#unacknowledged -= 1;
        return;
      case 'orderMoved':
        return;
      case 'evict':
        if (this.idle && this.#connection === 'open') this.#dropConnection('terminate');
        return;
      case 'drain':
        this.#purpose = 'draining';
        return;
      case 'abandon':
        this.#purpose = 'abandoned';
        this.#abandonedAtUs = this.#clock.nowUs;
        return;
      default:
        input satisfies never;
    }
  }

  #takeEnvelope({ place, envelope, sizeBytes, skip }: Extract<LaneInput, { kind: 'envelope' }>): void {
    const waitingBytes = this.#queue.take(place, envelope, sizeBytes, skip);
    if (waitingBytes === null) {
      const transactions = envelope.lastPart ? 1 : 0;
      this.#options.order?.settled(envelope);
      this.#out.push({ kind: 'duplicate', offset: place.offset, transactions, releasedBytes: sizeBytes });
      return;
    }
    this.#released(sizeBytes - waitingBytes);
    this.#context ??= envelope.context ?? null;
    this.#activeAtUs = this.#clock.nowUs;
  }

  #released(sizeBytes: number): void {
    if (sizeBytes !== 0) this.#out.push({ kind: 'released', sizeBytes });
  }

  #pump(): void {
    if (this.#purpose === 'abandoned') {
      if (this.#flights.size === 0 || this.#clock.reached(this.#abandonedAtUs + ABANDON_WAIT_US)) this.#end('destroy');
      return;
    }
    do this.#publish();
    while (this.#purpose !== 'ended' && (this.#advance() || this.#watchDeadlines()));
  }

  /** Sends the next chunk if it may go; true when something changed and it is worth looking again. */
  #advance(): boolean {
    const work = this.#queue.current;
    if (this.#purpose === 'draining' && this.#open === null && this.#flights.size === 0 && this.#queue.isUntouched) {
      this.#end('terminate');
      return false;
    }
    if (work === undefined || work.kind === 'sessionEnd' || this.#cancelling) return false;
    if (work.kind === 'skipped') {
      this.#history.skipped(work.seq, work.skip.harmless);
      this.#queue.pass();
      return true;
    }
    const hollow = work.pieces.length === 0;
    if (work.failed !== null || (hollow && work.envelope.lastPart)) {
      this.#pass(work);
      return true;
    }
    // Before a connection is asked for: those whose turn it is must get it.
    if (!hollow && !this.#isInTurn(work)) return false;
    const readiness = this.#queue.atWorkStart ? this.#readiness(work) : 'go';
    if (readiness !== 'go') return readiness === 'again';
    if (hollow) {
      this.#begun(work, 0);
      this.#pass(work);
      return true;
    }
    const piece = this.#queue.piece(work);
    const chunk = this.#queue.chunk(piece);
    const dueAtUs = this.#options.pacing.dueAtUs(chunk.capturedAtUs, this.#clock.nowUs);
    if (!this.#clock.reached(dueAtUs)) return false;
    if (this.#blocked || this.#held || !this.#repliesAllow(piece)) return false;
    this.#send(work, piece, chunk, dueAtUs);
    return true;
  }

  #isInTurn(work: PartWork): boolean {
    const { order } = this.#options;
    if (order === undefined || !this.#queue.atPieceStart) return true;
    return order.mayGo(this.#queue.piece(work).exchange, this.#clock.nowUs);
  }

  /** Whether this part can begin on the connection as it is, and what has to be done before. */
  #readiness(work: PartWork): Readiness {
    const { envelope, seq } = work;
    const begins = envelope.part === 0;
    if (((this.#purpose === 'draining' || this.#paused) && begins) || this.#held) return 'wait';
    if (envelope.dependsOnSession.includes(DependencyReason.UNKNOWN_MESSAGE)) return this.#doom(seq, 'unsupported');
    if (begins && this.#unacknowledged + this.#queue.unreported >= this.#options.duplicateWindow) return 'wait';
    if (this.#context === null || (!begins && this.#open !== seq)) return this.#doom(seq, 'incomplete');
    if (begins && this.#open !== null) {
      // The transaction before never ended as far as capture saw; the mirror must not go on in it.
      if (this.#flights.size > 0) return 'wait';
      this.#dropConnection('destroy');
      return 'again';
    }
    if (this.#connection === 'none') {
      this.#connection = 'connecting';
      this.#out.push({ kind: 'connect', context: this.#context });
    }
    if (this.#connection === 'connecting') return 'wait';
    const strange = begins && this.#history.isStrange(seq);
    if (strange && this.#flights.size > 0) return 'wait';
    if (begins && this.#history.lacks(envelope, seq)) return this.#doom(seq, 'dependsOnSession');
    if (strange) {
      const bytes = this.#history.catchUp(envelope.context ?? this.#context, seq);
      this.#flights.forgetNames();
      return this.#tellContext(bytes, seq);
    }
    const missing = begins ? this.#history.unprepared(envelope.context, (it) => this.#flights.isPrepared(it)) : null;
    if (missing !== null)
      return this.#flights.size > 0 ? 'wait' : this.#tellContext(this.#history.prepare(missing), seq);
    return this.#flights.head?.kind === 'context' ? 'wait' : 'go';
  }

  #tellContext(bytes: Uint8Array | null | 'damaged', seq: number): Readiness {
    if (bytes === 'damaged') return this.#doom(seq, 'incomplete');
    if (bytes === null) return 'again';
    const { nowUs } = this.#clock;
    const flight = this.#flights.begin('context', nowUs);
    this.#flights.sending(flight, bytes, 0, bytes.length, nowUs);
    flight.complete = true;
    this.#out.push({ kind: 'send', bytes });
    return 'again';
  }

  #repliesAllow(piece: Piece): boolean {
    const { head, tail } = this.#flights;
    if (tail !== undefined && !tail.complete) {
      if (this.#queue.atPieceStart && !this.#waitsAtPiece) return true;
      return this.#hasReplied(tail);
    }
    if (head === undefined) return true;
    return head.kind === 'exchange' && head.doneMonoUs > piece.sentMonoUs;
  }

  /** The client waited for a reply at this point of the exchange. The mirror may have none to give. */
  #hasReplied(flight: Flight): boolean {
    if (flight !== this.#flights.head) return false;
    const { mode } = this.#flights.ledger;
    if (flight.repliesSinceSend > 0 || mode === 'copyIn' || mode === 'discarding') return true;
    return this.#clock.reached(flight.lastSendAtUs + this.#options.segmentWaitMs * 1000);
  }

  #send(work: PartWork, piece: Piece, chunk: Chunk, dueAtUs: number): void {
    const nowUs = this.#clock.nowUs;
    if (work.sentAtUs === 0) this.#begun(work, dueAtUs);
    const tail = this.#flights.tail;
    const flight = tail !== undefined && !tail.complete ? tail : this.#flights.begin('exchange', nowUs);
    const { exchange, request } = piece;
    if (this.#queue.atPieceStart) this.#options.order?.sent(exchange, nowUs);
    if (chunk.to > chunk.from) {
      this.#flights.sending(flight, request, chunk.from, chunk.to, nowUs);
      this.#out.push({ kind: 'send', bytes: request.subarray(chunk.from, chunk.to) });
    }
    if (!this.#queue.chunkSent(piece)) return;
    if (exchange.continues) {
      this.#waitsAtPiece = piece.waitsAtEnd;
      work.finishedPieces += 1;
      work.doneAtUs = nowUs;
    } else {
      flight.exchange = exchange;
      flight.owner = work;
      flight.doneMonoUs = piece.doneMonoUs;
      flight.complete = true;
      if (this.#options.replayCancels && this.#judge.wasCancelled(exchange))
        flight.cancelAtUs = flight.sentAtUs + Number(exchange.cancelledAfterUs);
      this.#waitsAtPiece = false;
      this.#flights.settle(nowUs);
    }
    if (this.#queue.isSent(work)) this.#pass(work);
  }

  #begun(work: PartWork, dueAtUs: number): void {
    work.sentAtUs = this.#clock.nowUs;
    work.excuse = this.#history.excuse(work.envelope);
    work.scheduledAtUs = dueAtUs === 0 ? this.#clock.nowUs : dueAtUs;
    this.#fruitless = 0;
    this.#open = work.seq;
    this.#history.begun(work.seq);
  }

  /** All of this part is sent, or none of it will be. */
  #pass(work: PartWork): void {
    this.#queue.pass();
    if (work.envelope.lastPart && this.#open === work.seq) this.#open = null;
  }

  #flightDone(flight: Flight): void {
    const { owner, exchange } = flight;
    this.#activeAtUs = this.#clock.nowUs;
    if (owner === null || exchange === null || this.#purpose === 'abandoned') return;
    this.#judge.judge(flight, exchange, owner);
    owner.finishedPieces += 1;
    owner.doneAtUs = this.#clock.nowUs;
  }

  /** Results leave in the order of the session. */
  #publish(): void {
    for (let work = this.#queue.reportable(); work !== null; work = this.#queue.reportable()) {
      if (work.kind === 'sessionEnd') {
        if (this.#flights.size > 0) return;
        const dueAtUs = this.#options.pacing.dueAtUs(work.atUs, this.#clock.nowUs);
        if (!this.#clock.reached(dueAtUs)) return;
        this.#out.push(this.#results.ofSessionEnd(work));
        this.#end('terminate');
        return;
      }
      this.#out.push(this.#resultOf(work));
      this.#unacknowledged += 1;
      this.#queue.reported();
    }
  }

  #resultOf(work: PartWork | SkippedWork): ResultEffect {
    if (work.kind === 'skipped') return this.#results.ofSkipped(work.place, work.facts, work.skip, work.sizeBytes);
    const order = this.#options.order?.settled(work.envelope) ?? '';
    return this.#results.ofPart(work, work.tally.outcome(), order);
  }

  #watchDeadlines(): boolean {
    const head = this.#flights.head;
    const { unansweredWaitMs, exchangeTimeoutMs, idleMs } = this.#options;
    if (head === undefined) {
      if (this.idle && this.#clock.reached(this.#activeAtUs + idleMs * 1000)) this.#end('terminate');
      return false;
    }
    // Production's client is still sending: a COPY may take its time.
    if (!head.complete) return false;
    this.#cancelWhenDue(head);
    const unanswered = isUnanswered(head);
    // A mirror that waits for more of what will never come has given all the answer there is.
    const helpless = unanswered && this.#flights.ledger.remedy() !== null;
    const waitMs = helpless ? 0 : unanswered ? unansweredWaitMs : exchangeTimeoutMs;
    if (!this.#clock.reached(head.lastSendAtUs + waitMs * 1000)) return false;
    if (unanswered) this.#flights.finishHead();
    this.#failTouched('timeout');
    this.#dropConnection('destroy');
    return true;
  }

  /** A cancel names a connection, not a statement: it goes out when the mirror works on this one, and nothing follows until it has arrived. */
  #cancelWhenDue(head: Flight): void {
    if (head.cancelAtUs === Number.POSITIVE_INFINITY || !this.#clock.reached(head.cancelAtUs)) return;
    head.cancelAtUs = Number.POSITIVE_INFINITY;
    this.#cancelling = true;
    this.#out.push({ kind: 'cancel' });
  }

  #connectFailed(reason: FailedReason): void {
    this.#connection = 'none';
    const work = this.#queue.current;
    if (work?.kind === 'part') this.#doom(work.seq, reason);
  }

  #lost(): void {
    const head = this.#flights.head;
    // Production lost its connection at this place too: the mirror does the same, and that is all there is to replay.
    if (head?.owner && head.complete && head.doneMonoUs === 0) this.#flights.finishHead();
    const work = this.#queue.current;
    if (!this.#failTouched('connectionLost') && work?.kind === 'part') this.#countFruitless(work.seq);
    this.#disconnected();
  }

  /** Connections that are lost before a byte of the transaction went out: its settings kill them, or the server is on its way down. */
  #countFruitless(seq: number): void {
    this.#fruitless += 1;
    if (this.#fruitless < MAX_FRUITLESS_CONNECTIONS) return;
    this.#fruitless = 0;
    this.#doom(seq, 'connectionLost');
  }

  #failTouched(reason: FailedReason): boolean {
    return this.#queue.failTouched(this.#open, reason);
  }

  #doom(seq: number, reason: FailedReason): 'again' {
    this.#queue.fail(seq, reason);
    return 'again';
  }

  #dropConnection(how: 'terminate' | 'destroy'): void {
    if (this.#connection !== 'none') this.#out.push({ kind: 'close', how });
    this.#disconnected();
  }

  #disconnected(): void {
    this.#connection = 'none';
    this.#flights.reset();
    this.#queue.rewind();
    this.#waitsAtPiece = false;
    this.#blocked = false;
    this.#cancelling = false;
    this.#open = null;
  }

  #end(how: 'terminate' | 'destroy'): void {
    this.#dropConnection(how);
    this.#queue.clear();
    this.#purpose = 'ended';
    this.#out.push({ kind: 'ended' });
  }
}
