// Which partitions are this replayer's: takes them over where their past ends, commits how far they are, and hands them on.
import {
  type Admin,
  type CommitOffset,
  type KafkaClient,
  partitionKey,
  type StartPosition,
  type TopicPartition,
} from '@mirrorstream/kafka';
import type { ServiceKit } from '@mirrorstream/service-kit';
import { settled } from './clock.ts';
import type { LaneRunner } from './lane-runner.ts';
import type { OrderKeeper } from './order-keeper.ts';
import type { Partition, PartitionStart } from './partition.ts';
import { commitMetadata, type RecoveryPlace, readCommitted, recover } from './recovery.ts';
import type { Work } from './replayer-state.ts';
import type { ResultPublisher } from './result-publisher.ts';
import type { RunPlan } from './run-plan.ts';

/** Of the second that there is before a rebalance goes on without us: for results under way. */
const HAND_OVER_MS = 600;

export interface AssignmentParts {
  /** The source's envelopes. */
  readonly topic: string;
  readonly place: RecoveryPlace;
  readonly client: KafkaClient;
  readonly admin: Admin;
  readonly plan: RunPlan | null;
  readonly order: OrderKeeper;
  readonly work: Work;
  readonly logger: ServiceKit['logger'];
  readonly results: Pick<ResultPublisher, 'flush' | 'isEmpty'>;
  /** A partition that this replayer did not have. */
  readonly begin: (start: PartitionStart) => Partition;
  readonly commit: (offsets: readonly CommitOffset[]) => Promise<void>;
}

export class Assignment {
  readonly partitions = new Map<number, Partition>();
  readonly #parts: AssignmentParts;
  #held = false;
  /** Kafka does not keep up with the results. */
  #pressed = false;
  /** Between two assignments. */
  #between = false;

  constructor(parts: AssignmentParts) {
    this.#parts = parts;
  }

  /** Lanes are to begin nothing. */
  get isHeld(): boolean {
    return this.#held;
  }

  press(on: boolean): void {
    this.#pressed = on;
    this.#hold();
  }

  at(partition: number): TopicPartition {
    return { topic: this.#parts.topic, partition };
  }

  *runners(): Generator<LaneRunner> {
    for (const { runners } of this.partitions.values()) yield* runners;
  }

  /** What is kept goes on as it is, unless somebody else had it meanwhile; what is new starts from its past. */
  async takeOver(numbers: readonly number[]): Promise<ReadonlyMap<string, StartPosition>> {
    for (const partition of [...this.partitions.values()])
      if (!numbers.includes(partition.number)) this.#giveUp(partition);
    const committed = await readCommitted(this.#parts.admin, this.#parts.place);
    for (const partition of [...this.partitions.values()]) {
      const found = committed.get(partition.number);
      const ours = partition.committed;
      if ((found?.offset ?? null) !== (ours?.offset ?? null) || (ours !== null && found?.metadata !== ours.metadata))
        this.#giveUp(partition);
    }
    const { client, admin, place, plan } = this.#parts;
    const fresh = numbers.filter((number) => !this.partitions.has(number));
    for (const start of await recover(client, admin, place, fresh, committed, plan)) {
      const partition = this.#parts.begin(start);
      const commit = committed.get(start.partition);
      partition.committed = commit?.offset == null ? null : { offset: commit.offset, metadata: commit.metadata };
      this.partitions.set(start.partition, partition);
    }
    this.#parts.order.assign(numbers);
    for (const partition of this.partitions.values()) this.endOrder(partition);
    this.#parts.logger.info({ partitions: numbers.length, fresh: fresh.length }, 'partitions assigned');
    const positions = new Map<string, StartPosition>();
    for (const { number, tracker } of this.partitions.values())
      positions.set(partitionKey(this.at(number)), { kind: 'offset', offset: tracker.nextOffset });
    this.#between = false;
    this.#hold();
    return positions;
  }

  /**
   * The group is about to share out anew. Nothing new begins until that is done, and what has run is said and committed, so that a
   * new owner repeats nothing of it, if Kafka takes it in time.
   */
  async handOver(): Promise<void> {
    this.#between = true;
    this.#hold();
    const { results } = this.#parts;
    results.flush();
    await settled(() => results.isEmpty, Date.now() + HAND_OVER_MS);
    await this.commit();
  }

  /** Of a run: nothing of this partition is still to come. */
  endOrder(partition: Partition): void {
    if (!partition.endReached) return;
    const { order } = this.#parts;
    order.order.endPartition(partition.number);
    order.moved();
  }

  async commit(): Promise<void> {
    const offsets = [];
    for (const partition of this.partitions.values()) {
      const { offset, resultsFrom } = partition.commitPoint();
      const metadata = commitMetadata(resultsFrom);
      if (partition.committed?.offset === offset && partition.committed.metadata === metadata) continue;
      offsets.push({ partition, offset, metadata });
    }
    if (offsets.length === 0) return;
    try {
      await this.#parts.commit(
        offsets.map((each) => ({ ...this.at(each.partition.number), offset: each.offset, metadata: each.metadata })),
      );
      for (const { partition, offset, metadata } of offsets) partition.committed = { offset, metadata };
    } catch (error) {
      // Committed again in a second, or not ours to commit any more.
      this.#parts.logger.debug({ reason: error instanceof Error ? error.message : '' }, 'offsets not committed');
    }
  }

  #hold(): void {
    const on = this.#pressed || this.#between;
    if (on === this.#held) return;
    this.#held = on;
    for (const partition of this.partitions.values()) partition.feedAll({ kind: 'hold', on });
  }

  #giveUp(partition: Partition): void {
    this.partitions.delete(partition.number);
    const { work } = this.#parts;
    // What it had not settled is the next owner's.
    work.read += partition.resolved;
    work.resolved += partition.resolved;
    work.duplicates += partition.duplicates;
    work.alreadyDone += partition.alreadyDone;
    partition.abandon();
  }
}
