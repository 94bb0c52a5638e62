// What every service needs around its work.
export * from './flags.ts';
export * from './lifecycle.ts';
