// Replay core: pacing, policy, offset tracking, the lane state machine. Opens nothing.
export { Admission } from './admission.ts';
export * from './done-ledger.ts';
export { Lane } from './lane.ts';
export { LaneResults } from './lane-results.ts';
export * from './lane-types.ts';
export { queuedBytes } from './lane-work.ts';
export * from './offset-tracker.ts';
export * from './order/coordinator.ts';
export { type OverlapRule, overlapRules } from './order/overlap-queue.ts';
export * from './pacing.ts';
export * from './policy.ts';
export { exchangeStatements, textOfStatement } from './request-walk.ts';
export { mayShed, nextShedding, notShedding, type SheddingState } from './shedding.ts';
export type { Skip } from './skip.ts';
export * from './stage-one.ts';
export { StatementTable } from './statement-table.ts';
export type { SqlShapes } from './transaction-facts.ts';
export { looksAtTransactions } from './transaction-filter.ts';
