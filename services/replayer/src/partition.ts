// One partition that this process owns: its offsets, its sessions and their lanes, and what earlier owners have done already.
import type { SeedPlan } from '@mirrorstream/domain';
import { type Envelope, type EnvelopeBatch, recordInWindow } from '@mirrorstream/envelope';
import {
  type Admission,
  type CommitPoint,
  type DoneLedger,
  type LaneInput,
  LaneResults,
  OffsetTracker,
  queuedBytes,
  type RecordPlace,
  type ResultEffect,
  type SessionDecision,
  type Skip,
} from '@mirrorstream/replay';
import type { ExposureCounts } from './admission/exposure-counts.ts';
import type { LaneRunner } from './lane-runner.ts';
import type { OrderKeeper } from './order-keeper.ts';
import type { PartitionWindow } from './run-plan.ts';
import { skipInSeed } from './seed.ts';

export interface PartitionSurroundings {
  /** Of a run: what of this partition is to be played. Null: all. */
  readonly window: PartitionWindow | null;
  /** Of a mirror that was seeded: what its copy holds is not played. */
  readonly seed: SeedPlan | null;
  /** What is admitted now. */
  readonly admission: () => Admission;
  readonly exposure: ExposureCounts;
  readonly maxRememberedSessions: number;
  readonly order: Pick<OrderKeeper, 'read' | 'drop'>;
  readonly openLane: (partition: Partition, sessionId: string) => LaneRunner;
  /** A result of this partition, to be published; `settle` when it is acknowledged. */
  readonly publish: (partition: Partition, effect: ResultEffect, settle: () => void) => void;
}

/** Where a partition begins, and what is known of its past. */
export interface PartitionStart {
  readonly partition: number;
  readonly offset: bigint;
  readonly resultsFrom: bigint;
  readonly resultsEnd: bigint;
  readonly done: DoneLedger;
}

interface Session {
  /** Of the first envelope that was seen: what the session is judged by. */
  first: Pick<Envelope, 'context' | 'samplingDraw'>;
  decision: SessionDecision;
  /** Of the transaction whose parts come now: all of them are played, or none. */
  transaction: { readonly seq: number; readonly skip: Skip | null };
  lane: LaneRunner | null;
  /** While it is not played and has no lane. */
  skipped: LaneResults | null;
  /** Of the exposure that it was counted in last. */
  generation: number;
  /** The newest envelope part taken in, to recognise repeats while there is no lane to do so. */
  seq: number;
  part: number;
  last: boolean;
}

export class Partition {
  readonly number: number;
  readonly tracker: OffsetTracker;
  readonly runners = new Set<LaneRunner>();
  /** Transactions taken in and settled. */
  read = 0;
  resolved = 0;
  duplicates = 0;
  alreadyDone = 0;
  highWatermarkOffset = 0n;
  resultsEnd: bigint;
  /** What the group has, as far as this process put it there. */
  committed: { readonly offset: bigint; readonly metadata: string } | null = null;
  paused = false;
  owned = true;
  readonly #surroundings: PartitionSurroundings;
  /** In order of last use: closed ones leave first. */
  readonly #sessions = new Map<string, Session>();
  #done: DoneLedger | null;

  constructor(start: PartitionStart, surroundings: PartitionSurroundings) {
    this.number = start.partition;
    this.tracker = new OffsetTracker(start.offset, { upTo: start.done.upTo, resultsFrom: start.resultsFrom });
    this.resultsEnd = start.resultsEnd;
    this.highWatermarkOffset = start.offset;
    this.#surroundings = surroundings;
    this.#done = start.done;
  }

  get window(): PartitionWindow | null {
    return this.#surroundings.window;
  }

  /** Takes a batch in; false when its offset was delivered before. */
  take(offset: bigint, batch: EnvelopeBatch, receivedAtMs: number): boolean {
    const done = this.#doneAt(offset);
    const inputs: (() => void)[] = [];
    const envelopes: Envelope[] = [];
    let capturedAtMs = receivedAtMs;
    let units = 0;
    const { window } = this;
    batch.records.forEach((captured, index) => {
      if (window !== null && !recordInWindow(captured, window)) return;
      const { record } = captured;
      const place = { offset, index };
      switch (record.case) {
        case 'envelope': {
          const envelope = record.value;
          if (inputs.length === 0) capturedAtMs = Number(envelope.startedAtUs) / 1000;
          if (done?.transactionDone(envelope.sessionId, envelope.sessionSeq)) {
            this.alreadyDone += envelope.lastPart ? 1 : 0;
            return;
          }
          units += 1;
          envelopes.push(envelope);
          inputs.push(() => this.#takeEnvelope(place, envelope));
          return;
        }
        case 'sessionEnd': {
          const { sessionId, atUs } = record.value;
          if (done?.sessionEndDone(sessionId)) return;
          units += 1;
          inputs.push(() => this.#takeSessionEnd(place, sessionId, Number(atUs)));
          return;
        }
        case 'gap':
          inputs.push(() => this.#sessions.get(record.value.sessionId)?.lane?.feed({ kind: 'gap' }));
          return;
        default:
      }
    });
    if (!this.tracker.deliver(offset, units, capturedAtMs, this.resultsEnd)) return false;
    this.#surroundings.order.read(batch, envelopes);
    for (const input of inputs) input();
    return true;
  }

  /** A record nobody can decode. False: delivered or settled before. */
  takeUndecodable(offset: bigint, transactions: number, receivedAtMs: number, units: number): boolean {
    const known = this.#doneAt(offset)?.undecodableDone(offset) ?? false;
    if (!this.tracker.deliver(offset, known ? 0 : units, receivedAtMs, this.resultsEnd) || known) return false;
    this.read += transactions;
    return true;
  }

  /** Of a run: nothing of its window is still to be read here. */
  get endReached(): boolean {
    return this.window !== null && this.tracker.nextOffset >= this.window.to;
  }

  /** A record beyond the end came: what was to come before it is gone from the log. */
  passEnd(): void {
    const { window, endReached, resultsEnd } = this;
    if (window !== null && !endReached) this.tracker.deliver(window.to - 1n, 0, 0, resultsEnd);
  }

  /** What may be committed. A transaction that has no end in the window does not hold up the window's end. */
  commitPoint(): CommitPoint {
    const { resultsEnd } = this;
    if (!this.endReached || !this.tracker.onlyHeld) return this.tracker.commitPoint(resultsEnd);
    return { offset: this.tracker.nextOffset, resultsFrom: resultsEnd };
  }

  /** The partition is somebody else's now. */
  abandon(): void {
    this.owned = false;
    for (const runner of [...this.runners]) runner.feed({ kind: 'abandon' });
  }

  feedAll(input: LaneInput): void {
    for (const runner of [...this.runners]) runner.feed(input);
  }

  /** Of the session with the most waiting. */
  largestQueueBytes(): number {
    let largest = 0;
    for (const { queuedBytes: bytes } of this.runners) if (bytes > largest) largest = bytes;
    return largest;
  }

  laneEnded(runner: LaneRunner): void {
    this.runners.delete(runner);
    const session = this.#sessions.get(runner.lane.sessionId);
    if (session?.lane !== runner) return;
    session.lane = null;
    Object.assign(session, runner.lane.accepted);
  }

  /** A lane saw an envelope for the second time. */
  laneDuplicate(offset: bigint, transactions: number): void {
    this.read -= transactions;
    this.duplicates += transactions;
    this.tracker.resolve(offset);
  }

  /** `onAcknowledged`: Kafka has it. */
  laneResult(effect: ResultEffect, onAcknowledged?: () => void): void {
    if (effect.holds !== null) this.tracker.hold(effect.holds);
    this.#surroundings.publish(this, effect, () => {
      this.resolved += effect.result.transactions;
      for (const offset of effect.resolves) this.tracker.resolve(offset);
      onAcknowledged?.();
    });
  }

  #doneAt(offset: bigint): DoneLedger | null {
    if (this.#done !== null && offset > this.#done.upTo) this.#done = null;
    return this.#done;
  }

  #takeEnvelope(place: RecordPlace, envelope: Envelope): void {
    const transactions = envelope.lastPart ? 1 : 0;
    const seq = Number(envelope.sessionSeq);
    const { part, lastPart } = envelope;
    const session = this.#sessionOf(envelope);
    this.read += transactions;
    if (session.lane === null) {
      if (seq < session.seq || (seq === session.seq && (part <= session.part || session.last))) {
        this.#surroundings.order.drop(envelope);
        this.laneDuplicate(place.offset, transactions);
        return;
      }
      session.seq = seq;
      session.part = part;
      session.last = lastPart;
    }
    const skip = this.#skipOf(session, place, envelope, seq);
    this.#countExposure(session, lastPart, skip);
    if (session.lane === null && session.decision.kind !== 'replay' && skip !== null) {
      this.#surroundings.order.drop(envelope);
      session.skipped ??= new LaneResults(envelope.sessionId);
      this.laneResult(session.skipped.ofSkipped(place, envelope, skip));
      return;
    }
    session.lane ??= this.#openLane(envelope.sessionId, session);
    const sizeBytes = queuedBytes(envelope);
    const withheld = skip === null && part > 0 && this.#surroundings.admission().withholds(envelope);
    session.lane.feed({ kind: 'envelope', place, envelope, sizeBytes, withheld, ...(skip === null ? {} : { skip }) });
  }

  /** Sessions under way follow what is admitted now, from their next transaction on. */
  decideAnew(): void {
    const admission = this.#surroundings.admission();
    for (const session of this.#sessions.values()) session.decision = admission.session(session.first);
  }

  #skipOf(session: Session, place: RecordPlace, envelope: Envelope, seq: number): Skip | null {
    if (session.transaction.seq === seq) return session.transaction.skip;
    const { decision } = session;
    let skip: Skip | null = null;
    if (decision.kind !== 'replay') skip = skipOf(decision);
    else {
      skip = skipInSeed(this.#surroundings.seed, this.number, place, envelope);
      if (envelope.part === 0) skip ??= this.#surroundings.admission().transaction(envelope);
    }
    session.transaction = { seq, skip };
    return skip;
  }

  #countExposure(session: Session, lastPart: boolean, skip: Skip | null): void {
    const { exposure } = this.#surroundings;
    if (session.generation !== exposure.generation) {
      session.generation = exposure.generation;
      exposure.session(session.decision.kind === 'replay');
    }
    if (lastPart) exposure.transaction(skip === null);
  }

  #takeSessionEnd(place: RecordPlace, sessionId: string, atUs: number): void {
    const session = this.#sessions.get(sessionId);
    const end = { place, atUs, sizeBytes: 256 };
    if (session?.lane) session.lane.feed({ kind: 'sessionEnd', ...end });
    else this.laneResult((session?.skipped ?? new LaneResults(sessionId)).ofSessionEnd(end));
  }

  #openLane(sessionId: string, session: Session): LaneRunner {
    // What was never ended while the session was not played does not end any more.
    for (const offset of session.skipped?.release(null) ?? []) this.tracker.resolve(offset);
    session.skipped = null;
    const runner = this.#surroundings.openLane(this, sessionId);
    this.runners.add(runner);
    return runner;
  }

  #sessionOf(envelope: Envelope): Session {
    const { sessionId, samplingDraw, context } = envelope;
    const known = this.#sessions.get(sessionId);
    if (known !== undefined) {
      this.#sessions.delete(sessionId);
      this.#sessions.set(sessionId, known);
      if (known.first.context === undefined && context !== undefined) {
        // The first that came was in the midst of a transaction, and said nothing of the session.
        known.first = { context, samplingDraw };
        known.decision = this.#surroundings.admission().session(known.first);
      }
      return known;
    }
    const first = { context, samplingDraw };
    const session: Session = {
      first,
      decision: this.#surroundings.admission().session(first),
      transaction: { seq: 0, skip: null },
      lane: null,
      skipped: null,
      generation: -1,
      ...{ seq: 0, part: -1, last: true },
    };
    this.#sessions.set(sessionId, session);
    this.#forgetOldest();
    return session;
  }

  #forgetOldest(): void {
    if (this.#sessions.size - this.runners.size <= this.#surroundings.maxRememberedSessions) return;
    for (const [sessionId, session] of this.#sessions) {
      if (session.lane !== null) continue;
      this.#sessions.delete(sessionId);
      return;
    }
  }
}

function skipOf(decision: Exclude<SessionDecision, { kind: 'replay' }>): Skip {
  if (decision.kind === 'filtered') return { outcome: 'filtered', reason: decision.reason, harmless: false };
  return { outcome: 'unexposed', reason: '', harmless: false };
}
