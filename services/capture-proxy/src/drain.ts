// Closes sessions as they become idle, so that a stop of the proxy breaks no open transaction.
import type { RunningProxy } from './forward/proxy.ts';

const everyMs = 20;

/** Resolves when no session is open; those still busy at the deadline are closed then. Returns how many that were. */
export async function drainSessions(proxy: RunningProxy, deadlineMs: number): Promise<number> {
  const until = performance.now() + deadlineMs;
  for (;;) {
    const open = [...proxy.sessions()];
    for (const session of open) if (session.isIdle()) session.shutDown();
    const busy = [...proxy.sessions()];
    if (busy.length === 0) return 0;
    if (performance.now() >= until) {
      for (const session of busy) session.shutDown();
      return busy.length;
    }
    await new Promise((resolve) => setTimeout(resolve, everyMs));
  }
}
