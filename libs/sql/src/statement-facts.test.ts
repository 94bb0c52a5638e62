// What a text of SQL does: kind, tables, what it leaves behind.
import assert from 'node:assert/strict';
import { before, describe, it } from 'node:test';
import { createSqlAnalyzer, type SqlAnalyzer } from './analyzer.ts';
import type { StatementKind } from './statement-facts.ts';

let analyzer: SqlAnalyzer;
before(async () => {
  analyzer = await createSqlAnalyzer();
});

const cases: readonly (readonly [sql: string, kind: StatementKind, tables: string, harmless: boolean])[] = [
  ['SELECT 1', 'reads', '', true],
  ['SELECT count(*), lower(name) FROM shop.Orders o JOIN lines USING (id)', 'reads', 'shop.orders lines', true],
  ['WITH o AS (SELECT * FROM orders) SELECT * FROM o', 'reads', 'orders', true],
  ['WITH o AS (DELETE FROM orders RETURNING *) SELECT * FROM o', 'writes', 'orders', true],
  ['SELECT * FROM "Orders" FOR UPDATE', 'writes', 'Orders', true],
  ['SELECT 1 INTO TEMP t', 'writes', 't', false],
  ['SELECT 1 INTO t', 'ddl', 't', true],
  ['SELECT place_order(1)', 'unknown', '', false],
  ['SELECT pg_catalog.lower(name) FROM t', 'reads', 't', true],
  ['SELECT mine.lower(name) FROM t', 'unknown', 't', false],
  ["SELECT nextval('s')", 'unknown', '', false],
  ['SELECT pg_advisory_lock(1)', 'unknown', '', false],
  ["SELECT set_config('a.b', '1', false)", 'reads', '', false],
  ["SELECT set_config('a.b', '1', true)", 'reads', '', true],
  ['VALUES (1)', 'reads', '', true],
  ['TABLE orders', 'reads', 'orders', true],
  ['SHOW work_mem', 'reads', '', true],
  ['EXPLAIN DELETE FROM orders', 'reads', 'orders', true],
  ['EXPLAIN (ANALYZE off) DELETE FROM orders', 'reads', 'orders', true],
  ['EXPLAIN ANALYZE DELETE FROM orders', 'writes', 'orders', true],
  ['DECLARE c CURSOR FOR SELECT * FROM orders', 'reads', 'orders', true],
  ['DECLARE c CURSOR WITH HOLD FOR SELECT * FROM orders', 'reads', 'orders', false],
  ['FETCH 1 FROM c', 'reads', '', false],
  ['COPY orders TO STDOUT', 'reads', 'orders', true],
  ["COPY orders TO '/tmp/x'", 'writes', 'orders', true],
  ['COPY orders FROM STDIN', 'writes', 'orders', true],
  ['INSERT INTO orders SELECT * FROM old.orders', 'writes', 'orders old.orders', true],
  ['UPDATE orders SET n = 1', 'writes', 'orders', true],
  ['MERGE INTO a USING b ON true WHEN MATCHED THEN DELETE', 'writes', 'a b', true],
  ['TRUNCATE a, b', 'writes', 'a b', true],
  ['CALL place_order(1)', 'unknown', '', false],
  ['DO $$ BEGIN END $$', 'unknown', '', false],
  ['CREATE TABLE a (n int)', 'ddl', 'a', true],
  ['CREATE TEMP TABLE a (n int)', 'writes', 'a', false],
  ['CREATE TEMP TABLE a AS SELECT 1', 'writes', 'a', false],
  ['CREATE TEMP VIEW a AS SELECT 1', 'writes', 'a', false],
  ['DROP TABLE shop.a, b', 'ddl', 'shop.a b', false],
  ['VACUUM orders', 'ddl', 'orders', true],
  ['BEGIN', 'control', '', true],
  ["COMMIT PREPARED 'x'", 'writes', '', true],
  ['SET search_path TO a', 'control', '', true],
  ['DISCARD ALL', 'control', '', false],
  ['LISTEN a', 'control', '', false],
  ['LOCK TABLE orders', 'control', 'orders', true],
  ['BEGIN; SELECT 1; COMMIT', 'reads', '', true],
  ['SELECT 1; CREATE TABLE a (); UPDATE b SET n = 1', 'ddl', 'a b', true],
  ['', 'unknown', '', false],
  ['SELEC 1', 'unknown', '', false],
];

describe('statement facts', () => {
  for (const [sql, kind, tables, harmless] of cases) {
    it(`of ${sql || 'an empty text'}`, () => {
      const facts = analyzer.facts(sql);
      assert.deepEqual([facts.kind, facts.tables.join(' '), facts.harmless], [kind, tables, harmless]);
    });
  }

  it('of PREPARE and EXECUTE: what the name stands for', () => {
    const { kind, prepares } = analyzer.facts('PREPARE p (int) AS UPDATE orders SET n = $1');
    assert.deepEqual([kind, prepares[0]?.name, prepares[0]?.facts.kind], ['control', 'p', 'writes']);
    assert.deepEqual(prepares[0]?.facts.tables, ['orders']);
    assert.deepEqual(analyzer.facts('EXECUTE p(1)').executes, ['p']);
  });
});
