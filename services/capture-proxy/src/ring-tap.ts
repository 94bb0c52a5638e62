// The tap on the forwarding thread: puts what was forwarded into the ring, and keeps in order what a full ring had no room for.
//
// A full ring drops chunks. Each session then owes the worker one mark per direction (`missed`), delivered before anything
// newer of that session; a session's end is owed in the same way. What is owed is bounded by the sessions that are open.
import type { Tap, TapSession } from './forward/tap.ts';
import { maxPayloadBytes, RecordKind, type RingProducer } from './ring.ts';

/** After it was full, the ring is used again when this share of it is free: not one chunk through, one chunk lost. */
const resumeShare = 0.25;

/** Told by the worker: how many records of a session it has handled, and whether a transaction is open. */
export interface WorkerView {
  isIdle(session: number, recordsPushed: number): boolean;
}

export interface RingTapCounts {
  /** Bytes forwarded, but not captured, because the ring was full. */
  droppedBytes: number;
  /** How often the ring ran full. */
  overflows: number;
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

  constructor(tap: RingTap, id: number, startup: Uint8Array) {
    this.#tap = tap;
    this.id = id;
    this.startup = startup;
  }

  client(chunk: Uint8Array, monoUs: number): void {
    try {
      this.#tap.chunk(this, RecordKind.client, chunk, monoUs);
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

  isIdle(): boolean {
    return this.#tap.isIdle(this);
  }
}

export class RingTap implements Tap {
  readonly counts: RingTapCounts = { droppedBytes: 0, overflows: 0 };
  readonly #open = new Map<number, RingTapSession>();
  /** Sessions that owe the worker something, in the order in which they began to. */
  readonly #owing = new Set<RingTapSession>();
  readonly #worker: WorkerView;
  #ring: RingProducer | null;
  #nextId = 1;
  #full = false;

  constructor(ring: RingProducer | null, worker: WorkerView) {
    this.#ring = ring;
    this.#worker = worker;
  }

  open(startup: Uint8Array, monoUs: number): TapSession {
    const session = new RingTapSession(this, this.#nextId, Uint8Array.from(startup));
    this.#nextId = (this.#nextId + 1) | 0;
    this.#open.set(session.id, session);
    this.#announce(session, monoUs);
    return session;
  }

  cancel(key: Uint8Array, monoUs: number): void {
    // A lost one costs an annotation, nothing else.
    if (this.#ring !== null && this.#settled()) this.#ring.push(RecordKind.cancel, 0, monoUs, key);
  }

  /** The worker died or comes back: null drops and counts, a new ring begins with all open sessions, resynchronising. */
  useRing(ring: RingProducer | null, monoUs: number): void {
    this.#ring = ring;
    this.#full = false;
    this.#owing.clear();
    for (const session of this.#open.values()) {
      session.pushed = 0;
      session.openedOwed = true;
      session.resynchronise = true;
      session.missedAtUs = monoUs;
      this.#owing.add(session);
    }
    this.#settled();
  }

  /** A bug in here must not reach the traffic: capture ends, everything is dropped and counted. */
  giveUp(monoUs: number): void {
    this.useRing(null, monoUs);
  }

  chunk(session: RingTapSession, kind: 0 | 1, chunk: Uint8Array, monoUs: number): void {
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

  isIdle(session: RingTapSession): boolean {
    return !this.#owing.has(session) && this.#worker.isIdle(session.id, session.pushed);
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

  #miss(session: RingTapSession, kind: 0 | 1, bytes: number, monoUs: number): void {
    this.counts.droppedBytes += bytes;
    if (kind === RecordKind.client) session.missedClientBytes += bytes;
    else session.missedServerBytes += bytes;
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
    if (session.closedOwed) ring.pushMark(RecordKind.closed, id, atUs, 0);
    session.openedOwed = false;
    session.resynchronise = false;
    session.missedClientBytes = 0;
    session.missedServerBytes = 0;
    return true;
  }
}
