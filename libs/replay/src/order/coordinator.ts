// Keeps production's real-time order across sessions: an exchange goes when all that production had answered before it was asked is
// answered here, or its bound is over. Pure: told what is read, sent, answered and said by others, it says who may go.
//
// Nothing is sorted: each capture worker has a frontier (source-order.ts), and an exchange compares itself with all of them. So nothing
// is held but a ticket per exchange that is queued anyway. What overlapped in production is ordered by a guess (overlap-queue.ts).
import { type OrderMark, orderMarks } from '@mirrorstream/domain';
import type { Envelope, EnvelopeBatch, Exchange } from '@mirrorstream/envelope';
import { type OverlapOptions, OverlapQueue } from './overlap-queue.ts';
import { ended, type Reach, SourceOrder, Waited } from './source-order.ts';
import { comesBefore, doneUs, kindOf, lostRace, type OrderTicket, sentUs } from './ticket.ts';
import { overlaps, WriteHistory } from './write-history.ts';

/** Beyond it, those that have ended are forgotten. */
const MAX_SOURCES = 64;
/** A mirror may take so many times as long as production, and the bound. */
const SLOWER = 10;
/** Others are asked over Kafka, which takes so many times longer than an answer. */
const REMOTE_FACTOR = 10;
/** A write that was overtaken by a read it overlapped may have to wait for others first. */
const AWAITED_FACTOR = 10;

export interface OrderOptions extends OverlapOptions {
  /** False: nobody waits; only what went out of order is marked. */
  readonly keeps: boolean;
  /** For what capture has still to promise, and what other replayers have still to say. */
  readonly silenceUs: number;
  /** Two hosts' clocks. */
  readonly clockUncertaintyUs: number;
  /** Writes that are over, remembered to explain differences. */
  readonly maxWrites: number;
}

export interface OrderCounts {
  /** Pairs: sent although something that production had answered before was not answered here. */
  givenUp: number;
  /** The same where nobody waits, counted once per exchange. */
  outOfOrder: number;
  /** Transactions played again from their beginning, each time. */
  retried: number;
  /** Rolled back here because production had failed to commit them. */
  rolledBack: number;
}

/** What a replayer says to the others of its partitions. */
export interface OrderClaim {
  readonly partitions: readonly number[];
  /** All at lower places is answered, or not waited for any more. */
  readonly placeUs: number;
  readonly sources: readonly SourceClaim[];
}

export interface SourceClaim extends Reach {
  readonly key: string;
  readonly clock: string;
  readonly offsetUs: number;
  /** Something below is not answered, and not waited for any more. */
  readonly overdue: boolean;
}

export type CaptureOrigin = Pick<EnvelopeBatch, 'captureNode' | 'incarnation' | 'worker'>;

/** How a lane asks. Exchanges are known by identity, as they were read. */
export interface OrderGate {
  /** Somebody waits. Otherwise what differs is not excused by an overlap. */
  readonly keeps: boolean;
  /** False: the lane will be told `orderMoved` when it is worth asking again. */
  mayGo(exchange: Exchange, nowUs: number): boolean;
  sent(exchange: Exchange, nowUs: number): void;
  answered(exchange: Exchange): void;
  /** Nothing more of this envelope will be sent. Returns the mark of its exchanges, if one has one. */
  settled(envelope: Envelope): OrderMark;
  /** Whether a write of another session overlapped this exchange in production. */
  raced(exchange: Exchange): boolean;
  /** The transaction of this exchange is going to be played again, from its beginning. `yields`: nobody is to wait for it any more. */
  retried(exchange: Exchange, yields: boolean): void;
  /**
   * Whether a write that overlapped this exchange in production will be seen here only later. If so, `mayGo` says no until it is, or its
   * bound is over, and then the exchange may be sent once more.
   */
  awaitsWrite(exchange: Exchange, nowUs: number): boolean;
  /** A ROLLBACK goes out for it. */
  rolledBack(exchange: Exchange): void;
}

/** Of the marks of one transaction's exchanges, what its result says. */
const weights = new Map<OrderMark, number>(orderMarks.toReversed().map((mark, i) => [mark, i]));
const weight = (mark: OrderMark): number => weights.get(mark) ?? 0;
const keyOf = ({ incarnation, worker }: CaptureOrigin): string => `${incarnation}/${worker}`;

const clockOf = ({ captureNode, incarnation }: CaptureOrigin): string => `${captureNode}/${incarnation}`;

interface SessionPlace {
  queued: number;
  lastUs: number;
}

export class OrderCoordinator {
  readonly counts: OrderCounts = { givenUp: 0, outOfOrder: 0, retried: 0, rolledBack: 0 };
  readonly #options: OrderOptions;
  readonly #partitionCount: number;
  readonly #tickets = new Map<Exchange, OrderTicket>();
  readonly #sources = new Map<string, SourceOrder>();
  readonly #sessions = new Map<string, SessionPlace>();
  readonly #overlaps: OverlapQueue;
  /** Writes that are over here. Those to come are among the tickets. */
  readonly #past: WriteHistory;
  #owned: readonly number[] = [];
  #others: readonly number[];
  /** Exchanges that were asked about and may not go yet, and whom to tell. */
  readonly #waiters = new Map<OrderTicket, () => void>();
  /** Capture workers of which nothing was read yet. */
  readonly #expected = new Map<string, Waited>();
  readonly #ended = new Set<number>();
  readonly #remotePlaces = new Map<number, number>();
  #latestSentUs = Number.NEGATIVE_INFINITY;
  #remotePlaceUs = Number.POSITIVE_INFINITY;
  readonly #placeWait = new Waited();

  constructor(partitionCount: number, options: OrderOptions) {
    this.#options = options;
    this.#partitionCount = partitionCount;
    this.#overlaps = new OverlapQueue(options);
    this.#past = new WriteHistory(options.maxWrites);
    this.#others = Array.from({ length: partitionCount }, (_, partition) => partition);
  }

  /** Exchanges that are queued or under way. */
  get size(): number {
    return this.#tickets.size;
  }

  get waiting(): number {
    return this.#waiters.size;
  }

  /** Exchanges that overlapped and were not waited for to their end. */
  get overlapsPassed(): number {
    return this.#overlaps.passed;
  }

  /** Whether a partition is read so far that others hold everything up: those may be read on while this one waits. */
  isAhead(partition: number): boolean {
    for (const source of this.#sources.values()) if (!source.isAhead(partition)) return false;
    return this.#sources.size > 0;
  }

  /** The partitions of this process from now on. What is left of others is forgotten. */
  assign(owned: readonly number[]): void {
    this.#owned = owned;
    for (const partition of this.#ended) if (!owned.includes(partition)) this.#ended.delete(partition);
    this.#others = Array.from({ length: this.#partitionCount }, (_, partition) => partition).filter(
      (partition) => !owned.includes(partition),
    );
    for (const source of this.#sources.values()) source.assign(owned, this.#others);
    for (const [exchange, ticket] of this.#tickets)
      if (!owned.includes(ticket.partition)) this.#settle(exchange, ticket);
    this.#foldPlaces();
  }

  // What is read ----------------------------------------------------------------------------------------------------

  /** Waits for this capture worker from now on, although nothing of it was read yet. */
  expect(origin: CaptureOrigin): void {
    const key = keyOf(origin);
    if (!this.#sources.has(key)) this.#expected.set(key, new Waited());
  }

  /** Of a run: nothing of this capture worker lies in the window before that moment, and from there on it is waited for. */
  begins(origin: CaptureOrigin, atUs: number, monoUs: number): void {
    this.#newSource(keyOf(origin), clockOf(origin), atUs - monoUs, { seq: 0, monoUs: monoUs - 1 });
  }

  /** Nothing more will be read of this partition: the end of a run's window. */
  endPartition(partition: number): void {
    this.#ended.add(partition);
    for (const source of this.#sources.values()) source.promise(partition, ended);
  }

  /** An envelope that is to be played; before any lane has it. */
  read(batch: EnvelopeBatch, envelope: Envelope): void {
    const source = this.#sourceOf(batch, envelope.startedAtUs, envelope.startedMonoUs);
    let hasWritten = envelope.part > 0;
    for (const exchange of envelope.exchanges) {
      const ticket = this.#ticketOf(batch.partition, source, envelope, exchange, hasWritten);
      hasWritten ||= ticket.kind === 'write';
      this.#tickets.set(exchange, ticket);
      if (this.#options.keeps && this.#isLate(ticket)) this.#without(ticket, 1);
      if (ticket.doneSeq > 0) source.add(ticket);
      if (this.#options.keeps) this.#overlaps.add(ticket);
    }
  }

  /** What heartbeats of a batch promise, once its envelopes are read. */
  promise(batch: EnvelopeBatch): void {
    for (const { record } of batch.records) {
      if (record.case !== 'heartbeat') continue;
      const { atUs, monoUs, doneSeq, last } = record.value;
      const source = this.#sourceOf(batch, atUs, monoUs);
      source.promise(batch.partition, last ? ended : { seq: Number(doneSeq), monoUs: Number(monoUs) });
    }
  }

  // What others say -------------------------------------------------------------------------------------------------

  /** What is answered in this process's partitions. */
  claim(nowUs: number): OrderClaim {
    let placeUs = this.#overlaps.lowestPlaceUs();
    const sources: SourceClaim[] = [];
    for (const source of this.#sources.values()) {
      const { key, clock, offsetUs, promiseWait } = source;
      // Of a worker that is silent for so long, nothing from before is still on its way.
      const silentSinceUs = promiseWait.ignored ? nowUs - this.#options.silenceUs - offsetUs : 0;
      const { seq, monoUs } = source.answered(silentSinceUs);
      placeUs = Math.min(placeUs, Math.max(source.promised.monoUs, silentSinceUs) + offsetUs);
      sources.push({ key, clock, offsetUs, seq, monoUs, overdue: source.overdue.size > 0 });
    }
    return { partitions: this.#owned, placeUs: Math.min(placeUs, ended.seq), sources };
  }

  /** What another replayer, or this one before, has said. */
  heard(claim: OrderClaim): void {
    for (const { key, clock, offsetUs, overdue, seq, monoUs } of claim.sources) {
      let source = this.#sources.get(key);
      if (source === undefined) {
        // Said again, should something of it come here after all.
        if (seq >= ended.seq) continue;
        source = this.#newSource(key, clock, offsetUs);
      }
      for (const partition of claim.partitions) source.claim(partition, { seq, monoUs }, this.#others);
      if (claim.partitions.some((partition) => this.#others.includes(partition))) source.remoteOverdue = overdue;
    }
    for (const partition of claim.partitions)
      this.#remotePlaces.set(partition, Math.max(claim.placeUs, this.#remotePlaces.get(partition) ?? 0));
    this.#foldPlaces();
  }

  // Who may go ------------------------------------------------------------------------------------------------------

  /** For one lane; `wake`: it is worth asking again. */
  gate(wake: () => void): OrderGate {
    return {
      keeps: this.#options.keeps,
      mayGo: (exchange, nowUs) => this.#mayGo(exchange, nowUs, wake),
      sent: (exchange, nowUs) => this.#sent(exchange, nowUs),
      answered: (exchange) => {
        const ticket = this.#tickets.get(exchange);
        if (ticket === undefined) return;
        this.#close(ticket);
        if (ticket.ends) this.#overlaps.ended();
      },
      settled: (envelope) => this.settled(envelope),
      raced: (exchange) => {
        const ticket = this.#tickets.get(exchange);
        return ticket !== undefined && this.#isRaced(ticket);
      },
      retried: (exchange, yields) => {
        this.counts.retried += 1;
        this.#note(exchange, 'retried');
        if (yields) this.#yield(exchange);
      },
      awaitsWrite: (exchange, nowUs) => this.#awaitsWrite(exchange, nowUs),
      rolledBack: (exchange) => {
        this.counts.rolledBack += 1;
        this.#note(exchange, 'rolledBack');
      },
    };
  }

  /** Wakes the lanes whose exchanges may go now, earlier places first. To be called after anything moved, and when time passes. */
  advance(nowUs: number): void {
    if (this.#waiters.size === 0) return;
    const inOrder = [...this.#waiters].sort(([a], [b]) => a.placeUs - b.placeUs);
    for (const [ticket, wake] of inOrder) {
      if (ticket.state === 'queued' && this.#isHeldUp(ticket, nowUs)) continue;
      if (ticket.state === 'again' && this.#isAwaiting(ticket, nowUs)) continue;
      this.#waiters.delete(ticket);
      if (ticket.state === 'queued' || ticket.state === 'again') wake();
    }
  }

  #mayGo(exchange: Exchange, nowUs: number, wake: () => void): boolean {
    const ticket = this.#tickets.get(exchange);
    if (!this.#options.keeps || ticket === undefined) return true;
    if (ticket.state === 'again' ? !this.#isAwaiting(ticket, nowUs) : ticket.state !== 'queued') {
      if (ticket.state === 'again') Object.assign(ticket, { state: 'sent', sentAtUs: nowUs });
      return true;
    }
    if (ticket.state === 'queued' && !this.#isHeldUp(ticket, nowUs)) return true;
    this.#waiters.set(ticket, wake);
    return false;
  }

  /** The next that ends a transaction among the writes that overlapped it. One answered long after it was not seen by it. */
  #awaitsWrite(exchange: Exchange, nowUs: number): boolean {
    const ticket = this.#tickets.get(exchange);
    if (ticket === undefined || ticket.state !== 'sent') return false;
    const { clockUncertaintyUs, overlapWaitUs } = this.#options;
    let next: OrderTicket | null = null;
    // A write that waits for this exchange: those at later places wait for that one.
    let limitUs = Number.POSITIVE_INFINITY;
    for (const other of this.#tickets.values()) {
      if (other.kind !== 'write' || other.state === 'settled' || other.doneSeq === 0) continue;
      if (comesBefore(ticket, other, clockUncertaintyUs)) limitUs = Math.min(limitUs, other.placeUs);
      if (!other.ends) continue;
      if (doneUs(other) > doneUs(ticket) + overlapWaitUs || !overlaps(ticket, other, clockUncertaintyUs)) continue;
      if (next === null || other.placeUs < next.placeUs) next = other;
    }
    if (next === null || next.placeUs >= limitUs) return false;
    const source = this.#sources.get(ticket.source);
    // Behind that write now. What comes later waits for it as before.
    const again = {
      state: 'again',
      awaits: next,
      placeUs: next.placeUs,
      inTheWaySinceUs: nowUs,
      overdue: false,
    } as const;
    const moved = { ...ticket, ...again };
    source?.overdue.delete(ticket);
    ticket.state = 'settled';
    this.#tickets.set(exchange, moved);
    source?.add(moved);
    this.#overlaps.add(moved);
    return true;
  }

  #isAwaiting({ awaits, inTheWaySinceUs }: OrderTicket, nowUs: number): boolean {
    if (awaits === null || awaits.state === 'settled') return false;
    return nowUs - inTheWaySinceUs < this.#options.overlapWaitUs * AWAITED_FACTOR;
  }

  #yield(exchange: Exchange): void {
    const ticket = this.#tickets.get(exchange);
    if (ticket === undefined || ticket.overdue || ticket.doneSeq === 0) return;
    ticket.overdue = true;
    ticket.passed = true;
    this.#sources.get(ticket.source)?.overdue.add(ticket);
  }

  /** An order that was given up says more. */
  #note(exchange: Exchange, mark: OrderMark): void {
    const ticket = this.#tickets.get(exchange);
    if (ticket !== undefined && ticket.mark !== 'givenUp') ticket.mark = mark;
  }

  #isRaced(ticket: OrderTicket): boolean {
    const { clockUncertaintyUs } = this.#options;
    for (const other of this.#tickets.values()) if (overlaps(ticket, other, clockUncertaintyUs)) return true;
    return this.#past.overlaps(ticket, clockUncertaintyUs);
  }

  #sent(exchange: Exchange, nowUs: number): void {
    const ticket = this.#tickets.get(exchange);
    if (ticket === undefined || ticket.state !== 'queued') return;
    ticket.state = 'sent';
    ticket.sentAtUs = nowUs;
    this.#markOf(ticket);
  }

  /** Says, too, what it went without. */
  #markOf(ticket: OrderTicket): void {
    const { keeps, clockUncertaintyUs } = this.#options;
    let without = 0;
    for (const source of this.#sources.values()) {
      if (!keeps) {
        const head = source.head();
        if (head !== undefined && head !== ticket && comesBefore(head, ticket, clockUncertaintyUs)) without = 1;
        continue;
      }
      for (const late of source.overdue) if (comesBefore(late, ticket, clockUncertaintyUs)) without += 1;
      if (this.#isUnread(source, ticket)) without += 1;
      if (this.#others.length === 0) continue;
      if (source.remoteOverdue) without += 1;
      else if (source.remoteWait.ignored && !this.#isReached(source, source.remote, ticket)) without += 1;
    }
    if (without > 0) this.#without(ticket, without);
    this.#latestSentUs = Math.max(this.#latestSentUs, sentUs(ticket));
  }

  #without(ticket: OrderTicket, pairs: number): void {
    ticket.mark = this.#options.keeps ? 'givenUp' : 'outOfOrder';
    if (this.#options.keeps) this.counts.givenUp += pairs;
    else this.counts.outOfOrder += 1;
  }

  /** Read when something that comes after it has been sent: of a worker nobody knew of then, or that was silent for too long. */
  #isLate(ticket: OrderTicket): boolean {
    return ticket.doneSeq > 0 && doneUs(ticket) + this.#options.clockUncertaintyUs < this.#latestSentUs;
  }

  /** A worker that is silent for good, and of which nothing is here, is no more to be thought of. */
  #isUnread(source: SourceOrder, ticket: OrderTicket): boolean {
    if (!source.promiseWait.ignored || this.#isReached(source, source.promised, ticket)) return false;
    return source.key === ticket.source || source.head() !== undefined;
  }

  #isHeldUp(ticket: OrderTicket, nowUs: number): boolean {
    let held = false;
    for (const wait of this.#expected.values()) if (!wait.exceeds(this.#options.silenceUs, nowUs)) held = true;
    for (const source of this.#sources.values()) if (this.#isHeldUpBy(source, ticket, nowUs)) held = true;
    return held || this.#waitsForOverlaps(ticket, nowUs);
  }

  #isHeldUpBy(source: SourceOrder, ticket: OrderTicket, nowUs: number): boolean {
    const { waitUs, silenceUs, clockUncertaintyUs } = this.#options;
    if (!this.#isReached(source, source.promised, ticket) && !source.promiseWait.exceeds(silenceUs, nowUs)) return true;
    if (!this.#isReached(source, source.remote, ticket) && !source.remoteWait.exceeds(silenceUs, nowUs)) return true;
    for (let head = source.head(); head !== undefined; head = source.head()) {
      if (head === ticket || !comesBefore(head, ticket, clockUncertaintyUs)) return false;
      if (head.inTheWaySinceUs === 0) head.inTheWaySinceUs = nowUs;
      // What waits for its own turn is not to blame: somebody else's bound runs. The longer one is for clocks that contradict each other.
      const answerUs = waitUs + SLOWER * (head.doneMonoUs - head.sentMonoUs);
      const boundUs = this.#waiters.has(head) ? answerUs + silenceUs : answerUs;
      if (nowUs - Math.max(head.sentAtUs, head.inTheWaySinceUs) < boundUs) return true;
      head.overdue = true;
      source.overdue.add(head);
    }
    return false;
  }

  /** Whether all that comes before the exchange is within that reach. */
  #isReached(source: SourceOrder, reach: Reach, ticket: OrderTicket): boolean {
    if (source.key === ticket.source) return reach.seq >= ticket.afterSeq;
    if (source.clock === ticket.clock) return reach.monoUs >= ticket.sentMonoUs - 1;
    return reach.monoUs + source.offsetUs + this.#options.clockUncertaintyUs >= sentUs(ticket);
  }

  #waitsForOverlaps(ticket: OrderTicket, nowUs: number): boolean {
    const { rule, silenceUs, overlapWaitUs } = this.#options;
    if (rule === 'free' || ticket.kind === 'neutral') return false;
    if (this.#overlaps.before(ticket, nowUs) !== undefined) return true;
    for (const source of this.#sources.values()) {
      const unread = source.promised.monoUs + source.offsetUs < ticket.placeUs;
      if (unread && !source.promiseWait.exceeds(silenceUs, nowUs)) return true;
    }
    return this.#remotePlaceUs < ticket.placeUs && !this.#placeWait.exceeds(overlapWaitUs * REMOTE_FACTOR, nowUs);
  }

  // Bookkeeping -----------------------------------------------------------------------------------------------------

  /** Nothing more of this envelope will be sent. Returns the mark of its exchanges, if one has one. */
  settled(envelope: Envelope): OrderMark {
    let mark: OrderMark = '';
    for (const exchange of envelope.exchanges) {
      const ticket = this.#tickets.get(exchange);
      if (ticket === undefined) continue;
      if (weight(ticket.mark) > weight(mark)) mark = ticket.mark;
      this.#settle(exchange, ticket);
    }
    return mark;
  }

  #settle(exchange: Exchange, ticket: OrderTicket): void {
    this.#close(ticket);
    this.#tickets.delete(exchange);
    this.#past.add(ticket);
    const session = this.#sessions.get(ticket.sessionId);
    if (session === undefined) return;
    session.queued -= 1;
    if (session.queued === 0) this.#sessions.delete(ticket.sessionId);
  }

  #close(ticket: OrderTicket): void {
    ticket.state = 'settled';
    if (ticket.overdue) this.#sources.get(ticket.source)?.overdue.delete(ticket);
  }

  #ticketOf(
    partition: number,
    source: SourceOrder,
    envelope: Envelope,
    exchange: Exchange,
    hasWritten: boolean,
  ): OrderTicket {
    const startedMonoUs = Number(envelope.startedMonoUs);
    const doneSeq = Number(exchange.doneSeq);
    const sentMonoUs = startedMonoUs + Number(exchange.sentUs);
    const doneMonoUs = doneSeq === 0 ? 0 : startedMonoUs + Number(exchange.doneUs);
    const kind = kindOf(exchange, envelope);
    const lost = lostRace(exchange);
    const leadUs = hasWritten ? 0 : this.#options.readLeadUs;
    const replyMonoUs = startedMonoUs + Math.max(0, Number(exchange.firstReplyUs || exchange.doneUs) - leadUs);
    const placeMonoUs = doneSeq === 0 || lost ? sentMonoUs : this.#placeOf(kind, sentMonoUs, replyMonoUs, doneMonoUs);
    const { key, clock, offsetUs } = source;
    const session = this.#sessions.get(envelope.sessionId) ?? { queued: 0, lastUs: 0 };
    session.queued += 1;
    session.lastUs = Math.max(placeMonoUs + offsetUs, session.lastUs);
    if (session.queued === 1) this.#sessions.set(envelope.sessionId, session);
    // One literal: there is one of these for every exchange, and spreading pieces into it costs more than all the rest.
    return {
      sessionId: envelope.sessionId,
      partition,
      source: key,
      clock,
      offsetUs,
      afterSeq: Number(exchange.afterSeq),
      doneSeq,
      sentMonoUs,
      doneMonoUs,
      kind,
      lostRace: lost,
      ends: envelope.lastPart && exchange === envelope.exchanges.at(-1),
      placeUs: session.lastUs,
      state: 'queued',
      awaits: null,
      sentAtUs: 0,
      inTheWaySinceUs: 0,
      overdue: false,
      passed: false,
      mark: '',
    };
  }

  #placeOf(kind: OrderTicket['kind'], sentUs: number, replyUs: number, doneUs: number): number {
    const { rule } = this.#options;
    if (rule === 'free' || rule === 'start') return sentUs;
    return rule === 'completion' || kind === 'write' ? doneUs : Math.max(sentUs, replyUs);
  }

  #sourceOf(batch: CaptureOrigin, wallUs: bigint, monoUs: bigint): SourceOrder {
    const key = keyOf(batch);
    return this.#sources.get(key) ?? this.#newSource(key, clockOf(batch), Number(wallUs - monoUs));
  }

  /** All sources of a clock share the offset that the first one had. */
  #newSource(key: string, clock: string, offsetUs: number, least?: Reach): SourceOrder {
    const shared = [...this.#sources.values()].find((other) => other.clock === clock)?.offsetUs ?? offsetUs;
    if (this.#sources.size >= MAX_SOURCES) this.#forgetEnded();
    const source = new SourceOrder(key, clock, shared, least);
    source.assign(this.#owned, this.#others);
    for (const partition of this.#ended) source.promise(partition, ended);
    this.#sources.set(key, source);
    this.#expected.delete(key);
    return source;
  }

  #forgetEnded(): void {
    for (const [key, source] of this.#sources) if (source.isOver) this.#sources.delete(key);
  }

  #foldPlaces(): void {
    let leastUs = Number.POSITIVE_INFINITY;
    for (const partition of this.#others) leastUs = Math.min(leastUs, this.#remotePlaces.get(partition) ?? 0);
    if (leastUs !== this.#remotePlaceUs) this.#placeWait.moved();
    this.#remotePlaceUs = leastUs;
  }
}
