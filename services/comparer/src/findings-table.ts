// The aggregates of one partition: grown statement by statement, published before the checkpoint that covers them, forgotten when memory
// is short.
//
// Every published aggregate says up to which results offset it is complete (`upTo`). After a crash results are read again from the
// checkpoint on; what an aggregate has already is known by that offset and left out, so each statement is in exactly one aggregate. A
// shape that was forgotten goes on in a new record, named by the offset of its first result. Why so: docs/adr/0026-findings.md.
import type { StatementClass } from '@mirrorstream/domain';
import {
  type AggregateRecord,
  aggregateKey,
  type Exemplar,
  findingsSchemaName,
  GrowingAggregate,
  type StatementSeen,
  type StatementShape,
} from '@mirrorstream/findings';
import type { OutgoingRecord } from '@mirrorstream/kafka';

export interface FindingsPlace {
  readonly environment: string;
  readonly mirror: string;
  readonly run: string;
  readonly topic: string;
  readonly partition: number;
  /** Of the findings topic. */
  readonly topicPartition: number;
}

/** A record that waits to be published. */
export interface WaitingRecord {
  readonly record: OutgoingRecord;
  readonly sizeBytes: number;
}

export interface FindingsStats {
  readonly shapes: number;
  readonly sizeBytes: number;
  readonly waitingBytes: number;
  readonly evicted: number;
}

/** What is known of earlier. */
export interface SavedFindings {
  /** The newest record of each key, oldest first. */
  readonly records: readonly AggregateRecord[];
  /** Offsets of the findings topic: as the checkpoint has it, and the end when it was read. */
  readonly needFrom: bigint;
  readonly publishedTo: bigint;
}

const nothingSaved: SavedFindings = { records: [], needFrom: 0n, publishedTo: 0n };

interface Entry {
  readonly aggregate: GrowingAggregate;
  readonly from: number;
  sizeBytes: number;
}

/** Of what waits to be published; beyond it nothing is counted until some of it is acknowledged. */
const maxWaitingBytes = 4 * 1024 * 1024;
/** Beside the aggregate itself: entry, keys, places in tables. */
const ENTRY_BYTES = 400;
const undescribed: StatementShape = { normalizedSql: '', verb: '', tables: [] };

export class FindingsTable {
  readonly place: FindingsPlace;
  /** Least recently seen first. */
  readonly #entries = new Map<string, Entry>();
  /** Shapes that hold results beyond the checkpoint this partition went on from, and how far. Emptied once that is passed. */
  readonly #guards: Map<string, number>;
  #guardEnd = 0;
  readonly #needFrom: bigint;
  #publishedTo: bigint;
  /** Changed since they were last made into a record. */
  readonly #changed = new Set<string>();
  /** Of those, the ones that the next checkpoint waits for. */
  #due = new Set<string>();
  #waiting: WaitingRecord[] = [];
  #waitingBytes = 0;
  /** Records made so far, and how many of them are acknowledged. */
  #made = 0;
  #acknowledged = 0;
  /** Acknowledged records that the frozen checkpoint needs; null: not all of them are made. */
  #needed: number | null = 0;
  #offset: number;
  #sizeBytes = 0;
  #evicted = 0;

  /** `offset`: the next result to count. */
  constructor(place: FindingsPlace, offset: bigint, saved: SavedFindings = nothingSaved) {
    this.place = place;
    this.#offset = Number(offset);
    this.#guards = new Map();
    this.#needFrom = saved.needFrom;
    this.#publishedTo = saved.publishedTo;
    for (const one of saved.records) this.#restore(one);
  }

  /** Where to read the findings topic from after a crash: what lies before holds nothing beyond the present offset. */
  get needFrom(): bigint {
    return this.#guards.size > 0 ? this.#needFrom : this.#publishedTo;
  }

  /** The results record that what follows belongs to. */
  begin(offset: bigint): void {
    this.#offset = Number(offset);
    if (this.#guards.size > 0 && this.#offset >= this.#guardEnd) this.#guards.clear();
  }

  /** All of the record is in: the aggregates are complete up to the next one. */
  end(offset: bigint): void {
    this.#offset = Number(offset) + 1;
  }

  /** Whether this shape's results of the current record are in already. */
  has(fingerprint: string): boolean {
    return this.#guards.size > 0 && (this.#guards.get(fingerprint) ?? 0) > this.#offset;
  }

  /** `shapeOf` is asked only for a shape that is not in memory, or of which only consequences were seen. */
  add(fingerprint: string, seen: StatementSeen, shapeOf: () => StatementShape): void {
    if (this.has(fingerprint)) return;
    const entry = this.#entryOf(fingerprint, shapeOf);
    if (!entry.aggregate.isDescribed) entry.aggregate.describe(shapeOf());
    entry.aggregate.add(seen);
    this.#touched(fingerprint, entry);
  }

  addExemplar(fingerprint: string, name: StatementClass, exemplarOf: () => Exemplar): void {
    if (this.has(fingerprint)) return;
    const entry = this.#entries.get(fingerprint);
    if (entry === undefined || !entry.aggregate.wantsExemplar(name)) return;
    entry.aggregate.addExemplar(name, exemplarOf());
    this.#touched(fingerprint, entry);
  }

  /** A statement is suspect because of a divergence of this shape. */
  addSuspect(fingerprint: string, name: StatementClass, at: Pick<StatementSeen, 'atUs' | 'capturedAtUs'>): void {
    if (this.has(fingerprint)) return;
    const entry = this.#entryOf(fingerprint, () => undescribed);
    entry.aggregate.addSuspect(name, at.atUs, at.capturedAtUs);
    this.#touched(fingerprint, entry);
  }

  /** Whether this shape has differed before, as far as memory goes. */
  hasDiverged(fingerprint: string, classes: readonly StatementClass[]): boolean {
    return this.#entries.get(fingerprint)?.aggregate.hasAny(classes) ?? false;
  }

  /** Between records: publishes and forgets what was not seen for the longest time. */
  evictBeyond(maxBytes: number): void {
    for (const [fingerprint, entry] of this.#entries) {
      if (this.#sizeBytes <= maxBytes) return;
      if (this.#changed.has(fingerprint)) this.#make(fingerprint, entry);
      this.#entries.delete(fingerprint);
      this.#sizeBytes -= entry.sizeBytes;
      this.#evicted += 1;
    }
  }

  /** A checkpoint is frozen here: it may go out when all that has changed until now is published. */
  cover(): void {
    this.#due = new Set(this.#changed);
    this.#needed = this.#due.size === 0 ? this.#made : null;
  }

  get isCovered(): boolean {
    return this.#needed !== null && this.#acknowledged >= this.#needed;
  }

  /** Too much waits: count nothing more until some is acknowledged. */
  get isFull(): boolean {
    return this.#waitingBytes > maxWaitingBytes;
  }

  /** The oldest records that wait, made as needed, up to about so many bytes. They stay until they are acknowledged. */
  next(maxBytes: number): readonly WaitingRecord[] {
    for (const fingerprint of this.#due) {
      if (this.#waitingBytes >= maxBytes) break;
      const entry = this.#entries.get(fingerprint);
      if (entry !== undefined) this.#make(fingerprint, entry);
    }
    let sizeBytes = 0;
    const end = this.#waiting.findIndex((one) => {
      sizeBytes += one.sizeBytes;
      return sizeBytes > maxBytes;
    });
    // One that is larger by itself goes by itself.
    return end < 0 ? [...this.#waiting] : this.#waiting.slice(0, Math.max(1, end));
  }

  /** The first `count` of those that wait are published, at this offset or later. */
  acknowledge(count: number, baseOffset: bigint): void {
    this.#publishedTo = baseOffset;
    for (const { sizeBytes } of this.#waiting.slice(0, count)) this.#waitingBytes -= sizeBytes;
    this.#waiting = this.#waiting.slice(count);
    this.#acknowledged += count;
  }

  get stats(): FindingsStats {
    return {
      shapes: this.#entries.size,
      sizeBytes: this.#sizeBytes,
      waitingBytes: this.#waitingBytes,
      evicted: this.#evicted,
    };
  }

  #entryOf(fingerprint: string, shapeOf: () => StatementShape): Entry {
    const known = this.#entries.get(fingerprint);
    if (known !== undefined) return known;
    return this.#insert(fingerprint, new GrowingAggregate(fingerprint, shapeOf()), this.#offset);
  }

  #insert(fingerprint: string, aggregate: GrowingAggregate, from: number): Entry {
    const entry: Entry = { aggregate, from, sizeBytes: aggregate.sizeBytes + ENTRY_BYTES };
    this.#entries.set(fingerprint, entry);
    this.#sizeBytes += entry.sizeBytes;
    return entry;
  }

  #touched(fingerprint: string, entry: Entry): void {
    const sizeBytes = entry.aggregate.sizeBytes + ENTRY_BYTES;
    this.#sizeBytes += sizeBytes - entry.sizeBytes;
    entry.sizeBytes = sizeBytes;
    this.#changed.add(fingerprint);
    this.#entries.delete(fingerprint);
    this.#entries.set(fingerprint, entry);
  }

  #make(fingerprint: string, entry: Entry): void {
    const { environment, mirror, run, topic, partition, topicPartition } = this.place;
    const from = String(entry.from);
    const content: AggregateRecord = {
      schema: findingsSchemaName,
      environment,
      mirror,
      run,
      partition,
      from,
      upTo: String(this.#offset),
      aggregate: entry.aggregate.toData(),
    };
    const value = Buffer.from(JSON.stringify(content));
    const key = aggregateKey(partition, fingerprint, from);
    this.#waiting.push({ record: { topic, partition: topicPartition, key, value }, sizeBytes: value.length });
    this.#waitingBytes += value.length;
    this.#made += 1;
    this.#changed.delete(fingerprint);
    if (this.#due.delete(fingerprint) && this.#due.size === 0) this.#needed = this.#made;
  }

  #restore({ from, upTo, aggregate }: AggregateRecord): void {
    const { fingerprint } = aggregate;
    const end = Number(upTo);
    if (end > this.#offset) {
      this.#guards.set(fingerprint, Math.max(end, this.#guards.get(fingerprint) ?? 0));
      this.#guardEnd = Math.max(this.#guardEnd, end);
    }
    const known = this.#entries.get(fingerprint);
    if (known !== undefined && known.from > Number(from)) return;
    if (known !== undefined) this.#sizeBytes -= known.sizeBytes;
    this.#insert(fingerprint, GrowingAggregate.restore(aggregate), Number(from));
  }
}
