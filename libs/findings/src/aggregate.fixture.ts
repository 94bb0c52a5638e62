// Aggregates for tests, made of plain counts.
import type { NotComparedReason, StatementClass } from '@mirrorstream/domain';
import { GrowingAggregate, type StatementSeen } from './aggregate.ts';
import type { Aggregate } from './model.ts';

export const shape = { normalizedSql: 'SELECT a, b FROM t WHERE id = $1', verb: 'SELECT', tables: ['public.t'] };

export const seen = (name: StatementClass, more: Partial<StatementSeen> = {}): StatementSeen => ({
  class: name,
  notCompared: '' as NotComparedReason | '',
  columns: [],
  errorCaptured: '',
  errorReplayed: '',
  latencyUs: null,
  queueUs: 0,
  atUs: 1_000_000,
  capturedAtUs: 900_000,
  ...more,
});

/** So many statements of each kind. */
export function aggregateOf(
  parts: readonly (readonly [count: number, seen: StatementSeen])[],
  fingerprint = '00000000000000aa',
): Aggregate {
  const growing = new GrowingAggregate(fingerprint, shape);
  for (const [count, one] of parts) for (let i = 0; i < count; i++) growing.add(one);
  return structuredClone(growing.toData());
}

/** Numbers in [0, 1) that repeat (mulberry32): a core package has no test kit. */
export function seeded(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Standard normal (Box and Muller). */
export function normal(random: () => number): number {
  return Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
}
