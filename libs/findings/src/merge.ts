// Puts aggregates of one shape together: of several partitions, of several stretches of time, of several control mirrors.
import { notComparedReasons, type StatementClass, statementClasses } from '@mirrorstream/domain';
import { mergeSketches } from './latency-sketch.ts';
import type { Aggregate, ClassCount, ErrorTransition, Exemplar } from './model.ts';
import { mergeMoments } from './moments.ts';

/** Kept of a class after a merge. */
const maxMergedExemplars = 10;

/** Which side comes first makes no difference but to the order of examples with one moment. */
export function mergeAggregates(a: Aggregate, b: Aggregate): Aggregate {
  return {
    fingerprint: a.fingerprint,
    normalizedSql: a.normalizedSql === '' ? b.normalizedSql : a.normalizedSql,
    verb: a.verb === '' ? b.verb : a.verb,
    tables: a.tables.length === 0 ? b.tables : a.tables,
    calls: a.calls + b.calls,
    classes: mergeClasses(a.classes, b.classes),
    notCompared: mergeByName(notComparedReasons, a.notCompared, b.notCompared),
    errors: mergeErrors(a.errors, b.errors),
    otherErrors: a.otherErrors + b.otherErrors,
    latency: {
      captured: mergeSketches(a.latency.captured, b.latency.captured),
      replayed: mergeSketches(a.latency.replayed, b.latency.replayed),
      logRatio: mergeMoments(a.latency.logRatio, b.latency.logRatio),
      differenceUs: mergeMoments(a.latency.differenceUs, b.latency.differenceUs),
    },
    time: {
      queueUs: a.time.queueUs + b.time.queueUs,
      executeUs: a.time.executeUs + b.time.executeUs,
      capturedUs: a.time.capturedUs + b.time.capturedUs,
    },
    suspects: mergeByName(statementClasses, a.suspects, b.suspects),
    firstSeenUs: Math.min(a.firstSeenUs, b.firstSeenUs),
    lastSeenUs: Math.max(a.lastSeenUs, b.lastSeenUs),
    firstCapturedUs: Math.min(a.firstCapturedUs, b.firstCapturedUs),
    lastCapturedUs: Math.max(a.lastCapturedUs, b.lastCapturedUs),
  };
}

/** One per fingerprint, in the order they were first met. */
export class AggregateMerger {
  readonly #merged = new Map<string, Aggregate>();

  add(aggregate: Aggregate): void {
    const known = this.#merged.get(aggregate.fingerprint);
    this.#merged.set(aggregate.fingerprint, known === undefined ? aggregate : mergeAggregates(known, aggregate));
  }

  get(fingerprint: string): Aggregate | undefined {
    return this.#merged.get(fingerprint);
  }

  all(): readonly Aggregate[] {
    return [...this.#merged.values()];
  }
}

type Classes = Aggregate['classes'];

function mergeClasses(a: Classes, b: Classes): Classes {
  const merged: Partial<Record<StatementClass, ClassCount>> = {};
  for (const name of statementClasses) {
    const found = mergeClass(a[name], b[name]);
    if (found !== undefined) merged[name] = found;
  }
  return merged;
}

function mergeClass(a: ClassCount | undefined, b: ClassCount | undefined): ClassCount | undefined {
  if (a === undefined || b === undefined) return a ?? b;
  return {
    count: a.count + b.count,
    firstSeenUs: Math.min(a.firstSeenUs, b.firstSeenUs),
    lastSeenUs: Math.max(a.lastSeenUs, b.lastSeenUs),
    columns: mergeColumns(a.columns, b.columns),
    otherColumns: a.otherColumns + b.otherColumns,
    columnSets: mergeSets(a.columnSets, b.columnSets),
    otherSets: a.otherSets + b.otherSets,
    exemplars: mergeExemplars(a.exemplars, b.exemplars),
  };
}

function mergeByName<Name extends string>(
  names: readonly Name[],
  a: Readonly<Partial<Record<Name, number | undefined>>>,
  b: Readonly<Partial<Record<Name, number | undefined>>>,
): Partial<Record<Name, number>> {
  const merged: Partial<Record<Name, number>> = {};
  for (const name of names) {
    const count = (a[name] ?? 0) + (b[name] ?? 0);
    if (count > 0) merged[name] = count;
  }
  return merged;
}

function mergeColumns(a: ClassCount['columns'], b: ClassCount['columns']): ClassCount['columns'] {
  const merged = new Map<string, number>();
  for (const { name, count } of [...a, ...b]) merged.set(name, (merged.get(name) ?? 0) + count);
  return [...merged].map(([name, count]) => ({ name, count }));
}

function mergeSets(a: ClassCount['columnSets'], b: ClassCount['columnSets']): ClassCount['columnSets'] {
  const merged = new Map<string, ClassCount['columnSets'][number]>();
  for (const one of [...a, ...b]) {
    const key = JSON.stringify(one.columns);
    merged.set(key, { columns: one.columns, count: (merged.get(key)?.count ?? 0) + one.count });
  }
  return [...merged.values()];
}

function mergeErrors(a: readonly ErrorTransition[], b: readonly ErrorTransition[]): ErrorTransition[] {
  const merged = new Map<string, ErrorTransition>();
  for (const one of [...a, ...b]) {
    const key = `${one.captured}>${one.replayed}`;
    merged.set(key, { ...one, count: (merged.get(key)?.count ?? 0) + one.count });
  }
  return [...merged.values()];
}

/** The latest: what is true now is what people look for. */
function mergeExemplars(a: readonly Exemplar[], b: readonly Exemplar[]): Exemplar[] {
  return [...a, ...b].sort((x, y) => y.atUs - x.atUs).slice(0, maxMergedExemplars);
}
