// How far each source has come in each partition, and how far all of them have.

interface Marks<S> {
  readonly source: S;
  /** Partition → time up to which nothing will come any more. */
  readonly upToUs: Map<number, number>;
}

export class SourceWatermarks<S> {
  readonly #partitions: readonly number[];
  readonly #sources = new Map<string, Marks<S>>();
  /** Worked out anew after a change. */
  #leastUs: number | null = null;

  constructor(partitions: readonly number[]) {
    this.#partitions = partitions;
  }

  expect(key: string, source: S): void {
    if (this.#sources.has(key)) return;
    this.#sources.set(key, {
      source,
      upToUs: new Map(this.#partitions.map((partition) => [partition, Number.NEGATIVE_INFINITY])),
    });
    this.#leastUs = null;
  }

  release(key: string): void {
    this.#sources.delete(key);
    this.#leastUs = null;
  }

  /** `upToUs` infinite: the source has ended there. When it has ended in all partitions, nobody waits for it. */
  reached(key: string, partition: number, upToUs: number): void {
    const marks = this.#sources.get(key);
    const before = marks?.upToUs.get(partition);
    if (marks === undefined || before === undefined || upToUs <= before) return;
    marks.upToUs.set(partition, upToUs);
    if (upToUs === Number.POSITIVE_INFINITY && this.#endedEverywhere(marks)) this.#sources.delete(key);
    this.#leastUs = null;
  }

  /** Nothing at or before this will come from any source: minus infinity while one has told nothing, infinity when there is none. */
  get leastUs(): number {
    if (this.#leastUs === null) {
      let leastUs = Number.POSITIVE_INFINITY;
      for (const { upToUs } of this.#sources.values())
        for (const us of upToUs.values()) leastUs = Math.min(leastUs, us);
      this.#leastUs = leastUs;
    }
    return this.#leastUs;
  }

  /** The sources and partitions that reach least far. */
  least(): readonly { readonly source: S; readonly partition: number }[] {
    const { leastUs } = this;
    const found: { source: S; partition: number }[] = [];
    for (const { source, upToUs } of this.#sources.values())
      for (const [partition, us] of upToUs) if (us === leastUs) found.push({ source, partition });
    return found;
  }

  #endedEverywhere(marks: Marks<S>): boolean {
    for (const us of marks.upToUs.values()) if (us !== Number.POSITIVE_INFINITY) return false;
    return true;
  }
}
