// When which fault happens: the same cycle again and again, so that every stretch of the soak sees every fault.

export const faultKinds = ['kafka-stop', 'kafka-restart', 'drain'] as const;
export type FaultKind = (typeof faultKinds)[number];

export interface PlannedFault {
  readonly kind: FaultKind;
  readonly atMs: number;
  /** How long Kafka stands still, is away, or the second proxy is. */
  readonly lastsMs: number;
}

const cyclesPerThird = 2;
const shortestCycleMs = 15_000;
const longestFaultMs = 12_000;

/** Faults one after another with rests between them; none in the last tenth, which is for settling. */
export function planFaults(kinds: readonly FaultKind[], forMs: number): PlannedFault[] {
  if (kinds.length === 0) return [];
  const cycles = Math.max(1, Math.min(3 * cyclesPerThird, Math.floor(forMs / shortestCycleMs)));
  const cycleMs = (forMs * 0.9) / cycles;
  const slotMs = cycleMs / kinds.length;
  const lastsMs = Math.min(longestFaultMs, slotMs / 3);
  return Array.from({ length: cycles }, (_, cycle) =>
    kinds.map((kind, i) => ({ kind, atMs: cycle * cycleMs + (i + 0.4) * slotMs, lastsMs })),
  ).flat();
}
