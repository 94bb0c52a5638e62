// A comparer that is behind: what it leaves out first, what then, that every statement is counted all the same, and when it goes back.
import assert from 'node:assert/strict';
import { before, describe, it } from 'node:test';
import { encodeResultBatch, ResultOutcome, StatementEnd } from '@mirrorstream/envelope';
import { createSqlAnalyzer, type SqlAnalyzer } from '@mirrorstream/sql';
import { ExemplarQuota } from './exemplar-quota.ts';
import { tableOf } from './findings.fixture.ts';
import { FindingsFold } from './findings-fold.ts';
import { Judge } from './judge.ts';
import { LagGuard, type LagStage } from './lag-guard.ts';
import { LagRelief } from './lag-relief.ts';
import { PartitionLedger } from './ledger.ts';
import { RecordProcessor } from './record-processor.ts';

describe('lag guard', () => {
  it('gets worse at its thresholds and better at half of them', () => {
    const guard = new LagGuard({ detailBehindMs: 100, workBehindMs: 1_000 });
    const stages = [0, 100, 101, 51, 50, 101, 1_001, 600, 501, 500, 51, 50, 2_000, 0].map((ms) => guard.observe(ms));
    const [k, d, w]: readonly LagStage[] = ['keepingUp', 'withoutDetail', 'withoutWork'];
    assert.deepEqual(stages, [k, k, d, d, k, d, w, w, w, d, d, k, w, k]);
  });

  it('does not care about lag where a threshold is 0', () => {
    const guard = new LagGuard({ detailBehindMs: 0, workBehindMs: 0 });
    assert.equal(guard.observe(1e12), 'keepingUp');
    const work = new LagGuard({ detailBehindMs: 0, workBehindMs: 10 });
    assert.deepEqual(
      [work.observe(9), work.observe(11), work.observe(6), work.observe(5)],
      ['keepingUp', 'withoutWork', 'withoutWork', 'keepingUp'],
    );
  });
});

const answer = {
  end: StatementEnd.COMPLETE,
  commandTag: 'SELECT 1',
  rows: 1n,
  digested: true,
  orderedDigest: 1n,
  multisetDigest: 1n,
  columnsDigest: 5n,
  columnCount: 1,
  latencyUs: 100n,
};
const otherValue = { ...answer, orderedDigest: 2n, multisetDigest: 2n };
const moreRows = { ...answer, rows: 2n, commandTag: 'SELECT 2' };

describe('lag relief', () => {
  let sql: SqlAnalyzer;
  before(async () => {
    sql = await createSqlAnalyzer();
  });

  function setUp() {
    const quota = new ExemplarQuota({ perShape: 100, maxShapes: 100 });
    const relief = new LagRelief(sql, quota);
    const fold = new FindingsFold(sql, { exemplarValues: 'keep', maxNormalizedChars: 1_000 });
    const judge = new Judge(sql, quota, { maxExemplarBytes: 100_000, maxNormalizedChars: 1_000 });
    const options = {
      environment: 'default',
      mirror: 'm',
      run: 'live',
      resultsTopic: 'r',
      deadLetterPartitions: 1,
      maxBatchBytes: 100_000,
    };
    const processor = new RecordProcessor(options, judge, { fold, relief });
    const identity = { environment: 'default', mirror: 'm', partition: 0 };
    const ledger = new PartitionLedger(identity, { maxEnded: 10, maxBytes: 10_000 }, null);
    const table = tableOf(0);
    let offset = 0n;
    /** One transaction of one statement; what it was counted as. */
    const feed = (stage: LagStage, text: string, replayed: typeof answer) => {
      const before = { ...ledger.counts.statements };
      const ref = { sessionId: 's', sessionSeq: offset + 1n, part: 0, lastPart: true, offset, index: 0 };
      const statement = { exchange: 0, sql: text, equal: replayed === answer, captured: answer, replayed };
      const results = [{ ref, outcome: ResultOutcome.REPLAYED, statements: [statement], transactions: 1 }];
      const batch = { environment: 'default', mirror: 'm', run: 'live', replayer: 't', partition: 0, results };
      const value = Buffer.from(encodeResultBatch(batch));
      const record = { offset: offset++, timestampMs: 0, key: null, value, headers: {} };
      processor.process(ledger, 0, record, { table, stage });
      const { statements } = ledger.counts;
      return Object.keys(statements).filter(
        (name) => statements[name as keyof typeof statements] !== before[name as keyof typeof before],
      );
    };
    const reasons = () => ledger.snapshot(0).notCompared;
    return { feed, relief, table, reasons };
  }

  it('first leaves out examples, and looking into values of shapes that are known to differ', () => {
    const { feed, relief, reasons } = setUp();
    assert.deepEqual(feed('withoutDetail', 'SELECT a FROM t1', otherValue), ['value']);
    assert.deepEqual(relief.dropped, { exemplar: 1, stageTwo: 0, text: 0 });
    assert.deepEqual(feed('withoutDetail', 'SELECT a FROM t1', otherValue), ['notCompared']);
    assert.deepEqual(reasons(), { comparerBehind: 1 });
    assert.deepEqual(feed('withoutDetail', 'SELECT a FROM t1', moreRows), ['rowCount']);
    assert.deepEqual(feed('withoutDetail', 'SELECT a FROM t1', answer), ['match']);
    assert.deepEqual(relief.dropped, { exemplar: 2, stageTwo: 1, text: 0 });
  });

  it('then leaves every difference, and every text it does not know; what is equal is a match all the same', () => {
    const { feed, relief, reasons } = setUp();
    assert.deepEqual(feed('keepingUp', 'SELECT known FROM t2', otherValue), ['value']);
    assert.deepEqual(feed('withoutWork', 'SELECT known FROM t2', otherValue), ['notCompared']);
    assert.deepEqual(feed('withoutWork', 'SELECT known FROM t2', moreRows), ['notCompared']);
    assert.deepEqual(feed('withoutWork', 'SELECT unknown FROM t2', moreRows), ['notCompared']);
    assert.deepEqual(feed('withoutWork', 'SELECT unknown FROM t2', answer), ['match']);
    assert.deepEqual(reasons(), { comparerBehind: 3 });
    assert.deepEqual(relief.dropped, { exemplar: 0, stageTwo: 3, text: 2 });
    assert.equal(sql.isKnown('SELECT unknown FROM t2'), false);
    assert.deepEqual(feed('keepingUp', 'SELECT known FROM t2', otherValue), ['value']);
  });
});
