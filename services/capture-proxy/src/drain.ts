// Closes sessions as they become idle, so that a stop of the proxy breaks no open transaction.
import type { ForwardingProxy } from './forward/proxy.ts';

const everyMs = 20;

export interface Drain {
  /** Resolves when no session is open, with how many were closed in the middle of their work. */
  readonly done: Promise<number>;
  /** No more time: closes what is open. */
  hasten(): void;
}

/** Sessions that are still busy at the deadline are closed then. */
export function startDrain(proxy: Pick<ForwardingProxy, 'sessions'>, deadlineMs: number): Drain {
  let until = performance.now() + deadlineMs;
  const drained = async (): Promise<number> => {
    for (;;) {
      for (const session of [...proxy.sessions()]) session.drain();
      const busy = [...proxy.sessions()];
      if (busy.length === 0) return 0;
      // As a server that shuts down does: what streams changes is ended when all others have ended.
      if (busy.every((session) => session.endsLast())) {
        for (const session of busy) session.shutDown();
        return 0;
      }
      if (performance.now() >= until) {
        for (const session of busy) session.shutDown();
        return busy.length;
      }
      await new Promise((resolve) => setTimeout(resolve, everyMs));
    }
  };
  return {
    done: drained(),
    hasten: () => {
      until = 0;
    },
  };
}
