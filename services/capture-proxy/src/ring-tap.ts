// The tap on the forwarding thread: puts what was forwarded into the ring, and keeps in order what a full ring had no room for.
//
// A full ring drops chunks. Each session then owes the worker one mark per direction (`missed`), delivered before anything
// newer of that session; a session's end is owed in the same way. What is owed is bounded by the sessions that are open.
//
// Whether a session is captured at all is decided here, when it begins and when the rule changes: one that is left out costs the ring
// nothing. One that is left out in the middle of its life is told to the worker with a mark; one that joins (again) is followed from
// its next quiet point, as after a full ring.
import { GapReason } from '@mirrorstream/envelope';
import type { Idleness, Tap, TapSession } from './forward/tap.ts';
import { maxPayloadBytes, RecordKind, type RingProducer } from './ring.ts';

/** After it was full, the ring is used again when this share of it is free: not one chunk through, one chunk lost. */
const resumeShare = 0.25;

/** Told by the worker: how many records of a session it has handled, and whether a transaction is open. */
export interface WorkerView {
  idle(session: number, recordsPushed: number): Idleness;
}

/** What is captured: nothing, or the sessions whose draw is below `sampling`. */
export interface TapRule {
  readonly capture: boolean;
  readonly sampling: number;
}

export const captureAll: TapRule = { capture: true, sampling: 1 };

/** Left out on purpose: sessions that began so, and all bytes that went by. */
interface LeftOutCounts {
  sessions: number;
  bytes: number;
}

/** Why a session is left out; null: it is captured. */
type LeftOut = typeof GapReason.CAPTURE_OFF | typeof GapReason.UNSAMPLED | null;

export interface RingTapCounts {
  /** Bytes forwarded, but not captured, because the ring was full. */
  droppedBytes: number;
  /** How often the ring ran full. */
  overflows: number;
  /** Cancels that the ring had no room for. */
  lostCancels: number;
  readonly unsampled: LeftOutCounts;
  readonly captureOff: LeftOutCounts;
}

class RingTapSession implements TapSession {
  readonly id: number;
  readonly startup: Uint8Array;
  readonly #tap: RingTap;
  /** Records pushed: what the worker counts too, to say whether it has seen everything. */
  pushed = 0;
  missedClientBytes = 0;
  missedServerBytes = 0;
  missedAtUs = 0;
  /** The worker must not take the next bytes for the continuation of the last ones. */
  resynchronise = false;
  openedOwed = false;
  closedOwed = false;
  leftOut: LeftOut;
  /** The worker is to give up what it has of the session, for this reason, and wait for a quiet point. */
  leftOutOwed: LeftOut = null;

  constructor(tap: RingTap, id: number, startup: Uint8Array, leftOut: LeftOut) {
    this.#tap = tap;
    this.id = id;
    this.startup = startup;
    this.leftOut = leftOut;
  }

  client(chunk: Uint8Array, monoUs: number): void {
    try {
      this.#tap.chunk(this, RecordKind.client, chunk, monoUs);
    } catch {
      this.#tap.giveUp(monoUs);
    }
  }

  secret(chunk: Uint8Array, monoUs: number): void {
    try {
      this.#tap.chunk(this, RecordKind.clientSecret, chunk, monoUs);
    } catch {
      this.#tap.giveUp(monoUs);
    }
  }

  server(chunk: Uint8Array, monoUs: number): void {
    try {
      this.#tap.chunk(this, RecordKind.server, chunk, monoUs);
    } catch {
      this.#tap.giveUp(monoUs);
    }
  }

  closed(monoUs: number): void {
    this.#tap.close(this, monoUs);
  }

  idle(): Idleness {
    return this.#tap.idle(this);
  }
}

export class RingTap implements Tap {
  readonly counts: RingTapCounts = {
    droppedBytes: 0,
    overflows: 0,
    lostCancels: 0,
    unsampled: { sessions: 0, bytes: 0 },
    captureOff: { sessions: 0, bytes: 0 },
  };
  readonly #open = new Map<number, RingTapSession>();
  /** Sessions that owe the worker something, in the order in which they began to. */
  readonly #owing = new Set<RingTapSession>();
  readonly #worker: WorkerView;
  #ring: RingProducer | null;
  #rule: TapRule;
  #drawOf: (id: number) => number = () => 0;
  #nextId = 1;
  #full = false;

  constructor(ring: RingProducer | null, worker: WorkerView, rule: TapRule = captureAll) {
    this.#ring = ring;
    this.#worker = worker;
    this.#rule = rule;
  }

  open(startup: Uint8Array, monoUs: number): TapSession {
    const session = new RingTapSession(this, this.#nextId, Uint8Array.from(startup), this.#leftOut(this.#nextId));
    this.#nextId = (this.#nextId + 1) | 0;
    this.#open.set(session.id, session);
    if (session.leftOut === null) this.#announce(session, monoUs);
    else {
      session.openedOwed = true;
      const counts = this.#leftOutCounts(session.leftOut);
      counts.sessions += 1;
      counts.bytes += startup.length;
    }
    return session;
  }

  /** From now on. Sessions leave and join at once, whatever they are doing. */
  useRule(rule: TapRule, monoUs: number): void {
    this.#rule = rule;
    for (const session of this.#open.values()) {
      const before = session.leftOut;
      session.leftOut = this.#leftOut(session.id);
      if ((before === null) !== (session.leftOut === null))
        this.#leaveOrJoin(session, before ?? session.leftOut, monoUs);
    }
    this.#settled();
  }

  cancel(key: Uint8Array, monoUs: number): void {
    // A lost one costs an annotation, nothing else.
    if (this.#ring !== null && this.#settled() && this.#ring.push(RecordKind.cancel, 0, monoUs, key)) return;
    this.counts.lostCancels += 1;
  }

  /**
   * The worker died or comes back: null drops and counts, a new ring begins with all sessions that are to be captured, resynchronising.
   * A new worker means new session ids, and so new draws.
   */
  useRing(ring: RingProducer | null, monoUs: number, drawOf = this.#drawOf): void {
    this.#ring = ring;
    this.#drawOf = drawOf;
    this.#full = false;
    this.#owing.clear();
    for (const session of this.#open.values()) {
      const before = session.leftOut;
      session.leftOut = this.#leftOut(session.id);
      session.pushed = 0;
      session.openedOwed = true;
      session.resynchronise = before === null;
      session.leftOutOwed = before;
      session.missedAtUs = monoUs;
      if (session.leftOut === null) this.#owing.add(session);
    }
    this.#settled();
  }

  /** A bug in here must not reach the traffic: capture ends, everything is dropped and counted. */
  giveUp(monoUs: number): void {
    this.useRing(null, monoUs);
  }

  chunk(session: RingTapSession, kind: 0 | 1 | 8, chunk: Uint8Array, monoUs: number): void {
    if (session.leftOut !== null) {
      this.#leftOutCounts(session.leftOut).bytes += chunk.length;
      return;
    }
    const ring = this.#ring;
    if (ring !== null && (this.#owing.size === 0 || this.#settled())) {
      if (chunk.length <= maxPayloadBytes) {
        if (ring.push(kind, session.id, monoUs, chunk)) {
          session.pushed += 1;
          return;
        }
      } else {
        for (let at = 0; at < chunk.length; at += maxPayloadBytes) {
          this.chunk(session, kind, chunk.subarray(at, at + maxPayloadBytes), monoUs);
        }
        return;
      }
    }
    this.#miss(session, kind, chunk.length, monoUs);
  }

  close(session: RingTapSession, monoUs: number): void {
    this.#open.delete(session.id);
    if (this.#ring === null || session.openedOwed) {
      // The worker never heard of it and need not: what it missed is counted already.
      this.#owing.delete(session);
      return;
    }
    if (this.#settled() && this.#ring.pushMark(RecordKind.closed, session.id, monoUs, 0)) return;
    session.closedOwed = true;
    session.missedAtUs = monoUs;
    this.#owe(session);
  }

  idle(session: RingTapSession): Idleness {
    if (session.leftOut !== null) return 'unknown';
    return this.#owing.has(session) ? 'no' : this.#worker.idle(session.id, session.pushed);
  }

  #leftOut(id: number): LeftOut {
    if (!this.#rule.capture) return GapReason.CAPTURE_OFF;
    return this.#rule.sampling >= 1 || this.#drawOf(id) < this.#rule.sampling ? null : GapReason.UNSAMPLED;
  }

  #leftOutCounts(why: NonNullable<LeftOut>): LeftOutCounts {
    return why === GapReason.UNSAMPLED ? this.counts.unsampled : this.counts.captureOff;
  }

  #leaveOrJoin(session: RingTapSession, why: LeftOut, monoUs: number): void {
    if (session.openedOwed && session.leftOut !== null) {
      // It leaves before the worker heard of it.
      this.#owing.delete(session);
      return;
    }
    // A session that joins and that the worker knows is waited for at its next quiet point already.
    if (session.leftOut === null && !session.openedOwed) return;
    session.leftOutOwed = why;
    session.missedAtUs = monoUs;
    this.#owing.add(session);
  }

  #announce(session: RingTapSession, monoUs: number): void {
    const ring = this.#ring;
    if (
      ring !== null &&
      this.#settled() &&
      ring.freeBytes() >= session.startup.length + 64 &&
      ring.pushMark(RecordKind.opened, session.id, monoUs, 0) &&
      ring.push(RecordKind.client, session.id, monoUs, session.startup)
    ) {
      session.pushed += 1;
      return;
    }
    session.openedOwed = true;
    session.missedAtUs = monoUs;
    this.#owe(session);
  }

  #miss(session: RingTapSession, kind: 0 | 1 | 8, bytes: number, monoUs: number): void {
    this.counts.droppedBytes += bytes;
    if (kind === RecordKind.server) session.missedServerBytes += bytes;
    else session.missedClientBytes += bytes;
    session.missedAtUs = monoUs;
    session.resynchronise = true;
    this.#owe(session);
  }

  #owe(session: RingTapSession): void {
    if (this.#ring !== null && !this.#full) {
      this.#full = true;
      this.counts.overflows += 1;
    }
    this.#owing.add(session);
  }

  /** Delivers what is owed, oldest first. True: nothing is owed any more. */
  #settled(): boolean {
    if (this.#owing.size === 0) return true;
    const ring = this.#ring;
    if (ring === null) return false;
    if (this.#full && ring.freeBytes() < ring.capacityBytes * resumeShare) return false;
    this.#full = false;
    for (const session of this.#owing) {
      if (!this.#deliver(session, ring)) {
        this.#full = true;
        return false;
      }
      this.#owing.delete(session);
    }
    return true;
  }

  /** All or nothing: half an announcement would be taken for the whole. */
  #deliver(session: RingTapSession, ring: RingProducer): boolean {
    if (ring.freeBytes() < session.startup.length + 256) return false;
    const { id, missedAtUs: atUs } = session;
    if (session.openedOwed) {
      ring.pushMark(RecordKind.opened, id, atUs, 0);
      ring.push(RecordKind.client, id, atUs, session.startup);
      session.pushed += 1;
    }
    if (session.resynchronise) {
      ring.pushMark(RecordKind.missedClient, id, atUs, session.missedClientBytes);
      ring.pushMark(RecordKind.missedServer, id, atUs, session.missedServerBytes);
    }
    if (session.leftOutOwed !== null) ring.pushMark(RecordKind.leftOut, id, atUs, session.leftOutOwed);
    if (session.closedOwed) ring.pushMark(RecordKind.closed, id, atUs, 0);
    session.openedOwed = false;
    session.resynchronise = false;
    session.leftOutOwed = null;
    session.missedClientBytes = 0;
    session.missedServerBytes = 0;
    return true;
  }
}
