// A partition's aggregates for tests, and what goes with them.

import { type FindingsPlace, FindingsTable, type SavedFindings } from './findings-table.ts';
import type { LagThresholds } from './lag-guard.ts';

export const placeOf = (partition: number): FindingsPlace => ({
  environment: 'default',
  mirror: 'm',
  run: 'live',
  topic: 'default.m.findings',
  partition,
  topicPartition: partition,
});

export const tableOf = (partition: number, offset = 0n, saved?: SavedFindings): FindingsTable =>
  new FindingsTable(placeOf(partition), offset, saved);

export const neverBehind: LagThresholds = { detailBehindMs: 0, workBehindMs: 0 };
