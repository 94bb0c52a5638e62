// `mirrorstream dead-letter settle`: counts as failed what only spoiled results records knew of that do not say what they were about.
//
// Everything before the replayers' committed offset has a result. So what was captured there, and no result that can be read is about, was
// in those records. It gets a result now: then nothing is missing any more, and saying it again finds nothing.
import { envelopesTopic, MirrorstreamError, replayerGroup, resultsTopic } from '@mirrorstream/domain';
import {
  decodeEnvelopeBatch,
  type EnvelopeBatch,
  encodeResultAccount,
  encodeResultBatch,
  missingHeader,
  ResultOutcome,
  resultAccountHeader,
} from '@mirrorstream/envelope';
import type { Admin, KafkaClient, PartitionOffsets } from '@mirrorstream/kafka';
import type { StackScope } from '../stack-scope.ts';
import type { Letter } from './letter.ts';
import { type CapturedPlace, SettledTransactions, unsettledOf } from './settled.ts';

/** Of one record. */
const maxResults = 2_000;

export interface SettleParts {
  readonly client: KafkaClient;
  readonly admin: Admin;
  readonly scope: StackScope;
  readonly mirror: string;
}

/** A line for each partition with such a letter. Throws `badInput` where retention has taken what would tell. */
export async function settle(parts: SettleParts, letters: readonly Letter[]): Promise<readonly string[]> {
  const open = letters.filter(({ kind, transactions }) => kind === 'results' && transactions === null);
  const byPartition = new Map(open.map((letter) => [letter.from.partition, letter]));
  if (byPartition.size === 0)
    return ['Every letter says how many transactions it stands for: nothing is left to settle.'];
  const { admin, scope, mirror } = parts;
  // In this order: what is committed has its results in the log.
  const group = replayerGroup(scope.environment, mirror);
  const committed = await admin.committed(group, envelopesTopic(scope.source));
  const envelopes = await admin.offsets(envelopesTopic(scope.source));
  const results = await admin.offsets(resultsTopic(scope.environment, mirror));
  const lines: string[] = [];
  for (const [partition, letter] of byPartition) {
    const upTo = committed.find((one) => one.partition === partition)?.offset ?? null;
    const [captured, said] = [envelopes, results].map((logs) => logs.find((log) => log.partition === partition));
    if (upTo === null || captured === undefined || said === undefined) continue;
    if (said.low > 0n) throw takenByRetention(said);
    const missing = await missingOf(parts, partition, captured, said, upTo);
    if (missing.length > 0) await publish(parts, letter, missing);
    const transactions = missing.reduce((sum, place) => sum + place.transactions, 0);
    lines.push(
      `partition ${partition}: ${transactions} transactions without a result, counted as failed (undecodable)`,
    );
  }
  return lines;
}

async function missingOf(
  { client, scope, mirror }: SettleParts,
  partition: number,
  captured: PartitionOffsets,
  said: PartitionOffsets,
  upTo: bigint,
): Promise<readonly CapturedPlace[]> {
  const settled = new SettledTransactions();
  const inResults = [{ partition, from: said.low, to: said.high }].filter(({ from, to }) => from < to);
  await client.readRange(resultsTopic(scope.environment, mirror), inResults, ({ records }) => {
    for (const record of records) settled.take(record);
  });
  // What a seed found captured was counted as a whole: its replay began behind it.
  const from = settled.seeded ? (settled.lowestOffset ?? upTo) : captured.low;
  const missing = new Map<string, CapturedPlace>();
  const inLog = [{ partition, from, to: upTo }].filter((range) => range.from < range.to);
  await client.readRange(envelopesTopic(scope.source), inLog, ({ records }) => {
    for (const record of records)
      for (const place of unsettledOf(record, decoded(record.value), settled))
        missing.set(place.sessionId === '' ? `@${place.offset}` : `${place.sessionId}/${place.sessionSeq}`, place);
  });
  return [...missing.values()];
}

function decoded(value: Uint8Array | null): EnvelopeBatch | null {
  try {
    return decodeEnvelopeBatch(value ?? new Uint8Array(0));
  } catch {
    return null;
  }
}

async function publish(
  { client, scope, mirror }: SettleParts,
  letter: Letter,
  missing: readonly CapturedPlace[],
): Promise<void> {
  const { environment } = scope;
  const { topic, partition, offset } = letter.from;
  const producer = await client.producer();
  try {
    for (let chunk = 0; chunk * maxResults < missing.length; chunk++) {
      const results = missing.slice(chunk * maxResults, (chunk + 1) * maxResults).map((place) => {
        const { transactions, ...ref } = place;
        return {
          ref: { ...ref, lastPart: true },
          outcome: ResultOutcome.FAILED,
          reason: 'undecodable',
          transactions,
          sessionEnd: false,
        };
      });
      const value = encodeResultBatch({
        environment,
        mirror,
        run: 'live',
        replayer: 'dead-letter',
        partition,
        results,
      });
      const headers = {
        [resultAccountHeader]: encodeResultAccount(results),
        [missingHeader]: `${offset}/${chunk}`,
      };
      await producer.send([{ topic, partition, key: null, value, headers }]);
    }
  } finally {
    await producer.close();
  }
}

function takenByRetention({ partition, low }: PartitionOffsets): MirrorstreamError {
  return new MirrorstreamError(
    'badInput',
    `results of partition ${partition} before offset ${low} are deleted: what was never counted cannot be told any more`,
    {
      stage: 'dead-letter',
      hint: 'It stays in flight. A mirror that is seeded anew begins with an account that is closed.',
    },
  );
}
