// Sends records, each to the leader of its partition, and tells for each partition what became of them.
import type { BrokerDirectory } from './broker-directory.ts';
import { BufferPool } from './buffer-pool.ts';
import {
  asKafkaError,
  isStaleLeader,
  kafkaRefused,
  kafkaUnavailable,
  protocolError,
  protocolErrorType,
} from './errors.ts';
import type {
  Acknowledgement,
  Compression,
  OutgoingRecord,
  PartitionOutcome,
  PartitionRecords,
  Producer,
  ProducerOptions,
} from './port.ts';
import { partitionKey } from './port.ts';
import { produceRequestBody, type RequestBody } from './produce-request.ts';
import { backoffMs, pause } from './waiting.ts';

const retryMinMs = 100;
const retryMaxMs = 1_000;
const closeGraceMs = 1_000;
const defaultPooledBytes = 4 * 1024 * 1024;

/** Refusals that some of the records brought about. */
const recordRefusals = new Set(['MESSAGE_TOO_LARGE', 'RECORD_LIST_TOO_LARGE', 'INVALID_RECORD', 'INVALID_TIMESTAMP']);

interface ProduceAnswer {
  readonly topics: readonly {
    readonly topicName: string;
    readonly partitions: readonly {
      readonly partition: number;
      readonly errorCode: number;
      readonly baseOffset: string;
    }[];
  }[];
}

interface Part extends PartitionRecords {
  readonly index: number;
}

export class DirectProducer implements Producer {
  readonly #directory: BrokerDirectory;
  readonly #compression: Compression;
  readonly #stopping = new AbortController();
  readonly #pool: BufferPool;

  constructor(directory: BrokerDirectory, { compression = 'none', maxPooledBytes }: ProducerOptions) {
    this.#directory = directory;
    this.#compression = compression;
    this.#pool = new BufferPool(maxPooledBytes ?? defaultPooledBytes);
  }

  get pooledBytes(): number {
    return this.#pool.heldBytes;
  }

  async send(records: readonly OutgoingRecord[]): Promise<readonly Acknowledgement[]> {
    const acknowledged: Acknowledgement[] = [];
    let waiting = groupByPartition(records);
    const untilMs = Date.now() + this.#directory.settings.requestTimeoutMs;
    for (let attempt = 0; waiting.length > 0; attempt++) {
      const again: PartitionRecords[] = [];
      let failure: Error | undefined;
      const outcomes = await this.sendEach(waiting);
      for (const [index, outcome] of outcomes.entries()) {
        const part = waiting[index] as PartitionRecords;
        const { topic, partition } = part;
        // A connection refused (credentials) is `unavailable` to the batcher, which waits; here somebody waits for an answer.
        if (outcome.kind !== 'acknowledged' && outcome.error.code !== 'kafkaUnavailable') throw outcome.error;
        if (outcome.kind === 'acknowledged') acknowledged.push({ topic, partition, baseOffset: outcome.baseOffset });
        else {
          failure = outcome.error;
          again.push(part);
        }
      }
      const waitMs = backoffMs(attempt, retryMinMs, retryMaxMs);
      if (failure !== undefined && (Date.now() + waitMs > untilMs || this.#stopping.signal.aborted)) throw failure;
      waiting = again;
      if (failure !== undefined) await pause(waitMs, this.#stopping.signal);
    }
    return acknowledged;
  }

  async sendEach(parts: readonly PartitionRecords[]): Promise<readonly PartitionOutcome[]> {
    if (parts.length === 0) return [];
    // One for all: an error's stack costs more than the record it is made for.
    const unanswered = unavailable('no answer for this partition');
    const outcomes: PartitionOutcome[] = parts.map(() => unanswered);
    try {
      const byLeader = await this.#byLeader(parts, outcomes);
      await Promise.all([...byLeader].map(([leader, led]) => this.#sendTo(leader, led, outcomes)));
    } catch (error) {
      const failure = asKafkaError(error, 'finding the leaders');
      for (const index of parts.keys()) outcomes[index] = { kind: 'unavailable', error: failure };
    }
    return outcomes;
  }

  async close(): Promise<void> {
    this.#stopping.abort();
    await this.#directory.close(closeGraceMs);
  }

  async #byLeader(parts: readonly PartitionRecords[], outcomes: PartitionOutcome[]): Promise<Map<number, Part[]>> {
    const byLeader = new Map<number, Part[]>();
    for (const [index, part] of parts.entries()) {
      const layout = await this.#directory.layout(part.topic);
      if (layout.kind === 'refused') {
        outcomes[index] = { kind: 'refused', scope: 'partition', error: layout.error };
        continue;
      }
      const leader = layout.leaders.get(part.partition);
      if (leader === undefined) {
        const error = kafkaRefused(
          `topic ${part.topic} has no partition ${part.partition}`,
          'Check the partition count.',
        );
        outcomes[index] = { kind: 'refused', scope: 'partition', error };
      } else if (leader === null) {
        outcomes[index] = unavailable(`${partitionKey(part)} has no leader at the moment`);
      } else {
        const led = byLeader.get(leader);
        if (led === undefined) byLeader.set(leader, [{ ...part, index }]);
        else led.push({ ...part, index });
      }
    }
    return byLeader;
  }

  async #sendTo(leader: number, parts: readonly Part[], outcomes: PartitionOutcome[]): Promise<void> {
    try {
      const timeoutMs = this.#directory.settings.requestTimeoutMs;
      const settings = { compression: this.#compression, timeoutMs, timestampMs: Date.now() };
      let body: RequestBody | null = null;
      const encode = async () => {
        body = await produceRequestBody(parts, settings, this.#pool);
        return body;
      };
      const answer = await this.#directory.ask<ProduceAnswer>(leader, 'Produce', { acks: -1 }, encode);
      // Answered, so sent. After a failure a socket may still hold it: then it is not used again.
      if (body !== null) this.#pool.giveBack((body as RequestBody).buffer);
      this.#read(answer, parts, outcomes);
    } catch (error) {
      // A failed connection refuses nothing: credentials and permissions can be mended while the records wait.
      const failure = asKafkaError(error, `sending to broker ${leader}`);
      for (const { index } of parts) outcomes[index] = { kind: 'unavailable', error: failure };
    }
  }

  #read(answer: ProduceAnswer, parts: readonly Part[], outcomes: PartitionOutcome[]): void {
    const indexes = new Map(parts.map((part) => [partitionKey(part), part.index]));
    for (const { topicName: topic, partitions } of answer.topics) {
      for (const { partition, errorCode, baseOffset } of partitions) {
        const at = partitionKey({ topic, partition });
        const index = indexes.get(at);
        if (index === undefined) continue;
        outcomes[index] =
          errorCode === 0 ? { kind: 'acknowledged', baseOffset: BigInt(baseOffset) } : this.#failed(errorCode, at);
      }
    }
  }

  #failed(errorCode: number, at: string): PartitionOutcome {
    const type = protocolErrorType(errorCode);
    if (isStaleLeader(type)) this.#directory.markStale();
    const error = protocolError(type, `sending to ${at}`);
    if (error.code !== 'kafkaRefused') return { kind: 'unavailable', error };
    return { kind: 'refused', scope: recordRefusals.has(type) ? 'record' : 'partition', error };
  }
}

function unavailable(message: string): PartitionOutcome {
  return { kind: 'unavailable', error: kafkaUnavailable(message) };
}

/** In the order given within each partition. */
export function groupByPartition(records: readonly OutgoingRecord[]): PartitionRecords[] {
  const groups = new Map<string, { topic: string; partition: number; records: OutgoingRecord[] }>();
  for (const record of records) {
    const at = partitionKey(record);
    const group = groups.get(at);
    if (group === undefined) groups.set(at, { topic: record.topic, partition: record.partition, records: [record] });
    else group.records.push(record);
  }
  return [...groups.values()];
}
