// Moments as people write them: 2026-11-21T14:00:00Z, -15m, now.
import { parseDuration } from '../duration.ts';

const withZone = /^\d{4}-\d{2}-\d{2}(T\d{2}:\d{2}(:\d{2}(\.\d{1,3})?)?(Z|[+-]\d{2}:?\d{2}))?$/;

export const momentHint =
  'Write a time with its zone (2026-11-21T14:00:00Z, 2026-11-21T15:00+01:00), a date (midnight UTC), how long ago (-15m), or now.';

/** ms since the epoch; undefined when it is none of these. */
export function parseMoment(text: string, nowMs: number): number | undefined {
  if (text === 'now') return nowMs;
  if (text.startsWith('-')) {
    const ago = parseDuration(text.slice(1));
    return ago === undefined ? undefined : nowMs - ago;
  }
  if (!withZone.test(text)) return undefined;
  const ms = Date.parse(text);
  return Number.isNaN(ms) ? undefined : ms;
}

/** `2026-11-21T14:00:00Z`, with milliseconds where there are any: what `--from` takes. */
export function formatMoment(ms: number): string {
  return new Date(ms).toISOString().replace('.000Z', 'Z');
}
