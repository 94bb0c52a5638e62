// What the lanes of a replayer have in common.
import type { Envelope } from '@mirrorstream/envelope';
import { createPacing, type LagHistogram, type LaneOptions } from '@mirrorstream/replay';
import type { ReplayerConfig } from './config.ts';
import type { IdKeeper } from './ids/id-keeper.ts';
import type { RunPlan } from './run-plan.ts';

export function laneOptionsOf(
  { pacing, order, limits, target, replayCancels }: ReplayerConfig,
  plan: RunPlan | null,
  schedule: LagHistogram,
  isCrowded: () => boolean,
  onlyReads: (envelope: Envelope) => boolean,
  ids: IdKeeper | null,
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
    ...(order.keeps ? { retry: { ...limits.orderRetries, onlyReads } } : {}),
    ...(ids === null ? {} : { ids: ids.mapping }),
    duplicateWindow: limits.duplicateWindow,
  };
}
