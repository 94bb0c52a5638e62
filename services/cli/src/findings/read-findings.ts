// Reads what the comparer has published of a mirror's findings, and of its control mirrors', and puts it together.
import { findingsTopic, liveRun, MirrorstreamError } from '@mirrorstream/domain';
import {
  type Aggregate,
  AggregateMerger,
  aggregateRecordSchema,
  type ControlAggregates,
  type Findings,
  findingsOf,
  mergedControls,
  type PerformanceEntry,
  performanceOf,
} from '@mirrorstream/findings';
import type { Admin, KafkaClient } from '@mirrorstream/kafka';
import { readWishes, type Wishes } from './wishes.ts';

export interface FindingsPlace {
  readonly environment: string;
  readonly mirror: string;
  /** `live`, or the name of a run. */
  readonly run: string;
}

export interface ReadFindings extends Findings {
  readonly aggregates: readonly Aggregate[];
  readonly controls: readonly ControlAggregates[];
  readonly performance: readonly PerformanceEntry[];
  readonly wishes: Wishes;
}

/** Throws `badInput` where nothing was ever compared; `undecodable` for a record of another version. */
export async function readFindings(client: KafkaClient, place: FindingsPlace, nowMs: number): Promise<ReadFindings> {
  const admin = await client.admin();
  const aggregates = await readAggregates(client, admin, place);
  if (aggregates === null)
    throw new MirrorstreamError('badInput', `there are no findings of ${place.mirror}, run ${place.run}`, {
      stage: 'findings',
      hint: 'Are mirror, run and environment right, and has a comparer of this version run for it?',
    });
  const wishes = await readWishes(client, admin, place.environment, place.mirror);
  const controls: ControlAggregates[] = [];
  const shapes = new Set(aggregates.map(({ fingerprint }) => fingerprint));
  for (const mirror of wishes.controls) {
    const found = await readControl(client, admin, { ...place, mirror });
    // One of another source, say, which saw nothing of what this mirror did, tells nothing of it.
    if (found?.aggregates.some(({ fingerprint }) => shapes.has(fingerprint))) controls.push(found);
  }
  return {
    ...findingsOf({ aggregates, controls, records: wishes.records, nowMs }),
    aggregates,
    controls,
    performance: performanceOf(aggregates, mergedControls(controls)),
    wishes,
  };
}

/** The run of that name on the control mirror where there is one; else what it saw live. */
async function readControl(
  client: KafkaClient,
  admin: Admin,
  { environment, mirror, run }: FindingsPlace,
): Promise<ControlAggregates | null> {
  for (const name of new Set([run, liveRun])) {
    const aggregates = await readAggregates(client, admin, { environment, mirror, run: name });
    if (aggregates !== null && aggregates.length > 0) return { mirror, run: name, aggregates };
  }
  return null;
}

/**
 * One per shape; null when there is no such topic. The topic is read twice, so that of each key only the newest record is ever parsed, and
 * of each shape only one aggregate is held.
 */
async function readAggregates(
  client: KafkaClient,
  admin: Admin,
  { environment, mirror, run }: FindingsPlace,
): Promise<readonly Aggregate[] | null> {
  const topic = findingsTopic(environment, mirror, run);
  if (!(await admin.partitionCounts([topic])).has(topic)) return null;
  const ranges = (await admin.offsets(topic))
    .filter(({ low, high }) => high > low)
    .map(({ partition, low, high }) => ({ partition, from: low, to: high }));
  const newest = new Map<string, bigint>();
  await client.readRange(topic, ranges, ({ records }) => {
    for (const { key, value, offset } of records) {
      const name = key?.toString('utf8') ?? '';
      if (value === null) newest.delete(name);
      else newest.set(name, offset);
    }
  });
  const merger = new AggregateMerger();
  await client.readRange(topic, ranges, ({ records }) => {
    for (const { key, value, offset } of records)
      if (value !== null && newest.get(key?.toString('utf8') ?? '') === offset) merger.add(parse(topic, offset, value));
  });
  return merger.all();
}

function parse(topic: string, offset: bigint, value: Buffer): Aggregate {
  try {
    return aggregateRecordSchema.parse(JSON.parse(value.toString('utf8'))).aggregate;
  } catch (cause) {
    throw new MirrorstreamError('undecodable', `record ${offset} of ${topic} is not one this version can read`, {
      stage: 'findings',
      hint: 'Use the version of mirrorstream that the comparer has.',
      cause,
    });
  }
}
