// Root cause first: what an earlier divergence may have made is suspect and names it, and what it cannot have made is not.
import assert from 'node:assert/strict';
import { before, describe, it } from 'node:test';
import { type ComparerSnapshot, snapshotSchema } from '@mirrorstream/domain';
import {
  decodeResultBatch,
  decodeVerdictBatch,
  encodeVerdictBatch,
  StatementEnd,
  TransactionOutcome,
} from '@mirrorstream/envelope';
import { createSqlAnalyzer, type SqlAnalyzer } from '@mirrorstream/sql';
import { ExemplarQuota } from './exemplar-quota.ts';
import { Judge } from './judge.ts';
import { PartitionLedger } from './ledger.ts';
import { batchOf, type ResultInit, replayed, type StatementInit, sessionEnd } from './results.fixture.ts';

let sql: SqlAnalyzer;
before(async () => {
  sql = await createSqlAnalyzer();
});

const limits = { maxEnded: 100, maxBytes: 100_000 };
const identity = { environment: 'default', mirror: 'candidate', partition: 0 };

const done = (commandTag: string, rows = 0n) => ({ end: StatementEnd.COMPLETE, commandTag, rows, digested: true });
const failed = (sqlState: string) => ({ end: StatementEnd.ERROR, sqlState, severity: 'ERROR', digested: true });
const equal = (text: string): StatementInit => ({ sql: text, equal: true, captured: done('X'), replayed: done('X') });
const fails = (text: string, sqlState: string): StatementInit => ({
  ...{ sql: text, captured: done('X') },
  replayed: failed(sqlState),
});
const counts = (text: string, captured: bigint, mirror: bigint): StatementInit => ({
  ...{ sql: text, captured: done(`SELECT ${captured}`, captured) },
  replayed: done(`SELECT ${mirror}`, mirror),
});
const updates = (text: string, captured: number, mirror: number): StatementInit => ({
  ...{ sql: text, captured: done(`UPDATE ${captured}`) },
  replayed: done(`UPDATE ${mirror}`),
});
const columns = (text: string): StatementInit => ({
  ...{ sql: text, captured: { ...done('SELECT 1', 1n), columnCount: 1, columnsDigest: 5n } },
  replayed: { ...done('SELECT 1', 1n), columnCount: 1, columnsDigest: 6n },
});

const { COMMITTED, FAILED, ROLLED_BACK } = TransactionOutcome;
const ends = (captured: TransactionOutcome, mirror: TransactionOutcome): Partial<ResultInit> => ({
  capturedOutcome: captured,
  replayedOutcome: mirror,
});

class Scene {
  readonly judge = new Judge(sql, new ExemplarQuota({ perShape: 1, maxShapes: 10 }), {
    maxExemplarBytes: 10_000,
    maxNormalizedChars: 200,
  });
  ledger = new PartitionLedger(identity, limits, null);
  seen: string[] = [];
  offset = 0n;

  /** Class of each statement; of a suspect one what it would be, and how it is linked to which transaction. */
  say(...results: readonly ResultInit[]): this {
    for (const result of decodeResultBatch(batchOf(results)).results) {
      const { ref } = result;
      if (ref === undefined || this.ledger.count(result, ref) !== 'counted') continue;
      const { verdict } = this.judge.judge(result, ref, this.offset, this.ledger.causes);
      const said = (verdict.statements ?? []).map(({ class: name, cause }) =>
        name === 'suspect' ? `${cause?.wouldBe}<${cause?.sessionId}${cause?.sessionSeq} ${cause?.via}` : name,
      );
      this.seen.push(`${ref.sessionId}${ref.sessionSeq}: ${said.join(', ')}`);
    }
    return this;
  }

  /** Killed and started again from its checkpoint. */
  restart(): this {
    const saved = snapshotSchema.parse(JSON.parse(JSON.stringify(this.ledger.snapshot(1)))) as ComparerSnapshot;
    this.ledger = new PartitionLedger(identity, limits, saved);
    return this;
  }
}

const of = (session: string, seq: number, statements: readonly StatementInit[], more: Partial<ResultInit> = {}) => ({
  ...replayed(session, seq, statements),
  ...ends(COMMITTED, COMMITTED),
  ...more,
});

const insert = 'INSERT INTO orders (id) VALUES (7)';
const lostRow = of('a', 1, [fails(insert, '23514')], ends(COMMITTED, FAILED));

describe('one lost row', () => {
  it('is one finding, whoever reads its table afterwards', () => {
    const { seen } = new Scene().say(
      lostRow,
      of('b', 1, [counts('SELECT * FROM orders', 7n, 6n)]),
      of('c', 4, [updates('UPDATE public.orders SET n = 1', 1, 0)]),
      of('b', 2, [counts('SELECT * FROM lines', 2n, 1n), equal('SELECT 1')]),
      of('b', 3, [columns('SELECT * FROM orders')]),
    );
    assert.deepEqual(seen, [
      'a1: errorNew',
      'b1: rowCount<a1 orders',
      'c4: rowCount<a1 public.orders',
      'b2: rowCount, match',
      'b3: columns',
    ]);
  });

  it('is remembered over a restart from the checkpoint', () => {
    const { seen } = new Scene()
      .say(lostRow)
      .restart()
      .say(of('b', 1, [counts('SELECT * FROM orders', 7n, 6n)]));
    assert.equal(seen[1], 'b1: rowCount<a1 orders');
  });

  it('makes errors that rows make, and no others', () => {
    const { seen } = new Scene().say(
      lostRow,
      of('b', 1, [fails('INSERT INTO lines SELECT id FROM orders', '23503')], ends(COMMITTED, FAILED)),
      of('b', 2, [fails('SELECT 1 / n FROM orders', '22012')], ends(COMMITTED, FAILED)),
      of('b', 3, [fails('SELECT gone FROM orders', '42703')], ends(COMMITTED, FAILED)),
    );
    assert.deepEqual(seen.slice(1), ['b1: errorNew<a1 orders', 'b2: errorNew', 'b3: errorNew']);
  });

  it('does not hide the same statement failing again', () => {
    const again = of('b', 1, [fails(insert.replace('7', '8'), '23505')], ends(COMMITTED, FAILED));
    assert.deepEqual(new Scene().say(of('a', 1, [fails(insert, '23505')], ends(COMMITTED, FAILED)), again).seen, [
      'a1: errorNew',
      'b1: errorNew',
    ]);
  });

  it('names the first cause where consequences have consequences', () => {
    const { seen } = new Scene().say(
      lostRow,
      of('b', 1, [updates('UPDATE totals SET n = n + 1 WHERE id IN (SELECT id FROM orders)', 1, 0)]),
      of('c', 1, [counts('SELECT * FROM totals WHERE n > 0', 1n, 0n)]),
    );
    assert.deepEqual(seen.slice(1), ['b1: rowCount<a1 orders', 'c1: rowCount<a1 totals']);
  });
});

describe('a failure in a transaction', () => {
  const aborted = [
    equal('BEGIN'),
    equal('UPDATE stock SET n = n - 1'),
    fails(insert, '23514'),
    fails('SELECT 1', '25P02'),
    { sql: 'COMMIT', captured: done('COMMIT'), replayed: done('ROLLBACK') },
  ];

  it('makes all that comes after it in the transaction, and what it wrote is different from there on', () => {
    const { seen } = new Scene().say(
      of('a', 1, aborted, ends(COMMITTED, ROLLED_BACK)),
      of('b', 1, [counts('SELECT * FROM stock WHERE n = 1', 1n, 0n)]),
    );
    assert.deepEqual(seen, [
      'a1: match, match, errorNew, errorNew<a1 transaction, commandTag<a1 transaction',
      'b1: rowCount<a1 stock',
    ]);
  });

  it('is known in the later parts of the transaction, after a restart too', () => {
    const part = (
      at: number,
      statements: readonly StatementInit[],
      lastPart: boolean,
      more: Partial<ResultInit> = {},
    ) => ({
      ...replayed('a', 1, statements, { part: at, lastPart }),
      ...more,
    });
    const { seen } = new Scene()
      .say(part(0, aborted.slice(0, 2), false))
      .restart()
      .say(part(1, aborted.slice(2, 3), false))
      .restart()
      .say(part(2, aborted.slice(3), true, ends(COMMITTED, ROLLED_BACK)))
      .say(of('b', 1, [counts('SELECT * FROM stock WHERE n = 1', 1n, 0n)]));
    assert.deepEqual(seen.slice(2), [
      'a1: errorNew<a1 transaction, commandTag<a1 transaction',
      'b1: rowCount<a1 stock',
    ]);
  });

  it('is over with the transaction', () => {
    const { seen } = new Scene().say(
      of(
        'a',
        1,
        [equal('BEGIN'), fails('SELECT 1 / 0', '22012'), fails('SELECT 1', '25P02')],
        ends(COMMITTED, ROLLED_BACK),
      ),
      of('a', 2, [fails('SELECT 2 / 0', '22012')], ends(COMMITTED, FAILED)),
    );
    assert.deepEqual(seen, ['a1: match, errorNew, errorNew<a1 transaction', 'a2: errorNew']);
  });
});

describe('a failure that the session keeps', () => {
  it('makes what comes after it in the session, to its end', () => {
    const { seen } = new Scene().say(
      of('a', 1, [fails('SET search_path TO app', '22023')], ends(COMMITTED, FAILED)),
      of('a', 2, [fails('SELECT * FROM orders', '42P01')], ends(COMMITTED, FAILED)),
      of('b', 1, [fails('SELECT * FROM orders', '42P01')], ends(COMMITTED, FAILED)),
      sessionEnd('a'),
    );
    assert.deepEqual(seen, ['a1: errorNew', 'a2: errorNew<a1 session', 'b1: errorNew']);
  });

  it('takes names with it', () => {
    const { seen } = new Scene().say(
      of('a', 1, [fails('SELECT broken($1)', '42883')], ends(COMMITTED, FAILED)),
      of('a', 2, [fails('SELECT 1', '26000')], ends(COMMITTED, FAILED)),
      of('a', 3, [fails('SELECT other($1)', '42883')], ends(COMMITTED, FAILED)),
    );
    assert.deepEqual(seen, ['a1: errorNew', 'a2: errorNew<a1 session', 'a3: errorNew']);
  });
});

describe('bounds and order', () => {
  it('forgets the tables and sessions longest untouched, and then counts a consequence as a finding', () => {
    const scene = new Scene();
    for (let i = 0; i < 500; i++)
      scene.say(of(`s${i}`, 1, [fails(`INSERT INTO t${i} VALUES (1)`, '23514')], ends(COMMITTED, FAILED)));
    const { causes } = scene.ledger.snapshot(1);
    assert.deepEqual([causes?.tables.length, causes?.sessions.length], [128, 128]);
    assert.ok(JSON.stringify(causes).length < 130 * 1024);
    scene.seen = [];
    scene.say(of('x', 1, [counts('SELECT * FROM t0', 1n, 0n), counts('SELECT * FROM t499', 1n, 0n)]));
    assert.deepEqual(scene.seen, ['x1: rowCount, rowCount<s4991 t499']);
  });

  it('says the same however often it is started again', () => {
    const results = [
      lostRow,
      of('b', 1, [counts('SELECT * FROM orders', 7n, 6n), equal('SELECT 1')]),
      of('a', 2, [fails('SET a.b = 1', '42704')], ends(COMMITTED, FAILED)),
      of('a', 3, [counts('SELECT * FROM x', 1n, 0n)]),
    ];
    const straight = new Scene().say(...results).seen;
    const often = new Scene();
    for (const result of results) often.say(result).restart();
    assert.deepEqual(often.seen, straight);
  });
});

describe('what is published', () => {
  it('links a suspect to the envelope and the statement that caused it', () => {
    const scene = new Scene();
    const results = decodeResultBatch(
      batchOf([
        { ...lostRow, ref: { ...replayed('a', 1, [], { offset: 41n }).ref, index: 3 } },
        of('b', 1, [counts('SELECT * FROM orders', 7n, 6n)]),
      ]),
    ).results;
    const verdicts = results.map((result) => {
      assert.ok(result.ref !== undefined);
      return scene.judge.judge(result, result.ref, 0n, scene.ledger.causes).verdict;
    });
    const batch = decodeVerdictBatch(encodeVerdictBatch({ ...identity, run: 'live', verdicts }));
    const [first, second] = batch.verdicts;
    const { cause } = second?.statements[0] ?? {};
    assert.deepEqual(
      [cause?.sessionId, cause?.sessionSeq, cause?.offset, cause?.index, cause?.class, cause?.fingerprint],
      ['a', 1n, 41n, 3, 'errorNew', first?.statements[0]?.fingerprint],
    );
    assert.deepEqual([first?.statements[0]?.errorCaptured, first?.statements[0]?.errorReplayed], ['', '23514']);
  });
});
