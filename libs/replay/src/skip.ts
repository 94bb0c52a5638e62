// What it means that a transaction is not played although its mirror works: why, and what its session loses by it.
import type { outcomeReasons } from '@mirrorstream/domain';

type SkipOutcome = 'filtered' | 'unexposed' | 'shed';

/** One decision per transaction: all its parts are skipped, or none. */
export type Skip = {
  readonly [Outcome in SkipOutcome]: {
    readonly outcome: Outcome;
    readonly reason: (typeof outcomeReasons)[Outcome][number];
    /**
     * It left nothing in its session but what the context of later envelopes carries along. Otherwise what depends on the session's
     * history cannot be played any more.
     */
    readonly harmless: boolean;
  };
}[SkipOutcome];
