// Waits for a child process to serve, by asking it; one that ends meanwhile is reported, one that never answers is killed.
import { exitError, type ProcessExit, type TiedProcess } from './process-group.ts';
import { type WaitOptions, waitUntil } from './wait-until.ts';

/**
 * Resolves when `serves` says so. Throws `componentFailed` with the child's last log lines when it ends first, `notReady` at the
 * deadline; after either no process is left.
 */
export async function untilServing(
  child: TiedProcess,
  serves: () => Promise<boolean>,
  options: WaitOptions,
): Promise<void> {
  let exit: ProcessExit | undefined;
  void child.exited.then((ended) => {
    exit = ended;
  });
  try {
    await waitUntil(() => {
      if (exit !== undefined) throw exitError(exit);
      return serves();
    }, options);
  } catch (error) {
    await child.kill9();
    throw error;
  }
}
