// The account of a seeded mirror: what was captured before its beginning is counted as filtered, so that captured is still the sum.
import { resultsTopic, type Snapshot } from '@mirrorstream/domain';
import {
  anonymousResult,
  encodeResultAccount,
  encodeResultBatch,
  ResultOutcome,
  resultAccountHeader,
} from '@mirrorstream/envelope';
import type { Admin, Producer } from '@mirrorstream/kafka';
import type { ReadRecord } from './window-reader.ts';

/** No envelope has this index: an EnvelopeBatch is at most 1 MiB. */
const accountIndex = 0xffff_ffff;

/**
 * Transactions captured before the mirror's beginning that it has not settled yet. `snapshots`: taken before the last of `records` was
 * read, so that the records hold all that the capture counters are ahead of the beginning, or behind it. `starts`: per partition, within the
 * records.
 */
export function transactionsBefore(
  snapshots: readonly Snapshot[],
  place: { readonly source: string; readonly environment: string; readonly mirror: string },
  starts: ReadonlyMap<number, bigint>,
  records: readonly ReadRecord[],
): number {
  let captured = 0;
  let settled = 0;
  const publishedUpTo = new Map<string, Readonly<Record<string, string>>>();
  for (const snapshot of snapshots) {
    if (snapshot.kind === 'capture' && snapshot.source === place.source) {
      captured += snapshot.transactions;
      publishedUpTo.set(snapshot.incarnation, snapshot.publishedUpTo);
    } else if (
      snapshot.kind === 'comparer' &&
      snapshot.environment === place.environment &&
      snapshot.mirror === place.mirror
    ) {
      for (const count of Object.values(snapshot.outcomes)) settled += count;
    }
  }
  const last = new Map<string, number>();
  for (const { partition, offset, transactions, incarnation, number } of records) {
    const key = `${incarnation}/${partition}`;
    if (number <= (last.get(key) ?? 0)) continue; // a repetition: counted once
    last.set(key, number);
    const upTo = publishedUpTo.get(incarnation)?.[partition];
    const isCounted = upTo !== undefined && offset < BigInt(upTo);
    const isBefore = offset < (starts.get(partition) ?? 0n);
    if (isCounted && !isBefore) captured -= transactions;
    // Capture says about once a second what it has counted; what it published since may lie before the beginning, too.
    if (!isCounted && isBefore) captured += transactions;
  }
  return captured - settled;
}

/** Returns, per partition, where the results end that the mirror's replayers need not look at. */
export async function publishAccount(
  admin: Admin,
  producer: Producer,
  place: { readonly environment: string; readonly mirror: string },
  starts: ReadonlyMap<number, bigint>,
  transactions: number,
): Promise<ReadonlyMap<number, bigint>> {
  const { environment, mirror } = place;
  const topic = resultsTopic(environment, mirror);
  const [first] = [...starts].sort(([a], [b]) => a - b);
  if (transactions > 0 && first !== undefined) {
    const [partition, offset] = first;
    const result = {
      ...anonymousResult({ offset, index: accountIndex }, transactions),
      outcome: ResultOutcome.FILTERED,
      reason: 'beforeSeed',
    };
    const value = encodeResultBatch({
      environment,
      mirror,
      run: 'live',
      replayer: 'seed',
      partition,
      results: [result],
    });
    const headers = { [resultAccountHeader]: encodeResultAccount([result]) };
    await producer.send([{ topic, partition, key: null, value, headers }]);
  }
  return new Map((await admin.offsets(topic)).map(({ partition, high }) => [partition, high]));
}
