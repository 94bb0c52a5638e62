// One captured session on the mirror: a state machine that takes envelopes and the mirror's bytes and says what to send, and when.
//
// Envelopes queue up in `works`; `cursor` is the one being sent, those before it wait for answers. An exchange is sent when its time has
// come and all that production had answered before it was sent is answered here: so what production's client pipelined is pipelined,
// and what it waited for is waited for. Opens nothing; one step, one list of effects.
import { AnswerDigester } from '@mirrorstream/compare';
import { DependencyReason, type SessionContext } from '@mirrorstream/envelope';
import { contextFrames } from './context-frames.ts';
import { judgeFlight } from './flight-verdict.ts';
import { type Flight, Flights } from './flights.ts';
import { LaneResults } from './lane-results.ts';
import type { FailedReason, LaneEffect, LaneInput, LaneOptions } from './lane-types.ts';
import { type Chunk, type PartWork, type Piece, partWork, type Work } from './lane-work.ts';
import { OutcomeTally } from './transaction-outcome.ts';

/** After the partition went to another owner, for the answer to the exchange under way. */
const ABANDON_WAIT_US = 2_000_000;

const MAX_FRUITLESS_CONNECTIONS = 3;

/** What a session must have gone through on this very connection. Locks can be taken and notifications listened for on any. */
const needHistory: readonly DependencyReason[] = [
  DependencyReason.TEMP_TABLE,
  DependencyReason.HELD_CURSOR,
  DependencyReason.UNKNOWN_STATEMENT,
];

type Readiness = 'go' | 'wait' | 'again';

export class Lane {
  readonly sessionId: string;
  readonly #options: LaneOptions;
  readonly #flights: Flights;
  readonly #results: LaneResults;
  readonly #capturedDigester = new AnswerDigester();
  readonly #tally = new OutcomeTally();
  #tallySeq = 0;

  #works: Work[] = [];
  #cursor = 0;
  #pieceAt = 0;
  #chunkAt = 0;
  /** The client waited at the end of the piece before. */
  #waitsAtPiece = false;

  #connection: 'none' | 'connecting' | 'open' = 'none';
  #purpose: 'running' | 'draining' | 'abandoned' | 'ended' = 'running';
  #blocked = false;
  #held = false;
  /** Of the first envelope that brought one: says whom to connect as. */
  #context: SessionContext | null = null;
  /** The connection has not been told of any settings yet. */
  #fresh = false;
  /** The session began before this connection. */
  #historyLost = false;
  #afterGap = false;
  /** session_seq of the last transaction begun on the mirror. */
  #played = 0;
  /** session_seq of the transaction whose last byte is not sent yet. */
  #open: number | null = null;
  /** A failed transaction of which parts are still to come. */
  #doomed: { readonly seq: number; readonly reason: FailedReason } | null = null;
  #accepted = { seq: 0, part: -1, last: true };
  #fruitless = 0;
  #abandonedAtUs = 0;
  #activeAtUs = 0;

  #nowUs = 0;
  #out: LaneEffect[] = [];
  #wakeAtUs = Number.POSITIVE_INFINITY;
  #wokenAtUs = Number.POSITIVE_INFINITY;

  constructor(options: LaneOptions) {
    this.sessionId = options.sessionId;
    this.#options = options;
    this.#results = new LaneResults(options.sessionId);
    this.#flights = new Flights(options.rawCapBytes, {
      onDone: (flight) => this.#flightDone(flight),
      onRemedy: (bytes) => this.#out.push({ kind: 'send', bytes }),
    });
  }

  /** Neither queued nor under way, and outside a transaction. */
  get idle(): boolean {
    return this.#works.length === 0 && this.#flights.size === 0 && this.#open === null;
  }

  /** The highest session_seq taken in, and whether to its last part. */
  get accepted(): { readonly seq: number; readonly part: number; readonly last: boolean } {
    return this.#accepted;
  }

  step(input: LaneInput, nowUs: number): readonly LaneEffect[] {
    this.#nowUs = nowUs;
    this.#out = [];
    if (this.#purpose === 'ended') return this.#out;
    this.#wakeAtUs = Number.POSITIVE_INFINITY;
    this.#take(input);
    this.#pump();
    if (this.#wakeAtUs !== this.#wokenAtUs) {
      this.#wokenAtUs = this.#wakeAtUs;
      this.#out.push({ kind: 'wakeAt', atUs: this.#wakeAtUs });
    }
    return this.#out;
  }

  #take(input: LaneInput): void {
    switch (input.kind) {
      case 'envelope':
        this.#takeEnvelope(input);
        return;
      case 'sessionEnd':
        this.#works.push({ kind: 'sessionEnd', place: input.place, atUs: input.atUs, sizeBytes: input.sizeBytes });
        return;
      case 'gap':
        this.#afterGap = true;
        return;
      case 'connected':
        this.#connection = 'open';
        this.#fresh = true;
        this.#flights.reset();
        return;
      case 'connectFailed':
        this.#connectFailed(input.reason);
        return;
      case 'bytes':
        if (this.#flights.receive(input.chunk, this.#nowUs)) return;
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
      case 'hold':
        this.#held = input.on;
        return;
      case 'timer':
        this.#wokenAtUs = Number.POSITIVE_INFINITY;
        return;
      case 'evict':
        if (this.idle && this.#connection === 'open') this.#dropConnection('terminate');
        return;
      case 'drain':
        this.#purpose = 'draining';
        return;
      case 'abandon':
        this.#purpose = 'abandoned';
        this.#abandonedAtUs = this.#nowUs;
        return;
      default:
        input satisfies never;
    }
  }

  #takeEnvelope({ place, envelope, sizeBytes }: Extract<LaneInput, { kind: 'envelope' }>): void {
    const seq = Number(envelope.sessionSeq);
    const { part, lastPart } = envelope;
    const before = this.#accepted;
    if (seq < before.seq || (seq === before.seq && (part <= before.part || before.last))) {
      const transactions = lastPart ? 1 : 0;
      this.#out.push({ kind: 'duplicate', offset: place.offset, transactions, releasedBytes: sizeBytes });
      return;
    }
    this.#accepted = { seq, part, last: lastPart };
    this.#context ??= envelope.context ?? null;
    const work = partWork(place, envelope, sizeBytes);
    if (this.#doomed?.seq === seq) work.failed = this.#doomed.reason;
    if (this.#doomed !== null && (this.#doomed.seq !== seq || lastPart)) this.#doomed = null;
    this.#works.push(work);
    this.#activeAtUs = this.#nowUs;
  }

  #pump(): void {
    if (this.#purpose === 'abandoned') {
      if (this.#flights.size === 0 || this.#nowUs >= this.#abandonedAtUs + ABANDON_WAIT_US) this.#end('destroy');
      else this.#wake(this.#abandonedAtUs + ABANDON_WAIT_US);
      return;
    }
    do this.#publish();
    while (this.#purpose !== 'ended' && (this.#advance() || this.#watchDeadlines()));
  }

  /** Sends the next chunk if it may go; true when something changed and it is worth looking again. */
  #advance(): boolean {
    const work = this.#works[this.#cursor];
    if (this.#purpose === 'draining' && this.#open === null && this.#flights.size === 0 && this.#cursor === 0) {
      this.#end('terminate');
      return false;
    }
    if (work === undefined || work.kind === 'sessionEnd') return false;
    const hollow = work.pieces.length === 0;
    if (work.failed !== null || (hollow && work.envelope.lastPart)) {
      this.#pass(work);
      return true;
    }
    const readiness = this.#pieceAt === 0 && this.#chunkAt === 0 ? this.#readiness(work) : 'go';
    if (readiness !== 'go') return readiness === 'again';
    if (hollow) {
      this.#begun(work, 0);
      this.#pass(work);
      return true;
    }
    const piece = work.pieces[this.#pieceAt] as Piece;
    const chunk = piece.chunks[this.#chunkAt] as Chunk;
    const dueAtUs = this.#options.pacing.dueAtUs(chunk.capturedAtUs, this.#nowUs);
    if (!this.#reached(dueAtUs)) return false;
    if (this.#blocked || this.#held || !this.#repliesAllow(piece)) return false;
    this.#send(work, piece, chunk, dueAtUs);
    return true;
  }

  /** Whether this part can begin on the connection as it is, and what has to be done before. */
  #readiness(work: PartWork): Readiness {
    const { envelope, seq } = work;
    const begins = envelope.part === 0;
    if ((this.#purpose === 'draining' && begins) || this.#held) return 'wait';
    if (envelope.dependsOnSession.includes(DependencyReason.UNKNOWN_MESSAGE)) return this.#doom(seq, 'unsupported');
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
    const strange = begins && (this.#fresh || this.#afterGap || seq !== this.#played + 1);
    if (strange && this.#flights.size > 0) return 'wait';
    if (this.#fresh) this.#historyLost = seq !== 1;
    if (begins && this.#historyLost && envelope.dependsOnSession.some((reason) => needHistory.includes(reason)))
      return this.#doom(seq, 'dependsOnSession');
    if (strange) return this.#applyContext(work);
    return this.#flights.head?.kind === 'context' ? 'wait' : 'go';
  }

  #applyContext(work: PartWork): Readiness {
    const context = work.envelope.context ?? this.#context;
    const bytes = context === null ? null : contextFrames(context, this.#fresh ? 'fresh' : 'used');
    if (bytes === 'damaged') return this.#doom(work.seq, 'incomplete');
    this.#fresh = false;
    this.#afterGap = false;
    this.#played = work.seq - 1;
    if (bytes === null) return 'again';
    const flight = this.#flights.begin('context', this.#nowUs);
    this.#flights.sending(flight, bytes, 0, bytes.length, this.#nowUs);
    flight.complete = true;
    this.#out.push({ kind: 'send', bytes });
    return 'again';
  }

  #repliesAllow(piece: Piece): boolean {
    const { head, tail } = this.#flights;
    if (tail !== undefined && !tail.complete) {
      if (this.#chunkAt === 0 && !this.#waitsAtPiece) return true;
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
    return this.#reached(flight.lastSendAtUs + this.#options.segmentWaitMs * 1000);
  }

  #send(work: PartWork, piece: Piece, chunk: Chunk, dueAtUs: number): void {
    const nowUs = this.#nowUs;
    if (work.sentAtUs === 0) this.#begun(work, dueAtUs);
    const tail = this.#flights.tail;
    const flight = tail !== undefined && !tail.complete ? tail : this.#flights.begin('exchange', nowUs);
    const { exchange } = piece;
    if (chunk.to > chunk.from) {
      this.#flights.sending(flight, exchange.request, chunk.from, chunk.to, nowUs);
      this.#out.push({ kind: 'send', bytes: exchange.request.subarray(chunk.from, chunk.to) });
    }
    this.#chunkAt += 1;
    if (this.#chunkAt < piece.chunks.length) return;
    this.#chunkAt = 0;
    this.#pieceAt += 1;
    if (exchange.continues) {
      this.#waitsAtPiece = piece.waitsAtEnd;
      work.finishedPieces += 1;
      work.doneAtUs = nowUs;
    } else {
      flight.exchange = exchange;
      flight.owner = work;
      flight.doneMonoUs = piece.doneMonoUs;
      flight.complete = true;
      this.#waitsAtPiece = false;
      this.#flights.settle(nowUs);
    }
    if (this.#pieceAt === work.pieces.length) this.#pass(work);
  }

  #begun(work: PartWork, dueAtUs: number): void {
    work.sentAtUs = this.#nowUs;
    work.scheduledAtUs = dueAtUs === 0 ? this.#nowUs : dueAtUs;
    this.#fruitless = 0;
    this.#open = work.seq;
    this.#played = work.seq;
  }

  /** All of this part is sent, or none of it will be. */
  #pass(work: PartWork): void {
    this.#cursor += 1;
    this.#pieceAt = 0;
    this.#chunkAt = 0;
    if (work.envelope.lastPart && this.#open === work.seq) this.#open = null;
  }

  #flightDone(flight: Flight): void {
    const { owner, exchange } = flight;
    this.#activeAtUs = this.#nowUs;
    if (owner === null || exchange === null || this.#purpose === 'abandoned') return;
    const { rawCapBytes } = this.#options;
    const verdict = judgeFlight(flight, exchange, owner.envelope, this.#capturedDigester, rawCapBytes);
    owner.statements.push(...verdict.statements);
    owner.finishedPieces += 1;
    owner.doneAtUs = this.#nowUs;
    if (this.#tallySeq !== owner.seq) this.#tally.reset();
    this.#tallySeq = owner.seq;
    this.#tally.add(verdict.replayed, flight.status !== '');
  }

  /** Results leave in the order of the session. */
  #publish(): void {
    for (let work = this.#works[0]; work !== undefined; work = this.#works[0]) {
      if (work.kind === 'sessionEnd') {
        if (this.#flights.size > 0) return;
        const dueAtUs = this.#options.pacing.dueAtUs(work.atUs, this.#nowUs);
        if (!this.#reached(dueAtUs)) return;
        this.#out.push(this.#results.ofSessionEnd(work));
        this.#end('terminate');
        return;
      }
      const sent = this.#cursor > 0 && work.finishedPieces === work.pieces.length;
      if (work.failed === null && !sent) return;
      this.#out.push(this.#results.ofPart(work, this.#tally.outcome()));
      this.#works.shift();
      if (this.#cursor > 0) this.#cursor -= 1;
    }
  }

  #watchDeadlines(): boolean {
    const head = this.#flights.head;
    const { segmentWaitMs, unansweredWaitMs, exchangeTimeoutMs, idleMs } = this.#options;
    if (head === undefined) {
      if (this.idle && this.#reached(this.#activeAtUs + idleMs * 1000)) this.#end('terminate');
      return false;
    }
    if (this.#flights.ledger.mode === 'uncertain' && this.#reached(head.lastSendAtUs + segmentWaitMs * 1000)) {
      this.#flights.ledger.settleUncertain();
      this.#flights.settle(this.#nowUs);
      return true;
    }
    // Production's client is still sending: a COPY may take its time.
    if (!head.complete) return false;
    const unanswered = head.kind === 'exchange' && head.doneMonoUs === 0;
    const waitMs = unanswered ? unansweredWaitMs : exchangeTimeoutMs;
    if (!this.#reached(head.lastSendAtUs + waitMs * 1000)) return false;
    if (unanswered) this.#flights.finishHead();
    this.#failTouched('timeout');
    this.#dropConnection('destroy');
    return true;
  }

  #reached(atUs: number): boolean {
    if (this.#nowUs >= atUs) return true;
    this.#wake(atUs);
    return false;
  }

  #connectFailed(reason: FailedReason): void {
    this.#connection = 'none';
    const work = this.#works[this.#cursor];
    if (work?.kind === 'part') this.#doom(work.seq, reason);
  }

  #lost(): void {
    const head = this.#flights.head;
    // Production lost its connection at this place too: the mirror does the same, and that is all there is to replay.
    if (head?.owner && head.complete && head.doneMonoUs === 0) this.#flights.finishHead();
    const work = this.#works[this.#cursor];
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

  /** Every transaction that had bytes on the connection and is not answered to its end. */
  #failTouched(reason: FailedReason): boolean {
    const begun = this.#pieceAt > 0 || this.#chunkAt > 0;
    const touched = new Set<number>();
    if (this.#open !== null) touched.add(this.#open);
    this.#works.forEach((work, at) => {
      if (work.kind !== 'part' || work.failed !== null) return;
      if (at < this.#cursor ? work.finishedPieces < work.pieces.length : at === this.#cursor && begun)
        touched.add(work.seq);
    });
    for (const seq of touched) this.#doom(seq, reason);
    return touched.size > 0;
  }

  /** Fails what is queued of the transaction and what is still to come of it. */
  #doom(seq: number, reason: FailedReason): 'again' {
    let ended = false;
    this.#works.forEach((work, at) => {
      if (work.kind !== 'part' || work.seq !== seq) return;
      if (at >= this.#cursor || work.finishedPieces < work.pieces.length) work.failed ??= reason;
      ended ||= work.envelope.lastPart;
    });
    if (!ended) this.#doomed = { seq, reason };
    return 'again';
  }

  #dropConnection(how: 'terminate' | 'destroy'): void {
    if (this.#connection !== 'none') this.#out.push({ kind: 'close', how });
    this.#disconnected();
  }

  #disconnected(): void {
    this.#connection = 'none';
    this.#flights.reset();
    this.#pieceAt = 0;
    this.#chunkAt = 0;
    this.#waitsAtPiece = false;
    this.#blocked = false;
    this.#open = null;
  }

  #end(how: 'terminate' | 'destroy'): void {
    this.#dropConnection(how);
    this.#works = [];
    this.#purpose = 'ended';
    this.#out.push({ kind: 'ended' });
  }

  #wake(atUs: number): void {
    if (atUs < this.#wakeAtUs) this.#wakeAtUs = atUs;
  }
}
