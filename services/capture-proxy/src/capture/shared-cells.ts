// Numbers the two threads show each other: a few 64-bit cells in shared memory, written by one side each.

const cells = {
  bytes: 0,
  sessionsTotal: 1,
  sessionsOpen: 2,
  ringDroppedBytes: 3,
  ringOverflows: 4,
  /** Left out on purpose: sessions that began so, and bytes. */
  unsampledSessions: 6,
  unsampledBytes: 7,
  captureOffSessions: 8,
  captureOffBytes: 9,
  /** The forwarding thread's clock, µs: whatever it had read by then is in the ring or was dropped. */
  readUpToUs: 5,
} as const;
export type SharedCell = keyof typeof cells;

export const createCellMemory = (): SharedArrayBuffer => new SharedArrayBuffer(128);

/** Not for the hot path: a store allocates. */
export class SharedCells {
  readonly #memory: BigInt64Array;

  constructor(memory: SharedArrayBuffer) {
    this.#memory = new BigInt64Array(memory);
  }

  set(cell: SharedCell, value: number): void {
    Atomics.store(this.#memory, cells[cell], BigInt(value));
  }

  get(cell: SharedCell): number {
    return Number(Atomics.load(this.#memory, cells[cell]));
  }
}
