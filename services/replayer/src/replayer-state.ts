// What a replayer has done and where it stands, and the snapshot that says so.
import { liveRun, type ReplayerSnapshot } from '@mirrorstream/domain';
import type { LagHistogram } from '@mirrorstream/replay';
import type { AdmissionKeeper } from './admission/admission-keeper.ts';
import type { Backpressure } from './backpressure.ts';
import type { ReplayerConfig } from './config.ts';
import type { OrderKeeper } from './order-keeper.ts';
import type { Partition } from './partition.ts';

/** What this process has done since it started, beside what partitions count. */
export interface Work {
  records: number;
  undecodable: number;
  cutStatements: number;
  /** Of partitions that were given up. */
  read: number;
  resolved: number;
  duplicates: number;
  alreadyDone: number;
  cancels: number;
  brokenLanes: number;
}

export interface ReplayerState {
  readonly config: ReplayerConfig;
  /** Production is followed: not a run over the past. */
  readonly live: boolean;
  readonly final: boolean;
  readonly work: Work;
  readonly partitions: readonly Partition[];
  readonly admission: AdmissionKeeper;
  readonly backpressure: Backpressure;
  readonly schedule: LagHistogram;
  readonly order: OrderKeeper;
}

export function replayerSnapshot(state: ReplayerState): ReplayerSnapshot {
  const { config, live, final, work, admission, backpressure } = state;
  const nowMs = Date.now();
  const partitions: Record<string, { consumerLag: number; behindSourceMs: number }> = {};
  for (const { number, tracker, highWatermarkOffset } of state.partitions) {
    const lag = highWatermarkOffset - tracker.nextOffset;
    const oldestMs = tracker.oldestCapturedAtMs();
    partitions[number] = {
      consumerLag: lag > 0n ? Number(lag) : 0,
      // Of the past nobody is behind.
      behindSourceMs: oldestMs === null || !live ? 0 : Math.max(0, nowMs - oldestMs),
    };
  }
  const { environment, mirror, run, instance } = config;
  const { read, resolved } = totalsOf(work, state.partitions);
  const runners = state.partitions.flatMap((partition) => [...partition.runners]);
  const bound: Record<string, number> = {};
  for (const { lane } of runners) if (lane.binding !== null) bound[lane.binding] = (bound[lane.binding] ?? 0) + 1;
  return {
    kind: 'replayer',
    ...{ environment, mirror, instance, ...(run === liveRun ? {} : { run }) },
    ...{ atMs: nowMs, final, pacing: pacingOf(state), read, resolved, pending: read - resolved },
    ...{ lanes: runners.length, bound, partitions, admission: admission.snapshot(), queue: backpressure.snapshot() },
  };
}

/** `work` of the process, with what the partitions it owns count themselves. */
export function totalsOf(work: Work, partitions: Iterable<Partition>): Work {
  const totals = { ...work };
  for (const { read, resolved, duplicates, alreadyDone } of partitions) {
    totals.read += read;
    totals.resolved += resolved;
    totals.duplicates += duplicates;
    totals.alreadyDone += alreadyDone;
  }
  return totals;
}

function pacingOf({ config, schedule, order }: ReplayerState): NonNullable<ReplayerSnapshot['pacing']> {
  const [p50, p99] = [schedule.quantileUs(0.5) / 1000, schedule.quantileUs(0.99) / 1000];
  const { divergedByOrder } = order;
  const { counts } = order.order;
  return {
    mode: config.pacing.mode,
    scheduleLagMs: { sends: schedule.total, p50, p99, max: schedule.largestUs / 1000 },
    orderGivenUp: counts.givenUp,
    outOfOrder: counts.outOfOrder,
    retried: counts.retried,
    rolledBack: counts.rolledBack,
    divergedByOrder,
  };
}
