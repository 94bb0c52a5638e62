// What the worker shows the forwarding thread of its buffers and losses, once a second: numbers in shared memory, read by the metrics.
import { type GapReasonName, gapReasons } from '@mirrorstream/domain';

/** Bytes in use of the worker's buffers, by the name that docs/bounds.md gives them. */
export const workerBuffers = [
  ...['look', 'assembly', 'largestSession', 'context', 'gathering', 'publish', 'requests'],
  ...['spoolTail', 'spool', 'earlierSpool', 'recordPool', 'requestPool'],
] as const;
export type WorkerBuffer = (typeof workerBuffers)[number];

const counts = ['untoldGaps', 'diverted', 'spoolFailures', 'lateCancels', 'sessions'] as const;

/** A partition's record is cut at its size, when a part of a transaction was added to it. */
export const gatheringLimitBytes = (partitions: number, recordBytes: number, partBytes: number): number =>
  partitions * (recordBytes + partBytes);

export interface WorkerNumbers {
  readonly buffers: Readonly<Record<WorkerBuffer, number>>;
  /** Sessions with a gap that is not told yet. */
  readonly untoldGaps: number;
  /** Records go through the spool: 1. */
  readonly diverted: number;
  /** How often the disk refused, since the worker began. */
  readonly spoolFailures: number;
  /** Cancels that came too late to be noted, since the worker began. */
  readonly lateCancels: number;
  /** Open, as the worker knows them. */
  readonly sessions: number;
  /** Transactions, since the worker began. */
  readonly dropped: Readonly<Record<GapReasonName, number>>;
}

const size = workerBuffers.length + counts.length + gapReasons.length;

export const createNumberMemory = (): SharedArrayBuffer => new SharedArrayBuffer(8 * size);

export function writeNumbers(memory: SharedArrayBuffer, numbers: WorkerNumbers): void {
  // One writer, and each number stands for itself: no atomics.
  new Float64Array(memory).set([
    ...workerBuffers.map((name) => numbers.buffers[name]),
    ...counts.map((name) => numbers[name]),
    ...gapReasons.map((name) => numbers.dropped[name]),
  ]);
}

export function readNumbers(memory: SharedArrayBuffer): WorkerNumbers {
  const numbers = new Float64Array(memory);
  const named = <N extends string>(names: readonly N[], from: number): Record<N, number> =>
    Object.fromEntries(names.map((name, i) => [name, numbers[from + i] ?? 0])) as Record<N, number>;
  return {
    buffers: named(workerBuffers, 0),
    ...named(counts, workerBuffers.length),
    dropped: named(gapReasons, workerBuffers.length + counts.length),
  };
}
