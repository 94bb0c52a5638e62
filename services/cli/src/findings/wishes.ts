// What the control topic says that concerns findings: which mirrors are controls, and what people said about findings of one mirror.
import { controlTopic, mirrorControlKey, parseMirrorControl } from '@mirrorstream/domain';
import {
  type FindingRecords,
  findingKeyOf,
  parseStatusRecord,
  parseSuppressionRecord,
  type StatusRecord,
  type SuppressionRecord,
} from '@mirrorstream/findings';
import type { Admin, KafkaClient } from '@mirrorstream/kafka';

export interface Wishes {
  /** Mirrors of the environment whose role is control, without the one that was asked about; by name. */
  readonly controls: readonly string[];
  readonly records: FindingRecords;
  /** Keys of records that are not usable: they are left out, and said. */
  readonly unusable: readonly string[];
}

export async function readWishes(
  client: KafkaClient,
  admin: Admin,
  environment: string,
  mirror: string,
): Promise<Wishes> {
  const newest = new Map<string, string>();
  if ((await admin.partitionCounts([controlTopic])).has(controlTopic)) {
    const ranges = (await admin.offsets(controlTopic))
      .filter(({ low, high }) => high > low)
      .map(({ partition, low, high }) => ({ partition, from: low, to: high }));
    await client.readRange(controlTopic, ranges, ({ records }) => {
      for (const { key, value } of records) {
        const name = key?.toString('utf8') ?? '';
        if (value === null) newest.delete(name);
        else newest.set(name, value.toString('utf8'));
      }
    });
  }
  return wishesIn(newest, environment, mirror);
}

/** `newest`: of each key of the control topic. */
export function wishesIn(newest: ReadonlyMap<string, string>, environment: string, mirror: string): Wishes {
  const controls: string[] = [];
  const statuses = new Map<string, StatusRecord>();
  const suppressions = new Map<string, SuppressionRecord>();
  const unusable: string[] = [];
  const mirrors = mirrorControlKey(environment, '');
  for (const [key, json] of newest) {
    try {
      const found = findingKeyOf(environment, mirror, key);
      if (found?.kind === 'status') statuses.set(found.id, parseStatusRecord(json));
      else if (found?.kind === 'suppression') suppressions.set(found.id, parseSuppressionRecord(json));
      else if (key.startsWith(mirrors) && parseMirrorControl(json).role === 'control')
        controls.push(key.slice(mirrors.length));
    } catch {
      unusable.push(key);
    }
  }
  return { controls: controls.filter((name) => name !== mirror).sort(), records: { statuses, suppressions }, unusable };
}
