// The order of what overlapped in production, which nobody could observe: a guess at what the server did, kept while it costs nothing.
//
// Each exchange has one place inside the time production took for it, so no guess contradicts what was observed. Those at later places
// wait for those at earlier ones, but only briefly: a guess can be wrong, and the earlier may wait for a lock that the later gives back.
import { MinHeap } from '@mirrorstream/envelope';
import type { OrderTicket } from './ticket.ts';

/**
 * Where an exchange is placed among those it overlapped. `free`: nowhere, they go as they come; `start`: where it was sent;
 * `completion`: where it was answered; `mixed`: writes where they were answered (who was done first held the lock), reads where their
 * answer began (on a busy server most of the time before is waiting for the processor, and the snapshot is taken after it).
 */
export const overlapRules = ['free', 'start', 'completion', 'mixed'] as const;
export type OverlapRule = (typeof overlapRules)[number];

export interface OverlapOptions {
  readonly rule: OverlapRule;
  /** How long what was sent here holds up what overlapped it. */
  readonly overlapWaitUs: number;
  /** The same for an exchange that lost a race in production: for its snapshot, or its place in the queue for a lock. */
  readonly headStartUs: number;
  /** How long what was passed holds up the others once more when a transaction has ended: it may have got its lock now. */
  readonly unblockedWaitUs: number;
  /** So long before its answer began a read is placed that can be asked again: too early can be mended, too late cannot. */
  readonly readLeadUs: number;
  /** For an answer that others wait for, beside ten times what production took; the same for what could not be sent here yet. */
  readonly waitUs: number;
}

/** A write that was passed, and until when it holds up others again. */
interface Blocked {
  readonly ticket: OrderTicket;
  untilUs: number;
  /** What ended since is to be counted from now. */
  isNew: boolean;
  times: number;
}

/** So often, for a lock is given back once; without a limit one that is stuck would slow down all that comes after it. */
const MAX_TIMES = 20;

export class OverlapQueue {
  /** Waited for no longer although not answered. */
  passed = 0;
  readonly #options: OverlapOptions;
  readonly #writes = new MinHeap<OrderTicket>((a, b) => a.placeUs < b.placeUs);
  readonly #reads = new MinHeap<OrderTicket>((a, b) => a.placeUs < b.placeUs);
  #blocked: Blocked[] = [];

  constructor(options: OverlapOptions) {
    this.#options = options;
  }

  add(ticket: OrderTicket): void {
    // What production never answered holds up nobody.
    if (this.#options.rule === 'free' || ticket.doneSeq === 0) return;
    if (ticket.kind === 'write') this.#writes.push(ticket);
    else if (ticket.kind === 'read') this.#reads.push(ticket);
  }

  /** The earliest at a lower place that this one waits for. Reads wait for writes, writes for both. */
  before(ticket: OrderTicket, nowUs: number): OrderTicket | undefined {
    if (ticket.kind === 'neutral' || this.#options.rule === 'free') return undefined;
    const write = this.#earliest(this.#writes, ticket.placeUs, nowUs);
    if (write !== undefined || ticket.kind === 'read') return write;
    return this.#earliest(this.#reads, ticket.placeUs, nowUs) ?? this.#unblocked(ticket, nowUs);
  }

  /** A transaction has ended here, and with it its locks. */
  ended(): void {
    if (this.#blocked.length === 0) return;
    this.#blocked = this.#blocked.filter(({ ticket, times }) => ticket.state === 'sent' && times < MAX_TIMES);
    for (const blocked of this.#blocked) {
      blocked.isNew = true;
      blocked.times += 1;
    }
  }

  /** Somebody else could take the lock that it waited for, now that it is free. */
  #unblocked(ticket: OrderTicket, nowUs: number): OrderTicket | undefined {
    for (const blocked of this.#blocked) {
      if (blocked.ticket.state !== 'sent' || blocked.ticket.placeUs >= ticket.placeUs) continue;
      if (blocked.isNew) blocked.untilUs = nowUs + this.#options.unblockedWaitUs;
      blocked.isNew = false;
      if (nowUs < blocked.untilUs) return blocked.ticket;
    }
    return undefined;
  }

  /** The lowest place of what is not answered: everything below it is. */
  lowestPlaceUs(): number {
    const write = this.#head(this.#writes)?.placeUs ?? Number.POSITIVE_INFINITY;
    const read = this.#head(this.#reads)?.placeUs ?? Number.POSITIVE_INFINITY;
    return Math.min(write, read);
  }

  #earliest(heap: MinHeap<OrderTicket>, belowUs: number, nowUs: number): OrderTicket | undefined {
    for (let head = this.#head(heap); head !== undefined && head.placeUs < belowUs; head = this.#head(heap)) {
      if (!this.#isPassed(head, nowUs)) return head;
      head.passed = true;
      this.passed += 1;
      if (head.kind === 'write') this.#blocked.push({ ticket: head, untilUs: 0, isNew: false, times: 0 });
    }
    return undefined;
  }

  #isPassed(head: OrderTicket, nowUs: number): boolean {
    const { overlapWaitUs, headStartUs, waitUs } = this.#options;
    if (head.state === 'sent') return nowUs - head.sentAtUs >= (head.lostRace ? headStartUs : overlapWaitUs);
    head.inTheWaySinceUs ||= nowUs;
    return nowUs - head.inTheWaySinceUs >= waitUs;
  }

  #head(heap: MinHeap<OrderTicket>): OrderTicket | undefined {
    for (let head = heap.peek(); head !== undefined; head = heap.peek()) {
      if (head.state !== 'settled' && !head.passed) return head;
      heap.pop();
    }
    return undefined;
  }
}
