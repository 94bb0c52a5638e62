// Whether an address of the mirror may be tried: a circuit breaker, pure. Time and chance come in.
//
//   closed ──failed──► open ──wait is over, one probe goes──► halfOpen ──failed──► open, waiting longer
//     ▲                                                          │
//     └───────────────────────────succeeded──────────────────────┘

export type Breaker =
  | { readonly kind: 'closed' }
  /** `tries`: probes that failed since it opened. */
  | { readonly kind: 'open'; readonly sinceMs: number; readonly untilMs: number; readonly tries: number }
  | { readonly kind: 'halfOpen'; readonly sinceMs: number; readonly tries: number };

export interface BreakerOptions {
  /** The wait doubles from min to max; each is shortened by up to a half, so that many do not come back at once. */
  readonly retryMinMs: number;
  readonly retryMaxMs: number;
}

export const closed: Breaker = { kind: 'closed' };

/** Whether a connection may be tried now. While half open its one probe is under way already. */
export function admits(breaker: Breaker, nowMs: number): boolean {
  return breaker.kind === 'closed' || (breaker.kind === 'open' && nowMs >= breaker.untilMs);
}

/** A connection that was admitted is being tried. */
export function trying(breaker: Breaker): Breaker {
  return breaker.kind === 'open' ? { kind: 'halfOpen', sinceMs: breaker.sinceMs, tries: breaker.tries } : breaker;
}

/** `chance`: 0 ≤ chance < 1. A failure that comes late, of a try from before it opened, changes nothing. */
export function failed(breaker: Breaker, options: BreakerOptions, nowMs: number, chance: number): Breaker {
  if (breaker.kind === 'open') return breaker;
  const tries = breaker.kind === 'halfOpen' ? breaker.tries + 1 : 0;
  const longestMs = Math.min(options.retryMaxMs, options.retryMinMs * 2 ** Math.min(tries, 30));
  const sinceMs = breaker.kind === 'halfOpen' ? breaker.sinceMs : nowMs;
  return { kind: 'open', sinceMs, untilMs: nowMs + longestMs * (1 - chance / 2), tries };
}

/** When it may be worth asking again; Infinity: something else has to happen first. */
export function nextTryMs(breaker: Breaker, nowMs: number): number {
  if (breaker.kind === 'closed') return nowMs;
  return breaker.kind === 'open' ? breaker.untilMs : Number.POSITIVE_INFINITY;
}
