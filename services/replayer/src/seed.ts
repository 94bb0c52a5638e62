// Where a seeded mirror begins: what its copy holds already is not played.
import { controlTopic, isInSeed, parseSeedPlan, type SeedPlan, seedPlanKey } from '@mirrorstream/domain';
import type { Envelope } from '@mirrorstream/envelope';
import type { Admin, KafkaClient } from '@mirrorstream/kafka';
import type { RecordPlace, Skip } from '@mirrorstream/replay';

/** Its session may have left more than later envelopes carry along: a temporary table, say. */
const beforeSeed: Skip = { outcome: 'filtered', reason: 'beforeSeed', harmless: false };

/** Null: the mirror was not seeded. Throws `badInput` when the record is not usable: there is no safe place to begin then. */
export async function readSeedPlan(
  client: KafkaClient,
  admin: Admin,
  environment: string,
  mirror: string,
): Promise<SeedPlan | null> {
  if (!(await admin.partitionCounts([controlTopic])).has(controlTopic)) return null;
  const ranges = (await admin.offsets(controlTopic))
    .filter(({ low, high }) => low < high)
    .map(({ partition, low, high }) => ({ partition, from: low, to: high }));
  const key = seedPlanKey(environment, mirror);
  let newest: Buffer | null = null;
  await client.readRange(controlTopic, ranges, ({ records }) => {
    for (const record of records) if (record.key?.toString() === key) newest = record.value;
  });
  return newest === null ? null : parseSeedPlan((newest as Buffer).toString());
}

/** Null: it is to be played. */
export function skipInSeed(
  plan: SeedPlan | null,
  partition: number,
  { offset }: RecordPlace,
  envelope: Envelope,
): Skip | null {
  if (plan === null) return null;
  const { sessionId, sessionSeq, startedAtUs } = envelope;
  return isInSeed(plan, { partition, offset, sessionId, sessionSeq, startedAtUs }) ? beforeSeed : null;
}
