// What the proxies of a source do now, as their snapshots say: pure.
import type { CaptureSnapshot, Snapshot } from '@mirrorstream/domain';

/** A proxy publishes its snapshot every few seconds at least: one that has not for so long is gone, or cut off from Kafka. */
export const silentAfterMs = 15_000;

export interface ProxyState {
  readonly node: string;
  readonly worker: number;
  readonly silent: boolean;
  /** Of what is in force; null: the flags alone. */
  readonly revision: string | null;
  readonly capture: 'on' | 'off';
  readonly sampling: number;
  readonly answers: string;
  readonly answerCapBytes: number;
  readonly openSessions: number;
  readonly transactions: number;
  /** Sessions that began so, and bytes: outside the sample, or while capture was off. */
  readonly leftOut: { readonly sessions: number; readonly bytes: number };
}

/** Those that have not ended, the newest of each worker, by name. */
export function proxyStates(snapshots: Iterable<Snapshot>, source: string, nowMs: number): readonly ProxyState[] {
  const newest = new Map<string, CaptureSnapshot>();
  for (const snapshot of snapshots) {
    if (snapshot.kind !== 'capture' || snapshot.source !== source || snapshot.final) continue;
    const key = `${snapshot.captureNode}/${snapshot.worker ?? 0}`;
    if (snapshot.atMs >= (newest.get(key)?.atMs ?? 0)) newest.set(key, snapshot);
  }
  return [...newest.values()]
    .flatMap((snapshot) => stateOf(snapshot, nowMs))
    .sort((a, b) => a.node.localeCompare(b.node) || a.worker - b.worker);
}

/** A proxy of an earlier version says nothing of what is in force, and follows nothing: it is not asked. */
function stateOf(snapshot: CaptureSnapshot, nowMs: number): readonly ProxyState[] {
  const { captureNode, worker, control, sessions, transactions, atMs } = snapshot;
  if (control === undefined) return [];
  const { unsampled, captureOff } = snapshot.leftOut ?? none;
  return [
    {
      node: captureNode,
      worker: worker ?? 0,
      silent: nowMs - atMs > silentAfterMs,
      ...control,
      openSessions: sessions.open,
      transactions,
      leftOut: { sessions: unsampled.sessions + captureOff.sessions, bytes: unsampled.bytes + captureOff.bytes },
    },
  ];
}

const none = { unsampled: { sessions: 0, bytes: 0 }, captureOff: { sessions: 0, bytes: 0 } };

/** Whether what stands in the control topic at `revision` is in force. An older one that was overwritten meanwhile counts, too. */
export function hasAcknowledged({ revision }: ProxyState, wanted: bigint): boolean {
  return revision !== null && BigInt(revision) >= wanted;
}
