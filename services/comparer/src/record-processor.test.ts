// Counting and judging one record after another: exact counts, duplicates once, examples within their quota, poison set aside.
import assert from 'node:assert/strict';
import { before, describe, it } from 'node:test';
import { comparerSnapshotSchema } from '@mirrorstream/domain';
import { decodeVerdictBatch, ResultOutcome, type VerdictBatch } from '@mirrorstream/envelope';
import type { IncomingRecord } from '@mirrorstream/kafka';
import { createSqlAnalyzer, type SqlAnalyzer } from '@mirrorstream/sql';
import { seededRandom } from '@mirrorstream/testkit';
import { ExemplarQuota } from './exemplar-quota.ts';
import { Judge } from './judge.ts';
import { PartitionLedger } from './ledger.ts';
import { RecordProcessor } from './record-processor.ts';
import { batchOf, notReplayed, type ResultInit, replayed, sessionEnd, statements } from './results.fixture.ts';

let sql: SqlAnalyzer;
before(async () => {
  sql = await createSqlAnalyzer();
});

function setUp(limits: { perShape?: number; maxBatchBytes?: number; maxExemplarBytes?: number } = {}) {
  const ledger = new PartitionLedger(
    { environment: 'default', mirror: 'candidate', partition: 3 },
    { maxEnded: 100, maxBytes: 100_000 },
    null,
  );
  const quota = new ExemplarQuota({ perShape: limits.perShape ?? 20, maxShapes: 100 });
  const judge = new Judge(sql, quota, {
    maxExemplarBytes: limits.maxExemplarBytes ?? 100_000,
    maxNormalizedChars: 2_000,
  });
  const processor = new RecordProcessor(
    {
      environment: 'default',
      mirror: 'candidate',
      run: 'live',
      resultsTopic: 'default.candidate.results',
      deadLetterPartitions: 2,
      maxBatchBytes: limits.maxBatchBytes ?? 500_000,
    },
    judge,
  );
  let offset = 0n;
  const feed = (value: Uint8Array | null, headers: IncomingRecord['headers'] = {}) => {
    const record: IncomingRecord = {
      offset: offset++,
      timestampMs: 0,
      key: null,
      value: value === null ? null : Buffer.from(value),
      headers,
    };
    return processor.process(ledger, 3, record);
  };
  const verdicts = (results: readonly ResultInit[]): VerdictBatch[] =>
    feed(batchOf(results)).outgoing.map((record) => decodeVerdictBatch(record.value as Uint8Array));
  return { ledger, feed, verdicts };
}

describe('record processor', () => {
  it('counts every outcome, reason and class once', () => {
    const { ledger, feed } = setUp();
    feed(
      batchOf([
        replayed('a', 1, Object.values(statements)),
        notReplayed('b', 1, ResultOutcome.FAILED, 'connectionLost'),
        notReplayed('b', 2, ResultOutcome.FILTERED, 'user'),
        notReplayed('c', 1, ResultOutcome.UNEXPOSED, ''),
        notReplayed('c', 2, ResultOutcome.SHED, 'behindSource'),
        notReplayed('c', 3, ResultOutcome.FAILED, 'a reason of a later version'),
        sessionEnd('c'),
      ]),
    );
    const snapshot = ledger.snapshot(1);
    assert.deepEqual(comparerSnapshotSchema.parse(snapshot), snapshot);
    assert.equal(snapshot.nextOffset, '1');
    assert.deepEqual(snapshot.outcomes, { replayed: 1, filtered: 1, unexposed: 1, shed: 1, failed: 2 });
    assert.deepEqual(snapshot.reasons, {
      'failed/connectionLost': 1,
      'filtered/user': 1,
      'shed/behindSource': 1,
      'failed/unsupported': 1,
    });
    assert.deepEqual(snapshot.statements, {
      match: 1,
      numericEpsilon: 0,
      maskedMatch: 0,
      orderOnly: 1,
      collation: 0,
      rowCount: 1,
      value: 1,
      columns: 1,
      commandTag: 0,
      errorNew: 1,
      errorGone: 0,
      errorChanged: 0,
      suspect: 0,
      notCompared: 2,
    });
    assert.deepEqual(snapshot.notCompared, { volatile: 1, notStored: 1 });
  });

  it('publishes one verdict per result with class, shape, detail and example', () => {
    const { verdicts } = setUp();
    const [batch] = verdicts([
      replayed('a', 1, [statements.match, statements.value, statements.volatile], { offset: 41n }),
    ]);
    const [verdict] = batch?.verdicts ?? [];
    assert.equal(verdict?.ref?.offset, 41n);
    assert.equal(verdict?.resultOffset, 0n);
    assert.deepEqual(
      verdict?.statements.map((s) => [s.class, s.notCompared, s.detail]),
      [
        ['match', '', ''],
        ['value', '', 'row 1, column 1: 10 → 12'],
        ['notCompared', 'volatile', 'values differ; the answers kept do not show where'],
      ],
    );
    const [match, value] = verdict?.statements ?? [];
    assert.match(match?.fingerprint ?? '', /^[0-9a-f]{16}$/);
    assert.match(value?.fingerprint ?? '', /^[0-9a-f]{16}$/);
    assert.equal(value?.exemplar?.normalizedSql, 'SELECT balance FROM accounts WHERE id = $1');
    assert.deepEqual(Buffer.from(value?.exemplar?.replayedRaw ?? []), statements.value.replayedRaw);
  });

  it('counts a difference apart that an overlap in production explains, or an order that was given up, and says what it was', () => {
    const { ledger, verdicts } = setUp();
    const race = { ...statements.value, race: true };
    const [batch] = verdicts([
      replayed('a', 1, [{ ...statements.match, race: true }, race]),
      { ...replayed('a', 2, [statements.match, statements.rowCount, race]), order: 'givenUp' },
      { ...replayed('a', 3, [statements.match, statements.value]), order: 'outOfOrder' },
    ]);
    assert.deepEqual(
      batch?.verdicts.map((verdict) => verdict.statements.map((it) => it.notCompared || it.class)),
      [
        ['match', 'race'],
        ['match', 'orderGivenUp', 'orderGivenUp'],
        ['match', 'value'],
      ],
    );
    assert.match(batch?.verdicts[0]?.statements[1]?.detail ?? '', /^value: row 1, column 1: 10 → 12$/);
    const { notCompared, statements: counts } = ledger.snapshot(1);
    assert.deepEqual(notCompared, { race: 1, orderGivenUp: 2 });
    assert.deepEqual([counts.notCompared, counts.value], [3, 1]);
  });

  it('takes what the replayer found with ids mapped: equal, in another order, of other rows, or of an id that nobody knows', () => {
    const { ledger, verdicts } = setUp();
    const mapped = (mark: string) => ({ rewritten: 1, mark, columns: [] });
    const [batch] = verdicts([
      replayed('a', 1, [
        { ...statements.value, ids: mapped('equal') },
        { ...statements.value, ids: mapped('order') },
        { ...statements.match, equal: false, ids: mapped('other') },
        { ...statements.value, ids: mapped('') },
        { ...statements.match, ids: mapped('') },
        { ...statements.value, notCompared: 'idUnmapped' },
      ]),
      { ...replayed('a', 2, [{ ...statements.value, ids: mapped('equal') }]), order: 'givenUp' },
    ]);
    assert.deepEqual(
      batch?.verdicts.map((verdict) => verdict.statements.map((it) => it.notCompared || it.class)),
      [['maskedMatch', 'orderOnly', 'value', 'value', 'match', 'idUnmapped'], ['maskedMatch']],
    );
    assert.match(batch?.verdicts[0]?.statements[2]?.detail ?? '', /ids of other rows/);
    const { statements: counts } = ledger.snapshot(1);
    assert.deepEqual([counts.match, counts.maskedMatch, counts.value, counts.orderOnly], [1, 2, 2, 1]);
  });

  it('counts a repeated result only as a duplicate and gives no second verdict', () => {
    const { ledger, verdicts } = setUp();
    verdicts([replayed('a', 1, [statements.match])]);
    assert.deepEqual(verdicts([replayed('a', 1, [statements.match])]), []);
    const [later] = verdicts([replayed('a', 1, [statements.match]), replayed('a', 2, [statements.match])]);
    assert.equal(later?.verdicts.length, 1);
    const snapshot = ledger.snapshot(1);
    assert.deepEqual([snapshot.outcomes.replayed, snapshot.statements.match, snapshot.duplicates], [2, 2, 2]);
  });

  it('counts a transaction in parts once and the statements of all its parts', () => {
    const { ledger, feed } = setUp();
    const parts = [
      replayed('a', 1, [statements.match], { part: 0, lastPart: false }),
      replayed('a', 1, [statements.value], { part: 1, lastPart: false }),
      replayed('a', 1, [statements.match], { part: 2 }),
    ];
    feed(batchOf(parts.slice(0, 2)));
    assert.equal(ledger.snapshot(1).outcomes.replayed, 0);
    feed(batchOf(parts));
    const snapshot = ledger.snapshot(1);
    assert.deepEqual([snapshot.outcomes.replayed, snapshot.duplicates], [1, 2]);
    assert.deepEqual([snapshot.statements.match, snapshot.statements.value], [2, 1]);
  });

  it('counts the transactions of an envelope nobody could decode, by its place', () => {
    const { ledger, feed } = setUp();
    const lost: ResultInit = {
      ref: { offset: 9n, index: 0, lastPart: true },
      outcome: ResultOutcome.FAILED,
      reason: 'undecodable',
      transactions: 5,
    };
    feed(batchOf([lost]));
    feed(batchOf([lost]));
    const snapshot = ledger.snapshot(1);
    assert.deepEqual([snapshot.reasons['failed/undecodable'], snapshot.duplicates], [5, 1]);
  });

  it('counts what a record settles that nobody can decode as failed, by its header, and what is known of it only once', () => {
    const { ledger, feed } = setUp();
    const header = (sessions: object) => ({ settles: JSON.stringify({ upTo: '9', sessions }) });
    feed(batchOf([replayed('a', 1, [statements.match]), replayed('a', 2, [statements.match])]));
    const { undecodable } = feed(Buffer.from('spoiled'), header({ a: [3, 2, 4], b: [2, 1, 2] }));
    assert.equal(undecodable?.accounted, true);
    assert.deepEqual([ledger.counts.outcomes.failed, ledger.counts.duplicates], [4, 1]);
    assert.deepEqual(ledger.snapshot(1).reasons, { 'failed/undecodable': 4 });
    feed(batchOf([replayed('a', 4, [statements.match]), replayed('a', 5, [statements.match])]));
    feed(Buffer.from('spoiled again'), header({ a: [2, 4, 5], b: [1, 1, 1] }));
    assert.deepEqual([ledger.counts.outcomes.replayed, ledger.counts.outcomes.failed], [3, 4]);
    assert.equal(feed(Buffer.from('without a header')).undecodable?.accounted, false);
  });

  it('counts what a spoiled record settles without a session, by its place, once, whoever says it again', () => {
    const { ledger, feed } = setUp();
    const lost: ResultInit = {
      ref: { offset: 9n, index: 0, lastPart: true },
      outcome: ResultOutcome.FAILED,
      reason: 'undecodable',
      transactions: 5,
    };
    const settles = JSON.stringify({
      upTo: '9',
      sessions: { a: [1, 1, 1] },
      anonymous: [
        ['9', 0, 5],
        ['11', 0, 2],
      ],
    });
    const [letter] = feed(Buffer.from('spoiled'), { settles }).outgoing;
    assert.equal(letter?.headers?.['counted'], '8');
    feed(batchOf([lost]));
    feed(Buffer.from('spoiled again'), { settles });
    assert.deepEqual(ledger.snapshot(1).outcomes.failed, 8);
    assert.deepEqual(ledger.snapshot(1).reasons, { 'failed/undecodable': 8 });
    // Read after all: what has no session stands for as many as it says.
    const value = batchOf([
      replayed('a', 1, [statements.match]),
      lost,
      { ...lost, ref: { offset: 11n, index: 0, lastPart: true }, transactions: 2 },
    ]);
    feed(value, { settles, 'retry-of': '0' });
    assert.deepEqual([ledger.counts.outcomes.replayed, ledger.counts.outcomes.failed], [1, 7]);
  });

  it('counts what a spoiled record was about without saying so when it is told later, once for each part of it', () => {
    const { ledger, feed } = setUp();
    assert.equal(feed(Buffer.from('spoiled')).undecodable?.accounted, false);
    feed(batchOf([replayed('a', 7, [statements.match])]));
    const lost = (seq: number) => notReplayed('a', seq, ResultOutcome.FAILED, 'undecodable');
    for (const missing of ['0/0', '0/0', '0/1', 'x', '0/'])
      feed(batchOf([lost(5), lost(6)]), { 'missing-of': missing });
    const { outcomes, reasons, duplicates } = ledger.snapshot(1);
    assert.deepEqual([outcomes.replayed, outcomes.failed, duplicates], [1, 4, 2]);
    assert.deepEqual(reasons, { 'failed/undecodable': 4 });
    feed(batchOf([replayed('a', 7, [statements.match]), replayed('a', 8, [statements.match])]));
    assert.deepEqual(ledger.counts.outcomes.replayed, 2, 'the session goes on as it was');
  });

  it('counts for what they are the transactions of a record that can be decoded after all, once', () => {
    const { ledger, feed } = setUp();
    const settles = JSON.stringify({ upTo: '9', sessions: { a: [2, 1, 2] } });
    const [letter] = feed(Buffer.from('spoiled'), { settles }).outgoing;
    assert.equal(letter?.headers?.['counted'], '2');
    const value = batchOf([replayed('a', 1, [statements.match]), notReplayed('a', 2, ResultOutcome.FAILED, 'timeout')]);
    const retried = feed(value, { settles, 'retry-of': '0' });
    assert.equal(retried.outgoing.length, 1, 'a verdict');
    const once = ledger.snapshot(1);
    assert.deepEqual([once.outcomes.replayed, once.outcomes.failed, once.statements.match], [1, 1, 1]);
    assert.deepEqual(once.reasons, { 'failed/undecodable': 0, 'failed/timeout': 1 });
    feed(value, { settles, 'retry-of': '0' });
    feed(value, { settles, 'retry-of': '5' });
    const again = ledger.snapshot(1);
    assert.deepEqual([again.outcomes, again.statements, again.duplicates], [once.outcomes, once.statements, 4]);
  });

  it('sends a record it cannot decode to the dead letter and goes on', () => {
    const { ledger, feed } = setUp();
    for (const poison of [Buffer.from('not protobuf at all'), null]) {
      const { outgoing, undecodable } = feed(poison);
      assert.equal(undecodable?.error.code, 'undecodable');
      assert.deepEqual(
        outgoing.map((record) => [record.topic, record.partition, record.headers?.['reason']]),
        [['default.candidate.dead-letter', 1, 'undecodable']],
      );
    }
    feed(batchOf([replayed('a', 1)]));
    assert.deepEqual([ledger.snapshot(1).nextOffset, ledger.snapshot(1).outcomes.replayed], ['3', 1]);
  });

  it('keeps examples within the quota of each shape and class', () => {
    const { verdicts } = setUp({ perShape: 2 });
    const found = [1, 2, 3, 4].flatMap((seq) =>
      verdicts([replayed('a', seq, [statements.value, statements.orderOnly])]),
    );
    const kept = found.map((batch) => batch.verdicts[0]?.statements.map((s) => s.exemplar !== undefined));
    assert.deepEqual(kept, [
      [true, true],
      [true, true],
      [false, false],
      [false, false],
    ]);
    assert.ok(found.every((batch) => batch.verdicts[0]?.statements.every((s) => s.fingerprint !== '')));
  });

  it('cuts batches by size and leaves out answers beyond what one verdict may hold', () => {
    const { verdicts } = setUp({ maxBatchBytes: 2_000, maxExemplarBytes: 700, perShape: 1_000 });
    const batches = verdicts(
      Array.from({ length: 20 }, (_, i) => replayed('a', i + 1, [statements.value, statements.value])),
    );
    assert.ok(batches.length > 5);
    const all = batches.flatMap((batch) => batch.verdicts);
    assert.deepEqual(
      all.map((verdict) => Number(verdict.ref?.sessionSeq)),
      Array.from({ length: 20 }, (_, i) => i + 1),
    );
    assert.equal(all[0]?.statements[0]?.exemplar?.capturedRaw.length, statements.value.capturedRaw.length);
  });

  it('gives a later difference of an exchange the answers that came with its first one', () => {
    const { verdicts } = setUp();
    const later = { ...statements.value, capturedRaw: new Uint8Array(0), replayedRaw: new Uint8Array(0) };
    const [batch] = verdicts([
      {
        ...replayed('a', 1),
        statements: [
          { ...statements.value, exchange: 0, statement: 0 },
          { ...later, exchange: 0, statement: 1 },
          { ...later, exchange: 1, statement: 0 },
        ],
      },
    ]);
    const sizes = batch?.verdicts[0]?.statements.map((s) => s.exemplar?.capturedRaw.length);
    assert.deepEqual(sizes, [statements.value.capturedRaw.length, statements.value.capturedRaw.length, 0]);
  });

  it('goes on from any checkpoint to the same counts', () => {
    const random = seededRandom(60);
    const seqs = [0, 0, 0, 0];
    let last: ResultInit[] = [];
    const stream = Array.from({ length: 60 }, () => {
      const session = random.integer(0, 3);
      const seq = (seqs[session] ?? 0) + 1;
      seqs[session] = seq;
      const parts = random.integer(1, 3);
      const results = Array.from({ length: parts }, (_, part) =>
        replayed(`s${session}`, seq, [random.pick(Object.values(statements))], { part, lastPart: part === parts - 1 }),
      );
      const value = batchOf([
        ...(random.integer(0, 2) === 0 ? last : []),
        ...results.slice(0, random.integer(0, parts)),
        ...results,
        ...(random.integer(0, 9) === 0 ? [sessionEnd(`s${session}`)] : []),
      ]);
      last = results;
      return value;
    });
    const { ledger: whole, feed } = setUp();
    for (const value of stream) feed(value);
    for (let cut = 0; cut <= stream.length; cut += 5) {
      const { ledger: first, feed: feedFirst } = setUp();
      for (const value of stream.slice(0, cut)) feedFirst(value);
      const saved = comparerSnapshotSchema.parse(JSON.parse(JSON.stringify(first.snapshot(1))));
      const second = new PartitionLedger(
        { environment: 'default', mirror: 'candidate', partition: 3 },
        { maxEnded: 100, maxBytes: 100_000 },
        saved,
      );
      const processor = new RecordProcessor(
        {
          environment: 'default',
          mirror: 'candidate',
          run: 'live',
          resultsTopic: 'default.candidate.results',
          deadLetterPartitions: 2,
          maxBatchBytes: 500_000,
        },
        new Judge(sql, new ExemplarQuota({ perShape: 1, maxShapes: 10 }), {
          maxExemplarBytes: 1_000,
          maxNormalizedChars: 100,
        }),
      );
      for (const [index, value] of stream.entries())
        if (BigInt(index) >= second.nextOffset)
          processor.process(second, 3, {
            offset: BigInt(index),
            timestampMs: 0,
            key: null,
            value: Buffer.from(value),
            headers: {},
          });
      assert.deepEqual(second.snapshot(1), whole.snapshot(1));
    }
  });
});
