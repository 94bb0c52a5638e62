// What retention takes from a window while it is played: which records went before the run had come to them, told from looks now and then.
import type { PartitionOffsets } from '@mirrorstream/kafka';

/** Offsets of a partition that were deleted; some of them the run may have read in time. */
export interface LostRecords {
  readonly partition: number;
  /** How far the run had come for sure. */
  readonly reached: bigint;
  /** The log begins there now. */
  readonly leftFrom: bigint;
}

export interface RunRanges {
  readonly [partition: string]: { readonly from: string; readonly to: string };
}

export class LostRecordsWatch {
  readonly #ranges: RunRanges;
  readonly #reached = new Map<number, bigint>();
  readonly #lost = new Map<number, LostRecords>();

  constructor(ranges: RunRanges) {
    this.#ranges = ranges;
  }

  get lost(): readonly LostRecords[] {
    return [...this.#lost.values()].sort((a, b) => a.partition - b.partition);
  }

  /** `committed`: next offset of each partition that has one. A log that begins behind what was committed at the last look has lost something. */
  look(logs: readonly PartitionOffsets[], committed: ReadonlyMap<number, bigint>): void {
    for (const { partition, low } of logs) {
      const range = this.#ranges[partition];
      if (range === undefined) continue;
      const [from, to] = [BigInt(range.from), BigInt(range.to)];
      const reached = this.#reached.get(partition) ?? committed.get(partition) ?? from;
      if (low > reached && reached < to)
        this.#lost.set(partition, {
          partition,
          reached: this.#lost.get(partition)?.reached ?? reached,
          leftFrom: low,
        });
      this.#reached.set(partition, committed.get(partition) ?? from);
    }
  }
}
