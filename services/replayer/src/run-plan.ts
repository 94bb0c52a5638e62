// A run over a window of the past: what it may play, as its plan in the status topic says.
import { MirrorstreamError, type RunCapture, type RunSnapshot, runKey } from '@mirrorstream/domain';
import type { ReplayWindow } from '@mirrorstream/envelope';
import type { KafkaClient, KafkaLogger } from '@mirrorstream/kafka';
import { SnapshotReader } from '@mirrorstream/service-kit';

/** Offsets [from, to) of a partition. */
export interface RunRange {
  readonly from: bigint;
  readonly to: bigint;
}

export interface RunPlan {
  readonly window: ReplayWindow;
  /** By partition; one that is not named holds nothing of the window. */
  readonly ranges: ReadonlyMap<number, RunRange>;
  /** Captured time at which this start of the run begins. */
  readonly beginsAtUs: number;
  readonly captures: readonly RunCapture[];
}

export interface RunName {
  readonly environment: string;
  readonly mirror: string;
  readonly source: string;
  readonly run: string;
}

/** The window, and the range of one partition that holds it. */
export interface PartitionWindow extends ReplayWindow, RunRange {}

const nothing: RunRange = { from: 0n, to: 0n };

export function rangeOf(plan: RunPlan, partition: number): RunRange {
  return plan.ranges.get(partition) ?? nothing;
}

export function windowOf(plan: RunPlan | null, partition: number): PartitionWindow | null {
  return plan === null ? null : { ...plan.window, ...rangeOf(plan, partition) };
}

/** Throws `badInput` when nobody has planned this run, or for another source. */
export async function readRunPlan(
  client: KafkaClient,
  logger: KafkaLogger,
  { environment, mirror, source, run }: RunName,
): Promise<RunPlan> {
  let crash: Error | null = null;
  const reader = await SnapshotReader.start({
    client,
    logger,
    onCrash: (error) => {
      crash = error;
    },
  });
  await reader.caughtUp();
  const found = reader.get(runKey(environment, mirror, run));
  await reader.stop();
  if (crash !== null) throw crash;
  if (found?.kind !== 'run') {
    throw new MirrorstreamError('badInput', `no run ${run} of mirror ${mirror} is planned`, {
      stage: 'replayer',
      hint: 'Runs are planned and started by mirrorstream replay; mirrorstream runs lists them.',
    });
  }
  if (found.source !== source) {
    throw new MirrorstreamError('badInput', `run ${run} plays source ${found.source}, not ${source}`, {
      stage: 'replayer',
      hint: `Give --source-name ${found.source}.`,
    });
  }
  return planOf(found);
}

function planOf(snapshot: RunSnapshot): RunPlan {
  const ranges = Object.entries(snapshot.ranges).map(
    ([partition, { from, to }]) => [Number(partition), { from: BigInt(from), to: BigInt(to) }] as const,
  );
  const { window, beginsAtUs, captures = [] } = snapshot;
  return { window, ranges: new Map(ranges), beginsAtUs: Number(beginsAtUs), captures };
}
