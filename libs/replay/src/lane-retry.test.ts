// Transactions that lost a race here which they won in production, and the other way round: what is played again, and what never is.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { OrderMark } from '@mirrorstream/domain';
import type { Envelope, Exchange } from '@mirrorstream/envelope';
import {
  backend,
  bind,
  type ExchangeSketch,
  envelope,
  execute,
  failure,
  frontend,
  LaneStage,
  parse,
  query,
  ready,
  row,
  simple,
  sync,
  tag,
} from './lane.fixture.ts';
import type { OrderGate } from './order/coordinator.ts';

/** Lets everybody go, but for an exchange that awaits a write until that is here. */
class OpenGate implements OrderGate {
  keeps = true;
  /** null: all of them. */
  racedAt: number | null = null;
  /** So many times a write that overlapped is still to be seen. */
  writesToCome = 0;
  isHere = true;
  readonly told: string[] = [];

  mayGo(): boolean {
    return this.isHere;
  }
  sent(): void {}
  answered({ index }: Exchange): void {
    this.told.push(`answered ${index}`);
  }
  settled(_envelope: Envelope): OrderMark {
    return '';
  }
  raced({ index }: Exchange): boolean {
    return this.racedAt === null || this.racedAt === index;
  }
  retried({ index }: Exchange, yields: boolean): void {
    this.told.push(`retried ${index}${yields ? ', yields' : ''}`);
  }
  awaitsWrite(): boolean {
    if (this.writesToCome === 0) return false;
    this.writesToCome -= 1;
    this.isHere = false;
    return true;
  }
  rolledBack({ index }: Exchange): void {
    this.told.push(`rolled back ${index}`);
  }
}

function open(order = new OpenGate(), tries = 3, onlyReads = true): { order: OpenGate; stage: LaneStage } {
  return {
    order,
    stage: new LaneStage({
      order,
      retry: { failures: tries, yieldAfter: 2, rereads: tries, onlyReads: () => onlyReads },
    }),
  };
}

const transaction = (): ExchangeSketch[] => [
  simple('BEGIN', 'BEGIN', 'T'),
  simple('UPDATE', 'UPDATE 1', 'T'),
  simple('COMMIT', 'COMMIT'),
];
const failed = (sql: string, code: string, status: 'I' | 'E'): ExchangeSketch => ({
  request: frontend(query(sql)),
  answer: backend(failure(code), ready(status)),
});

describe('a transaction that lost a race', () => {
  for (const code of ['40001', '40P01'])
    it(`is played again from its BEGIN after ${code}, and what differs then is all that is said`, () => {
      const { order, stage } = open();
      stage.take(envelope({ seq: 1 }, ...transaction()), envelope({ seq: 2 }, simple('NEXT', 'NEXT')));
      stage.connect();
      stage.mirror(tag('BEGIN'), ready('T'));
      stage.seen();
      stage.mirror(failure(code), ready('E'));
      assert.deepEqual(stage.seen(), ['F Query']);
      assert.deepEqual(order.told, ['answered 0', 'retried 1'], 'others go on waiting for what is not answered');
      stage.mirror(tag('ROLLBACK'), ready());
      for (const [it, status] of [
        ['BEGIN', 'T'],
        ['UPDATE 1', 'T'],
        ['COMMIT', 'I'],
      ] as const) {
        assert.deepEqual(stage.seen(), ['F Query']);
        stage.mirror(tag(it), ready(status));
      }
      assert.deepEqual(stage.seen(), ['#1 replayed = = =', 'F Query']);
      stage.mirror(tag('NEXT'), ready());
      assert.deepEqual(stage.seen(), ['#2 replayed =']);
    });

  it('is played again when COMMIT fails, and when it was one statement without BEGIN', () => {
    const { stage } = open();
    stage.take(envelope({ seq: 1 }, ...transaction()), envelope({ seq: 2 }, simple('UPDATE', 'UPDATE 1')));
    stage.connect();
    for (const [it, status] of [
      ['BEGIN', 'T'],
      ['UPDATE 1', 'T'],
    ] as const)
      stage.mirror(tag(it), ready(status));
    stage.mirror(failure('40001'), ready('I'));
    for (const [it, status] of [
      ['BEGIN', 'T'],
      ['UPDATE 1', 'T'],
      ['COMMIT', 'I'],
    ] as const)
      stage.mirror(tag(it), ready(status));
    stage.mirror(failure('40P01'), ready('I'));
    stage.mirror(tag('UPDATE 1'), ready());
    assert.deepEqual(
      stage.seen().filter((it) => it.startsWith('#')),
      ['#1 replayed = = =', '#2 replayed ='],
    );
  });

  it('has read what came while it was open in production: a write that overlapped any of it makes a difference a race', () => {
    for (const fails of [true, false]) {
      const { order, stage } = open();
      order.racedAt = 2;
      stage.take(envelope({ seq: 1 }, ...transaction()));
      stage.connect();
      stage.mirror(tag('BEGIN'), ready('T'));
      if (fails)
        for (const it of [failure('40001'), tag('ROLLBACK')])
          stage.mirror(it, ready(it.kind === 'errorResponse' ? 'E' : 'I'));
      if (fails) stage.mirror(tag('BEGIN'), ready('T'));
      stage.mirror(tag('UPDATE 0'), ready('T'));
      stage.mirror(tag('COMMIT'), ready());
      assert.deepEqual(
        stage.results().map(({ statements }) => statements.map(({ equal, race }) => [equal, race])),
        [
          [
            [true, false],
            [false, fails],
            [true, false],
          ],
        ],
      );
    }
  });

  it('is given up after so many tries, with the difference', () => {
    const { order, stage } = open(new OpenGate(), 2);
    stage.take(envelope({ seq: 1 }, simple('UPDATE', 'UPDATE 1')));
    stage.connect();
    for (let i = 0; i < 3; i++) {
      stage.mirror(failure('40001'), ready('I'));
      stage.pass(i);
    }
    assert.deepEqual(stage.seen().at(-1), '#1 replayed ≠');
    assert.deepEqual(order.told, ['retried 0', 'retried 0, yields', 'answered 0']);
  });

  const update = (): ExchangeSketch => simple('UPDATE', 'UPDATE 1');
  const named = frontend(parse('s1', 'UPDATE'), bind('s1'), execute, sync);
  const never: readonly { what: string; envelope: () => Envelope; code?: string; keeps?: boolean }[] = [
    { what: 'failed in production too', envelope: () => envelope({ seq: 1 }, failed('UPDATE', '23505', 'I')) },
    { what: 'failed for another reason', envelope: () => envelope({ seq: 1 }, update()), code: '23505' },
    { what: 'has more parts', envelope: () => envelope({ seq: 1, lastPart: false }, update()) },
    { what: 'prepared a statement', envelope: () => envelope({ seq: 1 }, { ...update(), request: named }) },
    { what: 'may have committed on its own', envelope: () => envelope({ seq: 1 }, simple('CALL p()', 'CALL')) },
    {
      what: 'took a lock of its session',
      envelope: () => envelope({ seq: 1 }, simple('SELECT pg_advisory_lock(1)', 'SELECT 1')),
    },
    { what: 'has no order kept', envelope: () => envelope({ seq: 1 }, update()), keeps: false },
  ];
  for (const { what, envelope: captured, code = '40001', keeps = true } of never)
    it(`is not played again when it ${what}`, () => {
      const { order, stage } = open();
      order.keeps = keeps;
      stage.take(captured());
      stage.connect();
      stage.seen();
      stage.mirror(failure(code), ready('I'));
      assert.equal(order.told.filter((told) => told.startsWith('retried')).length, 0);
      assert.equal(stage.results().length, 1);
    });

  it('is not played again when something of it is committed, or of the next is under way', () => {
    const { order, stage } = open();
    const request = frontend(query('COMMIT; UPDATE'));
    stage.take(
      envelope({ seq: 1 }, { request, answer: backend(tag('COMMIT'), tag('UPDATE 1'), ready()) }),
      envelope({ seq: 2, startedUs: 20_000 }, { ...simple('A', 'A'), doneUs: 20_000 }),
      envelope({ seq: 3, startedUs: 20_100 }, simple('B', 'B')),
    );
    stage.connect();
    stage.mirror(tag('COMMIT'), failure('40001'), ready());
    stage.mirror(failure('40001'), ready());
    stage.mirror(tag('B'), ready());
    assert.deepEqual(
      stage.seen().filter((it) => it.startsWith('#')),
      ['#1 replayed = ≠', '#2 replayed ≠', '#3 replayed ='],
    );
    assert.equal(order.told.filter((told) => told.startsWith('retried')).length, 0);
  });
});

describe('a read that overlapped a write', () => {
  const read = (value: string, status: 'I' | 'T' = 'I'): ExchangeSketch => ({
    request: frontend(query('SELECT')),
    answer: backend(row(value), tag('SELECT 1'), ready(status)),
  });
  const answer = (stage: LaneStage, value: string, status: 'I' | 'T' = 'I'): void =>
    stage.mirror(row(value), tag('SELECT 1'), ready(status));

  it('is asked again when the write is here, as long as there is one to come', () => {
    const { order, stage } = open();
    order.writesToCome = 2;
    stage.take(envelope({ seq: 1 }, read('3')));
    stage.connect();
    stage.seen();
    for (const value of ['1', '2']) {
      answer(stage, value);
      assert.deepEqual(stage.seen(), []);
      order.isHere = true;
      stage.step({ kind: 'orderMoved' });
      assert.deepEqual(stage.seen(), ['F Query']);
    }
    answer(stage, '3');
    assert.deepEqual(stage.seen(), ['#1 replayed =']);
    stage.take(envelope({ seq: 2 }, read('5')));
    answer(stage, '4');
    assert.deepEqual(stage.seen().at(-1), '#2 replayed ≠');
    assert.ok(stage.results()[1]?.statements[0]?.race);
  });

  it('in a transaction has that begun anew, before the snapshot is taken', () => {
    const { order, stage } = open();
    order.writesToCome = 1;
    stage.take(envelope({ seq: 1 }, simple('BEGIN', 'BEGIN', 'T'), read('2', 'T'), simple('COMMIT', 'COMMIT')));
    stage.connect();
    stage.mirror(tag('BEGIN'), ready('T'));
    stage.seen();
    answer(stage, '1', 'T');
    assert.deepEqual(stage.seen(), ['F Query'], 'ROLLBACK');
    stage.mirror(tag('ROLLBACK'), ready());
    assert.deepEqual(stage.seen(), []);
    order.isHere = true;
    stage.step({ kind: 'orderMoved' });
    stage.mirror(tag('BEGIN'), ready('T'));
    answer(stage, '2', 'T');
    stage.mirror(tag('COMMIT'), ready());
    assert.deepEqual(stage.seen().at(-1), '#1 replayed = = =');
  });

  it('is not asked again when it may have written, or failed', () => {
    for (const [onlyReads, code] of [
      [false, null],
      [true, '42P01'],
    ] as const) {
      const { order, stage } = open(new OpenGate(), 3, onlyReads);
      order.writesToCome = 1;
      stage.take(envelope({ seq: 1 }, read('2')));
      stage.connect();
      if (code === null) answer(stage, '1');
      else stage.mirror(failure(code), ready());
      assert.equal(stage.results().length, 1);
      assert.equal(order.writesToCome, 1);
    }
  });
});

describe('a transaction that production could not commit', () => {
  const requests = (stage: LaneStage): string[] =>
    stage.effects.flatMap((effect) =>
      effect.kind === 'send' ? [Buffer.from(effect.bytes).subarray(5, -1).toString()] : [],
    );

  it('is rolled back where it would commit: COMMIT failed there, or had failed before', () => {
    const ends: readonly (readonly ExchangeSketch[])[] = [
      [simple('UPDATE', 'UPDATE 1', 'T'), failed('COMMIT', '40001', 'I')],
      [failed('UPDATE', '40001', 'E'), simple('COMMIT', 'ROLLBACK')],
    ];
    for (const [at, end] of ends.entries()) {
      const { order, stage } = open();
      const captured = envelope({ seq: 1 }, simple('BEGIN', 'BEGIN', 'T'), ...end);
      for (const { answer } of captured.exchanges)
        if (answer !== undefined) Object.assign(answer, statusOf(answer.raw));
      stage.take(captured);
      stage.connect();
      for (const it of ['BEGIN', 'UPDATE 1']) stage.mirror(tag(it), ready('T'));
      assert.deepEqual(requests(stage), ['BEGIN', 'UPDATE', 'ROLLBACK']);
      assert.ok(order.told.includes('rolled back 2'));
      stage.mirror(tag('ROLLBACK'), ready());
      const [result] = stage.results();
      assert.deepEqual(
        result?.statements.map(({ equal, race }) => [equal, race]),
        at === 0
          ? [
              [true, false],
              [true, false],
              [false, true],
            ]
          : [
              [true, false],
              [false, true],
              [true, false],
            ],
      );
    }
  });

  it('ends as its client asked where it failed here too, where production failed for another reason, and where no order is kept', () => {
    const ends = [
      { code: '40001', here: 'E', keeps: true },
      { code: '23505', here: 'T', keeps: true },
      { code: '40001', here: 'T', keeps: false },
    ] as const;
    for (const { code, here, keeps } of ends) {
      const { order, stage } = open();
      order.keeps = keeps;
      const captured = envelope(
        { seq: 1 },
        simple('BEGIN', 'BEGIN', 'T'),
        failed('UPDATE', code, 'E'),
        simple('COMMIT', 'ROLLBACK'),
      );
      for (const { answer } of captured.exchanges)
        if (answer !== undefined) Object.assign(answer, statusOf(answer.raw));
      stage.take(captured);
      stage.connect();
      stage.mirror(tag('BEGIN'), ready('T'));
      if (here === 'E') stage.mirror(failure('40001'), ready('E'));
      else stage.mirror(tag('UPDATE 1'), ready('T'));
      assert.deepEqual(requests(stage), ['BEGIN', 'UPDATE', 'COMMIT']);
      assert.ok(!order.told.some((told) => told.startsWith('rolled back')));
    }
  });
});

/** What capture says of an answer beside its bytes: its last status, and the SQLSTATE. */
function statusOf(raw: Uint8Array): { status: string; observations: { sqlState: string }[] } {
  const text = Buffer.from(raw).toString('latin1');
  const sqlState = /C(40001|40P01|23505)\0/.exec(text)?.[1] ?? '';
  return { status: text.at(-1) ?? '', observations: [{ sqlState }] };
}
