// What the lanes of a replayer have in common.
import { createPacing, type LagHistogram, type LaneOptions } from '@mirrorstream/replay';
import type { ReplayerConfig } from './config.ts';
import type { RunPlan } from './run-plan.ts';

export function laneOptionsOf(
  { pacing, limits, target, replayCancels }: ReplayerConfig,
  plan: RunPlan | null,
  schedule: LagHistogram,
  isCrowded: () => boolean,
): Omit<LaneOptions, 'sessionId'> {
  return {
    pacing: createPacing({ ...pacing, ...(plan === null ? {} : { beginsAtUs: plan.beginsAtUs }) }),
    schedule,
    rawCapBytes: limits.rawCapBytes,
    segmentWaitMs: limits.segmentWaitMs,
    unansweredWaitMs: limits.unansweredWaitMs,
    exchangeTimeoutMs: limits.exchangeTimeoutMs,
    idleMs: limits.idleLaneMs,
    ...(target.lanes === 'session' ? {} : { pool: { isCrowded, sliceMs: limits.sliceMs } }),
    replayCancels,
    duplicateWindow: limits.duplicateWindow,
  };
}
