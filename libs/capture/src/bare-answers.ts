// The server's bare bytes, outside of any frame: to each SSLRequest and GSSENCRequest one.

const BARE_ANSWERS = new Set([0x4e, 0x53, 0x47]); // N, S, G

export class BareAnswers {
  /** Requests that are not answered yet. */
  due = 0;

  /** Where, in the chunk, what is no such byte begins. */
  pass(buffer: Uint8Array, start: number, end: number): number {
    let at = start;
    while (this.due > 0 && at < end) {
      this.due -= 1;
      // Not every proxy shows its own answer here: what is no such byte begins a message.
      if (!BARE_ANSWERS.has(buffer[at] as number)) {
        this.due = 0;
        break;
      }
      at += 1;
    }
    return at;
  }
}
