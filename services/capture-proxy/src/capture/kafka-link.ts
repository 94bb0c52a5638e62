// The worker's way to Kafka: topics first, then the incarnation's first snapshot, and only then the first record, so that no
// record can exist whose incarnation nobody has heard of. Until then records wait in the publish buffer.
import { type CaptureSnapshot, envelopesTopic, MirrorstreamError } from '@mirrorstream/domain';
import type { KafkaClient, KafkaLogger, PartitionOffsets, Producer } from '@mirrorstream/kafka';
import { ensureSourceTopics, ensureStatusTopic, SnapshotPublisher } from '@mirrorstream/service-kit';
import type { CaptureWorker } from './capture-worker.ts';
import type { SpoolAccess } from './spool-access.ts';
import { Succession } from './succession.ts';
import type { WorkerSettings } from './worker-protocol.ts';

const retryMinMs = 100;
const retryMaxMs = 5_000;
/** For a last snapshot that is not the last word. */
const unfinishedMs = 1_000;
/** For Kafka's connections to end in order. */
const closeMs = 1_000;

export interface KafkaLinkOptions {
  readonly client: KafkaClient;
  readonly worker: CaptureWorker;
  readonly spool: SpoolAccess;
  readonly settings: WorkerSettings;
  readonly logger: KafkaLogger;
}

export class KafkaLink {
  readonly #options: KafkaLinkOptions;
  #publisher: SnapshotPublisher | null = null;
  /** Corrected snapshots of earlier incarnations, until Kafka has them. */
  #corrected: readonly CaptureSnapshot[] = [];
  #last: CaptureSnapshot | null = null;
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
    this.#last = worker.snapshot(Date.now(), true);
    this.#publisher?.stop();
    // One that is not final can wait for the successor, who closes the books.
    const patienceMs = this.#last.final ? deadlineMs : Math.min(deadlineMs, unfinishedMs);
    const told = (await this.#publisher?.publishNow(patienceMs)) ?? false;
    await within(closeMs, client.close());
    return told && this.#last.final;
  }

  async #openAndSettle(): Promise<void> {
    const { logger, settings } = this.#options;
    for (let waitMs = retryMinMs; !this.#closing; waitMs = Math.min(retryMaxMs, waitMs * 2)) {
      try {
        await this.#begin();
        logger.info({ topic: envelopesTopic(settings.source), incarnation: settings.incarnation }, 'publishing');
        await this.#settlePredecessors();
        return;
      } catch (error) {
        if (this.#closing) return;
        const told = error instanceof MirrorstreamError ? { code: error.code, hint: error.hint } : {};
        const details = { ...told, error: error instanceof Error ? error.message : String(error) };
        if (waitMs === retryMinMs) logger.error(details, 'Kafka is not usable yet: forwarding goes on, capture waits');
        else logger.debug(details, 'Kafka is still not usable');
      }
      await new Promise((resolve) => setTimeout(resolve, waitMs));
    }
  }

  async #begin(): Promise<void> {
    const { client, worker, settings } = this.#options;
    const admin = await client.admin();
    try {
      await ensureSourceTopics(admin, settings.source, { partitions: settings.partitions });
      await ensureStatusTopic(admin);
      const ends = await admin.offsets(envelopesTopic(settings.source));
      for (const { partition, high } of ends) worker.ledger.began(partition, high);
      if (this.#publisher === null)
        await this.#openGate(await client.producer({ maxPooledBytes: settings.bounds.requestPoolBytes }));
    } finally {
      await admin.close();
    }
  }

  async #openGate(producer: Producer): Promise<void> {
    const { worker, logger } = this.#options;
    const publisher = new SnapshotPublisher({ producer, logger, snapshots: () => this.#snapshots() });
    if (!(await publisher.publishNow())) {
      await producer.close();
      throw new MirrorstreamError('kafkaUnavailable', 'Kafka did not take the first snapshot', {
        stage: 'capture-proxy',
        retryable: true,
      });
    }
    this.#publisher = publisher;
    publisher.start();
    worker.producer.open(producer);
  }

  #snapshots(): readonly CaptureSnapshot[] {
    return [this.#last ?? this.#options.worker.snapshot(Date.now(), false), ...this.#corrected];
  }

  async #settlePredecessors(): Promise<void> {
    const { client, settings, logger, spool, worker } = this.#options;
    const succession = new Succession({
      client,
      settings,
      logger,
      spool,
      producer: worker.producer,
      bufferBytes: settings.bounds.earlierSpoolBytes,
      onBuffered: (bytes) => {
        worker.earlierSpoolBytes = bytes;
      },
      offsets: () => this.#offsets(),
      publish: async (corrected) => {
        this.#corrected = corrected;
        return (await this.#publisher?.publishNow()) ?? false;
      },
      stopped: () => this.#closing,
    });
    await succession.run();
    this.#corrected = [];
  }

  async #offsets(): Promise<readonly PartitionOffsets[]> {
    const admin = await this.#options.client.admin();
    try {
      return await admin.offsets(envelopesTopic(this.#options.settings.source));
    } finally {
      await admin.close();
    }
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
