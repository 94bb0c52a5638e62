// Stops taking partitions over while too much waits to be played, all together or in one session, and goes on when half of it is gone.
import type { ReplayerSnapshot } from '@mirrorstream/domain';
import type { Partition } from './partition.ts';

export interface BackpressureOptions {
  readonly maxQueueBytes: number;
  readonly maxLaneBytes: number;
}

/** Whether others than this partition hold replay up, so that it may wait. Not given: any may. */
export type IsAhead = (partition: Partition) => boolean;

export interface FetchControl {
  pause(partitions: readonly Partition[]): void;
  resume(partitions: readonly Partition[]): void;
}

export class Backpressure {
  queuedBytes = 0;
  /** The most there ever was. */
  peakBytes = 0;
  readonly #options: BackpressureOptions;
  readonly #partitions: () => Iterable<Partition>;
  readonly #control: FetchControl;
  readonly #isAhead: IsAhead;
  #anyPaused = false;
  #looking = false;
  #stopped = false;
  #held = false;

  constructor(
    options: BackpressureOptions,
    partitions: () => Iterable<Partition>,
    control: FetchControl,
    isAhead: IsAhead = () => true,
  ) {
    this.#isAhead = isAhead;
    this.#options = options;
    this.#partitions = partitions;
    this.#control = control;
  }

  get pausedPartitions(): number {
    let paused = 0;
    for (const partition of this.#partitions()) if (partition.paused) paused += 1;
    return paused;
  }

  snapshot(): NonNullable<ReplayerSnapshot['queue']> {
    const { queuedBytes, peakBytes, pausedPartitions } = this;
    return { bytes: queuedBytes, peakBytes, limitBytes: this.#options.maxQueueBytes, pausedPartitions };
  }

  /** A lane holds so many bytes more, or less when negative. */
  queued(sizeBytes: number): void {
    this.queuedBytes += sizeBytes;
    if (this.queuedBytes > this.peakBytes) this.peakBytes = this.queuedBytes;
    if (sizeBytes < 0 && this.#anyPaused && !this.#looking && !this.#stopped) this.#lookSoon();
  }

  /** After each batch, and said again with each: a rebalance may have undone it. */
  taken(partition: Partition): void {
    const { maxQueueBytes, maxLaneBytes } = this.#options;
    const all = [...this.#partitions()];
    // What the others wait for is read on, as long as there is room for as much again.
    if (this.#held || this.queuedBytes > 2 * maxQueueBytes) this.#pause(all);
    else if (this.queuedBytes > maxQueueBytes) this.#pause(all.filter(this.#isAhead));
    else if (partition.largestQueueBytes() > maxLaneBytes && this.#isAhead(partition)) this.#pause([partition]);
  }

  /** Reads on where others wait for it by now. */
  look(): void {
    if (!this.#anyPaused || this.#stopped || this.#held || this.queuedBytes > 2 * this.#options.maxQueueBytes) return;
    this.#resumeThose([...this.#partitions()].filter((partition) => partition.paused && !this.#isAhead(partition)));
  }

  /** Results wait for Kafka: what is not played makes results, too, so nothing is taken until they are gone. */
  hold(on: boolean): void {
    this.#held = on;
    if (on) this.#pause([...this.#partitions()]);
    else if (!this.#stopped) this.#resume();
  }

  /** Takes nothing more over. */
  stop(): void {
    this.#stopped = true;
    this.#pause([...this.#partitions()]);
  }

  #pause(partitions: readonly Partition[]): void {
    if (partitions.length === 0) return;
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
    if (this.#stopped || this.#held || this.queuedBytes > maxQueueBytes / 2) return;
    const paused = [...this.#partitions()].filter((partition) => partition.paused);
    const free = paused.filter((partition) => partition.largestQueueBytes() <= maxLaneBytes / 2);
    this.#anyPaused = free.length < paused.length;
    this.#resumeThose(free);
  }

  #resumeThose(partitions: readonly Partition[]): void {
    if (partitions.length === 0) return;
    for (const partition of partitions) partition.paused = false;
    this.#control.resume(partitions);
  }
}
