// The worker's way to Kafka: topics first, then the incarnation's first snapshot, and only then the first record, so that no
// record can exist whose incarnation nobody has heard of. Until then records wait in the publish buffer.
import { envelopesTopic, MirrorstreamError, type Snapshot, snapshotSchema, statusTopic } from '@mirrorstream/domain';
import type { KafkaClient, KafkaLogger, PartitionOffsets, Producer, TopicSpec } from '@mirrorstream/kafka';
import type { CaptureWorker } from './capture-worker.ts';
import { countPublished, finalSnapshot, unfinished } from './predecessors.ts';
import { StatusFeed } from './status-feed.ts';
import type { WorkerSettings } from './worker-protocol.ts';

const retryMinMs = 100;
const retryMaxMs = 5_000;

export interface KafkaLinkOptions {
  readonly client: KafkaClient;
  readonly worker: CaptureWorker;
  readonly settings: WorkerSettings;
  readonly logger: KafkaLogger;
}

export class KafkaLink {
  readonly #options: KafkaLinkOptions;
  #feed: StatusFeed | null = null;
  #closing = false;

  constructor(options: KafkaLinkOptions) {
    this.#options = options;
  }

  /** Tries until it works. Never throws: without Kafka, capture fills its buffer and then drops and counts. */
  open(): void {
    void this.#openAndSettle();
  }

  /** The last snapshot. True: it says that everything was published, and Kafka has it. */
  async close(deadlineMs: number): Promise<boolean> {
    this.#closing = true;
    const { worker, client } = this.#options;
    const last = worker.snapshot(Date.now(), true);
    const told = this.#feed === null ? false : await within(deadlineMs, this.#finish(this.#feed, last));
    await within(deadlineMs, client.close());
    return told && last.final;
  }

  async #finish(feed: StatusFeed, last: ReturnType<CaptureWorker['snapshot']>): Promise<void> {
    await feed.stop();
    await feed.publish(last);
  }

  async #openAndSettle(): Promise<void> {
    const { logger, settings } = this.#options;
    for (let waitMs = retryMinMs; !this.#closing; waitMs = Math.min(retryMaxMs, waitMs * 2)) {
      try {
        const ends = await this.#begin();
        logger.info({ topic: envelopesTopic(settings.source), incarnation: settings.incarnation }, 'publishing');
        await this.#settlePredecessors(ends);
        return;
      } catch (error) {
        const told = error instanceof MirrorstreamError ? { code: error.code, hint: error.hint } : {};
        const details = { ...told, error: error instanceof Error ? error.message : String(error) };
        if (waitMs === retryMinMs) logger.error(details, 'Kafka is not usable yet: forwarding goes on, capture waits');
        else logger.debug(details, 'Kafka is still not usable');
      }
      await new Promise((resolve) => setTimeout(resolve, waitMs));
    }
  }

  /** Returns where the partitions ended before this incarnation published anything. */
  async #begin(): Promise<readonly PartitionOffsets[]> {
    const { client, worker, settings } = this.#options;
    const topic = envelopesTopic(settings.source);
    const admin = await client.admin();
    try {
      await admin.ensureTopics([envelopesSpec(topic, settings.partitions), statusSpec]);
      const ends = await admin.offsets(topic);
      if (this.#feed !== null) return ends;
      for (const { partition, high } of ends) worker.ledger.began(partition, high);
      const producer = await client.producer();
      await this.#open(producer);
      return ends;
    } finally {
      await admin.close();
    }
  }

  async #open(producer: Producer): Promise<void> {
    const { worker } = this.#options;
    const feed = new StatusFeed(producer, (atMs) => worker.snapshot(atMs, false));
    try {
      await feed.publish(worker.snapshot(Date.now(), false));
    } catch (error) {
      await feed.stop();
      throw error;
    }
    this.#feed = feed;
    worker.producer.open(producer);
  }

  async #settlePredecessors(ends: readonly PartitionOffsets[]): Promise<void> {
    const { client, settings, logger } = this.#options;
    const lasts = unfinished(await this.#snapshots(), settings);
    if (lasts.length === 0) return;
    const counts = await countPublished(client, envelopesTopic(settings.source), ends, lasts);
    for (const [last, found] of counts) {
      const final = finalSnapshot(last, found, Date.now());
      await this.#feed?.publish(final);
      const { transactions, dropped } = final;
      logger.info(
        { incarnation: last.incarnation, found: found.transactions, transactions, dropped: dropped.transactions },
        'closed the books of an earlier incarnation',
      );
    }
  }

  /** The newest snapshot of each key. */
  async #snapshots(): Promise<Iterable<Snapshot>> {
    const { client } = this.#options;
    const admin = await client.admin();
    const newest = new Map<string, Snapshot>();
    try {
      const ends = await admin.offsets(statusTopic);
      const ranges = ends
        .filter(({ low, high }) => low < high)
        .map(({ partition, low, high }) => ({ partition, from: low, to: high }));
      await client.readRange(statusTopic, ranges, ({ records }) => {
        for (const { key, value } of records) {
          const snapshot = snapshotSchema.safeParse(value === null ? null : parseJson(String(value)));
          if (snapshot.success) newest.set(String(key), snapshot.data);
          else newest.delete(String(key));
        }
      });
    } finally {
      await admin.close();
    }
    return newest.values();
  }
}

const envelopesSpec = (topic: string, partitions: number): TopicSpec => ({
  topic,
  partitions,
  config: {
    'cleanup.policy': 'delete',
    'retention.ms': String(7 * 24 * 60 * 60 * 1000),
    'max.message.bytes': String(1024 * 1024),
  },
});

const statusSpec: TopicSpec = {
  topic: statusTopic,
  partitions: 1,
  config: {
    'cleanup.policy': 'compact',
    'segment.ms': String(10 * 60 * 1000),
    'segment.bytes': String(8 * 1024 * 1024),
  },
};

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

/** True: it was done in time, without an error. */
async function within(deadlineMs: number, work: Promise<unknown>): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<boolean>((resolve) => {
    timer = setTimeout(() => resolve(false), deadlineMs);
  });
  const done = work.then(
    () => true,
    () => false,
  );
  const inTime = await Promise.race([done, late]);
  clearTimeout(timer);
  return inTime;
}
