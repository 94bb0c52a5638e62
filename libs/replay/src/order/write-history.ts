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

  /** Whether one of them overlapped this exchange. */
  overlaps(ticket: OrderTicket, clockUncertaintyUs: number): boolean {
    return this.#writes.some((write) => overlaps(ticket, write, clockUncertaintyUs));
  }
}

/** Whether that is another session's write, and neither was answered in production before the other was sent. */
export function overlaps(ticket: OrderTicket, write: OrderTicket, clockUncertaintyUs: number): boolean {
  if (write.kind !== 'write' || write.sessionId === ticket.sessionId) return false;
  const endUs = ticket.doneSeq === 0 ? Number.POSITIVE_INFINITY : doneUs(ticket);
  const writeEndUs = write.doneSeq === 0 ? Number.POSITIVE_INFINITY : doneUs(write);
  const slackUs = write.clock === ticket.clock ? 0 : clockUncertaintyUs;
  return sentUs(write) <= endUs + slackUs && writeEndUs + slackUs >= sentUs(ticket);
}
