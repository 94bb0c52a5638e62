// The replayer's shell: puts its parts together, joins the group, and stops in order.
import {
  envelopesTopic,
  liveRun,
  type MirrorControl,
  MirrorstreamError,
  mirrorControl,
  replayerGroup,
  type SeedPlan,
} from '@mirrorstream/domain';
import {
  type Admin,
  type Batcher,
  createBatcher,
  type GroupConsumer,
  type KafkaClient,
  type Producer,
} from '@mirrorstream/kafka';
import { LagHistogram, type ResultEffect } from '@mirrorstream/replay';
import { ControlFollower, type RunningService, type ServiceKit, SnapshotPublisher } from '@mirrorstream/service-kit';
import { AdmissionKeeper } from './admission/admission-keeper.ts';
import { Alarm } from './alarm.ts';
import { Assignment } from './assignment.ts';
import { Backpressure } from './backpressure.ts';
import { beforeDeadline, nowUs, settled } from './clock.ts';
import type { ReplayerConfig } from './config.ts';
import type { IdKeeper } from './ids/id-keeper.ts';
import { Intake } from './intake.ts';
import { laneOptionsOf } from './lane-options.ts';
import type { LaneRunner } from './lane-runner.ts';
import { Lanes } from './lanes.ts';
import { replayerMetrics } from './metrics.ts';
import { OrderKeeper } from './order-keeper.ts';
import { Partition, type PartitionStart } from './partition.ts';
import { Progress } from './progress.ts';
import { type ReplayerState, replayerSnapshot, totalsOf, type Work } from './replayer-state.ts';
import { ResultPublisher } from './result-publisher.ts';
import { type RunPlan, windowOf } from './run-plan.ts';
import type { ConnectionGate } from './target/connection-gate.ts';
import type { Connector } from './target/connector.ts';
import { createConnector, createGate, type MirrorPlaces } from './target/mirror-connections.ts';

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
  /** With ID mapping. */
  readonly ids: IdKeeper | null;
  /** Of the source's envelopes. */
  readonly partitionCount: number;
}

/** Of the time to stop: kept for flushing, committing and leaving. */
const CLOSING_SHARE = 0.4;

export class Replayer implements RunningService {
  readonly #config: ReplayerConfig;
  readonly #kit: ServiceKit;
  readonly #parts: ReplayerParts;
  readonly #topic: string;
  readonly #assignment: Assignment;
  readonly #intake: Intake;
  readonly #lanes: Lanes;
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
  #final = false;

  constructor(config: ReplayerConfig, kit: ServiceKit, parts: ReplayerParts) {
    this.#config = config;
    this.#kit = kit;
    this.#parts = parts;
    this.#topic = envelopesTopic(config.source);
    const { environment, mirror, source, run } = config;
    const place = { environment, mirror, source, run };
    const { logger } = kit;
    const work = this.#work;
    this.#alarm = new Alarm<LaneRunner>(nowUs, (runner) => runner.feed({ kind: 'timer' }));
    const { ids } = parts;
    this.#connector = createConnector(config, parts, kit.logger, ids?.prepare);
    ids?.askBy((context) => this.#connector.connect('catalog', context, 0, { onBytes: () => {}, onLost: () => {} }));
    this.#gate = createGate(config, parts, this.#connector, kit.logger, {
      onCrowded: (waiting) => this.#lanes.evict(waiting),
      onForbidden: (error) => this.#forbid(error),
    });
    this.#backpressure = new Backpressure(
      config.limits,
      () => this.#assignment.partitions.values(),
      {
        pause: (partitions) => this.#consumer?.pause(partitions.map(({ number }) => this.#assignment.at(number))),
        resume: (partitions) => this.#consumer?.resume(partitions.map(({ number }) => this.#assignment.at(number))),
      },
      ({ number }) => !this.#order.keeps || this.#order.order.isAhead(number),
    );
    this.#order = new OrderKeeper(parts.partitionCount, config.order, nowUs, () => this.#backpressure.look());
    if (parts.plan !== null) this.#order.begins(parts.plan.captures);
    else if (config.order.keeps) this.#order.expect(parts.source.captures);
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
    const { client, admin, plan } = parts;
    const [results, order, backpressure, admission] = [
      ...([this.#results, this.#order, this.#backpressure, this.#admission] as const),
    ];
    this.#assignment = new Assignment({
      ...{ topic: this.#topic, place, client, admin, plan, order, work, results, logger },
      begin: (start) => this.#begin(start),
      commit: async (offsets) => await this.#consumer?.commit(offsets),
    });
    const assignment = this.#assignment;
    this.#intake = new Intake({
      ...{ place, assignment, backpressure, results, work, logger },
      pause: ({ number }) => this.#consumer?.pause([assignment.at(number)]),
    });
    const [gate, connector, alarm] = [this.#gate, this.#connector, this.#alarm];
    this.#lanes = new Lanes({
      options: laneOptionsOf(
        config,
        plan,
        this.#schedule,
        () => gate.isCrowded,
        (envelope) => admission.onlyReads(envelope),
        ids,
      ),
      pooled: config.target.lanes !== 'session',
      ...{ gate, connector, alarm, order, backpressure, assignment, admission, work, logger },
    });
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
      partitions: () => this.#assignment.partitions.values(),
      order: this.#order,
      schedule: this.#schedule,
      ids,
    };
    for (const metric of replayerMetrics(sources)) kit.metrics.register(metric);
  }

  get partitionCount(): number {
    return this.#assignment.partitions.size;
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
        onAssigned: (assigned) => this.#assignment.takeOver(assigned.map(({ partition }) => partition)),
        onRevoking: () => this.#assignment.handOver(),
        onBatch: (batch) => this.#intake.receive(batch),
        onPosition: ({ partition }, position) => this.#intake.passed(partition, position),
        onCrash: (error) => this.#kit.fatal(error),
      },
    );
    this.#commitTimer = setInterval(() => void this.#assignment.commit(), this.#config.limits.commitMs);
  }

  /** Finishes what is under way, publishes, commits, and only then leaves the group. */
  async stop(deadlineMs: number): Promise<void> {
    const until = Date.now() + deadlineMs;
    this.#intake.stop();
    this.#admission.stop();
    this.#control?.close();
    if (this.#commitTimer !== null) clearInterval(this.#commitTimer);
    this.#backpressure.stop();
    for (const partition of this.#assignment.partitions.values()) partition.feedAll({ kind: 'drain' });
    const drainUntil = Math.min(until - deadlineMs * CLOSING_SHARE, Date.now() + this.#config.limits.drainMs);
    await settled(() => this.#assignment.runners().next().done === true, drainUntil);
    for (const partition of this.#assignment.partitions.values()) partition.abandon();
    this.#gate.stop();
    this.#parts.ids?.stop();
    this.#alarm.stop();
    await beforeDeadline(this.#order.stop(), until);
    this.#results.flush();
    await beforeDeadline(this.#batcher.flush(), until - deadlineMs * CLOSING_SHARE * 0.5);
    await beforeDeadline(this.#assignment.commit(), until);
    this.#final = true;
    this.#snapshots.stop();
    await beforeDeadline(this.#snapshots.publishNow(Math.max(0, until - Date.now())), until);
    await beforeDeadline(this.#consumer?.stop() ?? Promise.resolve(), until);
    await this.#batcher.close(0);
    const { client, admin, producer, statusProducer, source } = this.#parts;
    await beforeDeadline(source.stop(), until);
    await beforeDeadline(Promise.all([producer.close(), statusProducer.close(), admin.close(), client.close()]), until);
    this.#kit.logger.info({ ...totalsOf(this.#work, this.#assignment.partitions.values()) }, 'replayer stopped');
  }

  #begin(start: PartitionStart): Partition {
    return new Partition(start, {
      window: windowOf(this.#parts.plan, start.partition),
      admission: () => this.#admission.admission,
      exposure: this.#admission.exposure,
      order: this.#order,
      seed: this.#parts.seed,
      maxRememberedSessions: this.#config.limits.maxRememberedSessions,
      openLane: (owner, sessionId) => this.#lanes.open(owner, sessionId),
      publish: (owner, effect, settle) => this.#publish(owner, effect, settle),
    });
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

  #state(): ReplayerState {
    return {
      config: this.#config,
      live: this.#parts.plan === null,
      final: this.#final,
      work: this.#work,
      partitions: [...this.#assignment.partitions.values()],
      admission: this.#admission,
      backpressure: this.#backpressure,
      schedule: this.#schedule,
      order: this.#order,
    };
  }

  // Parts -----------------------------------------------------------------------------------------------------------

  /** Nothing more goes to this server, not even what is under way; what was not played is played after the next start. */
  #forbid(error: unknown): void {
    for (const partition of this.#assignment.partitions.values()) partition.abandon();
    this.#kit.fatal(error);
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
        looksAlways: pacing.mode === 'ordered',
      },
      {
        partitions: () => this.#assignment.partitions.values(),
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
          const partition = this.#assignment.partitions.get(number);
          if (partition !== undefined && offset > partition.resultsEnd) partition.resultsEnd = offset;
        },
        onPressure: (on) => {
          this.#backpressure.hold(on);
          this.#assignment.press(on);
        },
        onCut: (statements) => {
          this.#work.cutStatements += statements;
        },
        onRefused: (record) => this.#kit.fatal(refused(record.topic)),
      },
    );
  }

  #logAvailability(available: boolean, error?: Error): void {
    if (available) this.#kit.logger.info({}, 'Kafka takes results again');
    else
      this.#kit.logger.warn(
        { reason: error?.message },
        'Kafka does not take results; replay pauses when its buffer is full',
      );
  }
}

function refused(topic: string): MirrorstreamError {
  return new MirrorstreamError('kafkaRefused', `Kafka refuses a record for ${topic}`, {
    stage: 'replayer',
    hint: "Does the topic exist, may this service write to it, and is the topic's max.message.bytes at least 1 MiB?",
  });
}
