// How far one capture worker's exchanges are answered here and at the other replayers: the frontier that those sent later must wait for.
//
//   local    what was promised (heartbeats) in all partitions of this process, less what is not answered yet
//   remote   what the other replayers say is answered in their partitions
//
// Both are facts: once true, they stay true, whoever owns the partition later.
import { MinHeap } from '@mirrorstream/envelope';
import type { OrderTicket } from './ticket.ts';

/** Everything with a number up to `seq` and everything done up to `monoUs`. */
export interface Reach {
  readonly seq: number;
  readonly monoUs: number;
}

/** The worker has ended: nothing more will come. */
export const ended: Reach = { seq: Number.MAX_SAFE_INTEGER, monoUs: Number.MAX_SAFE_INTEGER };
const nowhere: Reach = { seq: 0, monoUs: Number.MIN_SAFE_INTEGER };

/** Something that others wait for, and whether they have given up until it moves. */
export class Waited {
  sinceUs = 0;
  ignored = false;

  moved(): void {
    this.sinceUs = 0;
    this.ignored = false;
  }

  /** Somebody waits for it: true when that has been so for longer than the bound. */
  exceeds(boundUs: number, nowUs: number): boolean {
    if (this.sinceUs === 0) this.sinceUs = nowUs;
    if (nowUs - this.sinceUs >= boundUs) this.ignored = true;
    return this.ignored;
  }
}

export class SourceOrder {
  readonly key: string;
  readonly clock: string;
  /** Wall clock less monotonic clock. */
  readonly offsetUs: number;
  readonly promiseWait = new Waited();
  readonly remoteWait = new Waited();
  /** Not answered, and not waited for any more. */
  readonly overdue = new Set<OrderTicket>();
  /** A remote frontier leaves out what its owner does not wait for any more. */
  remoteOverdue = false;
  readonly #unanswered = new MinHeap<OrderTicket>((a, b) => a.doneSeq < b.doneSeq);
  readonly #promises = new Map<number, Reach>();
  readonly #claims = new Map<number, Reach>();
  /** Where each partition begins. */
  readonly #least: Reach;
  #promised: Reach;
  #remote: Reach = ended;

  constructor(key: string, clock: string, offsetUs: number, least: Reach = nowhere) {
    this.key = key;
    this.clock = clock;
    this.offsetUs = offsetUs;
    this.#least = least;
    this.#promised = least;
  }

  /** What no unread exchange of this process's partitions lies at or below. */
  get promised(): Reach {
    return this.#promised;
  }

  /** What is answered in all other partitions. */
  get remote(): Reach {
    return this.#remote;
  }

  /** Ended, and all of it answered: not worth remembering. */
  get isOver(): boolean {
    return this.#promised.seq === ended.seq && this.#remote.seq === ended.seq && this.head() === undefined;
  }

  /** Whether more was promised in this partition than in another one. */
  isAhead(partition: number): boolean {
    return (this.#promises.get(partition) ?? this.#least).monoUs > this.#promised.monoUs;
  }

  /** The partitions of this process and all others. A partition that comes starts from what was said of it. */
  assign(owned: readonly number[], others: readonly number[]): void {
    for (const partition of [...this.#promises.keys()])
      if (!owned.includes(partition)) this.#promises.delete(partition);
    for (const partition of owned)
      if (!this.#promises.has(partition)) this.#promises.set(partition, this.#claims.get(partition) ?? this.#least);
    for (const partition of others) if (!this.#claims.has(partition)) this.#claims.set(partition, this.#least);
    this.#refresh(others);
  }

  promise(partition: number, reach: Reach): void {
    const before = this.#promises.get(partition);
    if (before === undefined || !isBeyond(reach, before)) return;
    this.#promises.set(partition, farther(reach, before));
    const least = leastOf(this.#promises.values());
    if (isBeyond(least, this.#promised)) this.promiseWait.moved();
    this.#promised = least;
  }

  /** What another replayer says of a partition. */
  claim(partition: number, reach: Reach, others: readonly number[]): void {
    const before = this.#claims.get(partition) ?? this.#least;
    this.#claims.set(partition, farther(reach, before));
    if (others.includes(partition)) this.#refresh(others);
  }

  add(ticket: OrderTicket): void {
    this.#unanswered.push(ticket);
  }

  /** The unanswered exchange that was done first in production and is still waited for. */
  head(): OrderTicket | undefined {
    const heap = this.#unanswered;
    for (let head = heap.peek(); head !== undefined; head = heap.peek()) {
      if (head.state !== 'settled' && !head.overdue) return head;
      heap.pop();
    }
    return undefined;
  }

  /** All that is answered in this process's partitions; `orSinceUs`: taken for promised. */
  answered(orSinceUs = 0): Reach {
    const head = this.head();
    const { seq } = this.#promised;
    const monoUs = Math.max(this.#promised.monoUs, orSinceUs);
    if (head === undefined) return { seq, monoUs };
    return { seq: Math.min(seq, head.doneSeq - 1), monoUs: Math.min(monoUs, head.doneMonoUs - 1) };
  }

  #refresh(others: readonly number[]): void {
    this.#promised = leastOf(this.#promises.values());
    const remote = leastOf(others.map((partition) => this.#claims.get(partition) ?? this.#least));
    if (remote.seq !== this.#remote.seq || remote.monoUs !== this.#remote.monoUs) this.remoteWait.moved();
    this.#remote = remote;
  }
}

const isBeyond = (a: Reach, b: Reach): boolean => a.seq > b.seq || a.monoUs > b.monoUs;

const farther = (a: Reach, b: Reach): Reach => ({
  seq: Math.max(a.seq, b.seq),
  monoUs: Math.max(a.monoUs, b.monoUs),
});

function leastOf(reaches: Iterable<Reach>): Reach {
  let { seq, monoUs } = ended;
  for (const reach of reaches) {
    if (reach.seq < seq) seq = reach.seq;
    if (reach.monoUs < monoUs) monoUs = reach.monoUs;
  }
  return { seq, monoUs };
}
