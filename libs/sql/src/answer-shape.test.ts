// What a text says of its answer: columns that differ by nature, whether the order is given, which rows come.
import assert from 'node:assert/strict';
import { before, describe, it } from 'node:test';
import { createSqlAnalyzer, type SqlAnalyzer } from './analyzer.ts';
import type { AnswerShape, ColumnPlace } from './answer-shape.ts';

let sql: SqlAnalyzer;
before(async () => {
  sql = await createSqlAnalyzer();
});

const traitsOf = ({ leading, trailing, named }: AnswerShape): string =>
  [
    leading.map(({ trait }) => trait || '-').join(' '),
    ...(trailing === null ? [] : ['*', trailing.map(({ trait }) => trait || '-').join(' ')]),
    ...[...named].map(([name, trait]) => `${name}=${trait}`),
  ]
    .filter((part) => part !== '')
    .join(' ');

describe('columns that differ by nature', () => {
  const cases: readonly (readonly [string, string, AnswerShape['predicate']])[] = [
    ['SELECT a FROM t WHERE a = 1', '-', 'none'],
    ['SELECT now(), a FROM t', 'volatile -', 'none'],
    ['SELECT a, CURRENT_TIMESTAMP - at AS age FROM t', '- volatile', 'none'],
    ['SELECT x, y FROM (SELECT random() AS x, y FROM t) s', 'volatile - x=volatile', 'none'],
    ['WITH q AS (SELECT now() AS n, a FROM t) SELECT * FROM q', '* n=volatile', 'none'],
    ['WITH q AS (SELECT now() AS n) SELECT a FROM t, q WHERE t.at > q.n', '- n=volatile', 'volatile'],
    ['SELECT CURRENT_USER', '-', 'none'],
    ['SELECT ctid, t.xmin, a FROM t', 'server server -', 'none'],
    ['SELECT *, pg_backend_pid() FROM t', '* server', 'none'],
    ['SELECT a, t.*, version() FROM t', '- * server', 'none'],
    ["SELECT a FROM t WHERE at > now() - interval '1 day'", '-', 'volatile'],
    ['SELECT a FROM t ORDER BY random() LIMIT 3', '-', 'volatile'],
    ['SELECT a, random() AS r FROM t ORDER BY r', '- volatile', 'volatile'],
    ['SELECT a FROM t JOIN u ON u.at < now()', '-', 'volatile'],
    ['INSERT INTO t VALUES (now())', '', 'none'],
    ['INSERT INTO t VALUES (1) RETURNING clock_timestamp()', 'volatile', 'none'],
    ['INSERT INTO t (a, at) VALUES (1, now()) RETURNING a, at', '- volatile at=volatile', 'none'],
    ['INSERT INTO t (a) VALUES (1) ON CONFLICT (a) DO UPDATE SET at = now() RETURNING *', '* at=volatile', 'none'],
    ['UPDATE t SET at = now() WHERE a = 1 RETURNING at, a', 'volatile - at=volatile', 'none'],
    ['UPDATE t SET at = now() WHERE at < $1 RETURNING a', '- at=volatile', 'none'],
    ['DELETE FROM t WHERE at < now()', '', 'volatile'],
    ['SELECT pg_catalog.version()', 'server', 'none'],
    ['SELECT * FROM pg_stat_activity', '*', 'serverSpecific'],
    ['SELECT * FROM pg_class', '*', 'none'],
    ['SELECT array_agg(a), array_agg(a ORDER BY a), count(*) FROM t', 'openOrder - -', 'none'],
    ['SELECT json_agg(s) FROM (SELECT a FROM t ORDER BY a) s', '-', 'none'],
    ['SELECT id, ARRAY(SELECT b FROM u WHERE u.a = t.a) FROM t', '- openOrder', 'none'],
    ['SELECT EXISTS (SELECT now()) FROM t', '-', 'none'],
    ['SELECT a FROM t UNION SELECT now()', '-', 'none'],
  ];
  for (const [text, traits, predicate] of cases)
    it(`of ${text}`, () => {
      const shape = sql.answerShape(text, 0);
      assert.deepEqual([traitsOf(shape), shape.predicate], [traits, predicate]);
    });

  it('knows EXTRACT by column', () => {
    const { leading } = sql.answerShape("SELECT EXTRACT(epoch FROM at), date_part('epoch', at) FROM t", 0);
    assert.deepEqual(
      leading.map(({ extract }) => extract),
      [true, false],
    );
  });
});

describe('order and rows', () => {
  const place = (key: ColumnPlace | null): string =>
    key === null ? '?' : 'position' in key ? String(key.position) : key.name;
  const cases: readonly (readonly [string, string])[] = [
    ['SELECT a FROM t', ''],
    ['SELECT a, b FROM t ORDER BY b, a DESC', 'by 1 0'],
    ['SELECT a, b FROM t ORDER BY 2', 'by 1'],
    ['SELECT a AS x, b FROM t ORDER BY x', 'by 0'],
    ['SELECT t.a, b FROM t ORDER BY a', 'by 0'],
    ['SELECT a, b FROM t ORDER BY t.b', 'by 1'],
    ['SELECT lower(a), b FROM t ORDER BY lower(a), c', 'by 0 ?'],
    ['SELECT a FROM t ORDER BY a COLLATE "C"', 'by 0'],
    ['SELECT * FROM t ORDER BY id', 'by id'],
    ['SELECT a, count(*) FROM t GROUP BY a ORDER BY 2, 1', 'by 1 0 unique'],
    ['SELECT a, count(*) FROM t GROUP BY a, b ORDER BY a', 'by 0'],
    ['SELECT count(*) FROM t GROUP BY a ORDER BY a', 'by ? unique'],
    ['SELECT count(*), max(a) FROM t LIMIT 1', 'one row, cut at 1'],
    ['SELECT count(*) OVER () FROM t', ''],
    ['SELECT a FROM t ORDER BY a LIMIT 5 OFFSET 2', 'by 0, cut at 5 with offset'],
    ['SELECT a FROM t LIMIT $1', ', cut at ?'],
    ['SELECT a FROM t LIMIT ALL', ''],
    ['SELECT a FROM t ORDER BY a FETCH FIRST 3 ROWS WITH TIES', 'by 0'],
    ['SELECT DISTINCT ON (a) a, b FROM t', ', open'],
    ['SELECT DISTINCT a FROM t', ''],
    ['SELECT * FROM (SELECT a FROM t LIMIT 3) s', ', open'],
    ['SELECT * FROM (SELECT a FROM t ORDER BY a LIMIT 3) s', ''],
    ['SELECT a FROM t WHERE EXISTS (SELECT 1 FROM u LIMIT 1)', ''],
    ['SELECT a FROM t FOR UPDATE SKIP LOCKED', ', open'],
    ['SELECT 1 UNION SELECT 2 ORDER BY 1', 'by 0'],
    ['DELETE FROM t WHERE id IN (SELECT id FROM t LIMIT 1) RETURNING id', ', open'],
  ];
  for (const [text, expected] of cases)
    it(`of ${text}`, () => {
      const { known, oneRow, keys, keysUnique, cut, open } = sql.answerShape(text, 0);
      const order = [...(oneRow ? ['one row'] : []), ...(keys.length > 0 ? ['by', ...keys.map(place)] : [])];
      const said = [
        [...order, ...(keysUnique ? ['unique'] : [])].join(' '),
        ...(cut === null ? [] : [`cut at ${cut.count ?? '?'}${cut.offset ? ' with offset' : ''}`]),
        ...(open ? ['open'] : []),
      ].join(', ');
      assert.deepEqual([known, said], [true, expected]);
    });

  it('of several statements in one text tells each by its place', () => {
    const text = 'BEGIN; SELECT a, now() FROM t ORDER BY a; SELECT b FROM t LIMIT 1';
    assert.equal(sql.answerShape(text, 0).known, false);
    assert.equal(sql.answerShape(text, 1).leading[1]?.trait, 'volatile');
    assert.deepEqual(sql.answerShape(text, 2).cut, { count: 1, offset: false });
    assert.equal(sql.answerShape(text, 3).known, false);
  });

  it('says nothing of what another text says', () => {
    for (const text of ['EXECUTE p', 'FETCH 3 FROM c', 'SELEC 1', ''])
      assert.equal(sql.answerShape(text, 0).known, false);
  });
});
