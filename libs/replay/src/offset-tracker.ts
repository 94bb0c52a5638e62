// Which records of a partition are not resolved yet, and so how far its offset may be committed.
//
// A record's units are the envelopes and session ends in it; it is resolved when each of them is. Only unresolved records are held, in
// the order of delivery, so the oldest is the first; their number is bounded by what the caller bounds: the queue.

export interface CommitPoint {
  /** The next offset to read: the oldest unresolved record's, or the one after the last delivered. */
  readonly offset: bigint;
  /** Results about records at or beyond `offset` lie at this results offset or beyond. */
  readonly resultsFrom: bigint;
}

interface OpenRecord {
  units: number;
  /** Units that are done but keep the record open, because what follows them is not. */
  held: number;
  readonly capturedAtMs: number;
  readonly resultsFrom: bigint;
}

export class OffsetTracker {
  readonly #open = new Map<bigint, OpenRecord>();
  #next: bigint;
  #recovered: { readonly upTo: bigint; readonly resultsFrom: bigint } | null;
  #unresolvedUnits = 0;

  /** `recovered`: results of earlier owners about offsets up to `upTo` lie at `resultsFrom` or beyond. */
  constructor(next: bigint, recovered: { readonly upTo: bigint; readonly resultsFrom: bigint } | null = null) {
    this.#next = next;
    this.#recovered = recovered;
  }

  /** The offset after the last one delivered. */
  get nextOffset(): bigint {
    return this.#next;
  }

  get unresolvedRecords(): number {
    return this.#open.size;
  }

  get unresolvedUnits(): number {
    return this.#unresolvedUnits;
  }

  /** False: delivered before, to be left alone. `resultsFrom`: the end of the results partition as far as it is known now. */
  deliver(offset: bigint, units: number, capturedAtMs: number, resultsFrom: bigint): boolean {
    if (offset < this.#next) return false;
    this.#next = offset + 1n;
    if (units > 0) this.#open.set(offset, { units, held: 0, capturedAtMs, resultsFrom });
    this.#unresolvedUnits += units;
    return true;
  }

  /** One unit is done. Unknown offsets are those of an earlier assignment. */
  resolve(offset: bigint): void {
    const record = this.#open.get(offset);
    if (record === undefined) return;
    this.#unresolvedUnits -= 1;
    record.units -= 1;
    if (record.units === 0) this.#open.delete(offset);
  }

  /** One unit is done except that the record must stay open until `resolve` is called for it. */
  hold(offset: bigint): void {
    const record = this.#open.get(offset);
    if (record !== undefined) record.held += 1;
  }

  /** Nothing is open but what waits for the rest of a transaction. */
  get onlyHeld(): boolean {
    for (const record of this.#open.values()) if (record.units > record.held) return false;
    return true;
  }

  commitPoint(resultsEnd: bigint): CommitPoint {
    const first = this.#open.entries().next().value;
    const offset = first === undefined ? this.#next : first[0];
    const own = first === undefined ? resultsEnd : first[1].resultsFrom;
    const recovered = this.#recovered;
    if (recovered === null) return { offset, resultsFrom: own };
    if (offset <= recovered.upTo) return { offset, resultsFrom: recovered.resultsFrom };
    this.#recovered = null;
    return { offset, resultsFrom: own };
  }

  /** Captured time of the oldest record with work to do, or null. */
  oldestCapturedAtMs(): number | null {
    for (const record of this.#open.values()) if (record.units > record.held) return record.capturedAtMs;
    return null;
  }
}
