// Makes a failing case small: fewer events, simpler chunks and limits, shorter bytes, as long as it fails with the same complaint.
import { type FuzzCase, type FuzzEvent, isBytes } from './fuzz-case.ts';

/** Numbers aside, a complaint says what is wrong. */
const kindOf = (message: string): string => message.replace(/\d+|".*"/g, '#').slice(0, 120);

/** The message with which `check` refuses the case, or null. */
export function complaint(check: (fuzzCase: FuzzCase) => void, fuzzCase: FuzzCase): string | null {
  try {
    check(fuzzCase);
    return null;
  } catch (error) {
    return error instanceof Error ? `${error.name}: ${error.message}` : String(error);
  }
}

/** At most `tries` runs of `check`. */
export function shrink(check: (fuzzCase: FuzzCase) => void, failing: FuzzCase, tries = 3_000): FuzzCase {
  const wanted = kindOf(complaint(check, failing) ?? '');
  let best = failing;
  let left = tries;
  const better = (candidate: FuzzCase): boolean => {
    if (left <= 0) return false;
    left -= 1;
    const said = complaint(check, candidate);
    if (said === null || kindOf(said) !== wanted) return false;
    best = candidate;
    return true;
  };
  for (let before = ''; before !== sizeOf(best) && left > 0; ) {
    before = sizeOf(best);
    // A part of a valid conversation is none.
    if (!best.valid) dropEvents(() => best, better);
    if (best.chunking.mode !== 'events') better({ ...best, chunking: { mode: 'events' } });
    for (const name of Object.keys(best.limits)) {
      const { [name as keyof FuzzCase['limits']]: _, ...limits } = best.limits;
      better({ ...best, limits });
    }
    if (!best.valid) shortenBytes(() => best, better);
  }
  return best;
}

const sizeOf = ({ events, limits, chunking }: FuzzCase): string =>
  `${events.length} ${events.reduce((sum, event) => sum + (isBytes(event) ? event[1].length : 0), 0)} ${Object.keys(limits).length} ${chunking.mode}`;

type Better = (candidate: FuzzCase) => boolean;

function dropEvents(best: () => FuzzCase, better: Better): void {
  for (let size = Math.ceil(best().events.length / 2); size >= 1; size = Math.floor(size / 2)) {
    for (let at = 0; at < best().events.length; ) {
      const events = best().events.toSpliced(at, size);
      if (!better({ ...best(), events })) at += size;
    }
  }
}

function shortenBytes(best: () => FuzzCase, better: Better): void {
  for (let at = 0; at < best().events.length; at++) {
    for (let size = Math.ceil(bytesAt(best(), at).length / 2); size >= 1; size = Math.floor(size / 2)) {
      for (let from = 0; from < bytesAt(best(), at).length; ) {
        const bytes = bytesAt(best(), at);
        const shorter = Buffer.concat([bytes.subarray(0, from), bytes.subarray(from + size)]);
        const event = [best().events[at]?.[0], shorter] as unknown as FuzzEvent;
        if (!better({ ...best(), events: best().events.with(at, event) })) from += size;
      }
    }
  }
}

function bytesAt(fuzzCase: FuzzCase, at: number): Uint8Array {
  const event = fuzzCase.events[at];
  return event !== undefined && isBytes(event) ? event[1] : new Uint8Array(0);
}
