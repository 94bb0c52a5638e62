// How many examples are kept: the first few of each statement shape and class, in a table that does not grow without bound.

export interface ExemplarLimits {
  /** Per fingerprint and class, while this process lives. */
  readonly perShape: number;
  /** Shapes remembered; those that come later get no examples. */
  readonly maxShapes: number;
}

export class ExemplarQuota {
  /** No examples for now: the comparer is behind. */
  closed = false;
  /** Examples not given because of that. */
  withheld = 0;
  private readonly limits: ExemplarLimits;
  private readonly taken = new Map<string, number>();

  constructor(limits: ExemplarLimits) {
    this.limits = limits;
  }

  /** Whether one more example may be kept; if so it is taken. */
  take(fingerprint: string, className: string): boolean {
    const key = `${className}/${fingerprint}`;
    const count = this.taken.get(key);
    if (count === undefined && this.taken.size >= this.limits.maxShapes) return false;
    if ((count ?? 0) >= this.limits.perShape) return false;
    if (this.closed) {
      this.withheld += 1;
      return false;
    }
    this.taken.set(key, (count ?? 0) + 1);
    return true;
  }
}
