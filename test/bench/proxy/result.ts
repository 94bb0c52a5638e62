// The benchmark's record: everything that was measured, as it is written beside the page.
import type { Load } from './plan.ts';

export interface CpuUs {
  /** Of the thread each process began with: the capture proxy's forwarding thread. */
  readonly forwarding: number;
  /** Of the capture worker's thread. */
  readonly capture: number;
  readonly rest: number;
}

/** One turn of one contender. */
export interface Sample {
  readonly contender: string;
  /** From 1. Warm-ups are not recorded. */
  readonly round: number;
  /** Transactions or MB per second. */
  readonly perSecond: number;
  readonly units: number;
  /** Null for loads of one large transaction. */
  readonly latency: { readonly p50Us: number; readonly p99Us: number; readonly p999Us: number } | null;
  /** Per transaction or MB. */
  readonly cpuUs: CpuUs;
  /** CPU of the Kafka broker meanwhile, per transaction or MB. It runs on the same cores here. */
  readonly brokerUs: number;
  /** CPU that processes which are no part of the benchmark took meanwhile, and the hypervisor, as a share of all cores. */
  readonly foreignShare: number;
  readonly rssBeforeMb: number;
  /** The most during the turn, as the kernel kept it. */
  readonly rssPeakMb: number;
}

/** What became of the transactions of one load that went through a contender that captures or mirrors. */
export interface Arrival {
  readonly contender: string;
  /** Warm-up included. */
  readonly sent: number;
  readonly arrived: number;
  /** What the capture proxy itself says it dropped; null where nobody says. */
  readonly dropped: number | null;
}

export interface Cell {
  readonly load: Load;
  readonly samples: readonly Sample[];
  readonly arrivals: readonly Arrival[];
}

export interface BenchResult {
  readonly bench: 'proxy';
  readonly startedAt: string;
  readonly commit: string;
  readonly settings: { readonly rounds: number; readonly seconds: number; readonly megabytes: number };
  readonly machine: Readonly<Record<string, string | number>>;
  readonly versions: Readonly<Record<string, string>>;
  /** Contenders that did not take part, and why. */
  readonly missing: Readonly<Record<string, string>>;
  readonly loadAverageBefore: readonly number[];
  /** Who took part, in the order of the tables. */
  readonly contenders: readonly string[];
  readonly cells: readonly Cell[];
}
