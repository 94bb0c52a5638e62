// Vocabulary of the project: what every part may import.
export * from './config.ts';
export * from './control.ts';
export { parseControlRecord } from './control-record.ts';
export * from './errors.ts';
export * from './filters.ts';
export * from './fold-status.ts';
export * from './history.ts';
export * from './mirror-control.ts';
export * from './names.ts';
export * from './outcomes.ts';
export * from './seed-plan.ts';
export * from './shed.ts';
export * from './side-effects.ts';
export * from './snapshot.ts';
export * from './status.ts';
