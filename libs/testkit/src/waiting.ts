// Waits for a condition: the only way a test waits for anything.
import { waitUntil } from '@mirrorstream/local';

export interface WaitForOptions {
  readonly what: string;
  /** Default 30 s: generous, because it only matters when something is broken. */
  readonly deadlineMs?: number;
  readonly everyMs?: number;
}

/** Calls `condition` until it returns something truthy and returns that; throws, naming `what`, when the deadline has passed. */
export function waitFor<T>(
  condition: () => T | Promise<T>,
  { what, deadlineMs = 30_000, everyMs = 10 }: WaitForOptions,
): Promise<Exclude<T, false | null | undefined>> {
  return waitUntil(condition, { what, deadlineMs, everyMs, stage: 'test' });
}
