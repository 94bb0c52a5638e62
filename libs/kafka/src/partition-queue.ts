// The records of one partition that Kafka has not answered for, oldest first, and the rules of what is sent next.
//
//   [ sent before, to be sent again | in flight or next | waiting ]
//   head                                                  tail
// A request takes from the head; an answer removes from the head. So order holds by construction.
import type { OutgoingRecord } from './port.ts';

export type QueueState =
  | { readonly kind: 'idle' }
  | { readonly kind: 'inFlight'; readonly count: number }
  /** Kafka did not answer: not before this time again. */
  | { readonly kind: 'waiting'; readonly untilMs: number };

export interface Settled {
  readonly record: OutgoingRecord;
  readonly everSent: boolean;
}

export class PartitionQueue {
  readonly topic: string;
  readonly partition: number;
  state: QueueState = { kind: 'idle' };
  /** Tries of the head that Kafka did not answer, in a row. */
  failures = 0;
  /** Bytes waiting, without those in flight. */
  waitingBytes = 0;
  /** When the oldest waiting record was offered; meaningless when none waits. */
  waitingSinceMs = 0;
  /** Records accepted, and settled, since the beginning. */
  accepted = 0;
  settled = 0;
  #records: OutgoingRecord[] = [];
  #sizes: number[] = [];
  #head = 0;
  /** How many at the head were in a request at least once. */
  #sentAhead = 0;
  /** Searching for a refused record: requests take at most so many (half after a refusal, double after an answer), until all are settled. */
  #narrow: { limit: number; untilSettled: number } | undefined;

  constructor(topic: string, partition: number) {
    this.topic = topic;
    this.partition = partition;
  }

  get length(): number {
    return this.#records.length - this.#head;
  }

  add(record: OutgoingRecord, sizeBytes: number, nowMs: number): void {
    if (this.waitingBytes === 0) this.waitingSinceMs = nowMs;
    this.#records.push(record);
    this.#sizes.push(sizeBytes);
    this.waitingBytes += sizeBytes;
    this.accepted++;
  }

  /** Takes the next request's records: at least one, at most so many and so many bytes. They stay in the queue. */
  take(
    maxRecords: number,
    maxBytes: number,
  ): { readonly records: readonly OutgoingRecord[]; readonly sizeBytes: number } {
    const limit = Math.min(maxRecords, this.#narrow?.limit ?? maxRecords, this.length);
    let sizeBytes = this.#sizes[this.#head] as number;
    let count = 1;
    while (count < limit) {
      const nextBytes = this.#sizes[this.#head + count] as number;
      if (sizeBytes + nextBytes > maxBytes) break;
      sizeBytes += nextBytes;
      count++;
    }
    this.state = { kind: 'inFlight', count };
    this.waitingBytes -= sizeBytes;
    this.#sentAhead = Math.max(this.#sentAhead, count);
    return { records: this.#records.slice(this.#head, this.#head + count), sizeBytes };
  }

  /** The request's records are answered for. Returns the bytes they leave free. */
  settle(): { readonly records: readonly OutgoingRecord[]; readonly sizeBytes: number } {
    const count = this.#inFlightCount();
    const records = this.#records.slice(this.#head, this.#head + count);
    const sizeBytes = this.#bytesAhead(count);
    this.#head += count;
    this.#sentAhead -= count;
    this.settled += count;
    this.failures = 0;
    this.state = { kind: 'idle' };
    if (this.#narrow !== undefined) {
      this.#narrow.limit *= 2;
      if (this.settled >= this.#narrow.untilSettled) this.#narrow = undefined;
    }
    this.#compact();
    return { records, sizeBytes };
  }

  /** The request was not answered: its records are the next to be sent again, not before the time given. */
  retryAt(untilMs: number): void {
    this.waitingBytes += this.#bytesAhead(this.#inFlightCount());
    this.failures++;
    this.state = { kind: 'waiting', untilMs };
  }

  /** One record of the request was refused, nobody knows which: the next requests are half as long. */
  narrow(): void {
    const count = this.#inFlightCount();
    this.waitingBytes += this.#bytesAhead(count);
    const untilSettled = this.#narrow?.untilSettled ?? this.settled + count;
    this.#narrow = { limit: Math.ceil(count / 2), untilSettled };
    this.state = { kind: 'idle' };
  }

  /** Oldest first; they stay in the queue. */
  unsettled(): readonly OutgoingRecord[] {
    return this.#records.slice(this.#head);
  }

  /** Empties the queue, oldest first. */
  giveUp(): readonly Settled[] {
    const rest = this.#records.slice(this.#head).map((record, at) => ({ record, everSent: at < this.#sentAhead }));
    this.#records = [];
    this.#sizes = [];
    this.#head = 0;
    this.#sentAhead = 0;
    this.waitingBytes = 0;
    this.settled = this.accepted;
    this.state = { kind: 'idle' };
    return rest;
  }

  #inFlightCount(): number {
    return this.state.kind === 'inFlight' ? this.state.count : 0;
  }

  #bytesAhead(count: number): number {
    let bytes = 0;
    for (let at = this.#head; at < this.#head + count; at++) bytes += this.#sizes[at] as number;
    return bytes;
  }

  #compact(): void {
    if (this.#head < 256 && this.#head < this.#records.length) return;
    if (this.#head * 2 < this.#records.length) return;
    this.#records = this.#records.slice(this.#head);
    this.#sizes = this.#sizes.slice(this.#head);
    this.#head = 0;
  }
}
