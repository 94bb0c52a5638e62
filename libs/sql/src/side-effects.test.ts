// Side effects are found in every disguise that a text can show, and ordinary statements have none.
import assert from 'node:assert/strict';
import { before, describe, it } from 'node:test';
import { sideEffects } from '@mirrorstream/domain';
import { createSqlAnalyzer, type SqlAnalyzer } from './analyzer.ts';
import { mayHaveSideEffects, sideEffectsOfWords } from './side-effects.ts';

const withEffects: readonly (readonly [sql: string, effect: string])[] = [
  ["COPY t TO PROGRAM 'gzip > /tmp/t'", 'program'],
  ["COPY (SELECT 1) TO '/tmp/t'", 'serverFile'],
  ["COPY t FROM '/tmp/t' WITH (FORMAT csv)", 'serverFile'],
  ["SELECT lo_import('/etc/motd')", 'serverFile'],
  ["SELECT pg_catalog.lo_export(1, '/tmp/x')", 'serverFile'],
  ["SELECT * FROM dblink('dbname=x', 'SELECT 1') AS t (a int)", 'remoteDatabase'],
  ["INSERT INTO t SELECT public.dblink_exec('c', 'DELETE FROM x')", 'remoteDatabase'],
  ['SELECT "dblink_connect"(\'c\')', 'remoteDatabase'],
  ['SELECT U&"d\\0062link"(\'c\')', 'remoteDatabase'],
  ["SELECT content FROM http_get('http://localhost')", 'http'],
  ["SELECT net.http_post(url := 'x')", 'http'],
  ["SELECT aws_lambda.invoke('x')", 'http'],
  ["NOTIFY queue, 'payload'", 'notify'],
  ["SELECT pg_notify('queue', id::text) FROM t", 'notify'],
  ["CREATE SUBSCRIPTION s CONNECTION 'host=x' PUBLICATION p", 'subscription'],
  ['ALTER SUBSCRIPTION s OWNER TO x', 'subscription'],
  ['DROP SUBSCRIPTION s', 'subscription'],
  ["SELECT pg_create_logical_replication_slot('s', 'pgoutput')", 'subscription'],
  ['CREATE SERVER s FOREIGN DATA WRAPPER postgres_fdw', 'foreignServer'],
  ['DROP SERVER s', 'foreignServer'],
  ["CREATE USER MAPPING FOR u SERVER s OPTIONS (password 'x')", 'foreignServer'],
  ['IMPORT FOREIGN SCHEMA a FROM SERVER s INTO b', 'foreignServer'],
  ["SELECT cron.schedule('nightly', '0 3 * * *', 'VACUUM')", 'scheduledJob'],
  ["CALL cron.unschedule('nightly')", 'scheduledJob'],
  ["SELECT add_job('f', '1h')", 'scheduledJob'],
  ["CREATE ROLE r LOGIN PASSWORD 'x'", 'role'],
  ["ALTER USER r PASSWORD 'x'", 'role'],
  ['ALTER ROLE r SET work_mem = 1', 'role'],
  ['ALTER ROLE r RENAME TO s', 'role'],
  ['DROP USER r', 'role'],
  ['GRANT a TO b', 'role'],
  ["ALTER SYSTEM SET work_mem = '1GB'", 'serverSetting'],
  ['SELECT pg_reload_conf()', 'serverSetting'],
  ['SELECT pg_terminate_backend(pid) FROM pg_stat_activity', 'serverControl'],
  ["LOAD 'auto_explain'", 'serverControl'],
  ['CREATE DATABASE d', 'cluster'],
  ['ALTER DATABASE d SET work_mem = 1', 'cluster'],
  ['DROP TABLESPACE s', 'cluster'],
  ["PREPARE p AS SELECT dblink_exec('c', 'x')", 'remoteDatabase'],
  ["EXPLAIN ANALYZE SELECT pg_notify('a', 'b')", 'notify'],
  ["WITH x AS (INSERT INTO t VALUES (1) RETURNING id) SELECT pg_notify('q', id::text) FROM x", 'notify'],
  ['SELECT 1; UPDATE t SET a = 1; NOTIFY q', 'notify'],
  ["DO $$ BEGIN PERFORM dblink_exec('c', 'x'); END $$", 'remoteDatabase'],
  ['DO $$ BEGIN IF true THEN NOTIFY q; END IF; END $$', 'notify'],
  ["DO $$ BEGIN EXECUTE 'ALTER SYSTEM SET a = 1'; END $$", 'serverSetting'],
];

const without = [
  'SELECT * FROM users WHERE id = $1',
  "INSERT INTO notifications (user_id, body) VALUES (1, 'NOTIFY')",
  "UPDATE roles SET name = 'role' WHERE id = 1",
  'COPY t FROM STDIN',
  'COPY t TO STDOUT (FORMAT binary)',
  'GRANT SELECT ON t TO r',
  'CREATE TABLE databases (id int)',
  'SET ROLE r',
  'SELECT current_user, http, dblink FROM t',
  'LISTEN queue',
  'DO $$ BEGIN UPDATE t SET a = 1; END $$',
  'CREATE EXTENSION hstore',
  'BEGIN',
  '',
];

describe('side effects', () => {
  let sql: SqlAnalyzer;
  before(async () => {
    sql = await createSqlAnalyzer();
  });

  for (const [text, effect] of withEffects)
    it(`${effect}: ${text}`, () => {
      assert.ok(mayHaveSideEffects(text), 'the first look lets it pass to the parser');
      assert.ok(mayHaveSideEffects(`Q\0\0\0P${text}\0`), 'also behind a length that reads like a letter');
      assert.deepEqual([...sql.sideEffects(text)], [effect]);
    });

  it('has none for ordinary statements', () => {
    for (const text of without) assert.deepEqual([...sql.sideEffects(text)], [], text);
  });

  it('looks at words where the parser has nothing to say', () => {
    assert.deepEqual([...sql.sideEffects("SELEC dblink_exec('c', 'x')")], ['remoteDatabase']);
    assert.deepEqual([...sideEffectsOfWords("copy t to program 'x' garbage(")], ['program']);
    assert.deepEqual([...sql.sideEffects('SELEC net . http_get (1)')], ['http']);
  });

  it('does not parse what no word hints at', () => {
    const { misses } = sql.stats();
    sql.sideEffects('SELECT abalance FROM pgbench_accounts WHERE aid = 4711');
    assert.equal(sql.stats().misses, misses);
  });

  it('knows each of the closed list', () => {
    assert.deepEqual([...new Set(withEffects.map(([, effect]) => effect))].sort(), [...sideEffects].sort());
  });
});
