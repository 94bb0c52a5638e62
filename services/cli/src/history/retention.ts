// Whether the log still holds a window from its beginning, and if not, what is left.
import { MirrorstreamError } from '@mirrorstream/domain';
import type { Admin, KafkaClient, PartitionOffsets } from '@mirrorstream/kafka';
import { formatMoment } from './moment.ts';

export interface RetentionQuestion {
  readonly topic: string;
  readonly logs: readonly PartitionOffsets[];
  readonly fromMs: number;
}

const shownPartitions = 8;

/**
 * Throws `badInput` when records published after `fromMs` may have been deleted. What was deleted nobody can look at: a log that begins
 * later than the window does, and has lost its beginning, counts as cut.
 */
export async function refuseCutWindow(client: KafkaClient, admin: Admin, question: RetentionQuestion): Promise<void> {
  const { topic, logs, fromMs } = question;
  const shortened = logs.filter(({ low }) => low > 0n);
  if (shortened.length === 0) return;
  const earliest = await earliestTimes(client, topic, shortened);
  const emptied = shortened.filter(({ low, high }) => low === high);
  const emptiedUpToMs = emptied.length === 0 ? 0 : Date.now() - (await retentionMs(admin, topic));
  const left = shortened
    .map(({ partition }) => ({ partition, atMs: earliest.get(partition) ?? Math.max(0, emptiedUpToMs) }))
    .filter(({ atMs }) => atMs > fromMs)
    .sort((a, b) => b.atMs - a.atMs);
  const [worst] = left;
  if (worst === undefined) return;
  const shown = left.slice(0, shownPartitions).map(({ partition, atMs }) => `${partition}: ${formatMoment(atMs)}`);
  const more = left.length > shownPartitions ? `, … (${left.length} partitions)` : '';
  throw new MirrorstreamError(
    'badInput',
    `retention has deleted the beginning of the window: ${topic} is left from ${shown.join(', ')}${more}, ` +
      `the window begins at ${formatMoment(fromMs)}`,
    {
      stage: 'history',
      hint:
        `All partitions are whole from --from ${formatMoment(worst.atMs)} on. To keep windows for longer, export them, or raise the ` +
        'topic’s retention.ms.',
    },
  );
}

/** Timestamp of the first record of each partition that has one. */
async function earliestTimes(
  client: KafkaClient,
  topic: string,
  logs: readonly PartitionOffsets[],
): Promise<ReadonlyMap<number, number>> {
  const found = new Map<number, number>();
  const ranges = logs
    .filter(({ low, high }) => low < high)
    .map(({ partition, low }) => ({ partition, from: low, to: low + 1n }));
  if (ranges.length === 0) return found;
  await client.readRange(topic, ranges, ({ partition, records }) => {
    const [first] = records;
    if (first !== undefined) found.set(partition, first.timestampMs);
  });
  return found;
}

/** What is older may be gone; 0 where nothing is deleted by age: then somebody deleted it, and how far nobody knows. */
async function retentionMs(admin: Admin, topic: string): Promise<number> {
  const said = Number((await admin.topicConfig(topic)).get('retention.ms') ?? '-1');
  return Math.max(said, 0);
}
