// What can be fuzzed, and how a case is drawn: from the grammar, mostly mutated, or from a case that reached new code.
import { defaultCaptureLimits } from '../src/limits.ts';
import { checkCapture } from './check-capture.ts';
import { checkDecoders, checkFrames } from './check-wire.ts';
import { createDice, type Dice } from './dice.ts';
import type { Chunking, FuzzCase, FuzzEvent } from './fuzz-case.ts';
import { Talk } from './grammar.ts';
import { mutate } from './mutate.ts';

export const targetNames = ['frames', 'decoders', 'capture'] as const;
export type TargetName = (typeof targetNames)[number];

/** Each throws for a case that breaks its promises. */
export const targets: Readonly<Record<TargetName, (fuzzCase: FuzzCase) => void>> = {
  frames: checkFrames,
  decoders: checkDecoders,
  capture: checkCapture,
};

const validShare = 0.15;
/** Cases that breed grow: these are large enough. */
const maxEvents = 3_000;
/** Small enough that cases of some kilobytes reach them. */
const tightLimits = { partBytes: 4_096, sessionBufferBytes: 16_384, maxFrameBytes: 2_048, maxStatementBytes: 4_096 };

/** The case of this seed. `pool`: cases to begin from instead of the grammar, now and then. */
export function drawCase(seed: number, pool: readonly FuzzCase[] = []): FuzzCase {
  const dice = createDice(seed);
  const grown = pool.length > 0 && dice.chance(0.4) ? dice.pick(pool) : null;
  const valid = grown === null && dice.chance(validShare);
  const events: FuzzEvent[] = grown === null ? Talk.of(dice) : grown.events.slice(0, maxEvents);
  if (!valid) mutate(events, dice);
  return { valid, limits: drawLimits(dice, valid), chunking: drawChunking(dice, events), events };
}

function drawLimits(dice: Dice, valid: boolean): FuzzCase['limits'] {
  const answers = dice.pick(['full', 'full', 'digest', 'none'] as const);
  const answerCapBytes = dice.pick([0, 100, defaultCaptureLimits.answerCapBytes]);
  const few = dice.chance(0.2) ? { maxStatements: 1, maxObservations: 2 } : {};
  // A valid conversation may be larger than a session may hold: then there is a gap, rightly.
  return { answers, answerCapBytes, ...few, ...(!valid && dice.chance(0.5) ? tightLimits : {}) };
}

function drawChunking(dice: Dice, events: readonly FuzzEvent[]): Chunking {
  const kind = dice.below(5);
  if (kind === 0) return { mode: 'events' };
  const size = events.reduce((sum, event) => sum + (event[0] === 'F' || event[0] === 'B' ? event[1].length : 0), 0);
  const least = size > 10_000 ? 64 : size > 2_000 ? 8 : 1;
  return { mode: 'random', seed: dice.below(2 ** 31), most: Math.max(least, dice.pick([1, 3, 30, 1_000, 65_536])) };
}
