// Two answers by the rules of their statement: order, what LIMIT leaves open, columns that differ by nature, notation; and properties.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { AnswerRules, ColumnTrait } from './answer-rules.ts';
import { noRules } from './answer-rules.ts';
import { type Column, seeded } from './backend-frames.fixture.ts';
import { type Classification, classify } from './classify.ts';
import { type Observed, selected } from './observed.fixture.ts';

type Rows = readonly (readonly (string | null)[])[];
const id: Column = { name: 'id', typeOid: 23 };
const name: Column = { name: 'name', typeOid: 25 };
const price: Column = { name: 'price', typeOid: 1700 };
const at: Column = { name: 'at', typeOid: 1184 };
const ratio: Column = { name: 'ratio', typeOid: 701 };

const traits = (...each: readonly ColumnTrait[]): Partial<AnswerRules> => ({
  columns: each.map((trait) => ({ trait, extract: false })),
});

function compare(a: Observed, b: Observed, rules: Partial<AnswerRules> = {}): Classification {
  return classify(a.observation, b.observation, { captured: a.raw, replayed: b.raw }, () => ({ ...noRules, ...rules }));
}

function classOf(columns: readonly Column[], a: Rows, b: Rows, rules: Partial<AnswerRules> = {}): string {
  const found = compare(selected(columns, a), selected(columns, b), rules);
  return [found.notCompared || found.class, ...found.columns].join(' ');
}

const by = (...keys: readonly number[]): Partial<AnswerRules> => ({ keys, keysComplete: true });

describe('the same rows in another order', () => {
  const rows: Rows = [
    ['1', 'b'],
    ['1', 'a'],
    ['2', 'a'],
  ];
  const swapped: Rows = [rows[1], rows[0], rows[2]] as Rows;
  const out: Rows = [rows[0], rows[2], rows[1]] as Rows;

  it('is only that where no order is asked for, or ties leave it open', () => {
    assert.equal(classOf([id, name], rows, out), 'orderOnly');
    assert.equal(classOf([id, name], rows, swapped, by(0)), 'orderOnly');
  });

  it('is a value where ORDER BY is total, or its keys come in another order', () => {
    assert.equal(classOf([id, name], rows, swapped, { ...by(0), orderTotal: true }), 'value');
    assert.equal(classOf([id, name], rows, out, by(0)), 'value id');
  });

  it('is the collation where text alone is ordered otherwise', () => {
    const lower: Rows = [['a'], ['B'], ['c']];
    const bytes: Rows = [['B'], ['a'], ['c']];
    assert.equal(classOf([name], lower, bytes, { ...by(0), orderTotal: true }), 'collation name');
    assert.equal(classOf([name], lower, bytes), 'orderOnly');
    const many = Array.from({ length: 3 }, (_, i) => [String(i), 'x']);
    assert.equal(classOf([id, name], many, [...many].reverse(), by(1, 0)), 'value id');
  });

  it('is found in another notation too', () => {
    const a: Rows = [
      ['1.50', '2024-01-31 12:00:00+00'],
      ['2', '2024-01-31 13:00:00+00'],
    ];
    const b: Rows = [
      ['2.0', '2024-01-31 14:00:00+01'],
      ['1.5', '2024-01-31 13:00:00+01'],
    ];
    assert.equal(classOf([price, at], a, b), 'orderOnly');
    assert.equal(classOf([ratio], [['0.1'], ['0.3']], [['0.30000000000000004'], ['0.1']]), 'orderOnly');
  });
});

describe('rows that the text leaves open', () => {
  const a: Rows = [
    ['1', 'a'],
    ['2', 'b'],
  ];
  it('are not compared where nothing says which come', () => {
    assert.equal(classOf([id, name], a, [a[0], ['3', 'c']] as Rows, { rows: 'some' }), 'undetermined');
  });

  it('are open only in ties where LIMIT cuts', () => {
    const tied: Rows = [
      ['1', 'a'],
      ['2', 'b'],
      ['2', 'c'],
    ];
    const other: Rows = [tied[0], tied[1], ['2', 'd']] as Rows;
    const rules: Partial<AnswerRules> = { ...by(0), rows: 'ends' };
    assert.equal(classOf([id, name], tied, other, rules), 'undetermined');
    assert.equal(classOf([id, name], tied, [['1', 'x'], tied[1], tied[2]] as Rows, rules), 'value name');
    assert.equal(classOf([id, name], a, [a[0], ['2', 'x']] as Rows, rules), 'value name');
    assert.equal(classOf([id, name], tied, other, { ...rules, orderTotal: true }), 'value name');
    assert.equal(classOf([id, name], tied, other, { rows: 'ends', keysComplete: false }), 'undetermined');
  });

  it('may be of any number where the statement takes some of them', () => {
    assert.equal(classOf([id, name], a, [a[0]] as Rows, { open: true }), 'undetermined');
    assert.equal(classOf([id, name], a, [a[0]] as Rows), 'rowCount');
  });

  it('of an aggregate without an order are not compared, the other columns are', () => {
    assert.equal(classOf([id, name], [['1', '{a,b}']], [['1', '{b,a}']], traits('', 'openOrder')), 'undetermined name');
    assert.equal(classOf([id, name], [['1', '{a,b}']], [['2', '{b,a}']], traits('', 'openOrder')), 'value id');
  });
});

describe('columns that differ by nature', () => {
  it('are masked, and the others still compared', () => {
    const rules = traits('', 'volatile');
    assert.equal(
      classOf([id, at], [['1', '2024-01-31 12:00:00+00']], [['1', '2024-02-01 12:00:00+00']], rules),
      'maskedMatch at',
    );
    assert.equal(classOf([id, at], [['1', 'x']], [['2', 'y']], rules), 'value id');
    assert.equal(
      classOf(
        [id, name],
        [
          ['1', 'x'],
          ['2', 'y'],
        ],
        [
          ['2', 'p'],
          ['1', 'q'],
        ],
        traits('', 'server'),
      ),
      'orderOnly',
    );
  });

  it('alone leave nothing to compare', () => {
    assert.equal(classOf([at], [['x']], [['y']], traits('volatile')), 'volatile');
    assert.equal(classOf([name], [['17']], [['18']], traits('server')), 'serverSpecific');
  });
});

describe('notation', () => {
  it('of numbers and of everything else is told apart, never a match', () => {
    assert.equal(classOf([price], [['1.5']], [['1.50']]), 'numericEpsilon price');
    assert.equal(classOf([ratio], [['0.1']], [['0.10000000000000001']]), 'numericEpsilon ratio');
    assert.equal(classOf([at], [['2024-01-31 12:00:00+00']], [['2024-01-31 13:00:00+01']]), 'maskedMatch at');
    assert.equal(classOf([price, at], [['1', 'x']], [['1.0', 'y']]), 'value at');
  });

  it('of answers of which only a part was kept proves nothing for the rest', () => {
    const cut = (observed: Observed): Observed => ({
      ...observed,
      raw: { ...observed.raw, bytes: observed.raw.bytes.subarray(0, -30), truncated: true },
    });
    const rows = (n: number, last: string): Rows => Array.from({ length: 20 }, (_, i) => [i === n ? last : `${i}.5`]);
    const a = cut(selected([price], rows(-1, '')));
    assert.equal(compare(a, cut(selected([price], rows(2, '2.50')))).notCompared, 'truncated');
    assert.equal(compare(a, cut(selected([price], rows(2, '2.51')))).class, 'value');
    assert.match(compare(a, cut(selected([price], rows(2, '2.51')))).detail, /^row 3, column price: 2.5 → 2.51$/);
  });
});

describe('over drawn answers and rules', () => {
  const values: Readonly<Record<string, readonly string[]>> = {
    id: ['1', '2'],
    name: ['a', 'B', 'c'],
    price: ['1', '1.0', '2'],
    at: ['2024-01-31 12:00:00+00', '2024-01-31 13:00:00+01', '2024-01-31 13:00:00+00'],
    ratio: ['0.1', '0.10000000000000001', '0.2'],
  };
  const all = [id, name, price, at, ratio];

  it('an answer matches itself, and swapping the sides gives the same class', () => {
    const random = seeded(26);
    const pick = <T>(from: readonly T[]): T => from[Math.floor(random() * from.length)] as T;
    const seen = new Set<string>();
    for (let round = 0; round < 20_000; round++) {
      const columns = all.filter(() => random() < 0.5);
      if (columns.length === 0) continue;
      const count = Math.floor(random() * 4);
      const draw = (): Rows =>
        Array.from({ length: count }, () => columns.map((column) => pick(values[column.name] as readonly string[])));
      const rules: Partial<AnswerRules> = {
        ...by(...(random() < 0.5 ? [] : [Math.floor(random() * columns.length)])),
        ...traits(...columns.map(() => pick<ColumnTrait>(['', '', '', 'volatile', 'server', 'openOrder']))),
        ...{ rows: pick(['all', 'all', 'ends', 'some'] as const), orderTotal: random() < 0.3, open: random() < 0.2 },
      };
      const [a, b] = [selected(columns, draw()), selected(columns, draw())];
      const there = compare(a, b, rules);
      const back = compare(b, a, rules);
      seen.add(there.notCompared || there.class);
      assert.deepEqual([there.class, there.notCompared], [back.class, back.notCompared]);
      assert.equal(compare(a, a, rules).class, 'match');
      const equal = a.observation.orderedDigest === b.observation.orderedDigest;
      assert.equal(there.class === 'match', equal && a.observation.rows === b.observation.rows);
    }
    for (const one of [
      'match',
      'value',
      'orderOnly',
      'collation',
      'numericEpsilon',
      'maskedMatch',
      'undetermined',
      'volatile',
    ])
      assert.ok(seen.has(one), `${one} came up: ${[...seen]}`);
  });
});
