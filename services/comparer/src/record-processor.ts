// One record of the results topic: counted in the ledger, judged, and turned into the records to publish. Pure but for the ledger.
import type { Classification } from '@mirrorstream/compare';
import { deadLetterTopic, MirrorstreamError, verdictsTopic } from '@mirrorstream/domain';
import {
  decodeResultAccount,
  decodeResultBatch,
  type EnvelopeRef,
  encodeVerdictBatch,
  missingHeader,
  type Result,
  type ResultBatch,
  resultAccountHeader,
  retryHeader,
  settledBy,
} from '@mirrorstream/envelope';
import type { IncomingRecord, OutgoingRecord } from '@mirrorstream/kafka';
import type { FindingsFold } from './findings-fold.ts';
import type { FindingsTable } from './findings-table.ts';
import type { Judge, VerdictInit } from './judge.ts';
import type { LagStage } from './lag-guard.ts';
import type { LagRelief } from './lag-relief.ts';
import type { PartitionLedger } from './ledger.ts';

export interface RecordProcessorOptions {
  readonly environment: string;
  readonly mirror: string;
  /** `live`, or the name of the run. */
  readonly run: string;
  readonly resultsTopic: string;
  readonly deadLetterPartitions: number;
  /** A verdict batch is cut at about this many bytes. */
  readonly maxBatchBytes: number;
}

export interface ProcessedRecord {
  readonly outgoing: readonly OutgoingRecord[];
  /** What could not be decoded went to the dead letter; `accounted`: its transactions, as its header says them, count as failed. */
  readonly undecodable: { readonly error: MirrorstreamError; readonly accounted: boolean } | null;
  readonly results: number;
}

interface JudgedResult {
  readonly verdict: VerdictInit;
  readonly sizeBytes: number;
}

/** What keeps the aggregates, and what is left out when the comparer is behind. */
export interface Aggregation {
  readonly fold: FindingsFold;
  readonly relief: LagRelief;
}

/** Of the partition whose record is counted. */
export interface Aggregates {
  readonly table: FindingsTable;
  readonly stage: LagStage;
}

export class RecordProcessor {
  private readonly options: RecordProcessorOptions;
  private readonly judge: Judge;
  private readonly aggregation: Aggregation | null;
  private aggregates: Aggregates | null = null;

  constructor(options: RecordProcessorOptions, judge: Judge, aggregation: Aggregation | null = null) {
    this.options = options;
    this.judge = judge;
    this.aggregation = aggregation;
  }

  /** Counts everything the record holds, in the ledger and in the aggregates, and moves both positions past it. */
  process(
    ledger: PartitionLedger,
    partition: number,
    record: IncomingRecord,
    aggregates: Aggregates | null = null,
  ): ProcessedRecord {
    this.aggregates = aggregates;
    aggregates?.table.begin(record.offset);
    const processed = this.count(ledger, partition, record);
    aggregates?.table.end(record.offset);
    return processed;
  }

  private count(ledger: PartitionLedger, partition: number, record: IncomingRecord): ProcessedRecord {
    ledger.nextOffset = record.offset + 1n;
    let batch: ResultBatch;
    try {
      batch = decodeResultBatch(record.value ?? new Uint8Array(0));
    } catch (error) {
      if (!(error instanceof MirrorstreamError) || error.code !== 'undecodable') throw error;
      const account = decodeResultAccount(record.headers[resultAccountHeader]);
      const counted = account === null ? null : ledger.countUndecodable(account);
      const undecodable = { error, accounted: account !== null };
      return { outgoing: [this.deadLetter(partition, record, counted)], undecodable, results: 0 };
    }
    const { [retryHeader]: retryOf, [missingHeader]: missingOf } = record.headers;
    let judged: JudgedResult[];
    if (retryOf !== undefined) judged = this.judgeRetried(ledger, batch, record.offset, retryOf);
    else if (missingOf !== undefined) judged = this.judgeMissing(ledger, batch, record.offset, missingOf);
    else judged = this.judgeBatch(ledger, batch, record.offset);
    return { outgoing: this.encode(judged, partition), undecodable: null, results: batch.results.length };
  }

  private judgeBatch(ledger: PartitionLedger, batch: ResultBatch, offset: bigint): JudgedResult[] {
    const judged: JudgedResult[] = [];
    for (const result of batch.results) {
      const { ref } = result;
      if (ref === undefined || ledger.count(result, ref) !== 'counted') continue;
      judged.push(this.judgeOne(ledger, result, ref, offset));
    }
    return judged;
  }

  /** What was counted as failed, as nobody could decode it, for what it is. */
  private judgeRetried(ledger: PartitionLedger, batch: ResultBatch, offset: bigint, retryOf: string): JudgedResult[] {
    const results = batch.results.filter(({ sessionEnd }) => !sessionEnd);
    const transactions = results.reduce((sum, result) => sum + settledBy(result), 0);
    if (!/^\d{1,19}$/.test(retryOf) || !ledger.retryUndecodable(BigInt(retryOf), transactions)) return [];
    return this.judgeCounted(ledger, results, offset);
  }

  /** What no other result is about: behind others of its session, so only its letter can tell whether it was said before. */
  private judgeMissing(ledger: PartitionLedger, batch: ResultBatch, offset: bigint, missingOf: string): JudgedResult[] {
    const [, letter, chunk] = /^(\d{1,19})\/(\d{1,6})$/.exec(missingOf) ?? [];
    const transactions = batch.results.reduce((sum, result) => sum + settledBy(result), 0);
    if (letter === undefined || !ledger.isFirstOfMissing(BigInt(letter), Number(chunk), transactions)) return [];
    return this.judgeCounted(ledger, batch.results, offset);
  }

  private judgeCounted(ledger: PartitionLedger, results: readonly Result[], offset: bigint): JudgedResult[] {
    return results.flatMap((result) => {
      const { ref } = result;
      if (ref === undefined) return [];
      ledger.countRetried(result);
      return [this.judgeOne(ledger, result, ref, offset)];
    });
  }

  private judgeOne(ledger: PartitionLedger, full: Result, ref: EnvelopeRef, offset: bigint): JudgedResult {
    const { aggregation, aggregates } = this;
    const known = aggregation === null || aggregates === null ? null : { ...aggregation, ...aggregates };
    const result = known === null ? full : known.relief.lighten(full, known.stage, known.table);
    const { verdict, classes, sizeBytes } = this.judge.judge(result, ref, offset, ledger.causes);
    for (const found of classes) ledger.countStatement(found satisfies Classification);
    known?.fold.add(known.table, result, ref, verdict, offset);
    return { verdict, sizeBytes };
  }

  private encode(judged: readonly JudgedResult[], partition: number): OutgoingRecord[] {
    const { environment, mirror, run, maxBatchBytes } = this.options;
    const outgoing: OutgoingRecord[] = [];
    let verdicts: VerdictInit[] = [];
    let sizeBytes = 0;
    const cut = () => {
      if (verdicts.length === 0) return;
      const value = encodeVerdictBatch({ environment, mirror, run, partition, verdicts });
      outgoing.push({ topic: verdictsTopic(environment, mirror, run), partition, key: null, value });
      verdicts = [];
      sizeBytes = 0;
    };
    for (const one of judged) {
      if (sizeBytes + one.sizeBytes > maxBatchBytes) cut();
      verdicts.push(one.verdict);
      sizeBytes += one.sizeBytes;
    }
    cut();
    return outgoing;
  }

  private deadLetter(partition: number, record: IncomingRecord, counted: number | null): OutgoingRecord {
    return {
      topic: deadLetterTopic(this.options.environment, this.options.mirror, this.options.run),
      partition: partition % this.options.deadLetterPartitions,
      key: record.key,
      value: record.value,
      headers: {
        ...record.headers,
        ...(counted === null ? {} : { counted: String(counted) }),
        topic: this.options.resultsTopic,
        partition: String(partition),
        offset: String(record.offset),
        reason: 'undecodable',
      },
    };
  }
}
