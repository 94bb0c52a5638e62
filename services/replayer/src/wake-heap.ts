// A binary heap of moments: who wants to be woken next. Pure.
//
// A lane moves its deadline on with every exchange, ten thousand times a second, and hardly ever reaches it. So a later wish leaves the
// entry that is there: when that one's time comes, it is put off to the wish. Only an earlier wish needs an entry of its own.

export interface Sleeper {
  /** The wish that counts; Infinity: none. */
  wakeAtUs: number;
  /** Of its entry in the heap, never later than the wish; Infinity: it has none. The heap's own. */
  entryAtUs: number;
}

interface Entry<T> {
  readonly atUs: number;
  readonly sleeper: T;
}

export class WakeHeap<T extends Sleeper> {
  readonly #entries: Entry<T>[] = [];

  get size(): number {
    return this.#entries.length;
  }

  /** Replaces the sleeper's wish. */
  set(sleeper: T, atUs: number): void {
    sleeper.wakeAtUs = atUs;
    if (atUs < sleeper.entryAtUs) this.#push(sleeper, atUs);
  }

  /** When to look again, at the latest when somebody wants to be woken; Infinity: nobody does. */
  nextAtUs(): number {
    for (let top = this.#entries[0]; top !== undefined; top = this.#entries[0]) {
      const { sleeper, atUs } = top;
      if (sleeper.entryAtUs === atUs && sleeper.wakeAtUs === atUs) return atUs;
      this.#pop();
      if (sleeper.entryAtUs !== atUs) continue; // An earlier wish has its own entry.
      sleeper.entryAtUs = Number.POSITIVE_INFINITY;
      if (sleeper.wakeAtUs !== Number.POSITIVE_INFINITY) this.#push(sleeper, sleeper.wakeAtUs);
    }
    return Number.POSITIVE_INFINITY;
  }

  /** The next one whose time has come, without a wish from now on. */
  takeDue(nowUs: number): T | null {
    if (this.nextAtUs() > nowUs) return null;
    const sleeper = this.#entries[0]?.sleeper ?? null;
    this.#pop();
    if (sleeper !== null) {
      sleeper.wakeAtUs = Number.POSITIVE_INFINITY;
      sleeper.entryAtUs = Number.POSITIVE_INFINITY;
    }
    return sleeper;
  }

  #push(sleeper: T, atUs: number): void {
    sleeper.entryAtUs = atUs;
    const entries = this.#entries;
    let at = entries.push({ atUs, sleeper }) - 1;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if ((entries[parent] as Entry<T>).atUs <= atUs) break;
      this.#swap(at, parent);
      at = parent;
    }
  }

  #pop(): void {
    const entries = this.#entries;
    const last = entries.pop();
    if (last === undefined || entries.length === 0) return;
    entries[0] = last;
    let at = 0;
    for (;;) {
      const left = 2 * at + 1;
      const right = left + 1;
      let least = at;
      if (left < entries.length && (entries[left] as Entry<T>).atUs < (entries[least] as Entry<T>).atUs) least = left;
      if (right < entries.length && (entries[right] as Entry<T>).atUs < (entries[least] as Entry<T>).atUs)
        least = right;
      if (least === at) return;
      this.#swap(at, least);
      at = least;
    }
  }

  #swap(a: number, b: number): void {
    const entries = this.#entries;
    const kept = entries[a] as Entry<T>;
    entries[a] = entries[b] as Entry<T>;
    entries[b] = kept;
  }
}
