// One direction of one connection: what leaves the proxy must be, byte for byte, what entered it.

export class DirectionCheck {
  enteredBytes = 0;
  leftBytes = 0;
  /** Where the first byte lies that is not what it should be; null: all is equal so far. */
  mismatchAt: number | null = null;
  /** What entered and has not left, oldest first; of the oldest, `#used` bytes have. */
  readonly #inside: Buffer[] = [];
  #used = 0;

  /** The chunk must not change afterwards. */
  enter(chunk: Buffer): void {
    this.enteredBytes += chunk.length;
    if (chunk.length > 0 && this.mismatchAt === null) this.#inside.push(chunk);
  }

  leave(chunk: Buffer): void {
    const from = this.leftBytes;
    this.leftBytes += chunk.length;
    if (this.mismatchAt !== null) return;
    for (let at = 0; at < chunk.length; ) {
      const oldest = this.#inside[0];
      const length = Math.min(chunk.length - at, (oldest?.length ?? 0) - this.#used);
      if (oldest === undefined || oldest.compare(chunk, at, at + length, this.#used, this.#used + length) !== 0) {
        this.mismatchAt = from + at;
        this.#inside.length = 0;
        return;
      }
      at += length;
      this.#used += length;
      if (this.#used < oldest.length) continue;
      this.#inside.shift();
      this.#used = 0;
    }
  }

  /** Still inside, or lost with the connection. */
  get undeliveredBytes(): number {
    return this.enteredBytes - this.leftBytes;
  }
}
