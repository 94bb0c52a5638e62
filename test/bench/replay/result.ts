// What the replay benchmark measured, as it is written beside the page.
import type { Load } from '../proxy/plan.ts';
import type { ReplayRun } from './replay-run.ts';

export interface RateSample {
  /** `mirror`: the replayer on a real server. `no cost`: the same on a target that answers at once. */
  readonly contender: 'pgbench' | 'mirror' | 'pgreplay-go' | 'no cost';
  readonly round: number;
  /** Transactions. */
  readonly perSecond: number;
  readonly replay: Omit<ReplayRun, 'played' | 'scheduleErrorsUs'> | null;
  /** Of pgreplay-go: CPU of a transaction, and how many the mirror counted. */
  readonly peer?: { readonly cpuUs: number; readonly transactions: number };
}

export interface ThroughputCell {
  readonly load: Load;
  readonly samples: readonly RateSample[];
}

/** `timed`, on the mirror. */
export interface ScheduleSample {
  readonly speed: number;
  /** Of production's traffic. */
  readonly seconds: number;
  readonly transactions: number;
  /** Planned against sent. */
  readonly p50Us: number;
  readonly p99Us: number;
  readonly maxUs: number;
  /** Between the first and the last tenth. */
  readonly driftUs: number;
  /** Of each minute of production's against the first one: of traffic that lasts two or more. */
  readonly driftByMinuteUs: readonly number[];
}

export interface CatchUpSample {
  readonly pausedSeconds: number;
  readonly capturedPerSecond: number;
  readonly perSecond: number;
  /** With traffic that goes on: from the replayer's start to when it is less than a second behind for good. Null: not in this run. */
  readonly caughtUpAfterSeconds: number | null;
}

/** On a target that answers each exchange after `delayMs`. */
export interface ScaleSample {
  readonly replayers: number;
  readonly delayMs: number;
  /** Of each replayer. */
  readonly connections: number;
  readonly perSecond: number;
  readonly wholePerSecond: number;
  readonly transactions: number;
  readonly notReplayed: number;
}

/** Bytes per lane with its connection, after a transaction. */
export interface LaneMemory {
  readonly lanes: number;
  readonly heapBytes: number;
  readonly externalBytes: number;
  readonly rssBytes: number;
}

export interface BenchResult {
  readonly bench: 'replay';
  readonly startedAt: string;
  readonly commit: string;
  readonly settings: { readonly rounds: number; readonly seconds: number };
  readonly machine: Readonly<Record<string, string | number>>;
  readonly versions: Readonly<Record<string, string>>;
  readonly loadAverageBefore: readonly number[];
  /** CPU that processes which are no part of the benchmark took, as a share of all cores: of each step. */
  readonly foreignShares: readonly number[];
  readonly throughput: readonly ThroughputCell[];
  readonly schedule: readonly ScheduleSample[];
  readonly catchUp: CatchUpSample | null;
  readonly scale: readonly ScaleSample[];
  readonly laneMemory: LaneMemory | null;
}
