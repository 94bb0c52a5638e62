// What every service needs around its work.
export * from './control-follower.ts';
export * from './control-reader.ts';
export * from './flags.ts';
export * from './health.ts';
export * from './kafka-flags.ts';
export * from './lifecycle.ts';
export * from './logger.ts';
export * from './metrics.ts';
export * from './snapshot-publisher.ts';
export * from './snapshot-reader.ts';
export type { Surroundings } from './surroundings.ts';
export * from './topics.ts';
