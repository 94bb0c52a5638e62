// Gathers results per partition into batches, hands them to Kafka in order, and says which are acknowledged.
import { resultsTopic } from '@mirrorstream/domain';
import { encodeResultAccount, encodeResults, ResultOutcome, resultAccountHeader } from '@mirrorstream/envelope';
import type { Batcher, OutgoingRecord } from '@mirrorstream/kafka';
import type { LaneResult, StatementComparison } from '@mirrorstream/replay';

/** A result on its way: what it settles is settled when Kafka has it. */
export interface PendingResult {
  readonly result: LaneResult;
  readonly onAcknowledged: () => void;
}

export interface PublisherOptions {
  readonly environment: string;
  readonly mirror: string;
  /** `live`, or the name of the run. */
  readonly run: string;
  readonly instance: string;
  readonly lingerMs: number;
  readonly maxBatchBytes: number;
  /** Results not acknowledged; beyond it `onPressure(true)`. */
  readonly maxBytes: number;
}

export interface PublisherEvents {
  /** Offset after the last acknowledged record of a results partition. */
  readonly onResultsEnd: (partition: number, offset: bigint) => void;
  /** Kafka does not keep up: stop making results; or it does again. */
  readonly onPressure: (on: boolean) => void;
  /** Statements that did not fit into what Kafka takes. */
  readonly onCut: (statements: number) => void;
  readonly onRefused: (record: OutgoingRecord) => void;
}

interface Gathering {
  results: PendingResult[];
  sizeBytes: number;
}

interface Sent {
  readonly settle: readonly (() => void)[];
  readonly sizeBytes: number;
}

/** Of one result: Kafka takes 1 MiB a batch. */
const MAX_RESULT_BYTES = 800 * 1024;
const RESULT_BYTES = 160;
const STATEMENT_BYTES = 260;

const outcomes = {
  replayed: ResultOutcome.REPLAYED,
  filtered: ResultOutcome.FILTERED,
  unexposed: ResultOutcome.UNEXPOSED,
  shed: ResultOutcome.SHED,
  failed: ResultOutcome.FAILED,
} as const;

export class ResultPublisher {
  readonly #options: PublisherOptions;
  readonly #events: PublisherEvents;
  readonly #batcher: Batcher;
  readonly #topic: string;
  readonly #gathering = new Map<number, Gathering>();
  /** Encoded, in order, not accepted by the batcher yet. */
  #backlog: OutgoingRecord[] = [];
  readonly #sent = new Map<OutgoingRecord, Sent>();
  #timer: NodeJS.Timeout | null = null;
  #bytes = 0;
  #pressed = false;

  constructor(options: PublisherOptions, batcher: Batcher, events: PublisherEvents) {
    this.#options = options;
    this.#batcher = batcher;
    this.#events = events;
    this.#topic = resultsTopic(options.environment, options.mirror, options.run);
  }

  /** Made and not acknowledged. */
  get pendingBytes(): number {
    return this.#bytes;
  }

  get isEmpty(): boolean {
    return this.#gathering.size === 0 && this.#backlog.length === 0 && this.#sent.size === 0;
  }

  add(partition: number, pending: PendingResult): void {
    const sizeBytes = resultBytes(pending.result);
    const gathering = this.#gathering.get(partition) ?? { results: [], sizeBytes: 0 };
    this.#gathering.set(partition, gathering);
    if (gathering.results.length > 0 && gathering.sizeBytes + sizeBytes > this.#options.maxBatchBytes)
      this.#close(partition, gathering);
    gathering.results.push(pending);
    gathering.sizeBytes += sizeBytes;
    this.#count(sizeBytes);
    this.#timer ??= setTimeout(() => this.flush(), this.#options.lingerMs);
  }

  /** Any other record that must not be lost, e.g. a dead letter. */
  addRecord(record: OutgoingRecord, onAcknowledged: () => void): void {
    const sizeBytes = record.value?.length ?? 0;
    this.#sent.set(record, { settle: [onAcknowledged], sizeBytes });
    this.#count(sizeBytes);
    this.#backlog.push(record);
    this.#offer();
  }

  /** Closes what is gathering. */
  flush(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    for (const [partition, gathering] of this.#gathering) {
      if (gathering.results.length > 0) this.#close(partition, gathering);
      this.#gathering.delete(partition);
    }
  }

  /** The batcher's events. */
  acknowledged(record: OutgoingRecord, offset: bigint): void {
    const sent = this.#sent.get(record);
    if (sent === undefined) return;
    this.#sent.delete(record);
    if (record.topic === this.#topic) this.#events.onResultsEnd(record.partition, offset + 1n);
    for (const settle of sent.settle) settle();
    this.#count(-sent.sizeBytes);
    this.#offer();
  }

  lost(record: OutgoingRecord, reason: 'kafkaRefused' | 'closed'): void {
    const sent = this.#sent.get(record);
    if (reason === 'closed' || sent === undefined) return;
    this.#events.onRefused(record);
  }

  #close(partition: number, gathering: Gathering): void {
    const pending = gathering.results;
    const { environment, mirror, run, instance } = this.#options;
    const value = encodeResults({
      environment,
      mirror,
      run,
      replayer: instance,
      partition,
      results: pending.map(({ result }) => ({
        ...result,
        outcome: outcomes[result.outcome],
        statements: this.#fitting(result.statements),
      })),
    });
    const headers = { [resultAccountHeader]: encodeResultAccount(pending.map(({ result }) => result)) };
    const record: OutgoingRecord = { topic: this.#topic, partition, key: null, value, headers };
    this.#sent.set(record, {
      settle: pending.map(({ onAcknowledged }) => onAcknowledged),
      sizeBytes: gathering.sizeBytes,
    });
    this.#backlog.push(record);
    gathering.results = [];
    gathering.sizeBytes = 0;
    this.#offer();
  }

  /** Kept answers go first when a result is too large, then statements from the end. */
  #fitting(statements: readonly StatementComparison[]): StatementComparison[] {
    let roomBytes = MAX_RESULT_BYTES;
    const fitting: StatementComparison[] = [];
    for (const statement of statements) {
      const bareBytes = STATEMENT_BYTES + statement.sql.length;
      const rawBytes = statement.capturedRaw.length + statement.replayedRaw.length;
      if (bareBytes > roomBytes) break;
      const whole = bareBytes + rawBytes <= roomBytes;
      fitting.push(whole ? statement : { ...statement, capturedRaw: none, replayedRaw: none, rawTruncated: true });
      roomBytes -= whole ? bareBytes + rawBytes : bareBytes;
    }
    if (fitting.length < statements.length) this.#events.onCut(statements.length - fitting.length);
    return fitting;
  }

  #offer(): void {
    let offered = 0;
    for (const record of this.#backlog) {
      if (this.#batcher.offer(record) === 'full') break;
      offered += 1;
    }
    if (offered > 0) this.#backlog = this.#backlog.slice(offered);
  }

  #count(sizeBytes: number): void {
    this.#bytes += sizeBytes;
    const pressed = this.#bytes > (this.#pressed ? this.#options.maxBytes / 2 : this.#options.maxBytes);
    if (pressed === this.#pressed) return;
    this.#pressed = pressed;
    this.#events.onPressure(pressed);
  }
}

const none = new Uint8Array(0);

function resultBytes(result: LaneResult): number {
  let sizeBytes = RESULT_BYTES;
  for (const { sql, capturedRaw, replayedRaw } of result.statements)
    sizeBytes += STATEMENT_BYTES + sql.length + capturedRaw.length + replayedRaw.length;
  return sizeBytes;
}
