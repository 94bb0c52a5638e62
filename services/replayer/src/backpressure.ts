// Stops taking partitions over while too much waits to be played, all together or in one session, and goes on when half of it is gone.
import type { Partition } from './partition.ts';

export interface BackpressureOptions {
  readonly maxQueueBytes: number;
  readonly maxLaneBytes: number;
}

export interface FetchControl {
  pause(partitions: readonly Partition[]): void;
  resume(partitions: readonly Partition[]): void;
}

export class Backpressure {
  queuedBytes = 0;
  readonly #options: BackpressureOptions;
  readonly #partitions: () => Iterable<Partition>;
  readonly #control: FetchControl;
  #anyPaused = false;
  #looking = false;
  #stopped = false;

  constructor(options: BackpressureOptions, partitions: () => Iterable<Partition>, control: FetchControl) {
    this.#options = options;
    this.#partitions = partitions;
    this.#control = control;
  }

  /** A lane holds so many bytes more, or less when negative. */
  queued(sizeBytes: number): void {
    this.queuedBytes += sizeBytes;
    if (sizeBytes < 0 && this.#anyPaused && !this.#looking && !this.#stopped) this.#lookSoon();
  }

  /** After each batch, and said again with each: a rebalance may have undone it. */
  taken(partition: Partition): void {
    if (this.queuedBytes > this.#options.maxQueueBytes) this.#pause([...this.#partitions()]);
    else if (partition.largestQueueBytes() > this.#options.maxLaneBytes) this.#pause([partition]);
  }

  /** Takes nothing more over. */
  stop(): void {
    this.#stopped = true;
    this.#pause([...this.#partitions()]);
  }

  #pause(partitions: readonly Partition[]): void {
    this.#anyPaused = true;
    for (const partition of partitions) partition.paused = true;
    this.#control.pause(partitions);
  }

  #lookSoon(): void {
    this.#looking = true;
    setImmediate(() => {
      this.#looking = false;
      this.#resume();
    });
  }

  #resume(): void {
    const { maxQueueBytes, maxLaneBytes } = this.#options;
    if (this.#stopped || this.queuedBytes > maxQueueBytes / 2) return;
    const paused = [...this.#partitions()].filter((partition) => partition.paused);
    const free = paused.filter((partition) => partition.largestQueueBytes() <= maxLaneBytes / 2);
    for (const partition of free) partition.paused = false;
    this.#anyPaused = free.length < paused.length;
    if (free.length > 0) this.#control.resume(free);
  }
}
