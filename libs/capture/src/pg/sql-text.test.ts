// The lexer, the marks and the redaction: what is found in SQL text, and what is not.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TagCache, tagKindOf } from './command-tag.ts';
import { marksOf, QueryMark } from './query-marks.ts';
import { redactSecrets } from './redact.ts';
import { statementsOf, tokensOf } from './sql-tokens.ts';

test('statements are split at semicolons that separate, and nowhere else', () => {
  const cases: Record<string, string[]> = {
    'SELECT 1; SELECT 2;': ['SELECT 1', 'SELECT 2'],
    ' ;; SELECT 1 ;-- x;y\n; ': ['SELECT 1'],
    "SELECT ';'; SELECT E'\\';'; SELECT 'it'';s'": ["SELECT ';'", "SELECT E'\\';'", "SELECT 'it'';s'"],
    'SELECT "a;b"; SELECT $$;$$; SELECT $t$ $$;$$ ;$t$': ['SELECT "a;b"', 'SELECT $$;$$', 'SELECT $t$ $$;$$ ;$t$'],
    'SELECT 1 /* ; /* ; */ ; */; SELECT $1': ['SELECT 1', 'SELECT $1'],
    'CREATE RULE r AS ON INSERT TO t DO (SELECT 1; SELECT 2); SELECT 3': [
      'CREATE RULE r AS ON INSERT TO t DO (SELECT 1; SELECT 2)',
      'SELECT 3',
    ],
    'CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1; SELECT CASE WHEN a THEN 1 END; END; SELECT 3': [
      'CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1; SELECT CASE WHEN a THEN 1 END; END',
      'SELECT 3',
    ],
    'BEGIN; SELECT 1; END': ['BEGIN', 'SELECT 1', 'END'],
    "SELECT 'open; end": ["SELECT 'open; end"],
  };
  for (const [sql, expected] of Object.entries(cases)) assert.deepEqual([...statementsOf(sql)], expected, sql);
});

test('tokens cover the text: words fold to lower case, quoted names keep theirs', () => {
  const tokens = [...tokensOf(`SELECT "A""b", U&"x", é1 FROM T$1 WHERE 1.5e3 <> B'01'`)];
  assert.deepEqual(
    tokens.map((it) => `${it.kind} ${it.value}`),
    [
      'word select',
      'name A"b',
      'symbol ,',
      'name x',
      'symbol ,',
      'word é1',
      'word from',
      'word t$1',
      'word where',
      'number 1.5e3',
      'symbol <',
      'symbol >',
      "literal B'01'",
    ],
  );
});

function redacted(sql: string): string {
  const buffer = Buffer.from(`..${sql}..`, 'latin1');
  redactSecrets(buffer, 2, buffer.length - 2);
  return buffer.subarray(2, -2).toString('latin1');
}

test('passwords become x in every statement that carries them, at the same length', () => {
  const cases: Record<string, string> = {
    "ALTER USER bob PASSWORD 'secret'": "ALTER USER bob PASSWORD 'xxxxxx'",
    "create role r login encrypted password 'a''b' valid until '2030-01-01'":
      "create role r login encrypted password 'xxxx' valid until '2030-01-01'",
    "ALTER ROLE r PASSWORD E'a\\'b'": "ALTER ROLE r PASSWORD E'xxxx'",
    'ALTER ROLE r PASSWORD $q$secret$q$': 'ALTER ROLE r PASSWORD $q$xxxxxx$q$',
    "ALTER ROLE r PASSWORD 'open": "ALTER ROLE r PASSWORD 'xxxx",
    "ALTER ROLE r PASSWORD NULL; CREATE USER u PASSWORD 'x y'":
      "ALTER ROLE r PASSWORD NULL; CREATE USER u PASSWORD 'xxx'",
    "CREATE USER MAPPING FOR u SERVER s OPTIONS (user 'bob', password 'secret')":
      "CREATE USER MAPPING FOR u SERVER s OPTIONS (user 'bob', password 'xxxxxx')",
    "CREATE SUBSCRIPTION s CONNECTION 'host=a password=b' PUBLICATION p":
      "CREATE SUBSCRIPTION s CONNECTION 'xxxxxxxxxxxxxxxxx' PUBLICATION p",
    "/* c */ ALTER -- x\n GROUP g PASSWORD 'secret'": "/* c */ ALTER -- x\n GROUP g PASSWORD 'xxxxxx'",
  };
  for (const [sql, expected] of Object.entries(cases)) assert.equal(redacted(sql), expected);
});

test('texts that only talk of passwords stay as they are', () => {
  for (const sql of [
    "SELECT password 'x' FROM t",
    "INSERT INTO users (password) VALUES ('secret')",
    "COMMENT ON ROLE r IS 'password'",
    "INSERT INTO notes VALUES ('how to alter a user password', 'like this')",
    "UPDATE users SET password = 'x' WHERE name = 'bob'",
    "DO $$ BEGIN UPDATE users SET password = 'x'; END $$",
    "SELECT 'postgres://bob:secret@host/db', 'dblink'",
  ]) {
    assert.equal(redacted(sql), sql);
  }
});

test('redactions are counted by statement', () => {
  const sql = Buffer.from("ALTER ROLE a PASSWORD 'x'; SELECT 1; CREATE ROLE b PASSWORD 'y'");
  assert.equal(redactSecrets(sql, 0, sql.length).redactions, 2);
});

test('marks are found whatever the case and place, and not in words that only look alike', () => {
  const cases: Record<string, number> = {
    'SELECT pg_advisory_lock(1)': QueryMark.advisoryLock,
    'SELECT PG_TRY_ADVISORY_LOCK(1)': QueryMark.advisoryLock,
    'SELECT pg_try_advisory_xact_lock(1)': 0,
    'CREATE TEMP TABLE t()': QueryMark.temporary | QueryMark.creates,
    'SELECT 1 INTO TEMPORARY t': QueryMark.temporary,
    "ALTER ROLE a PassWord 'x'": QueryMark.password,
    '  execute s': QueryMark.executes,
    'BEGIN; EXPLAIN EXECUTE s': QueryMark.executes,
    "SELECT Set_Config('a.b', '1', false)": QueryMark.setConfig,
    "SELECT currval('s'), LASTVAL()": QueryMark.sequenceValue,
    'ALTER SUBSCRIPTION s SKIP': QueryMark.password,
    'SELECT dblink_connect($1)': QueryMark.password,
    'SELECT movie FROM views WHERE mw = 1': 0,
    w: 0,
    '': 0,
  };
  for (const [sql, expected] of Object.entries(cases)) {
    const buffer = Buffer.from(`te${sql}temp`);
    assert.equal(marksOf(buffer, 2, buffer.length - 4), expected, sql);
  }
});

test('tags are told apart by what they change, and what is not known to be harmless is a write', () => {
  const kinds: Record<string, string> = {
    'SELECT 5': 'select',
    'INSERT 0 5': 'write',
    'MERGE 2': 'write',
    'COPY 17': 'copy',
    'CREATE TABLE': 'create',
    'CREATE TABLE AS': 'create',
    'DROP TABLE': 'drop',
    'DROP INDEX': 'write',
    'PREPARE TRANSACTION': 'commit',
    PREPARE: 'prepare',
    DO: 'block',
    'TRUNCATE TABLE': 'write',
    CALL: 'write',
    BEGIN: 'read',
    COMMIT: 'commit',
    'COMMIT PREPARED': 'write',
    ROLLBACK: 'rollback',
    SET: 'set',
    'SET CONSTRAINTS': 'read',
    'DISCARD ALL': 'discardAll',
    'DEALLOCATE ALL': 'deallocate',
    'FETCH 100': 'read',
    'SOMETHING NEW': 'write',
  };
  for (const [text, kind] of Object.entries(kinds)) assert.equal(tagKindOf(text), kind, text);
  const cache = new TagCache();
  for (let round = 0; round < 3; round++) {
    for (let i = 0; i < 2000; i++) {
      const frame = Buffer.from(`C....SELECT ${i}\0`);
      assert.equal(cache.read(frame, 0, frame.length).text, `SELECT ${i}`);
    }
  }
});
