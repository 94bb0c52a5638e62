// Waits for a condition, with a deadline and the name of what was awaited.
import { MirrorstreamError } from '@mirrorstream/domain';

export interface WaitOptions {
  /** What is awaited, as it will stand in the error: `kafka to answer`. */
  readonly what: string;
  readonly deadlineMs: number;
  /** Pause between two attempts. */
  readonly everyMs?: number;
  readonly stage?: string;
}

/**
 * Calls `condition` until it returns something truthy, and returns that. A condition that throws ends the wait with its error.
 * Throws `notReady` when the deadline has passed.
 */
export async function waitUntil<T>(
  condition: () => T | Promise<T>,
  options: WaitOptions,
): Promise<Exclude<T, false | null | undefined>> {
  const { what, deadlineMs, everyMs = 25, stage = 'wait' } = options;
  const startedAtMs = performance.now();
  for (;;) {
    const value = await condition();
    if (value) return value as Exclude<T, false | null | undefined>;
    if (performance.now() - startedAtMs >= deadlineMs) {
      throw new MirrorstreamError('notReady', `waited ${deadlineMs} ms in vain for ${what}`, {
        stage,
        retryable: true,
        hint: 'The machine may be overloaded; look at the last log lines of the part named.',
      });
    }
    await new Promise((resolve) => setTimeout(resolve, everyMs));
  }
}
