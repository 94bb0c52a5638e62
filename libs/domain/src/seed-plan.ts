// Where the replay of a seeded mirror begins: which captured transactions its copy holds already, and which come after it.
//
//   topic  mirrorstream.control, compacted, one partition
//   key    seed/<environment>/<mirror>
//   value  JSON, see below; replayers of the mirror read it when they start
//
// The copy was made from a snapshot that was taken through the proxy, so the snapshot has a place among the captured exchanges. Nearly
// all transactions ended before it was asked for, or began after it was given: their time tells. The others are named one by one.
import { z } from 'zod';
import { MirrorstreamError } from './errors.ts';

const offset = z.string().regex(/^\d{1,19}$/);

const seedPlanSchema = z.looseObject({
  version: z.literal(1),
  seedId: z.string().min(1).max(100),
  database: z.string(),
  /** Wall clock of capture, µs: what began later is not in the copy. */
  snapshotAtUs: z.number().nonnegative(),
  /** Per envelopes partition: what was published from here on ended after the snapshot. */
  endOffsets: z.record(z.string(), offset),
  /** `<sessionId>/<sessionSeq>` → whether it is to be played, where its time says otherwise or nothing. */
  exceptions: z.record(z.string(), z.boolean()),
});
export type SeedPlan = z.infer<typeof seedPlanSchema>;

/** A compacted record has to stay one that everybody can read at once. */
export const maxSeedExceptions = 5_000;

export const seedPlanKey = (environment: string, mirror: string): string => `seed/${environment}/${mirror}`;

export const encodeSeedPlan = (plan: SeedPlan): string => JSON.stringify(seedPlanSchema.parse(plan));

/** Throws `badInput`: replay must not go on from a place it does not understand. */
export function parseSeedPlan(json: string): SeedPlan {
  let value: unknown;
  try {
    value = JSON.parse(json);
  } catch (cause) {
    throw bad('it is no JSON', cause);
  }
  const parsed = seedPlanSchema.safeParse(value);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw bad(`${issue?.path.join('.') || 'value'}: ${issue?.message ?? 'wrong'}`, undefined);
}

/** What an envelope says of its transaction. */
export interface SeededTransaction {
  readonly partition: number;
  /** Of the record that holds this part. */
  readonly offset: bigint;
  readonly sessionId: string;
  readonly sessionSeq: bigint;
  /** µs since the epoch, of its first byte. */
  readonly startedAtUs: bigint;
}

/** Whether the mirror's copy holds what this transaction did: then it is not played. The same for all parts of one. */
export function isInSeed(plan: SeedPlan, transaction: SeededTransaction): boolean {
  const { partition, sessionId, sessionSeq, startedAtUs } = transaction;
  const exception = plan.exceptions[`${sessionId}/${sessionSeq}`];
  if (exception !== undefined) return !exception;
  const end = plan.endOffsets[partition];
  if (end === undefined || transaction.offset >= BigInt(end)) return false;
  return Number(startedAtUs) <= plan.snapshotAtUs;
}

function bad(problem: string, cause: unknown): MirrorstreamError {
  return new MirrorstreamError('badInput', `the seed record is not usable: ${problem}`, {
    stage: 'control',
    hint: 'Seed the mirror anew with mirrorstream seed, or use the version of mirrorstream that wrote the record.',
    ...(cause === undefined ? {} : { cause }),
  });
}
