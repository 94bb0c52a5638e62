// The comparer's shell: reads results in slices, hands verdicts to the batcher, keeps checkpoints, gives partitions up and takes them on.
import {
  type ComparerSnapshot,
  comparerGroup,
  deadLetterTopic,
  findingsTopic,
  liveRun,
  resultsTopic,
} from '@mirrorstream/domain';
import {
  type Admin,
  type Batcher,
  createBatcher,
  type GroupConsumer,
  type IncomingBatch,
  type KafkaClient,
  type OutgoingRecord,
  type Producer,
  partitionKey,
  type StartPosition,
  type TopicPartition,
} from '@mirrorstream/kafka';
import type { RunningService, ServiceKit } from '@mirrorstream/service-kit';
import type { SqlAnalyzer } from '@mirrorstream/sql';
import { CheckpointWriter } from './checkpoint-writer.ts';
import { readCheckpoints } from './checkpoints.ts';
import type { ComparerConfig } from './config.ts';
import { ExemplarQuota } from './exemplar-quota.ts';
import { FindingsFold } from './findings-fold.ts';
import { readFindings } from './findings-restore.ts';
import { FindingsTable, type SavedFindings } from './findings-table.ts';
import { FindingsWriter } from './findings-writer.ts';
import { Judge } from './judge.ts';
import { LagRelief } from './lag-relief.ts';
import { PartitionLedger } from './ledger.ts';
import { comparerMetrics, type Work } from './metrics.ts';
import { PartitionLane } from './partition-lane.ts';
import { type ProcessedRecord, RecordProcessor } from './record-processor.ts';

interface Offered {
  readonly lane: PartitionLane;
  readonly epoch: number;
}

/** Of the topics that others made. */
export interface PartitionCounts {
  readonly deadLetters: number;
  readonly findings: number;
}

/** What the comparer is made of; opened by main, closed by stop(). */
export interface ComparerParts {
  readonly client: KafkaClient;
  readonly admin: Admin;
  readonly verdictProducer: Producer;
  readonly checkpointProducer: Producer;
  readonly findingsProducer: Producer;
  readonly sql: SqlAnalyzer;
}

export class Comparer implements RunningService {
  private readonly config: ComparerConfig;
  private readonly kit: ServiceKit;
  private readonly parts: ComparerParts;
  private readonly topic: string;
  private readonly batcher: Batcher;
  private readonly checkpoints: CheckpointWriter;
  private readonly findings: FindingsWriter;
  private readonly findingsPartitions: number;
  private readonly processor: RecordProcessor;
  private readonly lanes = new Map<number, PartitionLane>();
  private readonly offered = new Map<OutgoingRecord, Offered>();
  private readonly work: Work = { records: 0, results: 0, undecodable: 0, verdictsLost: 0 };
  private consumer: GroupConsumer | null = null;
  private timer: NodeJS.Timeout | null = null;
  private pumpScheduled = false;
  private stopping = false;
  /** Between assignments no aggregate goes out: another process may own its partition next. */
  private rebalancing = false;

  constructor(config: ComparerConfig, kit: ServiceKit, parts: ComparerParts, partitions: PartitionCounts) {
    this.config = config;
    this.kit = kit;
    this.parts = parts;
    this.topic = resultsTopic(config.environment, config.mirror, config.run);
    this.batcher = createBatcher(
      parts.verdictProducer,
      { maxBufferedBytes: config.maxBufferedBytes },
      {
        onAcknowledged: (record) => this.settle(record),
        onLost: (record, reason) => this.lost(record, reason),
        onAvailability: (available, error) => this.logAvailability('verdicts', available, error),
      },
    );
    this.checkpoints = new CheckpointWriter(
      parts.checkpointProducer,
      config.checkpoints,
      this.checkpointEvents(),
      Date.now,
    );
    this.findings = new FindingsWriter(parts.findingsProducer, config.findings, this.findingsEvents(), Date.now);
    this.findingsPartitions = partitions.findings;
    const quota = new ExemplarQuota(config.exemplars);
    const relief = new LagRelief(parts.sql, quota);
    const { maxNormalizedChars } = config.judge;
    const fold = new FindingsFold(parts.sql, { exemplarValues: config.exemplarValues, maxNormalizedChars });
    this.processor = new RecordProcessor(
      { ...config, resultsTopic: this.topic, deadLetterPartitions: partitions.deadLetters },
      new Judge(parts.sql, quota, config.judge),
      { fold, relief },
    );
    const { work, batcher, findings } = this;
    const sources = { work, batcher, findings, relief, sql: parts.sql, lanes: () => this.lanes.values() };
    for (const metric of comparerMetrics(sources)) kit.metrics.register(metric);
  }

  /** Joins the group; resolves when the first partitions are assigned and their checkpoints read. */
  async start(): Promise<void> {
    this.consumer = await this.parts.client.consume(
      { group: comparerGroup(this.config.environment, this.config.mirror, this.config.run), topics: [this.topic] },
      {
        onAssigned: (assigned) => this.takeOver(assigned.map((at) => at.partition)),
        onRevoking: () => this.holdFindings(),
        onBatch: (batch) => this.receive(batch),
        onCrash: (error) => this.kit.fatal(error),
      },
    );
    this.timer = setInterval(() => {
      this.checkpoints.tick(this.lanes.values());
      void this.publishFindings();
    }, this.config.checkpointMs);
  }

  get partitions(): readonly number[] {
    return [...this.lanes.keys()];
  }

  /** Counts what waits, as far as time allows, publishes verdicts and checkpoints, and only then leaves the group. */
  async stop(deadlineMs: number): Promise<void> {
    const until = Date.now() + deadlineMs;
    this.stopping = true;
    if (this.timer !== null) clearInterval(this.timer);
    this.consumer?.pause(this.partitions.map((partition) => this.at(partition)));
    await this.settleAll(until - deadlineMs * CLOSING_SHARE);
    await beforeDeadline(this.consumer?.stop() ?? Promise.resolve(), until);
    await this.batcher.close(Math.max(0, until - Date.now()));
    await this.parts.checkpointProducer.close();
    await this.parts.findingsProducer.close();
    await this.parts.verdictProducer.close();
    await this.parts.admin.close();
    await this.parts.client.close();
    this.kit.logger.info({ ...this.work, sql: this.parts.sql.stats() }, 'comparer stopped');
  }

  // Assignment ------------------------------------------------------------------------------------------------------

  /**
   * What this process owned and keeps it continues from memory: counts and position belong together whatever others did meanwhile.
   * What is new continues from the newest checkpoint.
   */
  private async takeOver(partitions: readonly number[]): Promise<ReadonlyMap<string, StartPosition>> {
    for (const partition of this.partitions) if (!partitions.includes(partition)) this.lanes.delete(partition);
    const fresh = partitions.filter((partition) => !this.lanes.has(partition));
    if (fresh.length > 0) await this.openLanes(fresh);
    this.rebalancing = false;
    this.kit.logger.info({ partitions: partitions.length, fresh: fresh.length }, 'partitions assigned');
    const starts = new Map<string, StartPosition>();
    for (const lane of this.lanes.values())
      starts.set(partitionKey(this.at(lane.partition)), { kind: 'offset', offset: lane.expectedOffset });
    this.schedulePump();
    return starts;
  }

  private async openLanes(partitions: readonly number[]): Promise<void> {
    const { environment, mirror, run } = this.config;
    const place = { environment, mirror, ...(run === liveRun ? {} : { run }) };
    const saved = await readCheckpoints(this.parts.client, this.parts.admin, { ...place, partitions });
    const findings = await this.restorable(partitions, saved);
    const offsets = new Map((await this.parts.admin.offsets(this.topic)).map((one) => [one.partition, one]));
    for (const partition of partitions) {
      const low = offsets.get(partition)?.low ?? 0n;
      const checkpoint = saved.get(partition) ?? null;
      const identity = { ...place, partition };
      const ledger = new PartitionLedger(identity, this.config.sessions, checkpoint, low);
      this.checkPosition(ledger, checkpoint, low, offsets.get(partition)?.high ?? low);
      const high = offsets.get(partition)?.high ?? low;
      const table = new FindingsTable(
        this.findingsPlace(partition),
        ledger.nextOffset,
        within(findings.get(partition), high),
      );
      this.lanes.set(partition, new PartitionLane(partition, ledger, table, this.config.lag, Date.now()));
    }
  }

  private restorable(
    partitions: readonly number[],
    saved: ReadonlyMap<number, ComparerSnapshot>,
  ): ReturnType<typeof readFindings> {
    const { client, admin } = this.parts;
    return readFindings(client, admin, {
      places: partitions.map((partition) => ({
        ...this.findingsPlace(partition),
        needFrom: BigInt(saved.get(partition)?.findingsFrom ?? '0'),
      })),
      maxRecords: Math.ceil(this.config.maxRestoredFindings / partitions.length),
      maxBytes: Math.ceil(this.config.maxFindingsBytes / 2 / partitions.length),
    });
  }

  private findingsPlace(partition: number): FindingsTable['place'] {
    const { environment, mirror, run } = this.config;
    const topic = findingsTopic(environment, mirror, run);
    return { environment, mirror, run, topic, partition, topicPartition: partition % this.findingsPartitions };
  }

  /** Results that were deleted uncounted, or a topic that was made anew, cannot be made good; they are said. */
  private checkPosition(ledger: PartitionLedger, saved: ComparerSnapshot | null, low: bigint, high: bigint): void {
    if (saved === null || (ledger.nextOffset >= low && ledger.nextOffset <= high)) return;
    this.kit.logger.error(
      { partition: saved.partition, nextOffset: saved.nextOffset, low: String(low), high: String(high) },
      'the results topic does not hold the offset to continue at: results were deleted before they were counted',
    );
    ledger.nextOffset = low;
  }

  // Reading ---------------------------------------------------------------------------------------------------------

  private receive(batch: IncomingBatch): void {
    const lane = this.lanes.get(batch.partition);
    if (lane === undefined || this.stopping) return;
    lane.enqueue(batch.records);
    if (lane.queuedBytes > this.laneLimitBytes()) {
      lane.paused = true; // Said again with each batch: a rebalance may have undone it.
      this.consumer?.pause([this.at(lane.partition)]);
    }
    this.schedulePump();
  }

  private laneLimitBytes(): number {
    return this.config.maxQueueBytes / Math.max(1, this.lanes.size);
  }

  private schedulePump(): void {
    if (this.pumpScheduled) return;
    this.pumpScheduled = true;
    setImmediate(() => {
      this.pumpScheduled = false;
      try {
        this.pump();
      } catch (error) {
        this.kit.fatal(error);
      }
    });
  }

  /** Counts records of all lanes in turn for one slice of time; the rest waits for the next turn of the event loop. */
  private pump(): void {
    const until = performance.now() + this.config.sliceMs;
    let active = [...this.lanes.values()];
    while (active.length > 0 && performance.now() < until) active = active.filter((lane) => this.advance(lane));
    for (const lane of this.lanes.values()) this.resumeWhenRoom(lane);
    if (active.length > 0) this.schedulePump();
  }

  /** Counts one record of the lane; false when there is nothing to do now. */
  private advance(lane: PartitionLane): boolean {
    this.offer(lane);
    const record = lane.take();
    if (record === null) return false;
    const stage = lane.lag.observe(Date.now() - record.timestampMs);
    const { findings: table } = lane;
    const { outgoing, undecodable, results } = this.processor.process(lane.ledger, lane.partition, record, {
      table,
      stage,
    });
    table.evictBeyond(this.config.maxFindingsBytes / this.lanes.size);
    if (table.isFull) void this.publishFindings();
    this.work.records += 1;
    this.work.results += results;
    if (undecodable !== null) this.reportUndecodable(lane.partition, record.offset, undecodable);
    lane.publish(outgoing);
    this.offer(lane);
    return true;
  }

  private resumeWhenRoom(lane: PartitionLane): void {
    if (!lane.paused || this.stopping || lane.queuedBytes > this.laneLimitBytes() / 2) return;
    lane.paused = false;
    this.consumer?.resume([this.at(lane.partition)]);
  }

  private offer(lane: PartitionLane): void {
    lane.offerAll((record, epoch) => {
      if (this.batcher.offer(record) === 'full') return false;
      this.offered.set(record, { lane, epoch });
      return true;
    });
  }

  private settle(record: OutgoingRecord): void {
    const offered = this.offered.get(record);
    if (offered === undefined) return;
    this.offered.delete(record);
    const { lane } = offered;
    lane.settle(offered.epoch);
    if (lane.ready() !== null) void this.checkpoints.publishReady(this.lanes.values());
    if (lane.hasWork) this.schedulePump();
  }

  // Publishing findings ---------------------------------------------------------------------------------------------

  private async publishFindings(hurry = false): Promise<void> {
    if (this.rebalancing) return;
    await this.findings.publish(
      [...this.lanes.values()].map((lane) => lane.findings),
      hurry,
    );
  }

  private findingsEvents(): ConstructorParameters<typeof FindingsWriter>[2] {
    return {
      onPublished: () => {
        void this.checkpoints.publishReady(this.lanes.values());
        this.schedulePump();
      },
      onAvailability: (available, error) => this.logAvailability('findings', available, error),
      onRefused: (error) => this.kit.fatal(error),
    };
  }

  /** What is under way settles before another process may take a partition on. */
  private async holdFindings(): Promise<void> {
    this.rebalancing = true;
    await this.findings.settle();
  }

  // Publishing ------------------------------------------------------------------------------------------------------

  private checkpointEvents(): ConstructorParameters<typeof CheckpointWriter>[2] {
    return {
      onPublished: (lane, offset) => this.commit(lane.partition, offset),
      onAvailability: (available, error) => this.logAvailability('checkpoints', available, error),
      onRefused: (error) => this.kit.fatal(error),
    };
  }

  /** Only for tools that show consumer lag: the checkpoint is what counts. */
  private commit(partition: number, offset: bigint): void {
    this.consumer?.commit([{ ...this.at(partition), offset }]).catch(() => {
      this.kit.logger.debug({ partition }, 'offset not committed');
    });
  }

  private async settleAll(until: number): Promise<void> {
    while (Date.now() < until) {
      const lanes = [...this.lanes.values()];
      if (!lanes.some((lane) => lane.hasWork)) {
        this.checkpoints.freezeAll(lanes);
        if (lanes.every((lane) => lane.isSettled)) return;
      }
      await beforeDeadline(this.batcher.flush(), until);
      await beforeDeadline(this.publishFindings(true), until);
      await beforeDeadline(this.checkpoints.publishReady(lanes), until);
      await beforeDeadline(new Promise(() => {}), Math.min(until, Date.now() + SETTLE_EVERY_MS));
    }
    this.kit.logger.warn('stopped before all was published: the rest is counted by whoever comes next');
  }

  private lost(record: OutgoingRecord, reason: 'kafkaRefused' | 'closed'): void {
    if (reason === 'closed') return;
    this.work.verdictsLost += 1;
    const isDeadLetter = record.topic === deadLetterTopic(this.config.environment, this.config.mirror, this.config.run);
    this.kit.logger.error(
      { partition: record.partition, sizeBytes: record.value?.length ?? 0 },
      isDeadLetter ? 'Kafka refused a dead letter' : 'Kafka refused verdicts: they are counted, but not published',
    );
    this.settle(record);
  }

  private reportUndecodable(
    partition: number,
    offset: bigint,
    { error, accounted }: NonNullable<ProcessedRecord['undecodable']>,
  ): void {
    this.work.undecodable += 1;
    const transactions = accounted ? 'count as failed' : 'stay in flight, as no header says how many they are';
    this.kit.logger.error(
      { partition, offset: String(offset), reason: error.message },
      `undecodable results record: sent to the dead letter topic, its transactions ${transactions}`,
    );
  }

  private logAvailability(what: string, available: boolean, error?: Error): void {
    if (available) this.kit.logger.info({ what }, 'Kafka is back');
    else this.kit.logger.warn({ what, reason: error?.message }, 'Kafka does not answer; waiting');
  }

  private at(partition: number): TopicPartition {
    return { topic: this.topic, partition };
  }
}

/** What goes beyond the end of the results is of a topic that was deleted and made anew. */
const within = (saved: SavedFindings | undefined, high: bigint): SavedFindings | undefined =>
  saved === undefined ? undefined : { ...saved, records: saved.records.filter(({ upTo }) => BigInt(upTo) <= high) };

/** Of the time to stop: kept for leaving the group and closing connections. */
const CLOSING_SHARE = 0.3;
/** How often stop() looks whether all is published. */
const SETTLE_EVERY_MS = 5;

async function beforeDeadline(work: Promise<void>, until: number): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const deadline = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, Math.max(0, until - Date.now()));
  });
  await Promise.race([work, deadline]);
  clearTimeout(timer);
}
