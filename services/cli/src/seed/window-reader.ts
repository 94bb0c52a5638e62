// Reads the captured exchanges around the snapshots, until all that was under way when they were taken has been told.
import { envelopesTopic, MirrorstreamError } from '@mirrorstream/domain';
import { createOrderMerge, decodeEnvelopeBatch } from '@mirrorstream/envelope';
import type { Admin, KafkaClient } from '@mirrorstream/kafka';
import { SeedWindow } from '@mirrorstream/replay';
import { pause } from '../stack-scope.ts';
import { markerIn, type SourceSnapshots } from './source-snapshots.ts';

/** Records are stamped when they are published, which is after a transaction began; clocks of hosts differ. */
const marginMs = 10_000;
/** Of capture's publishing: parts of open transactions come after a second, heartbeats after five. */
const patienceMs = 30_000;
const lookEveryMs = 200;
const maxBufferedBytes = 256 * 1024 * 1024;
const maxTransactions = 2_000_000;
/** Of a partition, before what is kept is looked at: an old transaction may make the window long. */
const recordsAtOnce = 1_000n;

const smaller = (a: bigint, b: bigint): bigint => (a < b ? a : b);

export interface ReadWindow {
  readonly window: SeedWindow;
  /** Per partition: first offset read, and the one behind the last. */
  readonly from: ReadonlyMap<number, bigint>;
  readonly to: ReadonlyMap<number, bigint>;
  readonly records: readonly ReadRecord[];
}

export interface ReadRecord {
  readonly partition: number;
  readonly offset: bigint;
  readonly transactions: number;
  readonly incarnation: string;
  /** Header `record`. */
  readonly number: number;
}

/** Throws `notReady` when the proxy does not tell of the snapshots. */
export async function readWindow(
  client: KafkaClient,
  admin: Admin,
  source: string,
  snapshots: SourceSnapshots,
  clockUncertaintyUs: number,
): Promise<ReadWindow> {
  const topic = envelopesTopic(source);
  const from = new Map(await admin.offsetsByTime(topic, Math.floor(snapshots.oldestMs) - marginMs));
  const partitions = [...from.keys()];
  const merge = createOrderMerge({ partitions, maxBufferedBytes });
  let ended = false;
  const window = new SeedWindow({ clockUncertaintyUs, maxTransactions }, ({ exchange }) => {
    const name = markerIn(exchange.request, snapshots.seedId);
    if (name === snapshots.endName) ended = true;
    return name === snapshots.endName ? null : name;
  });
  const to = new Map(from);
  const seen: ReadRecord[] = [];
  const untilMs = performance.now() + patienceMs;
  while (!ended) {
    const highs = new Map((await admin.offsets(topic)).map(({ partition, high }) => [partition, high]));
    const ranges = partitions
      .map((partition) => {
        const next = to.get(partition) as bigint;
        return { partition, from: next, to: smaller(highs.get(partition) ?? 0n, next + recordsAtOnce) };
      })
      .filter((range) => range.from < range.to);
    if (ranges.length > 0)
      await client.readRange(topic, ranges, ({ partition, records }) => {
        for (const { offset, value, headers } of records) {
          const batch = decodeEnvelopeBatch(value ?? new Uint8Array(0));
          const { transactions = 0, incarnation = '', record = 0 } = headers;
          seen.push({ partition, offset, transactions: Number(transactions), incarnation, number: Number(record) });
          window.read(offset, batch);
          merge.add(batch);
        }
      });
    for (const range of ranges) to.set(range.partition, range.to);
    for (const ordered of merge.ready()) window.take(ordered);
    if (window.full) throw tooMuch(maxTransactions);
    if (!ended && performance.now() > untilMs) throw unheard();
    // What was not all of it goes on at once.
    if (!ended && [...highs].every(([partition, high]) => (to.get(partition) ?? high) >= high))
      await pause(lookEveryMs);
  }
  return { window, from, to, records: seen };
}

/** Of the snapshots, which capture should have told of. */
export function unheard(): MirrorstreamError {
  return new MirrorstreamError('notReady', 'capture has not told of the snapshots', {
    stage: 'seed',
    retryable: true,
    hint: 'Does --proxy lead to the proxy of --source-name, is it capturing (mirrorstream capture status) and with sampling 1?',
  });
}

function tooMuch(most: number): MirrorstreamError {
  return new MirrorstreamError('badInput', `more than ${most} transactions since the oldest open one began`, {
    stage: 'seed',
    hint: 'A transaction has been open for very long (pg_stat_activity.xact_start): end it, or wait for its end.',
  });
}
