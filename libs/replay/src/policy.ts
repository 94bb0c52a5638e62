// Whether a session is played on this mirror: filters by what it is, then exposure by its captured draw.
import type { outcomeReasons } from '@mirrorstream/domain';

export interface SessionFacts {
  readonly database: string;
  readonly user: string;
  /** 0 ≤ draw < 1, the same on every mirror: a mirror with more exposure plays all that one with less plays. */
  readonly samplingDraw: number;
}

export interface ReplayPolicy {
  /** Share of sessions to play, 0 to 1. */
  readonly exposure: number;
  /** Empty: all. */
  readonly includeDatabases: readonly string[];
  readonly excludeDatabases: readonly string[];
  readonly includeUsers: readonly string[];
  readonly excludeUsers: readonly string[];
}

export type SessionDecision =
  | { readonly kind: 'replay' }
  | { readonly kind: 'unexposed' }
  | { readonly kind: 'filtered'; readonly reason: (typeof outcomeReasons.filtered)[number] };

/** A session keeps its decision: its transactions depend on each other. */
export function decideSession(facts: SessionFacts, policy: ReplayPolicy): SessionDecision {
  if (!passes(facts.database, policy.includeDatabases, policy.excludeDatabases))
    return { kind: 'filtered', reason: 'database' };
  if (!passes(facts.user, policy.includeUsers, policy.excludeUsers)) return { kind: 'filtered', reason: 'user' };
  return facts.samplingDraw < policy.exposure ? { kind: 'replay' } : { kind: 'unexposed' };
}

function passes(name: string, include: readonly string[], exclude: readonly string[]): boolean {
  return (include.length === 0 || include.includes(name)) && !exclude.includes(name);
}
