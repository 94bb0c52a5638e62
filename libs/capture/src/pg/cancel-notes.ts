// CancelRequests of a session that wait for the exchange they were meant for. They come by another way than the session's bytes, so they
// may be here before the request they are meant for, or after its answer: when they went by decides, not when they came.

/** Those of an exchange that is still to come or to end. A client that sends more loses the oldest: one is enough. */
const maxWaiting = 8;
const NONE = -1;

export class CancelNotes {
  readonly #waiting: number[] = [];
  /** Of the exchange that ended last. */
  #doneUs = NONE;

  /** One went by. False: that was before an exchange ended which is not here any more. */
  add(atUs: number): boolean {
    if (atUs <= this.#doneUs) return false;
    if (this.#waiting.length === maxWaiting) this.#waiting.shift();
    this.#waiting.push(atUs);
    return true;
  }

  /** An exchange ended: when the last cancel went by that was meant for it; -1: none. Those from before it met an idle session. */
  take(sentUs: number, doneUs: number): number {
    this.#doneUs = doneUs;
    let noted = NONE;
    const waiting = this.#waiting;
    for (let i = 0; i < waiting.length; ) {
      const atUs = waiting[i] as number;
      if (atUs > doneUs) {
        i += 1;
        continue;
      }
      if (atUs >= sentUs) noted = Math.max(noted, atUs);
      waiting.splice(i, 1);
    }
    return noted;
  }

  /** The session's place is lost: nobody knows what they were meant for. */
  clear(): void {
    this.#waiting.length = 0;
  }
}
