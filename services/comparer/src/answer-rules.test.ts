// From texts to rules: with the columns and the number of rows at hand, what may differ.
import assert from 'node:assert/strict';
import { before, describe, it } from 'node:test';
import { createSqlAnalyzer, type SqlAnalyzer } from '@mirrorstream/sql';
import { rulesOf } from './answer-rules.ts';

let sql: SqlAnalyzer;
before(async () => {
  sql = await createSqlAnalyzer();
});

const of = (text: string, names: readonly string[] | null, count: number, rows = 5) =>
  rulesOf(sql.answerShape(text, 0), names, count, rows);

describe('answer rules', () => {
  it('know ORDER BY to be total where it names all columns, or all that is grouped by', () => {
    assert.equal(of('SELECT a, b FROM t ORDER BY b, a', ['a', 'b'], 2).orderTotal, true);
    assert.equal(of('SELECT * FROM t ORDER BY id, n', ['id', 'n'], 2).orderTotal, true);
    assert.equal(of('SELECT * FROM t ORDER BY id', ['id', 'n'], 2).orderTotal, false);
    assert.equal(of('SELECT a, b FROM t ORDER BY 1, 1', ['a', 'b'], 2).orderTotal, false);
    assert.equal(of('SELECT a, count(*) FROM t GROUP BY a ORDER BY a', ['a', 'count'], 2).orderTotal, true);
    assert.equal(of('SELECT a FROM t', ['a'], 1).orderTotal, false);
  });

  it('take the keys up to the first that the answer does not show', () => {
    const { keys, keysComplete } = of('SELECT a, b FROM t ORDER BY b, c, a', ['a', 'b'], 2);
    assert.deepEqual([keys, keysComplete], [[1], false]);
  });

  it('do not take a key by a name that two columns have', () => {
    assert.equal(of('SELECT t.*, u.* FROM t, u ORDER BY id', ['id', 'id'], 2).keysComplete, false);
  });

  it('know that LIMIT cut nothing where fewer rows came', () => {
    assert.equal(of('SELECT a FROM t LIMIT 6', ['a'], 1).rows, 'all');
    assert.equal(of('SELECT a FROM t LIMIT 5', ['a'], 1).rows, 'some');
    assert.equal(of('SELECT a FROM t ORDER BY a LIMIT $1', ['a'], 1).rows, 'ends');
    assert.equal(of('SELECT a FROM t LIMIT 6 OFFSET 1', ['a'], 1).rows, 'some');
    assert.equal(of('SELECT max(a) FROM t LIMIT 1', ['max'], 1, 1).rows, 'all');
  });

  it('find the columns around a star, and those behind it by their names', () => {
    const text = 'WITH q AS (SELECT random() AS r, a FROM t) SELECT now(), q.*, version() FROM q';
    const traits = (names: readonly string[] | null) => of(text, names, 4).columns.map(({ trait }) => trait);
    assert.deepEqual(traits(['now', 'r', 'a', 'version']), ['volatile', 'volatile', '', 'server']);
    assert.deepEqual(traits(null), ['volatile', '', '', 'server']);
  });
});
