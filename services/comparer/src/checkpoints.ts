// Finds where to go on: the newest snapshot of each partition in the status topic.
import { type ComparerSnapshot, MirrorstreamError, snapshotSchema, statusTopic } from '@mirrorstream/domain';
import type { Admin, KafkaClient } from '@mirrorstream/kafka';

interface CheckpointPlace {
  readonly environment: string;
  readonly mirror: string;
  readonly run?: string;
}

const checkpointKey = ({ environment, mirror, run }: CheckpointPlace, partition: number): string =>
  `comparer/${environment}/${mirror}/${run === undefined ? '' : `${run}/`}${partition}`;

/** Reads the status topic to its end. Partitions that were never counted are left out. Throws `undecodable` for an unreadable one. */
export async function readCheckpoints(
  client: KafkaClient,
  admin: Admin,
  of: CheckpointPlace & { readonly partitions: readonly number[] },
): Promise<ReadonlyMap<number, ComparerSnapshot>> {
  const wanted = new Map(of.partitions.map((partition) => [checkpointKey(of, partition), partition]));
  const newest = new Map<string, Buffer>();
  const ranges = (await admin.offsets(statusTopic))
    .filter((offsets) => offsets.high > offsets.low)
    .map(({ partition, low, high }) => ({ partition, from: low, to: high }));
  await client.readRange(statusTopic, ranges, (batch) => {
    for (const { key, value } of batch.records) {
      const name = key?.toString('utf8') ?? '';
      if (!wanted.has(name)) continue;
      if (value === null) newest.delete(name);
      else newest.set(name, value);
    }
  });
  const found = new Map<number, ComparerSnapshot>();
  for (const [name, value] of newest) found.set(wanted.get(name) as number, parseCheckpoint(name, value));
  return found;
}

function parseCheckpoint(key: string, value: Buffer): ComparerSnapshot {
  let json: unknown;
  try {
    json = JSON.parse(value.toString('utf8'));
  } catch {
    throw unreadable(key);
  }
  const parsed = snapshotSchema.safeParse(json);
  if (!parsed.success || parsed.data.kind !== 'comparer') throw unreadable(key);
  return parsed.data;
}

function unreadable(key: string): MirrorstreamError {
  return new MirrorstreamError(
    'undecodable',
    `the checkpoint ${key} in ${statusTopic} is not one this version can read`,
    {
      stage: 'comparer',
      hint: 'Run the version that wrote it. To count this partition again from the oldest result, publish a tombstone for that key.',
    },
  );
}
