// Plans that were taken, in a compacted topic of the mirror: read whole, written one by one.
import { plansTopic } from '@mirrorstream/domain';
import type { Admin, KafkaClient } from '@mirrorstream/kafka';
import { planKey, type StoredPlan, storedPlanSchema } from './plan.ts';

/** A plan larger than this is not kept: a message has its limit. */
const maxPlanBytes = 512 * 1024;

export async function readPlans(
  client: KafkaClient,
  admin: Admin,
  environment: string,
  mirror: string,
): Promise<readonly StoredPlan[]> {
  const topic = plansTopic(environment, mirror);
  if (!(await admin.partitionCounts([topic])).has(topic)) return [];
  const newest = new Map<string, StoredPlan>();
  const ranges = (await admin.offsets(topic)).map(({ partition, low, high }) => ({ partition, from: low, to: high }));
  await client.readRange(topic, ranges, ({ records }) => {
    for (const { key, value } of records) {
      const plan = parse(value);
      if (plan === null) newest.delete(String(key));
      else newest.set(String(key), plan);
    }
  });
  return [...newest.values()].sort((a, b) => a.atMs - b.atMs);
}

/** False: too large to be kept. */
export async function keepPlan(
  client: KafkaClient,
  admin: Admin,
  { environment, mirror }: { readonly environment: string; readonly mirror: string },
  stored: readonly StoredPlan[],
  plan: StoredPlan,
): Promise<boolean> {
  const value = Buffer.from(JSON.stringify(plan));
  if (value.length > maxPlanBytes) return false;
  const topic = plansTopic(environment, mirror);
  await admin.ensureTopics([{ topic, partitions: 1, config: { 'cleanup.policy': 'compact' } }]);
  const producer = await client.producer({ compression: 'zstd' });
  try {
    await producer.send([{ topic, partition: 0, key: planKey(stored, plan.fingerprint, plan.side), value }]);
  } finally {
    await producer.close();
  }
  return true;
}

function parse(value: Buffer | null): StoredPlan | null {
  try {
    return value === null ? null : storedPlanSchema.parse(JSON.parse(value.toString()));
  } catch {
    return null;
  }
}
