import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { AnswerDigester } from '@mirrorstream/compare';
import { AnswerStorage, type Envelope, type ObservationDraft, StatementEnd } from '@mirrorstream/envelope';
import {
  backend,
  bind,
  envelope,
  execute,
  failure,
  frontend,
  parse,
  query,
  ready,
  row,
  sync,
  tag,
} from './lane.fixture.ts';
import { capturedObservations, withoutAnswer } from './observed.ts';
import { exchangeStatements } from './request-walk.ts';
import { compareExchange, judge } from './stage-one.ts';
import { StatementTable } from './statement-table.ts';

const base: ObservationDraft = {
  ...withoutAnswer(StatementEnd.SKIPPED),
  end: StatementEnd.COMPLETE,
  commandTag: 'SELECT 1',
  rows: 1,
  digested: true,
  orderedLo: 7,
  columnsLo: 9,
  columnCount: 1,
};

describe('stage one', () => {
  it('calls equal what has the same end, tag, SQLSTATE, severity, rows, columns and digests', () => {
    assert.equal(judge(base, { ...base, latencyUs: 5, firstRowUs: 2, sizeBytes: 3, multisetLo: 1 }, ''), 'equal');
    const about = (errorLo: number) => ({ ...base, end: StatementEnd.ERROR, sqlState: '23505', errorLo });
    assert.equal(judge(about(7), about(8), ''), 'different');
    assert.equal(judge(about(7), about(0), ''), 'equal');
    const changes: Partial<ObservationDraft>[] = [
      { end: StatementEnd.ERROR },
      { commandTag: 'SELECT 2' },
      { sqlState: '42P01' },
      { severity: 'FATAL' },
      { rows: 2 },
      { orderedLo: 8 },
      { orderedHi: 8 },
      { columnsLo: 8 },
      { columnsHi: 8 },
      { columnCount: 2 },
    ];
    for (const change of changes) {
      assert.equal(judge(base, { ...base, ...change }, ''), 'different');
      assert.equal(judge({ ...base, ...change }, base, ''), 'different');
      assert.equal(judge(base, { ...base, ...change }, 'afterGap'), 'afterGap');
    }
  });

  it('never calls equal what was not hashed, unless there was nothing to hash', () => {
    const bare = { ...base, digested: false, orderedLo: 0, columnsLo: 0 };
    assert.equal(judge(bare, base, ''), 'notStored');
    assert.equal(judge({ ...bare, rows: 2 }, base, ''), 'different');
    const update = { ...bare, rows: 0, columnCount: 0, commandTag: 'UPDATE 1' };
    assert.equal(judge(update, { ...update, digested: true }, ''), 'equal');
  });

  it('does not compare what one side never answered or both discarded', () => {
    const unanswered = withoutAnswer(StatementEnd.UNANSWERED);
    const skipped = withoutAnswer(StatementEnd.SKIPPED);
    assert.equal(judge(unanswered, base, ''), 'unanswered');
    assert.equal(judge(base, unanswered, ''), 'unanswered');
    assert.equal(judge(skipped, skipped, ''), 'skipped');
    assert.equal(judge(skipped, base, ''), 'different');
  });

  it('fills in what the side with fewer answers discarded after its error', () => {
    const compared = compareExchange({
      exchange: 2,
      captured: [{ ...base, end: StatementEnd.ERROR, sqlState: '22012' }],
      capturedUnanswered: false,
      replayed: [base, base],
      sql: (n) => `statement ${n}`,
      excuse: '',
      raws: (statement) =>
        statement > 0
          ? null
          : {
              ...{ captured: Buffer.from('c'), replayed: Buffer.from('r'), truncated: false },
              ...{ alone: true, rowsBefore: 4 },
            },
    });
    assert.deepEqual(
      compared.map((it) => [it.rawAlone, it.capturedRowsBefore, it.replayedRowsBefore]),
      [
        [true, 4, 4],
        [false, 0, 0],
      ],
    );
    assert.deepEqual(
      compared.map((it) => [it.sql, it.captured.end, it.replayed.end, it.equal, it.capturedRaw.length]),
      [
        ['statement 0', StatementEnd.ERROR, StatementEnd.COMPLETE, false, 1],
        ['statement 1', StatementEnd.SKIPPED, StatementEnd.COMPLETE, false, 0],
      ],
    );
  });

  it('digests a kept answer of production as it digests the mirror’s', () => {
    const answer = backend(row('a'), row('b'), tag('SELECT 2'), failure('22012'), ready());
    const captured = envelope({ seq: 1 }, { request: frontend(query('SELECT')), answer }) as Envelope;
    const [rows, error] = capturedObservations(captured.exchanges[0]?.answer, new AnswerDigester());
    assert.deepEqual([rows?.rows, rows?.digested, rows?.commandTag], [2, true, 'SELECT 2']);
    assert.deepEqual([error?.end, error?.sqlState], [StatementEnd.ERROR, '22012']);
  });

  it('takes observations as they are where no answer was kept', () => {
    const digest = 0xfedc_ba98_7654_3210n;
    const stored = {
      ...base,
      rows: 1n,
      sizeBytes: 0n,
      latencyUs: 2n,
      orderedDigest: digest,
      multisetDigest: 0n,
      columnsDigest: 9n,
      firstRowUs: 1n,
      errorDigest: 0n,
    };
    const found = capturedObservations(
      {
        storage: AnswerStorage.DIGEST,
        observations: [stored],
        raw: new Uint8Array(0),
        sizeBytes: 0n,
        status: 'I',
      } as never,
      new AnswerDigester(),
    );
    assert.deepEqual(found, [{ ...base, orderedHi: 0xfedcba98, orderedLo: 0x76543210, latencyUs: 2, firstRowUs: 1 }]);
  });
});

describe('statements of an exchange', () => {
  it('names the SQL of what is executed, through portal and statement', () => {
    const table = new StatementTable();
    assert.deepEqual(exchangeStatements(frontend(parse('s1', 'SELECT 1'), sync), table), ['SELECT 1']);
    assert.deepEqual(
      exchangeStatements(frontend(bind('s1'), execute, parse('', 'SELECT 2'), bind(''), execute, sync), table),
      ['SELECT 1', 'SELECT 2'],
    );
    assert.deepEqual(exchangeStatements(frontend(query('SELECT 3; SELECT 4')), table), ['SELECT 3; SELECT 4']);
    assert.deepEqual(exchangeStatements(frontend(bind('unknown'), execute, sync), table), ['']);
  });

  it('cuts long texts at 2 KiB, in the middle of no character', () => {
    const [sql] = exchangeStatements(frontend(query(`x${'é'.repeat(3000)}`)));
    assert.equal(Buffer.byteLength(sql ?? ''), 2047);
    assert.ok(!sql?.includes('\ufffd'));
  });

  it('forgets the oldest name when there are too many', () => {
    const table = new StatementTable(2);
    for (const name of ['a', 'b', 'c']) table.parse(name, name);
    for (const name of ['a', 'c']) table.bind(name, name);
    assert.equal(table.textOfPortal('a'), '');
    assert.equal(table.textOfPortal('c'), 'c');
  });
});
