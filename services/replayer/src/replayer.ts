// The replayer's shell: takes envelopes over into lanes without waiting, publishes results, commits what is settled, hands partitions on.
import {
  deadLetterTopic,
  envelopesTopic,
  liveRun,
  type MirrorControl,
  MirrorstreamError,
  mirrorControl,
  replayerGroup,
  type SeedPlan,
} from '@mirrorstream/domain';
import { decodeEnvelopeBatch, type EnvelopeBatch, msInWindow } from '@mirrorstream/envelope';
import {
  type Admin,
  type Batcher,
  createBatcher,
  type GroupConsumer,
  type IncomingBatch,
  type IncomingRecord,
  type KafkaClient,
  type Producer,
  partitionKey,
  type StartPosition,
  type TopicPartition,
} from '@mirrorstream/kafka';
import { LagHistogram, type LaneOptions, type ResultEffect } from '@mirrorstream/replay';
import { ControlFollower, type RunningService, type ServiceKit, SnapshotPublisher } from '@mirrorstream/service-kit';
import { AdmissionKeeper } from './admission/admission-keeper.ts';
import { Alarm } from './alarm.ts';
import { Backpressure } from './backpressure.ts';
import { beforeDeadline, nowUs, settled } from './clock.ts';
import type { ReplayerConfig } from './config.ts';
import { laneOptionsOf } from './lane-options.ts';
import { LaneRunner } from './lane-runner.ts';
import { replayerMetrics } from './metrics.ts';
import { OrderKeeper } from './order-keeper.ts';
import { Partition } from './partition.ts';
import { Progress } from './progress.ts';
import { commitMetadata, type RecoveryPlace, readCommitted, recover } from './recovery.ts';
import { type ReplayerState, replayerSnapshot, totalsOf, type Work } from './replayer-state.ts';
import { ResultPublisher } from './result-publisher.ts';
import { type RunPlan, windowOf } from './run-plan.ts';
import type { ConnectionGate } from './target/connection-gate.ts';
import type { Connector } from './target/connector.ts';
import { createConnector, createGate, type MirrorPlaces } from './target/mirror-connections.ts';
import { deadLetter, reasonOf, transactionsIn, undecodableResult } from './undecodable.ts';

/** What the replayer is made of; opened by main, closed by stop(). */
export interface ReplayerParts extends MirrorPlaces {
  readonly client: KafkaClient;
  readonly admin: Admin;
  readonly producer: Producer;
  readonly statusProducer: Producer;
  /** Where a seeded mirror begins; null for one that was not, and for runs over the past. */
  readonly seed: SeedPlan | null;
  /** Of a run over a window of the past; null: production is followed. */
  readonly plan: RunPlan | null;
  /** Of the source's envelopes. */
  readonly partitionCount: number;
}

/** Of the time to stop: kept for flushing, committing and leaving. */
const CLOSING_SHARE = 0.4;

/** Of the second that there is before a rebalance goes on without us: for results under way. */
const HAND_OVER_MS = 600;

export class Replayer implements RunningService {
  readonly #config: ReplayerConfig;
  readonly #kit: ServiceKit;
  readonly #parts: ReplayerParts;
  readonly #topic: string;
  readonly #place: RecoveryPlace;
  readonly #partitions = new Map<number, Partition>();
  readonly #connector: Connector;
  readonly #gate: ConnectionGate;
  readonly #alarm: Alarm<LaneRunner>;
  readonly #admission: AdmissionKeeper;
  readonly #control: ControlFollower<MirrorControl> | null;
  readonly #order: OrderKeeper;
  readonly #schedule = new LagHistogram();
  readonly #backpressure: Backpressure;
  readonly #batcher: Batcher;
  readonly #results: ResultPublisher;
  readonly #snapshots: SnapshotPublisher;
  readonly #laneOptions: Omit<LaneOptions, 'sessionId'>;
  readonly #work: Work = {
    records: 0,
    undecodable: 0,
    cutStatements: 0,
    read: 0,
    resolved: 0,
    duplicates: 0,
    alreadyDone: 0,
    cancels: 0,
    brokenLanes: 0,
  };
  #consumer: GroupConsumer | null = null;
  #commitTimer: NodeJS.Timeout | null = null;
  #held = false;
  /** Kafka does not keep up with the results. */
  #pressed = false;
  /** Between two assignments. */
  #between = false;
  #stopping = false;
  #final = false;

  constructor(config: ReplayerConfig, kit: ServiceKit, parts: ReplayerParts) {
    this.#config = config;
    this.#kit = kit;
    this.#parts = parts;
    this.#topic = envelopesTopic(config.source);
    const { environment, mirror, source, run } = config;
    this.#place = { environment, mirror, source, run };
    this.#alarm = new Alarm<LaneRunner>(nowUs, (runner) => runner.feed({ kind: 'timer' }));
    this.#connector = createConnector(config, parts, kit.logger);
    this.#gate = createGate(config, parts, this.#connector, kit.logger, {
      onCrowded: (waiting) => this.#evict(waiting),
      onForbidden: (error) => this.#forbid(error),
    });
    this.#backpressure = new Backpressure(
      config.limits,
      () => this.#partitions.values(),
      {
        pause: (partitions) => this.#consumer?.pause(partitions.map(({ number }) => this.#at(number))),
        resume: (partitions) => this.#consumer?.resume(partitions.map(({ number }) => this.#at(number))),
      },
      ({ number }) => !this.#order.keeps || this.#order.order.isAhead(number),
    );
    this.#order = new OrderKeeper(parts.partitionCount, config.order, nowUs, () => this.#backpressure.look());
    if (config.order.keeps && parts.plan === null) this.#order.expect(parts.source.captures);
    this.#admission = this.#createAdmission();
    // A run over the past is what it was planned to be.
    this.#control = run === liveRun ? this.#createControl() : null;
    this.#batcher = createBatcher(
      parts.producer,
      { maxBufferedBytes: config.limits.maxResultBytes },
      {
        onAcknowledged: (record, offset) => this.#results.acknowledged(record, offset),
        onLost: (record, reason) => this.#results.lost(record, reason),
        onAvailability: (available, error) => this.#logAvailability(available, error),
      },
    );
    this.#results = this.#createResults();
    this.#laneOptions = laneOptionsOf(config, parts.plan, this.#schedule, () => this.#gate.isCrowded);
    this.#snapshots = new SnapshotPublisher({
      producer: parts.statusProducer,
      snapshots: () => [replayerSnapshot(this.#state())],
      logger: kit.logger,
    });
    const sources = {
      work: this.#work,
      gate: this.#gate,
      admission: this.#admission,
      backpressure: this.#backpressure,
      resultBytes: () => this.#results.pendingBytes,
      partitions: () => this.#partitions.values(),
      order: this.#order,
      schedule: this.#schedule,
    };
    for (const metric of replayerMetrics(sources)) kit.metrics.register(metric);
  }

  get partitionCount(): number {
    return this.#partitions.size;
  }

  /** Throws `targetIsSource`. Joins the group; resolves when the first partitions are assigned and their past is read. */
  async start(): Promise<void> {
    await this.#connector.checkAddresses();
    this.#parts.source.onChange(() => void this.#connector.checkAddresses().catch((error) => this.#forbid(error)));
    this.#snapshots.start();
    await this.#admission.start();
    if (this.#control !== null) {
      this.#control.open();
      // A session keeps what it began with: it had better be what the operator wants.
      await beforeDeadline(this.#admission.informed, Date.now() + this.#config.limits.controlWaitMs);
    }
    this.#order.start(this.#order.keeps ? await this.#startProgress() : null);
    this.#consumer = await this.#parts.client.consume(
      {
        group: replayerGroup(this.#config.environment, this.#config.mirror, this.#config.run),
        topics: [this.#topic],
        sessionTimeoutMs: this.#config.limits.groupSessionTimeoutMs,
      },
      {
        onAssigned: (assigned) => this.#takeOver(assigned.map(({ partition }) => partition)),
        onRevoking: () => this.#handOver(),
        onBatch: (batch) => this.#receive(batch),
        onPosition: ({ partition }, position) => this.#passed(partition, position),
        onCrash: (error) => this.#kit.fatal(error),
      },
    );
    this.#commitTimer = setInterval(() => void this.#commit(), this.#config.limits.commitMs);
  }

  /** Finishes what is under way, publishes, commits, and only then leaves the group. */
  async stop(deadlineMs: number): Promise<void> {
    const until = Date.now() + deadlineMs;
    this.#stopping = true;
    this.#admission.stop();
    this.#control?.close();
    if (this.#commitTimer !== null) clearInterval(this.#commitTimer);
    this.#backpressure.stop();
    for (const partition of this.#partitions.values()) partition.feedAll({ kind: 'drain' });
    const drainUntil = Math.min(until - deadlineMs * CLOSING_SHARE, Date.now() + this.#config.limits.drainMs);
    await settled(() => this.#runners().next().done === true, drainUntil);
    for (const partition of this.#partitions.values()) partition.abandon();
    this.#gate.stop();
    this.#alarm.stop();
    await beforeDeadline(this.#order.stop(), until);
    this.#results.flush();
    await beforeDeadline(this.#batcher.flush(), until - deadlineMs * CLOSING_SHARE * 0.5);
    await beforeDeadline(this.#commit(), until);
    this.#final = true;
    this.#snapshots.stop();
    await beforeDeadline(this.#snapshots.publishNow(Math.max(0, until - Date.now())), until);
    await beforeDeadline(this.#consumer?.stop() ?? Promise.resolve(), until);
    await this.#batcher.close(0);
    const { client, admin, producer, statusProducer, source } = this.#parts;
    await beforeDeadline(source.stop(), until);
    await beforeDeadline(Promise.all([producer.close(), statusProducer.close(), admin.close(), client.close()]), until);
    this.#kit.logger.info({ ...totalsOf(this.#work, this.#partitions.values()) }, 'replayer stopped');
  }

  // Assignment ------------------------------------------------------------------------------------------------------

  /** What is kept goes on as it is, unless somebody else had it meanwhile; what is new starts from its past. */
  async #takeOver(numbers: readonly number[]): Promise<ReadonlyMap<string, StartPosition>> {
    for (const partition of [...this.#partitions.values()])
      if (!numbers.includes(partition.number)) this.#giveUp(partition);
    const committed = await readCommitted(this.#parts.admin, this.#place);
    for (const partition of [...this.#partitions.values()]) {
      const found = committed.get(partition.number);
      const ours = partition.committed;
      if ((found?.offset ?? null) !== (ours?.offset ?? null) || (ours !== null && found?.metadata !== ours.metadata))
        this.#giveUp(partition);
    }
    const { plan } = this.#parts;
    const fresh = numbers.filter((number) => !this.#partitions.has(number));
    const starts = await recover(this.#parts.client, this.#parts.admin, this.#place, fresh, committed, plan);
    for (const start of starts) {
      const partition = new Partition(start, {
        window: windowOf(plan, start.partition),
        admission: () => this.#admission.admission,
        exposure: this.#admission.exposure,
        order: this.#order,
        seed: this.#parts.seed,
        maxRememberedSessions: this.#config.limits.maxRememberedSessions,
        openLane: (owner, sessionId) => this.#openLane(owner, sessionId),
        publish: (owner, effect, settle) => this.#publish(owner, effect, settle),
      });
      const commit = committed.get(start.partition);
      partition.committed = commit?.offset == null ? null : { offset: commit.offset, metadata: commit.metadata };
      this.#partitions.set(start.partition, partition);
    }
    this.#order.assign(numbers);
    for (const partition of this.#partitions.values()) this.#endOrder(partition);
    this.#kit.logger.info({ partitions: numbers.length, fresh: fresh.length }, 'partitions assigned');
    const positions = new Map<string, StartPosition>();
    for (const { number, tracker } of this.#partitions.values())
      positions.set(partitionKey(this.#at(number)), { kind: 'offset', offset: tracker.nextOffset });
    this.#between = false;
    this.#hold();
    return positions;
  }

  /**
   * The group is about to share out anew. Nothing new begins until that is done, and what has run is said and committed, so that a
   * new owner repeats nothing of it, if Kafka takes it in time.
   */
  async #handOver(): Promise<void> {
    this.#between = true;
    this.#hold();
    this.#results.flush();
    await settled(() => this.#results.isEmpty, Date.now() + HAND_OVER_MS);
    await this.#commit();
  }

  #hold(): void {
    const on = this.#pressed || this.#between;
    if (on === this.#held) return;
    this.#held = on;
    for (const partition of this.#partitions.values()) partition.feedAll({ kind: 'hold', on });
  }

  #giveUp(partition: Partition): void {
    this.#partitions.delete(partition.number);
    // What it had not settled is the next owner's.
    this.#work.read += partition.resolved;
    this.#work.resolved += partition.resolved;
    this.#work.duplicates += partition.duplicates;
    this.#work.alreadyDone += partition.alreadyDone;
    partition.abandon();
  }

  // Taking over envelopes -------------------------------------------------------------------------------------------

  #receive(batch: IncomingBatch): void {
    const partition = this.#partitions.get(batch.partition);
    if (partition === undefined || this.#stopping) return;
    const { window } = partition;
    partition.highWatermarkOffset = window?.to ?? batch.highWatermarkOffset;
    for (const record of batch.records) {
      if (window !== null && record.offset >= window.to) {
        partition.passEnd();
        break;
      }
      this.#takeRecord(partition, record);
    }
    if (partition.endReached) this.#consumer?.pause([this.#at(partition.number)]);
    this.#endOrder(partition);
    this.#work.records += batch.records.length;
    this.#backpressure.taken(partition);
  }

  /** Of a run: what was left of its window may be gone from the log, and nothing may ever come behind it. */
  #passed(number: number, position: bigint): void {
    const partition = this.#partitions.get(number);
    if (partition === undefined || partition.window === null || this.#stopping) return;
    if (position < partition.window.to || partition.endReached) return;
    partition.passEnd();
    this.#consumer?.pause([this.#at(number)]);
    this.#endOrder(partition);
  }

  #endOrder(partition: Partition): void {
    if (!partition.endReached) return;
    this.#order.order.endPartition(partition.number);
    this.#order.moved();
  }

  #takeRecord(partition: Partition, record: IncomingRecord): void {
    let decoded: EnvelopeBatch;
    try {
      decoded = decodeEnvelopeBatch(record.value ?? new Uint8Array(0));
    } catch (error) {
      this.#takeUndecodable(partition, record, error);
      return;
    }
    partition.take(record.offset, decoded, record.timestampMs);
  }

  /** The record goes to the dead letter, its transactions are counted as failed, and replay goes on. */
  #takeUndecodable(partition: Partition, record: IncomingRecord, error: unknown): void {
    const { environment, mirror, run } = this.#config;
    const reason = reasonOf(error);
    const { window } = partition;
    const transactions = window === null || msInWindow(record.timestampMs, window) ? transactionsIn(record) : 0;
    if (!partition.takeUndecodable(record.offset, transactions, record.timestampMs, 2)) return;
    this.#work.undecodable += 1;
    this.#kit.logger.error(
      { partition: partition.number, offset: String(record.offset), transactions, reason },
      'undecodable envelopes: sent to the dead letter topic, their transactions count as failed',
    );
    const letter = deadLetter(deadLetterTopic(environment, mirror, run), this.#at(partition.number), record, reason);
    this.#results.addRecord(letter, () => partition.tracker.resolve(record.offset));
    partition.laneResult(undecodableResult(record.offset, transactions));
  }

  #openLane(partition: Partition, sessionId: string): LaneRunner {
    const order = this.#order.gate(() => runner.feed({ kind: 'orderMoved' }));
    const runner: LaneRunner = new LaneRunner(
      { ...this.#laneOptions, sessionId, order },
      {
        gate: this.#gate,
        connector: this.#connector,
        alarm: this.#alarm,
        nowUs,
        queued: (sizeBytes) => this.#backpressure.queued(sizeBytes),
      },
      {
        onResult: (effect) => {
          if (partition.owned) partition.laneResult(effect, () => runner.feed({ kind: 'acknowledged' }));
        },
        onDuplicate: (offset, transactions) => partition.laneDuplicate(offset, transactions),
        onBroken: (error) => this.#laneBroke(sessionId, error),
        onCancel: () => {
          this.#work.cancels += 1;
        },
        onEnded: (ended) => partition.laneEnded(ended),
      },
    );
    if (this.#held) runner.feed({ kind: 'hold', on: true });
    if (this.#admission.paused) runner.feed({ kind: 'pause', on: true });
    return runner;
  }

  #laneBroke(sessionId: string, error: unknown): void {
    this.#work.brokenLanes += 1;
    this.#kit.logger.error(
      { sessionId, error: error instanceof Error ? error.stack : String(error) },
      'a bug: what this session had under way counts as failed, the session goes on with its next transaction',
    );
  }

  #startProgress(): Promise<Progress> {
    const { environment, mirror, run, instance } = this.#config;
    const { order } = this.#order;
    return Progress.start({
      client: this.#parts.client,
      logger: this.#kit.logger,
      place: { environment, mirror, run },
      instance,
      claim: () => order.claim(nowUs()),
      onHeard: (claim) => {
        order.heard(claim);
        this.#order.moved();
      },
      onCrash: (error) => this.#kit.fatal(error),
    });
  }

  #publish(partition: Partition, effect: ResultEffect, settle: () => void): void {
    this.#order.count(effect.result);
    this.#results.add(partition.number, { result: effect.result, onAcknowledged: settle });
  }

  // Committing and telling ------------------------------------------------------------------------------------------

  async #commit(): Promise<void> {
    const offsets = [];
    for (const partition of this.#partitions.values()) {
      const { offset, resultsFrom } = partition.commitPoint();
      const metadata = commitMetadata(resultsFrom);
      if (partition.committed?.offset === offset && partition.committed.metadata === metadata) continue;
      offsets.push({ partition, offset, metadata });
    }
    if (offsets.length === 0) return;
    try {
      await this.#consumer?.commit(
        offsets.map((each) => ({ ...this.#at(each.partition.number), offset: each.offset, metadata: each.metadata })),
      );
      for (const { partition, offset, metadata } of offsets) partition.committed = { offset, metadata };
    } catch (error) {
      // Committed again in a second, or not ours to commit any more.
      this.#kit.logger.debug({ reason: error instanceof Error ? error.message : '' }, 'offsets not committed');
    }
  }

  #state(): ReplayerState {
    return {
      config: this.#config,
      live: this.#parts.plan === null,
      final: this.#final,
      work: this.#work,
      partitions: [...this.#partitions.values()],
      admission: this.#admission,
      backpressure: this.#backpressure,
      schedule: this.#schedule,
      order: this.#order,
    };
  }

  // Parts -----------------------------------------------------------------------------------------------------------

  /** Nothing more goes to this server, not even what is under way; what was not played is played after the next start. */
  #forbid(error: unknown): void {
    for (const partition of this.#partitions.values()) partition.abandon();
    this.#kit.fatal(error);
  }

  /** Idle sessions give their connections to those that wait, and ask anew when they go on; pooled ones know by themselves whether they can. */
  #evict(waiting: number): void {
    let left = waiting;
    for (const runner of this.#runners()) {
      if (left === 0) return;
      if (!runner.isConnected || (this.#config.target.lanes === 'session' && !runner.lane.idle)) continue;
      runner.feed({ kind: 'evict' });
      left -= 1;
    }
  }

  #createAdmission(): AdmissionKeeper {
    const { admission, pacing, limits, run } = this.#config;
    return new AdmissionKeeper(
      {
        flags: admission,
        lookMs: limits.shedLookMs,
        live: run === liveRun,
        replayDelayMs: pacing.mode === 'timed' ? pacing.replayDelayMs : 0,
        maxSqlBytes: limits.maxSqlBytes,
      },
      {
        partitions: () => this.#partitions.values(),
        queuedBytes: () => this.#backpressure.queuedBytes,
        logger: this.#kit.logger,
      },
    );
  }

  #createControl(): ControlFollower<MirrorControl> {
    const { environment, mirror } = this.#config;
    return new ControlFollower({
      client: this.#parts.client,
      subject: mirrorControl(environment, mirror),
      logger: this.#kit.logger,
      onChange: (state) => this.#admission.changed(state),
    });
  }

  #createResults(): ResultPublisher {
    const { environment, mirror, run, instance, limits } = this.#config;
    return new ResultPublisher(
      {
        environment,
        mirror,
        run,
        instance,
        lingerMs: limits.resultLingerMs,
        maxBatchBytes: limits.maxResultBatchBytes,
        maxBytes: limits.maxResultBytes,
      },
      this.#batcher,
      {
        onResultsEnd: (number, offset) => {
          const partition = this.#partitions.get(number);
          if (partition !== undefined && offset > partition.resultsEnd) partition.resultsEnd = offset;
        },
        onPressure: (on) => {
          this.#pressed = on;
          this.#backpressure.hold(on);
          this.#hold();
        },
        onCut: (statements) => {
          this.#work.cutStatements += statements;
        },
        onRefused: (record) => this.#kit.fatal(refused(record.topic)),
      },
    );
  }

  *#runners(): Generator<LaneRunner> {
    for (const { runners } of this.#partitions.values()) yield* runners;
  }

  #logAvailability(available: boolean, error?: Error): void {
    if (available) this.#kit.logger.info({}, 'Kafka takes results again');
    else
      this.#kit.logger.warn(
        { reason: error?.message },
        'Kafka does not take results; replay pauses when its buffer is full',
      );
  }

  #at(partition: number): TopicPartition {
    return { topic: this.#topic, partition };
  }
}

function refused(topic: string): MirrorstreamError {
  return new MirrorstreamError('kafkaRefused', `Kafka refuses a record for ${topic}`, {
    stage: 'replayer',
    hint: "Does the topic exist, may this service write to it, and is the topic's max.message.bytes at least 1 MiB?",
  });
}
