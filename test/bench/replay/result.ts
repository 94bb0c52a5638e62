// What the replay benchmark measured, as it is written beside the page.
import type { Load } from '../proxy/plan.ts';
import type { ReplayRun } from './replay-run.ts';

export interface RateSample {
  /** `mirror`: the replayer on a real server. `no cost`: the same on a target that answers at once. */
  readonly contender: 'pgbench' | 'mirror' | 'no cost';
  readonly round: number;
  /** Transactions. */
  readonly perSecond: number;
  /** CPU that processes which are no part of the benchmark took meanwhile, as a share of all cores. */
  readonly foreignShare: number;
  readonly replay: Omit<ReplayRun, 'played' | 'scheduleErrorsUs'> | null;
}

export interface ThroughputCell {
  readonly load: Load;
  readonly samples: readonly RateSample[];
}

export interface BenchResult {
  readonly bench: 'replay';
  readonly startedAt: string;
  readonly commit: string;
  readonly settings: { readonly rounds: number; readonly seconds: number };
  readonly machine: Readonly<Record<string, string | number>>;
  readonly versions: Readonly<Record<string, string>>;
  readonly loadAverageBefore: readonly number[];
  readonly throughput: readonly ThroughputCell[];
}
