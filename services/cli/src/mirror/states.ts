// What the replayers of a mirror play now, as their snapshots say: pure.
import type { ReplayerSnapshot, Snapshot } from '@mirrorstream/domain';
import { silentAfterMs } from '../capture/states.ts';

export interface ReplayerState extends NonNullable<ReplayerSnapshot['admission']> {
  readonly instance: string;
  readonly silent: boolean;
  readonly behindSourceMs: number;
}

/** Those that follow production and have not ended, by name. An earlier version says nothing of what it plays: it is not asked. */
export function replayerStates(
  snapshots: Iterable<Snapshot>,
  { environment, mirror }: { readonly environment: string; readonly mirror: string },
  nowMs: number,
): readonly ReplayerState[] {
  const states: ReplayerState[] = [];
  for (const snapshot of snapshots) {
    if (!isLive(snapshot) || snapshot.environment !== environment || snapshot.mirror !== mirror) continue;
    const { instance, admission, partitions } = snapshot;
    if (snapshot.final || admission === undefined) continue;
    const behindSourceMs = Math.max(0, ...Object.values(partitions).map((each) => each.behindSourceMs));
    states.push({ instance, silent: isSilent(snapshot, nowMs), behindSourceMs, ...admission });
  }
  return states.sort((a, b) => a.instance.localeCompare(b.instance));
}

export function mirrorsOf(snapshots: Iterable<Snapshot>, environment: string, nowMs: number): readonly string[] {
  const names = new Set<string>();
  for (const snapshot of snapshots)
    if (isLive(snapshot) && snapshot.environment === environment && !snapshot.final && !isSilent(snapshot, nowMs))
      names.add(snapshot.mirror);
  return [...names].sort();
}

export function hasAcknowledged({ revision }: ReplayerState, wanted: bigint): boolean {
  return revision !== null && BigInt(revision) >= wanted;
}

/** Of all of them together; null: nothing was seen yet. */
export function effectiveExposure(states: readonly ReplayerState[], of: 'sessions' | 'transactions'): number | null {
  const total = (which: 'seen' | 'played'): number => states.reduce((sum, state) => sum + state[of][which], 0);
  return total('seen') === 0 ? null : total('played') / total('seen');
}

const isSilent = ({ atMs }: ReplayerSnapshot, nowMs: number): boolean => nowMs - atMs > silentAfterMs;

const isLive = (snapshot: Snapshot): snapshot is ReplayerSnapshot =>
  snapshot.kind === 'replayer' && snapshot.run === undefined;
