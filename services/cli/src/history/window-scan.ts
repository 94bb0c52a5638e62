// Reads a window of the past once, before anything is played or written: which offsets hold it, and what is in it.
//
// A record is published after its transactions began, so nothing of the window lies before the offset of its beginning. Behind its end
// there may be more: transactions that began in it and were published later. So reading goes on for `lateMs` of log, and further in
// partitions where a transaction of the window is seen to be under way, to its end or the end of the log.
import { envelopesTopic, MirrorstreamError, type RunCapture } from '@mirrorstream/domain';
import {
  decodeEnvelopeBatch,
  type Envelope,
  type EnvelopeBatch,
  msInWindow,
  type ReplayWindow,
  recordInWindow,
} from '@mirrorstream/envelope';
import type { Admin, IncomingBatch, IncomingRecord, KafkaClient, PartitionOffsets } from '@mirrorstream/kafka';
import { refuseCutWindow } from './retention.ts';

export interface ScanOptions {
  readonly source: string;
  readonly window: ReplayWindow;
  /** How long after it began a transaction may have been published; parts of long ones leave each second. */
  readonly lateMs: number;
  /** Records read so far, of about so many. */
  readonly onProgress: (done: number, total: number) => void;
}

/** Offsets [from, to) and the transactions of the window in them. */
export interface ScannedRange {
  readonly from: bigint;
  readonly to: bigint;
  readonly transactions: number;
}

export interface ScannedWindow {
  readonly ranges: ReadonlyMap<number, ScannedRange>;
  readonly transactions: number;
  /** Transactions that capture itself had left out: a lower bound. */
  readonly captureGaps: number;
  /** When the first transaction began; null: there is none. */
  readonly firstStartedAtUs: bigint | null;
  /** Capture processes that wrote what was read. */
  readonly incarnations: string[];
  /** Their workers that have transactions in the window. */
  readonly captures: readonly RunCapture[];
}

/** Clocks of several hosts agree to within this. */
const clockMarginMs = 10_000;
const furtherRecords = 2_000n;

/** Throws `badInput` when retention has cut into the window. */
export async function scanWindow(client: KafkaClient, admin: Admin, options: ScanOptions): Promise<ScannedWindow> {
  const { source, window, lateMs } = options;
  const topic = envelopesTopic(source);
  const logs = await admin.offsets(topic);
  await refuseCutWindow(client, admin, { topic, logs, fromMs: window.fromMs });
  const starts = await admin.offsetsByTime(topic, Math.max(0, window.fromMs - clockMarginMs));
  const ends = await admin.offsetsByTime(topic, window.toMs + lateMs);
  const partitions = logs.map((log) => new PartitionScan(log, starts, ends, window));
  const total = partitions.reduce((sum, { position, end }) => sum + Number(end - position), 0);
  let done = 0;
  const byNumber = new Map(partitions.map((scan) => [scan.partition, scan]));
  const onBatch = (batch: IncomingBatch): void => {
    const scan = byNumber.get(batch.partition);
    for (const record of batch.records) scan?.take(record);
    done += batch.records.length;
    options.onProgress(Math.min(done, total), total);
  };
  for (;;) {
    const ranges = partitions
      .filter(({ position, end }) => position < end)
      .map(({ partition, position: from, end: to }) => ({ partition, from, to }));
    if (ranges.length === 0) break;
    await client.readRange(topic, ranges, onBatch);
    for (const scan of partitions) scan.goOnWhereOpen();
  }
  return summary(partitions);
}

function summary(partitions: readonly PartitionScan[]): ScannedWindow {
  let firstStartedAtUs: bigint | null = null;
  for (const { firstStartedAtUs: first } of partitions)
    if (first !== null && (firstStartedAtUs === null || first < firstStartedAtUs)) firstStartedAtUs = first;
  return {
    ranges: new Map(partitions.map((scan) => [scan.partition, scan.range])),
    transactions: partitions.reduce((sum, { range }) => sum + range.transactions, 0),
    captureGaps: partitions.reduce((sum, { gaps }) => sum + gaps, 0),
    firstStartedAtUs,
    incarnations: [...new Set(partitions.flatMap((scan) => scan.incarnations))].sort(),
    captures: earliestOf(partitions.flatMap((scan) => scan.captures)),
  };
}

function earliestOf(captures: readonly RunCapture[]): RunCapture[] {
  const earliest = new Map<string, RunCapture>();
  for (const capture of captures) {
    const key = originKey(capture);
    const before = earliest.get(key);
    if (before === undefined || BigInt(capture.beginsAtMonoUs) < BigInt(before.beginsAtMonoUs))
      earliest.set(key, capture);
  }
  return [...earliest.values()];
}

const originKey = ({ incarnation, worker }: Pick<RunCapture, 'incarnation' | 'worker'>): string =>
  `${incarnation}/${worker}`;

class PartitionScan {
  readonly partition: number;
  position: bigint;
  end: bigint;
  gaps = 0;
  firstStartedAtUs: bigint | null = null;
  readonly #high: bigint;
  readonly #window: ReplayWindow;
  /** Sessions whose transaction of the window has not ended yet, and its session_seq. */
  readonly #open = new Map<string, bigint>();
  /** Highest record number by incarnation: a record that comes again is a repetition of the producer's. */
  readonly #seen = new Map<string, number>();
  readonly #captures = new Map<string, RunCapture>();
  #first: bigint | null = null;
  #last = 0n;
  #transactions = 0;

  constructor(
    { partition, low, high }: PartitionOffsets,
    starts: ReadonlyMap<number, bigint>,
    ends: ReadonlyMap<number, bigint>,
    window: ReplayWindow,
  ) {
    this.partition = partition;
    const start = starts.get(partition) ?? high;
    const end = ends.get(partition) ?? high;
    this.#high = high;
    this.position = start > low ? start : low;
    this.end = end < high ? end : high;
    this.#window = window;
  }

  get range(): ScannedRange {
    const from = this.#first ?? this.position;
    return { from, to: this.#first === null ? from : this.#last + 1n, transactions: this.#transactions };
  }

  get incarnations(): string[] {
    return [...this.#seen.keys()];
  }

  get captures(): readonly RunCapture[] {
    return [...this.#captures.values()];
  }

  take(record: IncomingRecord): void {
    if (this.#isRepetition(record)) return;
    let batch: EnvelopeBatch;
    try {
      batch = decodeEnvelopeBatch(record.value ?? new Uint8Array(0));
    } catch (error) {
      if (!(error instanceof MirrorstreamError) || error.code !== 'undecodable') throw error;
      if (msInWindow(record.timestampMs, this.#window)) this.#takeUndecodable(record);
      return;
    }
    let found = false;
    for (const each of batch.records) {
      if (each.record.case === 'envelope' && recordInWindow(each, this.#window))
        this.#noteCapture(batch, each.record.value);
      if (recordInWindow(each, this.#window)) found = this.#takeCaptured(each.record) || found;
      if (each.record.case === 'sessionEnd') this.#open.delete(each.record.value.sessionId);
    }
    if (found) this.#note(record.offset);
  }

  /** What was read is read; where a transaction of the window is under way, a bit more is to be. */
  goOnWhereOpen(): void {
    this.position = this.end;
    if (this.#open.size === 0 || this.end >= this.#high) return;
    const further = this.end + furtherRecords;
    this.end = further < this.#high ? further : this.#high;
  }

  /** Whether the replay has to see it. */
  #takeCaptured(captured: EnvelopeBatch['records'][number]['record']): boolean {
    switch (captured.case) {
      case 'envelope': {
        const { sessionId, sessionSeq, lastPart, startedAtUs } = captured.value;
        if (this.firstStartedAtUs === null || startedAtUs < this.firstStartedAtUs) this.firstStartedAtUs = startedAtUs;
        if (lastPart) this.#transactions += 1;
        if (lastPart) this.#open.delete(sessionId);
        else this.#open.set(sessionId, sessionSeq);
        return true;
      }
      case 'gap':
        this.gaps += Number(captured.value.transactions);
        this.#open.delete(captured.value.sessionId);
        return false;
      // A session that ends in the window ends on the mirror too.
      case 'sessionEnd':
        return true;
      default:
        return false;
    }
  }

  #noteCapture(batch: EnvelopeBatch, { startedAtUs, startedMonoUs }: Envelope): void {
    const key = originKey(batch);
    const before = this.#captures.get(key);
    if (before !== undefined && BigInt(before.beginsAtMonoUs) <= startedMonoUs) return;
    const { captureNode, incarnation, worker } = batch;
    const begins = { beginsAtUs: String(startedAtUs), beginsAtMonoUs: String(startedMonoUs) };
    this.#captures.set(key, { captureNode, incarnation, worker, ...begins });
  }

  #takeUndecodable(record: IncomingRecord): void {
    const said = Number(record.headers['transactions'] ?? '0');
    this.#transactions += Number.isSafeInteger(said) && said > 0 ? said : 0;
    this.#note(record.offset);
  }

  #note(offset: bigint): void {
    this.#first ??= offset;
    this.#last = offset;
  }

  #isRepetition({ headers }: IncomingRecord): boolean {
    const { incarnation = '', record } = headers;
    const number = Number(record);
    if (!Number.isSafeInteger(number)) return false;
    if (number <= (this.#seen.get(incarnation) ?? -1)) return true;
    this.#seen.set(incarnation, number);
    return false;
  }
}
