// The time of one step of a lane, and the moment at which the lane wants to be stepped again.

export class LaneClock {
  /** Wall clock, µs since the epoch. */
  nowUs = 0;
  #wishUs = Number.POSITIVE_INFINITY;
  #toldUs = Number.POSITIVE_INFINITY;

  begin(nowUs: number): void {
    this.nowUs = nowUs;
    this.#wishUs = Number.POSITIVE_INFINITY;
  }

  /** Whether that moment is here; if not, the lane will be woken then at the latest. */
  reached(atUs: number): boolean {
    if (this.nowUs >= atUs) return true;
    if (atUs < this.#wishUs) this.#wishUs = atUs;
    return false;
  }

  /** What was wished for has happened. */
  fired(): void {
    this.#toldUs = Number.POSITIVE_INFINITY;
  }

  /** When to be woken, if that is another moment than was told before; null: as told. */
  newWish(): number | null {
    if (this.#wishUs === this.#toldUs) return null;
    this.#toldUs = this.#wishUs;
    return this.#wishUs;
  }
}
