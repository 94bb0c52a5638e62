// First and last offsets, and offsets by time.
import type { BrokerDirectory } from './broker-directory.ts';
import { isStaleLeader, kafkaUnavailable, protocolError, protocolErrorType } from './errors.ts';
import type { TopicPartition } from './port.ts';
import { partitionKey } from './port.ts';

/** A time in ms since the epoch, or one of the two ends (ListOffsets: -2, -1). */
export type OffsetAt = 'earliest' | 'latest' | { readonly timestampMs: number };

interface ListOffsetsAnswer {
  readonly responses: readonly {
    readonly topic: string;
    readonly partitions: readonly { readonly partition: number; readonly errorCode: number; readonly offset: string }[];
  }[];
}

/** One attempt. By time: `null` where there is no record at or after it. */
export async function listOffsets(
  directory: BrokerDirectory,
  topic: string,
  partitions: readonly number[],
  at: OffsetAt,
): Promise<ReadonlyMap<number, bigint | null>> {
  const layout = await directory.layout(topic);
  if (layout.kind === 'refused') throw layout.error;
  const byLeader = new Map<number, number[]>();
  for (const partition of partitions) {
    const leader = layout.leaders.get(partition);
    if (leader === undefined || leader === null) {
      directory.markStale();
      throw kafkaUnavailable(`${partitionKey({ topic, partition })} has no leader at the moment`);
    }
    byLeader.set(leader, [...(byLeader.get(leader) ?? []), partition]);
  }
  const found = new Map<number, bigint | null>();
  await Promise.all([...byLeader].map(([leader, led]) => ask(directory, leader, topic, led, at, found)));
  return found;
}

async function ask(
  directory: BrokerDirectory,
  leader: number,
  topic: string,
  partitions: readonly number[],
  at: OffsetAt,
  found: Map<number, bigint | null>,
): Promise<void> {
  const timestamp = at === 'earliest' ? -2 : at === 'latest' ? -1 : at.timestampMs;
  const answer = await directory.ask<ListOffsetsAnswer>(leader, 'ListOffsets', {
    replicaId: -1,
    isolationLevel: 0,
    topics: [{ topic, partitions: partitions.map((partition) => ({ partition, timestamp: String(timestamp) })) }],
  });
  for (const { partition, errorCode, offset } of answer.responses.flatMap((response) => response.partitions)) {
    if (errorCode !== 0) {
      const type = protocolErrorType(errorCode);
      if (isStaleLeader(type)) directory.markStale();
      throw protocolError(type, `looking up offsets of ${partitionKey({ topic, partition })}`);
    }
    found.set(partition, BigInt(offset) < 0n ? null : BigInt(offset));
  }
}

/** One partition's first or next offset. */
export async function listOffset(
  directory: BrokerDirectory,
  { topic, partition }: TopicPartition,
  at: 'earliest' | 'latest',
): Promise<bigint> {
  const found = (await listOffsets(directory, topic, [partition], at)).get(partition);
  if (found === undefined || found === null)
    throw kafkaUnavailable(`no answer for ${partitionKey({ topic, partition })}`);
  return found;
}
