// Which id the mirror gave to what production calls by another: bounded, the longest unused leave first.

export interface IdMapLimits {
  readonly maxEntries: number;
  readonly maxBytes: number;
}

/** Since the process started. */
export interface IdCounts {
  /** Pairs that were learnt, of which some are of equal ids. */
  learned: number;
  /** Learnt pairs of which the two differ. */
  differing: number;
  evicted: number;
  /** Values of requests that were replaced. */
  rewritten: number;
  /** Values of requests that production drew since, as far as their number says, and nobody here knows. */
  unmapped: number;
  /** Answers with ids to learn from that did not go together: counts of rows differ, or what stands beside the ids. */
  unpaired: number;
  /** Answers with ids to learn from of which one side was not kept whole. */
  notKept: number;
  /** Texts that nobody could look into. */
  unread: number;
}

/** An entry's own overhead, measured with some room. */
const ENTRY_BYTES = 160;

const isNumber = /^-?\d+$/;

export class IdMap {
  readonly counts: IdCounts = {
    ...{ learned: 0, differing: 0, evicted: 0, rewritten: 0, unmapped: 0, unpaired: 0, notKept: 0, unread: 0 },
  };
  readonly #limits: IdMapLimits;
  readonly #entries = new Map<string, string>();
  /** By key space: the lowest number that was learnt of it. */
  readonly #lowest = new Map<string, bigint>();
  #sizeBytes = 0;

  constructor(limits: IdMapLimits) {
    this.#limits = limits;
  }

  get size(): number {
    return this.#entries.size;
  }

  get sizeBytes(): number {
    return this.#sizeBytes;
  }

  /** `scope`: whose knowledge it is; '': everybody's. */
  learn(scope: string, space: string, captured: string, observed: string): void {
    this.counts.learned += 1;
    if (captured !== observed) this.counts.differing += 1;
    const key = keyOf(scope, space, captured);
    this.#remove(key);
    this.#entries.set(key, observed);
    this.#sizeBytes += sizeOf(key, observed);
    this.#noteLowest(space, captured);
    this.#shrink();
  }

  /** The mirror's id; undefined: not learnt. */
  find(scope: string, space: string, captured: string): string | undefined {
    const key = keyOf(scope, space, captured);
    const found = this.#entries.get(key);
    if (found === undefined) return undefined;
    this.#entries.delete(key);
    this.#entries.set(key, found);
    return found;
  }

  /** Production drew it after the first id that was learnt: it should be known. Of a uuid nobody can tell. */
  isRecent(space: string, captured: string): boolean {
    const lowest = this.#lowest.get(space);
    return lowest !== undefined && isNumber.test(captured) && BigInt(captured) >= lowest;
  }

  #noteLowest(space: string, captured: string): void {
    if (!isNumber.test(captured)) return;
    const value = BigInt(captured);
    const lowest = this.#lowest.get(space);
    if (lowest === undefined || value < lowest) this.#lowest.set(space, value);
  }

  #shrink(): void {
    const { maxEntries, maxBytes } = this.#limits;
    for (const oldest of this.#entries.keys()) {
      if (this.#entries.size <= maxEntries && this.#sizeBytes <= maxBytes) return;
      this.#remove(oldest);
      this.counts.evicted += 1;
    }
  }

  #remove(key: string): void {
    const value = this.#entries.get(key);
    if (value === undefined) return;
    this.#entries.delete(key);
    this.#sizeBytes -= sizeOf(key, value);
  }
}

const keyOf = (scope: string, space: string, captured: string): string => `${scope}\u0000${space}\u0000${captured}`;
const sizeOf = (key: string, value: string): number => ENTRY_BYTES + key.length + value.length;
