// One aggregate while it grows: what a statement adds to it, what it takes in memory, how it becomes a record and comes back.
import type { NotComparedReason, StatementClass } from '@mirrorstream/domain';
import { LatencySketch } from './latency-sketch.ts';
import type { Aggregate, ClassCount, ErrorTransition, Exemplar, TimeSums } from './model.ts';
import { RunningMoments } from './moments.ts';

/** What is known of a statement's text. */
export interface StatementShape {
  readonly normalizedSql: string;
  readonly verb: string;
  readonly tables: readonly string[];
}

/** One statement that was compared, or was not. */
export interface StatementSeen {
  readonly class: StatementClass;
  readonly notCompared: NotComparedReason | '';
  readonly columns: readonly string[];
  /** SQLSTATEs, for classes of errors. */
  readonly errorCaptured: string;
  readonly errorReplayed: string;
  /** Its own time on either side; null: an error, no answer, or it says nothing. */
  readonly latencyUs: { readonly captured: number; readonly replayed: number } | null;
  readonly queueUs: number;
  readonly atUs: number;
  readonly capturedAtUs: number;
}

export interface AggregateLimits {
  readonly maxColumns: number;
  readonly maxColumnSets: number;
  readonly maxErrorPairs: number;
  /** Per class. */
  readonly maxExemplars: number;
  /** Of all exemplars of one aggregate, as JSON. */
  readonly maxExemplarBytes: number;
}

export const aggregateLimits: AggregateLimits = {
  maxColumns: 64,
  maxColumnSets: 32,
  maxErrorPairs: 32,
  maxExemplars: 3,
  maxExemplarBytes: 48 * 1024,
};

type Mutable<T> = { -readonly [Key in keyof T]: T[Key] };

/** About what an aggregate takes on the heap without its texts, sketches and exemplars; and one class of it. Measured: bench/memory.ts. */
const AGGREGATE_BYTES = 1_600;
const CLASS_BYTES = 500;
const ENTRY_BYTES = 96;

export class GrowingAggregate {
  readonly fingerprint: string;
  readonly #limits: AggregateLimits;
  readonly #classes: Partial<Record<StatementClass, Mutable<ClassCount>>>;
  readonly #notCompared: Partial<Record<NotComparedReason, number>>;
  readonly #errors: Mutable<ErrorTransition>[];
  readonly #captured: LatencySketch;
  readonly #replayed: LatencySketch;
  readonly #logRatio: RunningMoments;
  readonly #differenceUs: RunningMoments;
  readonly #time: Mutable<TimeSums>;
  #shape: StatementShape;
  #calls: number;
  #otherErrors: number;
  readonly #suspects: Partial<Record<StatementClass, number>>;
  #seenUs: readonly [first: number, last: number];
  #capturedUs: readonly [first: number, last: number];
  #bytes: number;
  #exemplarBytes = 0;

  constructor(fingerprint: string, shape: StatementShape, limits = aggregateLimits, saved: Aggregate | null = null) {
    this.fingerprint = fingerprint;
    this.#shape = shape;
    this.#limits = limits;
    this.#classes = structuredClone(saved?.classes ?? {});
    this.#notCompared = { ...saved?.notCompared };
    this.#errors = (saved?.errors ?? []).map((pair) => ({ ...pair }));
    this.#captured = new LatencySketch(saved?.latency.captured);
    this.#replayed = new LatencySketch(saved?.latency.replayed);
    this.#logRatio = new RunningMoments(saved?.latency.logRatio);
    this.#differenceUs = new RunningMoments(saved?.latency.differenceUs);
    this.#time = { ...(saved?.time ?? { queueUs: 0, executeUs: 0, capturedUs: 0 }) };
    this.#calls = saved?.calls ?? 0;
    this.#otherErrors = saved?.otherErrors ?? 0;
    this.#suspects = { ...saved?.suspects };
    this.#seenUs = saved === null ? never : [saved.firstSeenUs, saved.lastSeenUs];
    this.#capturedUs = saved === null ? never : [saved.firstCapturedUs, saved.lastCapturedUs];
    this.#bytes = AGGREGATE_BYTES + 2 * textLength(shape) + this.#errors.length * ENTRY_BYTES;
    for (const found of Object.values(this.#classes)) this.#measure(found);
  }

  static restore(saved: Aggregate, limits = aggregateLimits): GrowingAggregate {
    return new GrowingAggregate(saved.fingerprint, saved, limits, saved);
  }

  /** About what it takes in memory. */
  get sizeBytes(): number {
    return this.#bytes + this.#exemplarBytes + this.#captured.sizeBytes + this.#replayed.sizeBytes;
  }

  get isDescribed(): boolean {
    return this.#shape.normalizedSql !== '';
  }

  describe(shape: StatementShape): void {
    this.#bytes += 2 * (textLength(shape) - textLength(this.#shape));
    this.#shape = shape;
  }

  add(seen: StatementSeen): void {
    this.#calls += 1;
    this.#seenUs = widened(this.#seenUs, seen.atUs);
    this.#capturedUs = widened(this.#capturedUs, seen.capturedAtUs);
    this.#addClass(seen);
    if (seen.notCompared !== '') this.#notCompared[seen.notCompared] = (this.#notCompared[seen.notCompared] ?? 0) + 1;
    if (seen.errorCaptured !== seen.errorReplayed) this.#addError(seen.errorCaptured, seen.errorReplayed);
    this.#time.queueUs += seen.queueUs;
    if (seen.latencyUs !== null) this.#addLatency(seen.latencyUs.captured, seen.latencyUs.replayed);
  }

  /** A statement somewhere is suspect because of a divergence of this shape. */
  addSuspect(name: StatementClass, atUs: number, capturedAtUs: number): void {
    this.#suspects[name] = (this.#suspects[name] ?? 0) + 1;
    this.#seenUs = widened(this.#seenUs, atUs);
    this.#capturedUs = widened(this.#capturedUs, capturedAtUs);
  }

  hasAny(classes: readonly StatementClass[]): boolean {
    return classes.some((name) => this.#classes[name] !== undefined);
  }

  /** Whether one more example of the class would be kept. */
  wantsExemplar(name: StatementClass): boolean {
    const kept = this.#classes[name]?.exemplars.length ?? 0;
    return kept < this.#limits.maxExemplars && this.#exemplarBytes < this.#limits.maxExemplarBytes;
  }

  /** False: there is no room for it. */
  addExemplar(name: StatementClass, exemplar: Exemplar): boolean {
    const found = this.#classes[name];
    const bytes = exemplarBytes(exemplar);
    if (found === undefined || !this.wantsExemplar(name) || this.#exemplarBytes + bytes > this.#limits.maxExemplarBytes)
      return false;
    found.exemplars.push(exemplar);
    this.#exemplarBytes += bytes;
    return true;
  }

  toData(): Aggregate {
    return {
      fingerprint: this.fingerprint,
      normalizedSql: this.#shape.normalizedSql,
      verb: this.#shape.verb,
      tables: [...this.#shape.tables],
      calls: this.#calls,
      classes: this.#classes,
      notCompared: this.#notCompared,
      errors: this.#errors,
      otherErrors: this.#otherErrors,
      latency: {
        captured: this.#captured.toData(),
        replayed: this.#replayed.toData(),
        logRatio: this.#logRatio.toData(),
        differenceUs: this.#differenceUs.toData(),
      },
      time: this.#time,
      suspects: this.#suspects,
      firstSeenUs: this.#seenUs[0],
      lastSeenUs: this.#seenUs[1],
      firstCapturedUs: this.#capturedUs[0],
      lastCapturedUs: this.#capturedUs[1],
    };
  }

  #addClass({ class: name, columns, atUs }: StatementSeen): void {
    let found = this.#classes[name];
    if (found === undefined) {
      found = emptyClass(atUs);
      this.#classes[name] = found;
      this.#bytes += CLASS_BYTES;
    }
    found.count += 1;
    found.firstSeenUs = Math.min(found.firstSeenUs, atUs);
    found.lastSeenUs = Math.max(found.lastSeenUs, atUs);
    if (columns.length > 0) this.#addColumns(found, columns);
  }

  #addColumns(found: Mutable<ClassCount>, columns: readonly string[]): void {
    const set = [...new Set(columns)].sort();
    for (const name of set) {
      const known = found.columns.find((one) => one.name === name);
      if (known !== undefined) known.count += 1;
      else if (found.columns.length < this.#limits.maxColumns) {
        found.columns.push({ name, count: 1 });
        this.#bytes += ENTRY_BYTES + 2 * name.length;
      } else found.otherColumns += 1;
    }
    const same = found.columnSets.find((one) => sameSet(one.columns, set));
    if (same !== undefined) same.count += 1;
    else if (found.columnSets.length < this.#limits.maxColumnSets && set.length <= this.#limits.maxColumns) {
      found.columnSets.push({ columns: set, count: 1 });
      this.#bytes += ENTRY_BYTES + set.length * 16;
    } else found.otherSets += 1;
  }

  #addError(captured: string, replayed: string): void {
    const known = this.#errors.find((pair) => pair.captured === captured && pair.replayed === replayed);
    if (known !== undefined) known.count += 1;
    else if (this.#errors.length < this.#limits.maxErrorPairs) {
      this.#errors.push({ captured, replayed, count: 1 });
      this.#bytes += ENTRY_BYTES;
    } else this.#otherErrors += 1;
  }

  #addLatency(captured: number, replayed: number): void {
    this.#captured.add(captured);
    this.#replayed.add(replayed);
    this.#logRatio.add(Math.log(Math.max(1, replayed) / Math.max(1, captured)));
    this.#differenceUs.add(replayed - captured);
    this.#time.executeUs += replayed;
    this.#time.capturedUs += captured;
  }

  #measure(found: ClassCount): void {
    this.#bytes += CLASS_BYTES;
    for (const { name } of found.columns) this.#bytes += ENTRY_BYTES + 2 * name.length;
    for (const { columns } of found.columnSets) this.#bytes += ENTRY_BYTES + columns.length * 16;
    for (const exemplar of found.exemplars) this.#exemplarBytes += exemplarBytes(exemplar);
  }
}

const never = [Number.MAX_SAFE_INTEGER, 0] as const;

const widened = ([first, last]: readonly [number, number], at: number): readonly [number, number] =>
  at >= first && at <= last ? [first, last] : [Math.min(first, at), Math.max(last, at)];

function emptyClass(atUs: number): Mutable<ClassCount> {
  return {
    count: 0,
    firstSeenUs: atUs,
    lastSeenUs: atUs,
    columns: [],
    otherColumns: 0,
    columnSets: [],
    otherSets: 0,
    exemplars: [],
  };
}

const sameSet = (a: readonly string[], b: readonly string[]): boolean =>
  a.length === b.length && a.every((name, i) => name === b[i]);

const textLength = ({ normalizedSql, tables }: StatementShape): number =>
  normalizedSql.length + tables.reduce((sum, name) => sum + name.length + 16, 0);

const exemplarBytes = ({ sql, detail, captured, replayed }: Exemplar): number =>
  700 + 2 * ((sql?.length ?? 0) + detail.length) + (captured?.raw?.length ?? 0) + (replayed?.raw?.length ?? 0);
