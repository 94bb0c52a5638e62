// What many verdicts come to: aggregates, findings, noise, performance, suppressions.
export * from './model.ts';
export * from './states.ts';
