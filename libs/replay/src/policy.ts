// Whether a session is played on this mirror: filters by what it is, then exposure by its captured draw.
import type { Filters, outcomeReasons } from '@mirrorstream/domain';

export type FilteredReason = (typeof outcomeReasons.filtered)[number];

export interface SessionFacts {
  readonly database: string;
  readonly user: string;
  /** As it connected; '' when it gave none. */
  readonly application: string;
  /** 0 ≤ draw < 1, the same on every mirror: a mirror with more exposure plays all that one with less plays. */
  readonly samplingDraw: number;
}

export interface ReplayPolicy {
  /** Share of sessions to play, 0 to 1. */
  readonly exposure: number;
  readonly filters: Filters;
}

export type SessionDecision =
  | { readonly kind: 'replay' }
  | { readonly kind: 'unexposed' }
  | { readonly kind: 'filtered'; readonly reason: FilteredReason };

/** A session keeps its decision: its transactions depend on each other. */
export function decideSession(facts: SessionFacts, { exposure, filters }: ReplayPolicy): SessionDecision {
  if (!passes(facts.database, filters.includeDatabases, filters.excludeDatabases))
    return { kind: 'filtered', reason: 'database' };
  if (!passes(facts.user, filters.includeUsers, filters.excludeUsers)) return { kind: 'filtered', reason: 'user' };
  if (!passes(facts.application, filters.includeApplications, filters.excludeApplications))
    return { kind: 'filtered', reason: 'application' };
  return facts.samplingDraw < exposure ? { kind: 'replay' } : { kind: 'unexposed' };
}

function passes(name: string, include: readonly string[], exclude: readonly string[]): boolean {
  return (include.length === 0 || include.includes(name)) && !exclude.includes(name);
}
