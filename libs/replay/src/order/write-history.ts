// The writes of the recent past in production's time, to tell whether a difference may come from one that overlapped.
import { doneUs, type OrderTicket, sentUs } from './ticket.ts';

export class WriteHistory {
  readonly #maxWrites: number;
  #writes: OrderTicket[] = [];

  constructor(maxWrites: number) {
    this.#maxWrites = maxWrites;
  }

  get size(): number {
    return this.#writes.length;
  }

  /** The oldest half is forgotten when there are too many. */
  add(ticket: OrderTicket): void {
    if (ticket.kind !== 'write') return;
    this.#writes.push(ticket);
    if (this.#writes.length > this.#maxWrites) this.#writes = this.#writes.slice(this.#maxWrites / 2);
  }

  /** Whether another session's write was neither answered before this exchange was sent nor sent after it was answered. */
  overlaps(ticket: OrderTicket, clockUncertaintyUs: number): boolean {
    const endUs = ticket.doneSeq === 0 ? Number.POSITIVE_INFINITY : doneUs(ticket);
    return this.#writes.some((write) => {
      if (write.sessionId === ticket.sessionId) return false;
      const slackUs = write.clock === ticket.clock ? 0 : clockUncertaintyUs;
      const writeEndUs = write.doneSeq === 0 ? Number.POSITIVE_INFINITY : doneUs(write);
      return sentUs(write) <= endUs + slackUs && writeEndUs + slackUs >= sentUs(ticket);
    });
  }
}
