// A consumer in a group: membership, where to start, and the fetch loop, kept together through rebalances and outages.
//
// Heartbeats have a timer of their own, so neither slow handlers of assignments nor an idle partition costs membership.
// When Kafka is away the member waits for it and goes on where it was; when the group has moved on it joins again.
import { MirrorstreamError } from '@mirrorstream/domain';
import type { BrokerDirectory } from './broker-directory.ts';
import { asKafkaError, kafkaUnavailable } from './errors.ts';
import { FetchLoop } from './fetch-loop.ts';
import { asCommitError, GroupMembership, isMovedOn } from './group-membership.ts';
import { listOffset } from './list-offsets.ts';
import type { KafkaLogger } from './logging.ts';
import type {
  CommitOffset,
  GroupConsumer,
  GroupConsumerHandlers,
  GroupConsumerOptions,
  StartPosition,
  TopicPartition,
} from './port.ts';
import { partitionKey } from './port.ts';
import { backoffMs, pause, within } from './waiting.ts';

const retryMinMs = 100;
const retryMaxMs = 2_000;
const leaveTimeoutMs = 1_000;
const closeGraceMs = 300;

type Positions = readonly (TopicPartition & { readonly position: bigint })[];

/** Joins and starts. `started` resolves after the first assignment was handled, and rejects when that fails for good. */
export function startGroupConsumer(
  directory: BrokerDirectory,
  options: GroupConsumerOptions,
  handlers: GroupConsumerHandlers,
  logger: KafkaLogger,
): GroupConsumer & { readonly started: Promise<void> } {
  return new EagerGroupConsumer(directory, options, handlers, logger);
}

class EagerGroupConsumer implements GroupConsumer {
  readonly started: Promise<void>;
  readonly #directory: BrokerDirectory;
  readonly #handlers: GroupConsumerHandlers;
  readonly #logger: KafkaLogger;
  readonly #group: string;
  readonly #sessionTimeoutMs: number;
  readonly #membership: GroupMembership;
  readonly #loop: FetchLoop;
  readonly #stopping = new AbortController();
  readonly #life: Promise<void>;
  #start!: { resolve: () => void; reject: (error: Error) => void };
  #running = false;
  #assigned: readonly TopicPartition[] = [];
  /** Commits are for the generation that this assignment belongs to; empty between generations. */
  #committable: ReadonlySet<string> = new Set();
  /** When the newest heartbeat that was answered was sent. */
  #leaseFromMs = 0;

  constructor(
    directory: BrokerDirectory,
    options: GroupConsumerOptions,
    handlers: GroupConsumerHandlers,
    logger: KafkaLogger,
  ) {
    this.#directory = directory;
    this.#handlers = handlers;
    this.#logger = logger;
    this.#group = options.group;
    this.#sessionTimeoutMs = options.sessionTimeoutMs ?? 10_000;
    this.#membership = new GroupMembership(directory, {
      group: options.group,
      topics: options.topics,
      sessionTimeoutMs: this.#sessionTimeoutMs,
      rebalanceTimeoutMs: options.rebalanceTimeoutMs ?? Math.max(30_000, this.#sessionTimeoutMs),
    });
    const maxBytesPerPartition = options.maxBytesPerPartition ?? 1024 * 1024;
    this.#loop = new FetchLoop(
      directory,
      {
        maxWaitTimeMs: options.maxWaitTimeMs ?? 150,
        maxBytesPerPartition,
        maxBytes: options.maxBytes ?? 8 * 1024 * 1024,
      },
      {
        mayDeliver: () => this.#hasLease,
        onBatch: (batch) => handlers.onBatch(batch),
        onProgress: (at, position) => handlers.onPosition?.(at, position),
        onFailure: (error) => this.#crash(error),
      },
      logger,
    );
    this.started = new Promise((resolve, reject) => {
      this.#start = { resolve, reject };
    });
    this.#life = this.#live();
  }

  pause(partitions: readonly TopicPartition[]): void {
    this.#loop.pause(partitions);
  }

  resume(partitions: readonly TopicPartition[]): void {
    this.#loop.resume(partitions);
  }

  assigned(): readonly TopicPartition[] {
    return this.#assigned;
  }

  async commit(offsets: readonly CommitOffset[]): Promise<void> {
    if (offsets.length === 0) return;
    const foreign = offsets.find((at) => !this.#committable.has(partitionKey(at)));
    if (foreign !== undefined)
      throw kafkaUnavailable(`${partitionKey(foreign)} is not assigned to this member any more`);
    try {
      await this.#membership.commit(offsets);
    } catch (error) {
      throw asCommitError(error);
    }
  }

  async stop(): Promise<void> {
    if (!this.#stopping.signal.aborted) {
      this.#stopping.abort();
      this.#committable = new Set();
      this.#start.reject(kafkaUnavailable('the consumer was stopped before it had joined'));
      const stopped = this.#loop.stop();
      await within(
        leaveTimeoutMs,
        this.#membership.leave().catch(() => {}),
      );
      await this.#directory.close(closeGraceMs);
      await stopped;
    }
    await this.#life;
  }

  async #live(): Promise<void> {
    let failures = 0;
    while (!this.#stopping.signal.aborted) {
      try {
        await this.#generation(() => {
          failures = 0;
        });
      } catch (error) {
        if (this.#stopping.signal.aborted) break;
        if (isMovedOn(error)) {
          this.#logger.info({ group: this.#group, reason: error.type }, 'the group is rebalancing, joining again');
          failures = 0;
          continue;
        }
        const failure =
          error instanceof MirrorstreamError || isKafkaFailure(error) ? asKafkaError(error, 'in the group') : error;
        if (!(failure instanceof MirrorstreamError) || !failure.retryable) return this.#crash(failure as Error);
        this.#logger.warn({ group: this.#group, error: failure.message }, 'the group cannot be reached, trying again');
        await pause(backoffMs(failures++, retryMinMs, retryMaxMs), this.#stopping.signal);
      }
    }
  }

  /** One generation, from joining to the rebalance that ends it; always ends by throwing, or by stopping. */
  async #generation(settled: () => void): Promise<void> {
    const assigned = await this.#membership.join();
    if (this.#stopping.signal.aborted) return;
    this.#leaseFromMs = performance.now();
    const previous = this.#assigned;
    this.#logger.info({ group: this.#group, partitions: assigned.length }, 'joined the group');
    const ended = new AbortController();
    const beating = this.#beat(ended.signal);
    beating.catch(() => ended.abort()); // looked at below
    try {
      this.#assigned = assigned;
      const positions = await this.#positions(assigned, previous);
      if (!ended.signal.aborted && !this.#stopping.signal.aborted) {
        this.#loop.assign(positions);
        this.#committable = new Set(assigned.map(partitionKey));
        this.#running = true;
        this.#start.resolve();
        settled();
      }
      await beating;
    } finally {
      ended.abort();
      await this.#leaveGeneration();
    }
  }

  /** Nothing more is delivered; the owner may use the generation's last moments to commit. */
  async #leaveGeneration(): Promise<void> {
    this.#keepPositions();
    this.#loop.assign([]);
    if (!this.#stopping.signal.aborted && this.#committable.size > 0) {
      await within(
        leaveTimeoutMs,
        Promise.resolve(this.#handlers.onRevoking?.(this.#assigned)).catch(() => {}),
      );
    }
    this.#committable = new Set();
  }

  #kept: ReadonlyMap<string, bigint> = new Map();

  #keepPositions(): void {
    const kept = new Map<string, bigint>();
    for (const at of this.#assigned) {
      const position = this.#loop.position(at) ?? this.#kept.get(partitionKey(at));
      if (position !== undefined) kept.set(partitionKey(at), position);
    }
    this.#kept = kept;
  }

  async #positions(assigned: readonly TopicPartition[], previous: readonly TopicPartition[]): Promise<Positions> {
    const told = await this.#handlers.onAssigned(assigned, previous);
    const starts = assigned.map((at): { at: TopicPartition; start: StartPosition } => {
      const kept = this.#kept.get(partitionKey(at));
      const otherwise: StartPosition = kept === undefined ? { kind: 'committed' } : { kind: 'offset', offset: kept };
      return { at, start: told.get(partitionKey(at)) ?? otherwise };
    });
    return retrying(this.#stopping.signal, () => this.#resolve(starts));
  }

  async #resolve(starts: readonly { at: TopicPartition; start: StartPosition }[]): Promise<Positions> {
    const wanted = starts.filter(({ start }) => start.kind === 'committed').map(({ at }) => at);
    const found = wanted.length === 0 ? [] : await this.#membership.committed(wanted);
    const committed = new Map(found.map((each) => [partitionKey(each), each.offset]));
    return Promise.all(
      starts.map(async ({ at, start }) => {
        if (start.kind === 'offset') return { ...at, position: start.offset };
        const offset = start.kind === 'committed' ? committed.get(partitionKey(at)) : undefined;
        const end = start.kind === 'latest' ? 'latest' : 'earliest';
        return { ...at, position: offset ?? (await listOffset(this.#directory, at, end)) };
      }),
    );
  }

  /** Heartbeats until the group moves on (throws), the session is lost (throws) or somebody stops us (returns). */
  async #beat(ended: AbortSignal): Promise<void> {
    const intervalMs = Math.min(1_000, this.#sessionTimeoutMs / 5);
    let failures = 0;
    for (;;) {
      await pause(failures === 0 ? intervalMs : backoffMs(failures - 1, retryMinMs, intervalMs), this.#stopping.signal);
      if (ended.aborted || this.#stopping.signal.aborted) return;
      try {
        const sentAtMs = performance.now();
        await this.#inLease(this.#membership.heartbeat());
        failures = 0;
        this.#leaseFromMs = sentAtMs;
      } catch (error) {
        if (isMovedOn(error) || !asKafkaError(error, 'heartbeat').retryable) throw error;
        failures++;
        if (!this.#hasLease) throw error;
      }
    }
  }

  /** An answer that does not come in time must not keep a member acting that the group may have given up. */
  async #inLease(heartbeat: Promise<void>): Promise<void> {
    const leftMs = this.#leaseFromMs + this.#sessionTimeoutMs - performance.now();
    const answered = await within(
      leftMs,
      heartbeat.then(() => true),
    );
    if (answered) return;
    heartbeat.catch(() => {}); // cut off below
    this.#membership.dropCoordinator();
    throw kafkaUnavailable('no heartbeat was answered within the session timeout; others may have taken over');
  }

  /** Until when the group's coordinator certainly keeps this member: it counts from a heartbeat's arrival, we from its sending. */
  get #hasLease(): boolean {
    return performance.now() - this.#leaseFromMs < this.#sessionTimeoutMs;
  }

  #crash(error: Error): void {
    if (this.#stopping.signal.aborted) return;
    if (this.#running) {
      void this.stop();
      this.#handlers.onCrash(error);
    } else {
      void this.stop();
      this.#start.reject(error);
    }
  }
}

/** Errors of kafkajs carry their own names; others are bugs and must not be retried. */
function isKafkaFailure(error: unknown): boolean {
  return error instanceof Error && error.name.startsWith('KafkaJS');
}

async function retrying<T>(stopping: AbortSignal, work: () => Promise<T>): Promise<T> {
  for (let attempt = 0; ; attempt++) {
    try {
      return await work();
    } catch (error) {
      const failure = asKafkaError(error, 'looking up where to start');
      if (!failure.retryable || stopping.aborted) throw failure;
      await pause(backoffMs(attempt, retryMinMs, retryMaxMs), stopping);
    }
  }
}
