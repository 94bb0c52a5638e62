// One case: what happens on a connection, event by event, and how its bytes are cut into chunks. Kept as text in the corpus.
import type { CaptureLimits } from '../src/limits.ts';
import { createDice } from './dice.ts';

export type FuzzEvent =
  | readonly ['F', Uint8Array]
  | readonly ['B', Uint8Array]
  /** Bytes of a direction went by unseen. */
  | readonly ['missed', 'client' | 'server', number]
  | readonly ['cancelled']
  /** Time passes, in µs. */
  | readonly ['tick', number];

/** `events`: one chunk per event. `random`: neighbouring events of a direction joined, then cut into 1 to `most` bytes. */
export type Chunking =
  | { readonly mode: 'events' }
  | { readonly mode: 'random'; readonly seed: number; readonly most: number };

export interface FuzzCase {
  /** A conversation as a client and a server have it: all of it must be captured. */
  readonly valid: boolean;
  readonly limits: Partial<CaptureLimits>;
  readonly chunking: Chunking;
  readonly events: readonly FuzzEvent[];
}

export const isBytes = (event: FuzzEvent): event is readonly ['F' | 'B', Uint8Array] =>
  event[0] === 'F' || event[0] === 'B';

/** The events with their bytes cut as `chunking` says. */
export function chunked(fuzzCase: FuzzCase): readonly FuzzEvent[] {
  const { chunking, events } = fuzzCase;
  if (chunking.mode === 'events') return events;
  const dice = createDice(chunking.seed);
  const cut: FuzzEvent[] = [];
  for (const event of joined(events)) {
    if (!isBytes(event)) {
      cut.push(event);
      continue;
    }
    const [direction, bytes] = event;
    for (let at = 0; at < bytes.length; ) {
      const end = Math.min(bytes.length, at + 1 + dice.below(chunking.most));
      cut.push([direction, bytes.subarray(at, end)]);
      at = end;
    }
  }
  return cut;
}

function joined(events: readonly FuzzEvent[]): FuzzEvent[] {
  const result: FuzzEvent[] = [];
  let pending: Uint8Array[] = [];
  let direction: 'F' | 'B' = 'F';
  const flush = (): void => {
    if (pending.length > 0) result.push([direction, Buffer.concat(pending)]);
    pending = [];
  };
  for (const event of events) {
    if (!isBytes(event) || event[0] !== direction) flush();
    if (isBytes(event)) {
      direction = event[0];
      pending.push(event[1]);
    } else result.push(event);
  }
  flush();
  return result;
}

/** One event a line, so that a kept case can be read and a change of it be seen. */
export function writeCase(fuzzCase: FuzzCase, about: string): string {
  const { valid, limits, chunking } = fuzzCase;
  const events = fuzzCase.events.map((event) =>
    JSON.stringify(isBytes(event) ? [event[0], ...runsOf(Buffer.from(event[1]).toString('latin1'))] : event),
  );
  const head = [`"about":${JSON.stringify(about)}`, `"valid":${valid}`, `"limits":${JSON.stringify(limits)}`];
  return `{${[...head, `"chunking":${JSON.stringify(chunking)}`].join(',\n')},\n"events":[\n${events.join(',\n')}\n]}\n`;
}

/** Text as it is, and a character said many times as itself and how often. */
function runsOf(text: string): (string | readonly [string, number])[] {
  const parts = text.split(/((.)\2{39,})/s);
  const runs: (string | readonly [string, number])[] = [];
  // Each run is followed by its character, the inner group.
  for (let i = 0; i < parts.length; i += 3) {
    if (parts[i] !== '') runs.push(parts[i] as string);
    const run = parts[i + 1];
    if (run !== undefined) runs.push([run[0] as string, run.length]);
  }
  return runs;
}

type StoredEvent = readonly [string, ...(string | number | readonly [string, number])[]];

interface StoredCase {
  readonly valid: boolean;
  readonly limits: Partial<CaptureLimits>;
  readonly chunking: Chunking;
  readonly events: readonly StoredEvent[];
}

export function readCase(text: string): FuzzCase {
  const { valid, limits, chunking, events } = JSON.parse(text) as StoredCase;
  return { valid, limits, chunking, events: events.map(readEvent) };
}

function readEvent([kind, ...rest]: StoredEvent): FuzzEvent {
  if (kind !== 'F' && kind !== 'B') return [kind, ...rest] as unknown as FuzzEvent;
  const texts = rest.map((run) => (typeof run === 'object' ? run[0].repeat(run[1]) : String(run)));
  return [kind, Buffer.from(texts.join(''), 'latin1')];
}
