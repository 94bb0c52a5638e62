// Takes fetched batches over into their partitions without waiting; what cannot be decoded goes to the dead letter and counts as failed.
import { deadLetterTopic } from '@mirrorstream/domain';
import { decodeEnvelopeBatch, type EnvelopeBatch, msInWindow } from '@mirrorstream/envelope';
import type { IncomingBatch, IncomingRecord } from '@mirrorstream/kafka';
import type { ServiceKit } from '@mirrorstream/service-kit';
import type { Assignment } from './assignment.ts';
import type { Backpressure } from './backpressure.ts';
import type { Partition } from './partition.ts';
import type { RecoveryPlace } from './recovery.ts';
import type { Work } from './replayer-state.ts';
import type { ResultPublisher } from './result-publisher.ts';
import { deadLetter, reasonOf, transactionsIn, undecodableResult } from './undecodable.ts';

export interface IntakeParts {
  readonly place: RecoveryPlace;
  readonly assignment: Assignment;
  readonly backpressure: Backpressure;
  readonly results: ResultPublisher;
  readonly work: Work;
  readonly logger: ServiceKit['logger'];
  /** Nothing more of it is to be fetched. */
  readonly pause: (partition: Partition) => void;
}

export class Intake {
  readonly #parts: IntakeParts;
  #stopped = false;

  constructor(parts: IntakeParts) {
    this.#parts = parts;
  }

  /** From now on nothing is taken. */
  stop(): void {
    this.#stopped = true;
  }

  receive(batch: IncomingBatch): void {
    const partition = this.#parts.assignment.partitions.get(batch.partition);
    if (partition === undefined || this.#stopped) return;
    const { window } = partition;
    partition.highWatermarkOffset = window?.to ?? batch.highWatermarkOffset;
    for (const record of batch.records) {
      if (window !== null && record.offset >= window.to) {
        partition.passEnd();
        break;
      }
      this.#takeRecord(partition, record);
    }
    if (partition.endReached) this.#parts.pause(partition);
    this.#parts.assignment.endOrder(partition);
    this.#parts.work.records += batch.records.length;
    this.#parts.backpressure.taken(partition);
  }

  /** Of a run: what was left of its window may be gone from the log, and nothing may ever come behind it. */
  passed(number: number, position: bigint): void {
    const partition = this.#parts.assignment.partitions.get(number);
    if (partition === undefined || partition.window === null || this.#stopped) return;
    if (position < partition.window.to || partition.endReached) return;
    partition.passEnd();
    this.#parts.pause(partition);
    this.#parts.assignment.endOrder(partition);
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
    const { environment, mirror, run } = this.#parts.place;
    const reason = reasonOf(error);
    const { window } = partition;
    const transactions = window === null || msInWindow(record.timestampMs, window) ? transactionsIn(record) : 0;
    if (!partition.takeUndecodable(record.offset, transactions, record.timestampMs, 2)) return;
    this.#parts.work.undecodable += 1;
    this.#parts.logger.error(
      { partition: partition.number, offset: String(record.offset), transactions, reason },
      'undecodable envelopes: sent to the dead letter topic, their transactions count as failed',
    );
    const letter = deadLetter(
      deadLetterTopic(environment, mirror, run),
      this.#parts.assignment.at(partition.number),
      record,
      reason,
    );
    this.#parts.results.addRecord(letter, () => partition.tracker.resolve(record.offset));
    partition.laneResult(undecodableResult(record.offset, transactions));
  }
}
