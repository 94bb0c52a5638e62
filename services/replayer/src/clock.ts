// The replayer's clock, and waiting with a deadline.

/** µs since the epoch on a clock that never jumps. */
export function nowUs(): number {
  return (performance.timeOrigin + performance.now()) * 1000;
}

const SETTLE_EVERY_MS = 5;

/** Resolves when the condition holds, or at the time `until` (ms since the epoch). */
export async function settled(condition: () => boolean, until: number): Promise<void> {
  while (!condition() && Date.now() < until) await new Promise((resolve) => setTimeout(resolve, SETTLE_EVERY_MS));
}

/** Resolves when the work is done, or at the time `until` (ms since the epoch). */
export async function beforeDeadline(work: Promise<unknown>, until: number): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const deadline = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, Math.max(0, until - Date.now()));
  });
  await Promise.race([work, deadline]);
  clearTimeout(timer);
}
