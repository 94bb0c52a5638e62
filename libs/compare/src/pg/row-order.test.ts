// Tests of what ORDER BY says where the statement's text alone does not say that its order is total.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type AnswerRules, noRules, plainColumn } from './answer-rules.ts';
import type { CellColumn } from './cells.ts';
import { compareRows } from './compare-rows.ts';

const INT4 = 23;
const TEXT = 25;

function column(name: string, typeOid: number): CellColumn {
  const field = { name, tableOid: 0, columnNumber: 0, typeOid, typeSize: -1, typeModifier: -1, format: 0 } as const;
  return { captured: field, replayed: field, rule: plainColumn };
}

const rowsOf = (...rows: string[][]) => rows.map((cells) => cells.map((cell) => Buffer.from(cell)));

function classOf(columns: readonly CellColumn[], rules: Partial<AnswerRules>, rows: string[][], order: number[]) {
  const captured = rowsOf(...rows);
  const replayed = order.map((at) => captured[at] as (typeof captured)[number]);
  const found = compareRows({
    ...{ captured, replayed, before: 0, complete: true, columns, sameRows: true, capturedKept: true },
    rules: { ...noRules, ...rules },
  });
  return found.class;
}

describe('rows in another order, where ORDER BY begins with an expression that the answer does not show', () => {
  // SELECT id, due … ORDER BY f(due), id
  const byHidden = { keys: [], keysComplete: false, shownKeys: [0] };
  const columns = [column('id', INT4), column('due', TEXT)];

  it('are a divergence when a key that it shows is different in every row', () => {
    assert.equal(
      classOf(
        columns,
        byHidden,
        [
          ['1', 'a'],
          ['2', 'a'],
          ['3', 'b'],
        ],
        [2, 0, 1],
      ),
      'value',
    );
  });

  it('are none when two rows are equal in it', () => {
    assert.equal(
      classOf(
        columns,
        byHidden,
        [
          ['1', 'a'],
          ['1', 'b'],
          ['3', 'b'],
        ],
        [1, 0, 2],
      ),
      'orderOnly',
    );
  });

  it('are none when the only key it shows is text, which a collation may take for equal', () => {
    assert.equal(
      classOf(
        columns,
        { ...byHidden, shownKeys: [1] },
        [
          ['1', 'A'],
          ['1', 'a'],
        ],
        [1, 0],
      ),
      'orderOnly',
    );
  });

  it('are none when it shows no key', () => {
    assert.equal(
      classOf(
        columns,
        { ...byHidden, shownKeys: [] },
        [
          ['1', 'A'],
          ['2', 'a'],
        ],
        [1, 0],
      ),
      'orderOnly',
    );
  });
});
