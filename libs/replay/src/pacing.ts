// When an exchange is to be sent: production's moment moved by a fixed delay, scaled by a speed, or as soon as its session allows.

/** `ordered` plans no moment: what came before must be answered. */
export type PacingMode = 'timed' | 'asap' | 'ordered';

/** Slower, and a second of traffic takes a morning; faster, and timers are what is measured. */
export const leastSpeed = 0.1;
export const mostSpeed = 100;

export interface PacingOptions {
  readonly mode: PacingMode;
  /** How many captured seconds pass in one replayed second. 1: production's pace. Only for `timed`. */
  readonly speed: number;
  /** Added to the captured time: absorbs publishing, so that a mirror that keeps up is not late all the time. */
  readonly replayDelayMs: number;
  /** Of a window of the past: the captured time (µs since the epoch) at which it begins. The first question says when that is here. */
  readonly beginsAtUs?: number;
}

/** Wall clocks in µs since the epoch. */
export interface Pacing {
  /** The moment to send what production sent at `capturedAtUs`. Never moves for the same input; may lie in the past: send at once. */
  dueAtUs(capturedAtUs: number, nowUs: number): number;
}

/**
 * The schedule is absolute: when an answer of the mirror comes late, the think time after it is shortened until the schedule is
 * met again, so being slow once does not put off the rest. With another speed than 1 the first question sets the anchor: from
 * there captured time passes `speed` times as fast. A window of the past is anchored at its beginning.
 */
export function createPacing(options: PacingOptions): Pacing {
  const delayUs = options.replayDelayMs * 1000;
  if (options.mode !== 'timed') return { dueAtUs: () => 0 };
  const { speed, beginsAtUs } = options;
  if (speed === 1 && beginsAtUs === undefined) return { dueAtUs: (capturedAtUs) => capturedAtUs + delayUs };
  let anchor: { readonly capturedAtUs: number; readonly replayedAtUs: number } | null = null;
  return {
    dueAtUs(capturedAtUs, nowUs) {
      anchor ??=
        beginsAtUs === undefined
          ? { capturedAtUs, replayedAtUs: Math.max(nowUs, capturedAtUs + delayUs) }
          : { capturedAtUs: beginsAtUs, replayedAtUs: nowUs + delayUs };
      return anchor.replayedAtUs + (capturedAtUs - anchor.capturedAtUs) / speed;
    },
  };
}

/** How late something was sent; 0 when it was on time, or when nothing was planned. */
export function scheduleLagUs(dueAtUs: number, sentAtUs: number): number {
  return dueAtUs === 0 ? 0 : Math.max(0, sentAtUs - dueAtUs);
}
