// The analyzer against PostgreSQL's own parser: shapes, the lexical way for what does not parse, limits of the cache.
import assert from 'node:assert/strict';
import { before, describe, it } from 'node:test';
import { createSqlAnalyzer, type SqlAnalyzer } from './index.ts';
import { lexicalFingerprint, lexicalNormalize } from './lexical.ts';

let sql: SqlAnalyzer;
before(async () => {
  sql = await createSqlAnalyzer();
});

describe('fingerprint and normalised SQL', () => {
  it('are the same for texts that differ in constants and layout', () => {
    const a = 'SELECT abalance FROM accounts WHERE aid = 5';
    const b = 'select abalance\n  from accounts where aid=77';
    assert.equal(sql.fingerprint(a), sql.fingerprint(b));
    assert.match(sql.fingerprint(a), /^[0-9a-f]{16}$/);
    assert.equal(sql.normalize(a), 'SELECT abalance FROM accounts WHERE aid = $1');
  });

  it('differ for other tables and columns', () => {
    assert.notEqual(sql.fingerprint('SELECT a FROM t'), sql.fingerprint('SELECT b FROM t'));
    assert.notEqual(sql.fingerprint('SELECT a FROM t'), sql.fingerprint('SELECT a FROM u'));
  });

  it('are known once looked at, and asking whether they are is no look', () => {
    const before = sql.stats();
    assert.equal(sql.isKnown('SELECT 1 FROM never_seen'), false);
    assert.deepEqual(sql.stats(), before);
    sql.fingerprint('SELECT 1 FROM never_seen');
    assert.equal(sql.isKnown('SELECT 1 FROM never_seen'), true);
  });

  it('hide passwords', () => {
    assert.equal(sql.normalize("ALTER ROLE app PASSWORD 'secret'"), 'ALTER ROLE app PASSWORD $1');
  });

  it('fall back to tokens for what the parser rejects', () => {
    const before = sql.stats().lexical;
    const a = "SELEC x FROM t WHERE a = 'one' AND b IN (1, 2, 3) -- note";
    const b = "selec  x from t where a = 'two''s' and b in (4)";
    assert.equal(sql.fingerprint(a), sql.fingerprint(b));
    assert.equal(sql.normalize(a), 'selec x from t where a = ? and b in (?)');
    assert.equal(sql.stats().lexical, before + 2);
    assert.match(sql.fingerprint(''), /^[0-9a-f]{16}$/);
    assert.match(sql.fingerprint(`select ${'('.repeat(20_000)}`), /^[0-9a-f]{16}$/);
    assert.equal(sql.answerShape(a, 0).known, false);
  });

  it('keep working after texts that exhaust the parser', () => {
    sql.fingerprint(`select ${'('.repeat(30_000)}1${')'.repeat(30_000)}`);
    assert.equal(sql.normalize('SELECT 1'), 'SELECT $1');
  });
});

describe('lexical shape', () => {
  it('replaces every kind of constant and keeps identifiers', () => {
    const text = `SELECT "Quoted", E'a\\'b', b'01', $tag$ x $$ y $tag$, $1, 1.5e-3, .5, t1.c2 /* note */ FROM "T"`;
    assert.equal(lexicalNormalize(text), 'select "Quoted", ?, t1.c2 from "T"');
  });

  it('never shows a constant that was cut off', () => {
    assert.equal(lexicalNormalize("UPDATE t SET secret = 'abc"), 'update t set secret = ?');
    assert.equal(lexicalNormalize('UPDATE t SET secret = $q$abc'), 'update t set secret = ?');
  });

  it('gives 16 digits that depend on every character', () => {
    assert.match(lexicalFingerprint(''), /^[0-9a-f]{16}$/);
    assert.notEqual(lexicalFingerprint('select a'), lexicalFingerprint('select b'));
  });

  it('takes linear time on long hostile texts', () => {
    const from = process.hrtime.bigint();
    for (const piece of ["'", '"', '$a', '/*', '--', '(', '1e', "E'\\"]) lexicalNormalize(piece.repeat(30_000));
    assert.ok(Number(process.hrtime.bigint() - from) / 1e6 < 5_000);
  });
});

describe('cache', () => {
  it('keeps the limits of entries and bytes and counts hits', async () => {
    const small = await createSqlAnalyzer({ maxEntries: 10, maxBytes: 5_000 });
    for (let i = 0; i < 100; i++) small.fingerprint(`SELECT ${i}`);
    assert.equal(small.stats().entries, 10);
    assert.equal(small.stats().misses, 100);
    small.fingerprint('SELECT 99');
    small.normalize('SELECT 99');
    assert.equal(small.stats().hits, 2);
    small.fingerprint(`SELECT '${'x'.repeat(800)}'`);
    assert.ok(small.stats().sizeBytes <= 5_000);
    small.fingerprint(`SELECT '${'y'.repeat(9000)}'`);
    assert.ok(small.stats().sizeBytes <= 5_000);
  });
});
