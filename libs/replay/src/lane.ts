// One captured session on the mirror: a state machine that takes envelopes and the mirror's bytes and says what to send, and when.
//
// Envelopes queue up; an exchange is sent when its time has come and all that production had answered before it was sent is answered
// here: so what production's client pipelined is pipelined, and what it waited for is waited for. Opens nothing; one step, one list of
// effects.
import { DependencyReason, type SessionContext } from '@mirrorstream/envelope';
import { FlightJudge } from './flight-verdict.ts';
import { type Flight, isUnanswered } from './flights.ts';
import { SessionIds } from './ids/session-ids.ts';
import { LaneClock } from './lane-clock.ts';
import { LaneQueue } from './lane-queue.ts';
import { LaneReports } from './lane-reports.ts';
import { LaneRetries, rollback, rollbackPiece } from './lane-retry.ts';
import type { CloseHow, FailedReason, LaneEffect, LaneInput, LaneOptions } from './lane-types.ts';
import { beginAnew, type PartWork, type Piece } from './lane-work.ts';
import { MirrorLine } from './mirror-line.ts';
import { scheduleLagUs } from './pacing.ts';
import { type BindingReason, SessionBinding } from './session-binding.ts';
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
  readonly #binding = new SessionBinding();
  readonly #line: MirrorLine;
  readonly #reports: LaneReports;
  readonly #judge: FlightJudge;
  readonly #retries: LaneRetries;
  readonly #ids: SessionIds | null;

  #purpose: 'running' | 'draining' | 'abandoned' | 'ended' = 'running';
  #held = false;
  #paused = false;
  /** Of the first envelope that brought one: says whom to connect as. */
  #context: SessionContext | null = null;
  /** session_seq of the transaction whose last byte is not sent yet. */
  #open: number | null = null;
  #fruitless = 0;
  #abandonedAtUs = 0;
  #connectedAtUs = 0;
  /** On this connection. */
  #hasBegun = false;
  /** Of the last ReadyForQuery. */
  #mirrorStatus: Flight['status'] = '';
  #activeAtUs = 0;
  /** The next transaction waits for results to be acknowledged. */
  #windowFull = false;
  #out: LaneEffect[] = [];

  constructor(options: LaneOptions) {
    this.sessionId = options.sessionId;
    this.#options = options;
    this.#queue = new LaneQueue((envelope) => options.order?.settled(envelope));
    this.#reports = new LaneReports(options, this.#queue, this.#clock, (effect) => this.#out.push(effect));
    this.#ids = options.ids === undefined ? null : new SessionIds(options.ids, options.sessionId);
    this.#judge = new FlightJudge(options.rawCapBytes, options.order, this.#ids);
    this.#retries = new LaneRetries(options.order, options.retry);
    this.#line = new MirrorLine(
      options,
      this.#clock,
      {
        onDone: (flight) => this.#flightDone(flight),
        out: (effect) => this.#out.push(effect),
        wasCancelled: (exchange) => this.#judge.wasCancelled(exchange),
      },
      this.#ids,
    );
  }

  /** Neither queued nor under way, and outside a transaction. */
  get idle(): boolean {
    return this.#queue.isEmpty && this.#line.flights.size === 0 && this.#open === null;
  }

  /** When production was done with the oldest transaction that waits here or is under way, µs since the epoch; null: none. */
  get oldestDoneAtUs(): number | null {
    return this.#queue.oldestDoneAtUs;
  }

  /** Why it keeps its connection although others wait; null: it does not. */
  get binding(): BindingReason | null {
    return this.#line.isOpen ? this.#binding.reason : null;
  }

  /** The highest session_seq taken in, and whether to its last part. */
  get accepted(): { readonly seq: number; readonly part: number; readonly last: boolean } {
    return this.#queue.accepted;
  }

  step(input: LaneInput, nowUs: number): readonly LaneEffect[] {
    this.#out = [];
    if (this.#purpose === 'ended') return this.#out;
    if (input.kind === 'acknowledged' && !this.#windowFull) {
      // There is one for every transaction, and as a rule nothing waits for it.
      this.#reports.acknowledged();
      return this.#out;
    }
    this.#windowFull = false;
    this.#clock.begin(nowUs);
    this.#take(input);
    this.#pump();
    if (this.#options.pool?.isCrowded() && this.#isBetweenTransactions) this.#dropConnection('handOn');
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
    if (this.#purpose !== 'abandoned') this.#reports.surrender(input, this.#out);
    this.#end('destroy');
    return this.#out;
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
        this.#line.connected();
        this.#ids?.connected(this.#context?.database ?? '');
        this.#history.connected(input.handedOn);
        this.#connectedAtUs = this.#clock.nowUs;
        this.#hasBegun = false;
        return;
      case 'connectFailed':
        this.#connectFailed(input.reason);
        return;
      case 'bytes':
        if (this.#line.flights.receive(input.chunk, this.#clock.nowUs)) return;
        this.#failTouched('connectionLost');
        this.#dropConnection('destroy');
        return;
      case 'lost':
        this.#lost();
        return;
      case 'blocked':
        this.#line.block(true);
        return;
      case 'drained':
        this.#line.block(false);
        return;
      case 'cancelDone':
        this.#line.cancelDone();
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
        this.#reports.acknowledged();
        return;
      case 'orderMoved':
        return;
      case 'evict':
        if (this.#options.pool === undefined && this.idle && this.#line.isOpen) this.#dropConnection('terminate');
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

  #takeEnvelope(input: Extract<LaneInput, { kind: 'envelope' }>): void {
    const { place, envelope, sizeBytes, skip, withheld } = input;
    const waitingBytes = this.#queue.take(place, envelope, sizeBytes, skip);
    if (waitingBytes === null) {
      this.#reports.duplicate(input);
      return;
    }
    if (withheld === true) this.#queue.withhold();
    this.#released(sizeBytes - waitingBytes);
    this.#context ??= envelope.context ?? null;
    this.#activeAtUs = this.#clock.nowUs;
  }

  #released(sizeBytes: number): void {
    if (sizeBytes !== 0) this.#out.push({ kind: 'released', sizeBytes });
  }

  #pump(): void {
    if (this.#purpose === 'abandoned') {
      if (this.#line.flights.size === 0 || this.#clock.reached(this.#abandonedAtUs + ABANDON_WAIT_US))
        this.#end('destroy');
      return;
    }
    do if (this.#reports.publish(this.#line.flights.size === 0)) this.#end('terminate');
    while (this.#purpose !== 'ended' && (this.#advance() || this.#watchDeadlines()));
  }

  /** Sends the next chunk if it may go; true when something changed and it is worth looking again. */
  #advance(): boolean {
    const work = this.#queue.current;
    if (
      this.#purpose === 'draining' &&
      this.#open === null &&
      this.#line.flights.size === 0 &&
      this.#queue.isUntouched
    ) {
      this.#end('terminate');
      return false;
    }
    if (work === undefined || work.kind === 'sessionEnd' || this.#line.isCancelling) return false;
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
    // A connection that sessions share is asked for when there is something to send.
    if (this.#options.pool !== undefined && !hollow && !this.#line.isOpen && !this.#isDue(work)) return false;
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
    if (this.#line.isBlocked || this.#held || !this.#line.mayFollow(piece, this.#queue.atPieceStart)) return false;
    if (this.#queue.atPieceStart && this.#mustRollBack(work, piece)) {
      this.#rollBack(work, piece);
      return true;
    }
    if (work.sentAtUs === 0) this.#begun(work, dueAtUs);
    if (dueAtUs > 0) this.#options.schedule?.add(scheduleLagUs(dueAtUs, this.#clock.nowUs));
    if (this.#queue.atPieceStart) this.#options.order?.sent(piece.exchange, this.#clock.nowUs);
    this.#line.sendChunk(piece, chunk);
    if (this.#queue.chunkSent(piece)) this.#pieceSent(work, piece);
    return true;
  }

  #isDue(work: PartWork): boolean {
    const { capturedAtUs } = this.#queue.chunk(this.#queue.piece(work));
    return this.#clock.reached(this.#options.pacing.dueAtUs(capturedAtUs, this.#clock.nowUs));
  }

  /** Nothing of the session is under way on the mirror, and nothing is lost with the connection. */
  get #isBetweenTransactions(): boolean {
    return (
      this.#line.isOpen &&
      !this.#line.isCancelling &&
      this.#open === null &&
      this.#line.flights.size === 0 &&
      (this.#mirrorStatus === 'I' || !this.#hasBegun) &&
      this.#binding.reason === null
    );
  }

  /** Others wait, and it has had its share. */
  #shouldYield(): boolean {
    const { pool } = this.#options;
    if (pool === undefined || !this.#hasBegun || !this.#line.isOpen || this.#binding.reason !== null) return false;
    if (this.#open !== null || (this.#line.flights.size === 0 && this.#mirrorStatus !== 'I')) return false;
    return this.#clock.nowUs >= this.#connectedAtUs + pool.sliceMs * 1000 && pool.isCrowded();
  }

  #isInTurn(work: PartWork): boolean {
    const { order } = this.#options;
    if (order === undefined || !this.#queue.atPieceStart) return true;
    if (!this.#clock.reached(work.notBeforeUs)) return false;
    return order.mayGo(work.retriedFor ?? this.#queue.piece(work).exchange, this.#clock.nowUs);
  }

  /** It is open here, and would be committed. */
  #mustRollBack(work: PartWork, { exchange }: Piece): boolean {
    if (this.#line.flights.size > 0 || this.#mirrorStatus !== 'T') return false;
    return this.#retries.mustRollBack(work, exchange, () => this.#judge.captured(exchange));
  }

  #rollBack(work: PartWork, piece: Piece): void {
    work.rolledBack = true;
    this.#queue.replacePiece(work, rollbackPiece(piece));
    this.#options.order?.rolledBack(piece.exchange);
  }

  /** From its beginning, and nothing of it remains on the mirror. */
  #playAgain(work: PartWork, { status }: Flight): void {
    beginAnew(work);
    if (status !== 'I') this.#line.sendContext(rollback);
    this.#queue.goBack(work);
    this.#history.takenBack(work.seq);
    this.#open = null;
  }

  /** Whether this part can begin on the connection as it is, and what has to be done before. */
  #readiness(work: PartWork): Readiness {
    const { envelope, seq } = work;
    const begins = envelope.part === 0;
    if (((this.#purpose === 'draining' || this.#paused) && begins) || this.#held) return 'wait';
    if (envelope.dependsOnSession.includes(DependencyReason.UNKNOWN_MESSAGE)) return this.#doom(seq, 'unsupported');
    if (begins && this.#reports.unsettled >= this.#options.duplicateWindow) {
      this.#windowFull = true;
      return 'wait';
    }
    if (this.#context === null || (!begins && this.#open !== seq)) return this.#doom(seq, 'incomplete');
    if (work.withheld) {
      this.#failTouched('sideEffect');
      this.#dropConnection('destroy');
      return this.#doom(seq, 'sideEffect');
    }
    if (begins && this.#open !== null) {
      // The transaction before never ended as far as capture saw; the mirror must not go on in it.
      if (this.#line.flights.size > 0) return 'wait';
      this.#dropConnection('destroy');
      return 'again';
    }
    if (begins && this.#shouldYield()) {
      if (this.#line.flights.size > 0) return 'wait';
      this.#dropConnection('handOn');
    }
    this.#line.want(this.#context);
    if (!this.#line.isOpen) return 'wait';
    const strange = begins && this.#history.isStrange(seq);
    if (strange && this.#line.flights.size > 0) return 'wait';
    if (begins && this.#history.lacks(envelope, seq)) return this.#doom(seq, 'dependsOnSession');
    if (strange) {
      const bytes = this.#history.catchUp(envelope.context ?? this.#context, seq);
      this.#line.flights.forgetNames();
      return this.#tellContext(bytes, seq);
    }
    const missing = begins
      ? this.#history.unprepared(envelope.context, (it) => this.#line.flights.isPrepared(it))
      : null;
    if (missing !== null)
      return this.#line.flights.size > 0 ? 'wait' : this.#tellContext(this.#history.prepare(missing), seq);
    return this.#line.flights.head?.kind === 'context' ? 'wait' : 'go';
  }

  #tellContext(bytes: Uint8Array | null | 'damaged', seq: number): Readiness {
    if (bytes === 'damaged') return this.#doom(seq, 'incomplete');
    if (bytes === null) return 'again';
    this.#line.sendContext(bytes);
    return 'again';
  }

  #pieceSent(work: PartWork, piece: Piece): void {
    this.#line.pieceSent(work, piece);
    if (piece.exchange.continues) {
      work.finishedPieces += 1;
      work.doneAtUs = this.#clock.nowUs;
    }
    if (this.#queue.isSent(work)) this.#pass(work);
  }

  #begun(work: PartWork, dueAtUs: number): void {
    work.sentAtUs = this.#clock.nowUs;
    work.retriedFor = null;
    work.excuse = this.#history.excuse(work.envelope);
    work.scheduledAtUs = dueAtUs === 0 ? this.#clock.nowUs : dueAtUs;
    this.#fruitless = 0;
    this.#open = work.seq;
    this.#history.begun(work.seq);
    this.#hasBegun = true;
    if (this.#options.pool !== undefined) this.#binding.begun(work.envelope);
  }

  /** All of this part is sent, or none of it will be. */
  #pass(work: PartWork): void {
    this.#queue.pass();
    if (work.envelope.lastPart && this.#open === work.seq) this.#open = null;
  }

  #flightDone(flight: Flight): void {
    const { owner, exchange } = flight;
    this.#mirrorStatus = flight.status;
    this.#activeAtUs = this.#clock.nowUs;
    if (owner === null || exchange === null || this.#purpose === 'abandoned') return;
    const answered = this.#judge.compare(flight, exchange, owner);
    const isLast = this.#line.flights.size === 0 && this.#queue.isNewest(owner);
    if (isLast && this.#retries.wants(answered, this.#clock.nowUs)) {
      this.#playAgain(owner, flight);
      return;
    }
    this.#judge.keep(answered);
    owner.finishedPieces += 1;
    owner.doneAtUs = this.#clock.nowUs;
  }

  #watchDeadlines(): boolean {
    if (this.idle) {
      if (this.#clock.reached(this.#activeAtUs + this.#options.idleMs * 1000)) this.#end('terminate');
      return false;
    }
    if (!this.#line.isOverdue()) return false;
    this.#failTouched('timeout');
    this.#dropConnection('destroy');
    return true;
  }

  #connectFailed(reason: FailedReason): void {
    this.#line.gone();
    const work = this.#queue.current;
    if (work?.kind === 'part') this.#doom(work.seq, reason);
  }

  #lost(): void {
    const head = this.#line.flights.head;
    // Production lost its connection at this place too: the mirror does the same, and that is all there is to replay.
    if (head !== undefined && isUnanswered(head)) this.#line.flights.finishHead();
    const work = this.#queue.current;
    if (!this.#failTouched('connectionLost') && work?.kind === 'part') this.#countFruitless(work.seq);
    this.#line.gone();
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

  #dropConnection(how: CloseHow): void {
    this.#binding.lost();
    this.#line.drop(how);
    this.#disconnected();
  }

  #disconnected(): void {
    this.#queue.rewind();
    this.#open = null;
  }

  #end(how: 'terminate' | 'destroy'): void {
    this.#dropConnection(how);
    this.#queue.clear();
    this.#purpose = 'ended';
    this.#out.push({ kind: 'ended' });
  }
}
