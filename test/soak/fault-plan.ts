// Which faults there are, and when which happens: the same cycle again and again, so that every stretch of the soak sees every fault.

/** What each does is said by `npm run soak -- --help`. */
export const faultKinds = [
  'kafka-stop',
  'kafka-restart',
  'drain',
  'drain-away',
  'kill-proxy',
  'kill-thread',
  'kill-worker',
] as const;
export type FaultKind = (typeof faultKinds)[number];

export interface PlannedFault {
  readonly kind: FaultKind;
  readonly atMs: number;
  /** How long Kafka stands still, is away, or the second proxy is. Of no use to `kill-thread` and `kill-worker`. */
  readonly lastsMs: number;
}

const cyclesPerThird = 2;
const shortestSlotMs = 5_000;
const longestFaultMs = 12_000;

/** All that this many workers allow. */
export const faultsWith = (workers: number): readonly FaultKind[] =>
  faultKinds.filter((kind) => kind !== 'kill-worker' || workers > 1);

/** Faults one after another with rests between them; none in the last tenth, which is for settling. */
export function planFaults(kinds: readonly FaultKind[], forMs: number): PlannedFault[] {
  if (kinds.length === 0) return [];
  const shortestCycleMs = Math.max(15_000, shortestSlotMs * kinds.length);
  const cycles = Math.max(1, Math.min(3 * cyclesPerThird, Math.floor(forMs / shortestCycleMs)));
  const cycleMs = (forMs * 0.9) / cycles;
  const slotMs = cycleMs / kinds.length;
  const lastsMs = Math.min(longestFaultMs, slotMs / 3);
  return Array.from({ length: cycles }, (_, cycle) =>
    kinds.map((kind, i) => ({ kind, atMs: cycle * cycleMs + (i + 0.4) * slotMs, lastsMs })),
  ).flat();
}
