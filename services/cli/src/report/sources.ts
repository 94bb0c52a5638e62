// All that a report is made of: findings and performance, and what the services themselves say of how faithful the replay was.
import type { NotComparedReason, StatementClass, TransactionOutcomeName } from '@mirrorstream/domain';
import type { ReportInput } from '@mirrorstream/findings';
import type { StoredPlan } from '../inspect/plan.ts';

export interface Account extends Readonly<Record<TransactionOutcomeName, number>> {
  readonly captured: number;
  readonly inFlight: number;
}

/** How faithful the replay was. null: not known, or not meant. */
export interface Fidelity {
  readonly pacing: string | null;
  readonly speed: number | null;
  /** How late requests were sent, with timed pacing. */
  readonly scheduleLagMs: {
    readonly sends: number;
    readonly p50: number;
    readonly p99: number;
    readonly max: number;
  } | null;
  readonly configuredExposure: number | null;
  readonly effectiveExposure: number | null;
  readonly filters: readonly string[];
  readonly orderGivenUp: number | null;
  readonly outOfOrder: number | null;
  readonly divergedByOrder: number | null;
  readonly shedding: string | null;
  readonly behindSourceMs: number | null;
  readonly consumerLag: number | null;
  /** What capture itself did not keep. */
  readonly captureDropped: number;
  readonly duplicates: number;
}

export interface LagPoint {
  readonly atMs: number;
  /** From production's moment to the mirror's answer. */
  readonly lagMs: number;
}

export interface ReportSources extends ReportInput {
  readonly source: string;
  readonly account: Account;
  readonly statements: Readonly<Record<StatementClass, number>>;
  readonly notCompared: Readonly<Partial<Record<NotComparedReason, number>>>;
  /** `failed/timeout` → transactions. */
  readonly reasons: Readonly<Record<string, number>>;
  readonly fidelity: Fidelity;
  /** In order of time; empty: not looked at. */
  readonly lag: readonly LagPoint[];
  readonly plans: readonly StoredPlan[];
  /** What could not be read, for people. */
  readonly notes: readonly string[];
}
