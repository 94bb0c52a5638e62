// The aggregates of a partition: each statement in exactly one of them over crashes at any point, forgetting, and partial publication.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type AggregateRecord, aggregateRecordSchema, type StatementSeen } from '@mirrorstream/findings';
import { type SeededRandom, seededRandom } from '@mirrorstream/testkit';
import { tableOf } from './findings.fixture.ts';
import type { FindingsTable, SavedFindings } from './findings-table.ts';

const shape = { normalizedSql: 'SELECT $1', verb: 'SELECT', tables: [] };
const seen = (name: StatementSeen['class']): StatementSeen => ({
  class: name,
  notCompared: '',
  columns: [],
  errorCaptured: '',
  errorReplayed: '',
  latencyUs: { captured: 100, replayed: 150 },
  queueUs: 1,
  atUs: 10,
  capturedAtUs: 5,
});

type Statement = readonly [fingerprint: string, name: StatementSeen['class']];

/** A results partition: what each of its records holds. */
function resultsOf(random: SeededRandom, records: number): readonly (readonly Statement[])[] {
  const shapes = Array.from({ length: 12 }, (_, i) => i.toString(16).padStart(16, '0'));
  return Array.from({ length: records }, () =>
    Array.from(
      { length: random.integer(0, 4) },
      (): Statement => [random.pick(shapes), random.pick(['match', 'value'])],
    ),
  );
}

/** The findings topic and the checkpoint, as Kafka would hold them. */
class Log {
  readonly records: { readonly key: string; readonly value: AggregateRecord }[] = [];
  checkpoint = { offset: 0n, needFrom: 0n };

  /** What a process sends of what waits: all of it, or the beginning. */
  publish(table: FindingsTable, maxBytes: number, acknowledged = true): void {
    const waiting = table.next(maxBytes);
    const base = BigInt(this.records.length);
    for (const { record } of waiting)
      this.records.push({
        key: String(record.key),
        value: aggregateRecordSchema.parse(JSON.parse(Buffer.from(record.value ?? '').toString())),
      });
    if (acknowledged) table.acknowledge(waiting.length, base);
  }

  /** What a process reads that starts: at least what is needed, at most everything. */
  restore(from: bigint): SavedFindings {
    const newest = new Map<string, AggregateRecord>();
    for (const { key, value } of this.records.slice(Number(from))) {
      newest.delete(key);
      newest.set(key, value);
    }
    return {
      records: [...newest.values()],
      needFrom: this.checkpoint.needFrom,
      publishedTo: BigInt(this.records.length),
    };
  }

  totals(): Map<string, number> {
    const sum = new Map<string, number>();
    for (const { aggregate } of this.restore(0n).records)
      for (const [name, found] of Object.entries(aggregate.classes)) {
        const key = `${aggregate.fingerprint}/${name}`;
        sum.set(key, (sum.get(key) ?? 0) + found.count);
      }
    return sum;
  }
}

function count(table: FindingsTable, offset: number, statements: readonly Statement[]): void {
  table.begin(BigInt(offset));
  for (const [fingerprint, name] of statements) table.add(fingerprint, seen(name), () => shape);
  table.end(BigInt(offset));
}

function expectedOf(results: readonly (readonly Statement[])[]): Map<string, number> {
  const sum = new Map<string, number>();
  for (const [fingerprint, name] of results.flat())
    sum.set(`${fingerprint}/${name}`, (sum.get(`${fingerprint}/${name}`) ?? 0) + 1);
  return sum;
}

const sorted = (counts: Map<string, number>) => [...counts].sort(([a], [b]) => (a < b ? -1 : 1));

describe('findings table', () => {
  it('has each statement in exactly one aggregate, whenever a process dies and however little of the topic its successor reads', () => {
    for (let seed = 1; seed <= 150; seed++) {
      const random = seededRandom(seed);
      const results = resultsOf(random, 120);
      const log = new Log();
      let deaths = 0;
      let offset = 0;
      let table = tableOf(3);
      let frozen: { offset: bigint; needFrom: bigint } | null = null;
      while (offset < results.length) {
        count(table, offset, results[offset] ?? []);
        offset += 1;
        if (random.integer(0, 3) === 0) table.evictBeyond(random.pick([0, 10_000, 20_000]));
        if (frozen === null && random.integer(0, 4) === 0) {
          frozen = { offset: BigInt(offset), needFrom: table.needFrom };
          table.cover();
        }
        if (random.integer(0, 2) === 0) log.publish(table, random.pick([1, 2_000, 1_000_000]));
        if (frozen !== null && table.isCovered && random.integer(0, 1) === 0) {
          log.checkpoint = frozen;
          frozen = null;
        }
        if (random.integer(0, 24) !== 0) continue;
        // Dies, perhaps with a request under way that was written and never acknowledged.
        deaths += 1;
        if (random.integer(0, 1) === 0) log.publish(table, 5_000, false);
        const from =
          random.integer(0, 1) === 0
            ? log.checkpoint.needFrom
            : BigInt(random.integer(0, Number(log.checkpoint.needFrom)));
        table = tableOf(3, log.checkpoint.offset, log.restore(from));
        offset = Number(log.checkpoint.offset);
        frozen = null;
      }
      table.cover();
      while (!table.isCovered) log.publish(table, 3_000);
      assert.deepEqual(sorted(log.totals()), sorted(expectedOf(results)), `seed ${seed}, ${deaths} deaths`);
    }
  });

  it('covers a checkpoint only when all that had changed until then is acknowledged, and not what changes later', () => {
    const table = tableOf(0);
    const log = new Log();
    assert.ok(table.isCovered);
    count(table, 0, [
      ['a'.repeat(16), 'match'],
      ['b'.repeat(16), 'value'],
    ]);
    table.cover();
    assert.equal(table.isCovered, false);
    log.publish(table, 1);
    assert.equal(table.isCovered, false);
    count(table, 1, [['c'.repeat(16), 'match']]);
    log.publish(table, 1);
    assert.equal(table.isCovered, true);
    assert.equal(log.records.length, 2);
  });

  it('stays within its bytes by publishing and forgetting the least recently seen; the shape goes on in a new record', () => {
    const table = tableOf(0);
    const log = new Log();
    for (let i = 0; i < 2_000; i++) {
      count(table, i, [[(i % 500).toString(16).padStart(16, '0'), 'match']]);
      table.evictBeyond(200_000);
      assert.ok(table.stats.sizeBytes <= 200_000);
      if (table.isFull || i % 100 === 0) log.publish(table, 512 * 1024);
    }
    table.cover();
    while (!table.isCovered) log.publish(table, 512 * 1024);
    assert.ok(table.stats.evicted > 1_000);
    assert.equal(log.totals().size, 500);
    assert.ok([...log.totals().values()].every((calls) => calls === 4));
  });

  it('is full while too much waits to be published, and not any more once that is acknowledged', () => {
    const table = tableOf(0);
    const log = new Log();
    for (let i = 0; !table.isFull; i++) {
      assert.ok(i < 20_000, 'never full');
      count(table, i, [[i.toString(16).padStart(16, '0'), 'match']]);
      table.evictBeyond(0);
    }
    assert.ok(table.stats.waitingBytes <= 4 * 1024 * 1024 + 10_000);
    log.publish(table, 1024 * 1024);
    assert.equal(table.isFull, false);
  });

  it('counts what is suspect with the shape that is the cause, and describes that once its own statement comes', () => {
    const table = tableOf(0);
    const log = new Log();
    const [cause, other] = ['a'.repeat(16), 'b'.repeat(16)];
    table.begin(0n);
    table.add(other, seen('suspect'), () => shape);
    table.addSuspect(cause, 'rowCount', { atUs: 10, capturedAtUs: 5 });
    table.add(cause, seen('rowCount'), () => shape);
    table.end(0n);
    table.cover();
    log.publish(table, 1_000_000);
    const found = log.restore(0n).records.find(({ aggregate }) => aggregate.fingerprint === cause)?.aggregate;
    assert.deepEqual([found?.suspects, found?.calls, found?.normalizedSql], [{ rowCount: 1 }, 1, shape.normalizedSql]);
  });
});
