// Aggregates: every statement in one class, merging and saving lose nothing, and everything has its bound.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { statementClasses } from '@mirrorstream/domain';
import { aggregateOf, seeded, seen, shape } from './aggregate.fixture.ts';
import { aggregateLimits, GrowingAggregate, type StatementSeen } from './aggregate.ts';
import { mergeAggregates } from './merge.ts';
import { type Aggregate, aggregateSchema, type Exemplar } from './model.ts';

const random = seeded(31);
const integer = (most: number): number => Math.floor(random() * (most + 1));

function anything(): StatementSeen {
  const name = statementClasses[integer(statementClasses.length - 1)] ?? 'match';
  return seen(name, {
    columns: Array.from({ length: integer(3) }, () => ['a', 'b', '__proto__', 'constructor'][integer(3)] ?? 'a'),
    notCompared: name === 'notCompared' ? 'volatile' : '',
    errorReplayed: name === 'errorNew' ? `4200${integer(9)}` : '',
    latencyUs: integer(2) === 0 ? null : { captured: 1 + integer(9_999), replayed: 1 + integer(99_999) },
    queueUs: integer(50),
    atUs: 1_000_000 + integer(1_000_000),
    capturedAtUs: integer(1_000_000),
  });
}

const exemplar = (bytes: number): Exemplar => ({
  envelope: { partition: 0, offset: '1', index: 0, sessionId: 's', sessionSeq: '1', part: 0 },
  resultOffset: '1',
  exchange: 0,
  statement: 0,
  atUs: 1,
  detail: 'd',
  columns: [],
  sql: 'x'.repeat(bytes / 2),
  rawTruncated: false,
  rawAlone: false,
});

/** Without what depends on order: sets as sets, floating point as far as it is exact. */
function comparable(aggregate: Aggregate) {
  const round = ({ n, mean, m2 }: { n: number; mean: number; m2: number }) => [
    n,
    mean.toPrecision(9),
    m2.toPrecision(9),
  ];
  const byName = (a: object, b: object) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1);
  return {
    ...aggregate,
    errors: [...aggregate.errors].sort(byName),
    classes: Object.fromEntries(
      Object.entries(aggregate.classes)
        .sort(([a], [b]) => (a < b ? -1 : 1))
        .map(([name, found]) => [
          name,
          { ...found, columns: [...found.columns].sort(byName), columnSets: [...found.columnSets].sort(byName) },
        ]),
    ),
    latency: {
      ...aggregate.latency,
      logRatio: round(aggregate.latency.logRatio),
      differenceUs: round(aggregate.latency.differenceUs),
    },
  };
}

describe('aggregate', () => {
  it('is the same saved and restored at any point, or merged of parts in any order, and fits its schema', () => {
    const all = Array.from({ length: 600 }, anything);
    const whole = aggregateOf(all.map((one) => [1, one]));
    aggregateSchema.parse(JSON.parse(JSON.stringify(whole)));
    const cut = 1 + integer(598);
    const restored = GrowingAggregate.restore(
      aggregateSchema.parse(JSON.parse(JSON.stringify(aggregateOf(all.slice(0, cut).map((one) => [1, one]))))),
    );
    for (const one of all.slice(cut)) restored.add(one);
    assert.deepEqual(comparable(restored.toData()), comparable(whole));
    const parts = [0, 1, 2].map((part) => aggregateOf(all.filter((_, i) => i % 3 === part).map((one) => [1, one])));
    const [a, b, c] = parts as [Aggregate, Aggregate, Aggregate];
    assert.deepEqual(comparable(mergeAggregates(mergeAggregates(a, b), c)), comparable(whole));
    assert.deepEqual(comparable(mergeAggregates(c, mergeAggregates(b, a))), comparable(whole));
  });

  it('has each statement in one class, and its columns and their sets add up, whatever columns are called', () => {
    const whole = aggregateOf(Array.from({ length: 500 }, anything).map((one) => [1, one]));
    assert.equal(
      Object.values(whole.classes).reduce((sum, { count }) => sum + count, 0),
      500,
    );
    assert.equal(whole.notCompared.volatile ?? 0, whole.classes.notCompared?.count ?? 0);
    for (const { columns, columnSets } of Object.values(whole.classes))
      for (const { name, count } of columns)
        assert.equal(
          columnSets.filter((set) => set.columns.includes(name)).reduce((sum, set) => sum + set.count, 0),
          count,
        );
  });

  it('keeps within its bounds and counts what found no room', () => {
    const growing = new GrowingAggregate('aa', shape);
    for (let i = 0; i < 500; i++)
      growing.add(seen('value', { columns: [`c${i}`], errorCaptured: '', errorReplayed: `e${i}` }));
    const { classes, errors, otherErrors } = growing.toData();
    assert.equal(classes.value?.columns.length, aggregateLimits.maxColumns);
    assert.equal(classes.value?.otherColumns, 500 - aggregateLimits.maxColumns);
    assert.equal(classes.value?.columnSets.length, aggregateLimits.maxColumnSets);
    assert.equal(classes.value?.otherSets, 500 - aggregateLimits.maxColumnSets);
    assert.equal(errors.length + otherErrors, aggregateLimits.maxErrorPairs + 500 - aggregateLimits.maxErrorPairs);
    assert.ok(growing.sizeBytes < 32 * 1024);
  });

  it('keeps a few examples of each class, within bytes', () => {
    const growing = new GrowingAggregate('aa', shape);
    for (const name of statementClasses) growing.add(seen(name));
    for (let i = 0; i < 5; i++) growing.addExemplar('value', exemplar(1_000));
    assert.equal(growing.toData().classes.value?.exemplars.length, aggregateLimits.maxExemplars);
    for (const name of statementClasses) for (let i = 0; i < 3; i++) growing.addExemplar(name, exemplar(10_000));
    assert.ok(growing.sizeBytes < aggregateLimits.maxExemplarBytes + 16 * 1024, String(growing.sizeBytes));
    assert.equal(growing.addExemplar('value', exemplar(10)), false);
  });
});
