// What a new owner of a partition needs to know: the committed offset, and from the results what is done beyond it.
import { envelopesTopic, replayerGroup, resultsTopic } from '@mirrorstream/domain';
import { decodeResultAccount, decodeResultBatch, resultAccountHeader } from '@mirrorstream/envelope';
import type { Admin, IncomingRecord, KafkaClient } from '@mirrorstream/kafka';
import { DoneLedger } from '@mirrorstream/replay';
import type { PartitionStart } from './partition.ts';
import { type RunPlan, rangeOf } from './run-plan.ts';

export interface RecoveryPlace {
  readonly environment: string;
  readonly mirror: string;
  readonly source: string;
  /** `live`, or the name of the run. */
  readonly run: string;
}

/** Committed offset and metadata of each partition; null where nothing was committed. */
export type Committed = ReadonlyMap<number, { readonly offset: bigint | null; readonly metadata: string }>;

export async function readCommitted(admin: Admin, place: RecoveryPlace): Promise<Committed> {
  const topic = envelopesTopic(place.source);
  const found = await admin.committed(replayerGroup(place.environment, place.mirror, place.run), topic);
  return new Map(found.map(({ partition, offset, metadata }) => [partition, { offset, metadata }]));
}

/** The metadata of a commit: `{"r":"<results offset>"}`. */
export function commitMetadata(resultsFrom: bigint): string {
  return JSON.stringify({ r: String(resultsFrom) });
}

/** Null: written by nobody we know. Then all results are read. */
export function resultsFromOf(metadata: string): bigint | null {
  const match = /^\{"r":"(\d{1,19})"\}$/.exec(metadata);
  return match?.[1] === undefined ? null : BigInt(match[1]);
}

export async function recover(
  client: KafkaClient,
  admin: Admin,
  place: RecoveryPlace,
  partitions: readonly number[],
  committed: Committed,
  plan: RunPlan | null,
): Promise<readonly PartitionStart[]> {
  const topic = resultsTopic(place.environment, place.mirror, place.run);
  const [resultOffsets, envelopeOffsets] = await Promise.all([
    admin.offsets(topic),
    admin.offsets(envelopesTopic(place.source)),
  ]);
  const starts = partitions.map((partition): PartitionStart => {
    const results = resultOffsets.find((each) => each.partition === partition) ?? { low: 0n, high: 0n };
    const envelopes = envelopeOffsets.find((each) => each.partition === partition) ?? { low: 0n };
    const commit = committed.get(partition);
    const from = (commit?.offset == null ? null : resultsFromOf(commit.metadata)) ?? results.low;
    return {
      partition,
      offset: maxOf(commit?.offset ?? (plan === null ? envelopes.low : rangeOf(plan, partition).from), envelopes.low),
      resultsFrom: minOf(maxOf(from, results.low), results.high),
      resultsEnd: results.high,
      done: new DoneLedger(),
    };
  });
  const byPartition = new Map(starts.map((start) => [start.partition, start]));
  const ranges = starts.map(({ partition, resultsFrom, resultsEnd }) => ({
    partition,
    from: resultsFrom,
    to: resultsEnd,
  }));
  const toRead = ranges.filter(({ from, to }) => from < to);
  if (toRead.length === 0) return starts;
  await client.readRange(topic, toRead, (batch) => {
    const start = byPartition.get(batch.partition);
    for (const record of batch.records) if (start !== undefined) addAll(start.done, record);
  });
  return starts;
}

/** Of a record nobody can decode its header tells. Without one, what it was about is played again, and the comparer sees the repeat. */
function addAll(done: DoneLedger, { value, headers }: IncomingRecord): void {
  try {
    const batch = decodeResultBatch(value ?? new Uint8Array(0));
    for (const result of batch.results) done.add(result);
  } catch {
    // Said by the comparer, which reads the same records.
    const account = decodeResultAccount(headers[resultAccountHeader]);
    if (account !== null) done.addAccount(account);
  }
}

const maxOf = (a: bigint, b: bigint): bigint => (a > b ? a : b);
const minOf = (a: bigint, b: bigint): bigint => (a < b ? a : b);
