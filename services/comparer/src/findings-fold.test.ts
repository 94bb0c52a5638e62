// What a result adds to the aggregates: own times inside an exchange, queue time once, examples kept or redacted.
import assert from 'node:assert/strict';
import { before, describe, it } from 'node:test';
import { decodeResultBatch, encodeResultBatch, ResultOutcome, StatementEnd } from '@mirrorstream/envelope';
import { type Aggregate, AggregateMerger, aggregateRecordSchema } from '@mirrorstream/findings';
import { createSqlAnalyzer, type SqlAnalyzer } from '@mirrorstream/sql';
import { tableOf } from './findings.fixture.ts';
import { FindingsFold, type FoldOptions } from './findings-fold.ts';
import type { VerdictInit } from './judge.ts';

type StatementInit = NonNullable<
  NonNullable<NonNullable<Parameters<typeof encodeResultBatch>[0]['results']>[number]['statements']>[number]
>;
type StatementVerdictInit = NonNullable<VerdictInit['statements']>[number];

const answer = (latencyUs: bigint, end: StatementEnd = StatementEnd.COMPLETE) => ({
  end,
  commandTag: 'SELECT 1',
  rows: 1n,
  latencyUs,
});

describe('findings fold', () => {
  let sql: SqlAnalyzer;
  before(async () => {
    sql = await createSqlAnalyzer();
  });

  function fold(
    parts: readonly (readonly [StatementInit, StatementVerdictInit])[],
    exemplarValues: FoldOptions['exemplarValues'] = 'keep',
  ): ReadonlyMap<string, Aggregate> {
    const table = tableOf(4);
    const ref = { sessionId: 's', sessionSeq: 9n, part: 0, lastPart: true, offset: 77n, index: 2 };
    const times = { capturedAtUs: 900n, scheduledAtUs: 1_000n, sentAtUs: 1_250n, doneAtUs: 2_000n };
    const statements = parts.map(([statement]) => statement);
    const results = [{ ref, outcome: ResultOutcome.REPLAYED, transactions: 1, statements, ...times }];
    const batch = { environment: 'd', mirror: 'm', run: 'live', replayer: 't', partition: 4, results };
    const [result] = decodeResultBatch(encodeResultBatch(batch)).results;
    assert.ok(result?.ref !== undefined);
    table.begin(5n);
    const options = { exemplarValues, maxNormalizedChars: 1_000 };
    new FindingsFold(sql, options).add(table, result, result.ref, { statements: parts.map(([, one]) => one) }, 5n);
    table.end(5n);
    table.cover();
    const merger = new AggregateMerger();
    for (const { record } of table.next(10_000_000))
      merger.add(aggregateRecordSchema.parse(JSON.parse(Buffer.from(record.value ?? '').toString())).aggregate);
    return new Map(merger.all().map((one) => [one.normalizedSql, one]));
  }

  const match: StatementVerdictInit = { class: 'match' };

  it("takes a statement's own time: since the one before it in the same exchange ended, on either side", () => {
    const found = fold([
      [
        { exchange: 0, statement: 0, sql: 'SELECT a', equal: true, captured: answer(100n), replayed: answer(300n) },
        match,
      ],
      [
        { exchange: 0, statement: 1, sql: 'SELECT b', equal: true, captured: answer(150n), replayed: answer(320n) },
        match,
      ],
      [
        { exchange: 1, statement: 0, sql: 'SELECT c', equal: true, captured: answer(40n), replayed: answer(44n) },
        match,
      ],
    ]);
    const times = [...found].map(([text, { time }]) => [text, time.capturedUs, time.executeUs, time.queueUs]);
    assert.deepEqual(times, [
      ['SELECT a', 100, 300, 250],
      ['SELECT b', 50, 20, 0],
      ['SELECT c', 40, 44, 0],
    ]);
    assert.equal(found.get('SELECT a')?.latency.differenceUs.mean, 200);
    assert.deepEqual([found.get('SELECT c')?.firstCapturedUs, found.get('SELECT c')?.lastSeenUs], [900, 2_000]);
  });

  it('leaves errors, statements without an answer and cancelled ones out of the times, not out of the counts', () => {
    const failed = answer(100n, StatementEnd.ERROR);
    const found = fold([
      [
        { exchange: 0, sql: 'SELECT a', captured: answer(100n), replayed: failed },
        { class: 'errorNew', errorReplayed: '42P01' },
      ],
      [
        { exchange: 1, sql: 'SELECT a', captured: answer(100n) },
        { class: 'notCompared', notCompared: 'unanswered' },
      ],
      [
        { exchange: 2, sql: 'SELECT a', captured: answer(100n), replayed: answer(90n) },
        { class: 'notCompared', notCompared: 'cancelled' },
      ],
    ]);
    const one = found.get('SELECT a');
    assert.deepEqual([one?.calls, one?.latency.differenceUs.n], [3, 0]);
    assert.deepEqual(one?.errors, [{ captured: '', replayed: '42P01', count: 1 }]);
    assert.deepEqual(one?.notCompared, { unanswered: 1, cancelled: 1 });
  });

  it('keeps examples with place, texts and answers; redacted ones without any value', () => {
    const statement: StatementInit = {
      exchange: 3,
      statement: 1,
      sql: "SELECT 'secret'",
      captured: answer(100n),
      replayed: answer(100n),
    };
    const exemplar = {
      sql: statement.sql ?? '',
      captured: answer(100n),
      replayed: answer(100n),
      capturedRaw: new Uint8Array(20_000).fill(65),
      replayedRaw: Uint8Array.from([66]),
    };
    const verdict = { class: 'value', columns: ['b', 'a'], detail: "row 1: 'secret' → 'other'", exemplar };
    const [kept] = fold([[statement, verdict]]).get('SELECT $1')?.classes.value?.exemplars ?? [];
    assert.deepEqual(kept?.envelope, {
      partition: 4,
      offset: '77',
      index: 2,
      sessionId: 's',
      sessionSeq: '9',
      part: 0,
    });
    assert.equal(kept?.sql, "SELECT 'secret'");
    assert.equal(kept?.captured?.end, 'COMPLETE');
    assert.equal(Buffer.from(kept?.captured?.raw ?? '', 'base64').length, 12 * 1024);
    assert.equal(kept?.rawTruncated, true);
    assert.equal(kept?.replayed?.raw, 'Qg==');
    const redacted = fold([[statement, verdict]], 'redact').get('SELECT $1');
    assert.equal(redacted?.classes.value?.exemplars.length, 1);
    assert.doesNotMatch(JSON.stringify(redacted), /secret|Qg==|→/);
    assert.deepEqual(redacted?.classes.value?.columns, [
      { name: 'a', count: 1 },
      { name: 'b', count: 1 },
    ]);
  });

  it('gives text that the parser rejects a shape by its tokens, and keeps shape and tables of what it knows', () => {
    const equal = { equal: true, captured: answer(1n), replayed: answer(1n) };
    const found = fold([
      [{ exchange: 0, sql: 'SELEKT 1 FROM x', ...equal }, match],
      [{ exchange: 1, sql: 'SELEKT 2 FROM x', ...equal }, match],
      [{ exchange: 2, sql: 'UPDATE shop.orders SET a = 3 WHERE id = 4', ...equal }, match],
    ]);
    assert.equal(found.get('selekt ? from x')?.calls, 2);
    const update = found.get('UPDATE shop.orders SET a = $1 WHERE id = $2');
    assert.deepEqual([update?.verb, update?.tables], ['UPDATE', ['shop.orders']]);
  });
});
