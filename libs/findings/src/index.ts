// What many verdicts come to: aggregates, findings, noise, performance, suppressions.
export {
  type AggregateLimits,
  aggregateLimits,
  GrowingAggregate,
  type StatementSeen,
  type StatementShape,
} from './aggregate.ts';
export { type Findings, type FindingsInput, findingsOf, mergedControls } from './findings.ts';
export { findingId } from './fnv.ts';
export { AggregateMerger } from './merge.ts';
export * from './model.ts';
export { percentOf } from './noise.ts';
export { improvementsIn, performanceOf, regressionsIn } from './performance.ts';
export * from './records.ts';
export * from './states.ts';
