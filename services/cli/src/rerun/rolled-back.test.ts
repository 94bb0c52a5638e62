import assert from 'node:assert/strict';
import { before, describe, it } from 'node:test';
import type { Envelope } from '@mirrorstream/envelope';
import { createSqlAnalyzer, mayEndTransaction, type SqlAnalyzer, transactionCommands } from '@mirrorstream/sql';
import {
  bind,
  envelope,
  execute,
  parse,
  query,
  ready,
  type SketchedExchange,
  sync,
  tag,
} from '../inspect/captured.fixture.ts';
import { isOwnExchange, type Refusal, type RolledBack, rolledBack } from './rolled-back.ts';

const sent = (...messages: SketchedExchange['request']): SketchedExchange => ({
  request: messages,
  answer: [tag('X'), ready()],
});

describe('a captured transaction made one that leaves nothing behind', () => {
  let sql: SqlAnalyzer;
  before(async () => {
    sql = await createSqlAnalyzer();
  });

  const plan = (...parts: readonly Envelope[]): RolledBack | Refusal =>
    rolledBack(parts, {
      commands: transactionCommands,
      mayEndTransaction,
      sideEffects: (text) => sql.sideEffects(text),
    });
  const played = (...parts: readonly Envelope[]): RolledBack => {
    const found = plan(...parts);
    assert.ok(!('refused' in found), 'refused' in found ? found.refused : '');
    return found;
  };
  const refused = (...exchanges: readonly SketchedExchange[]): string => {
    const found = plan(envelope({}, ...exchanges));
    assert.ok('refused' in found, 'it was not refused');
    return found.refused;
  };
  const texts = ({ envelopes }: RolledBack): string[] =>
    envelopes.flatMap(({ exchanges }) => exchanges.map(({ request }) => Buffer.from(request).toString()));

  it('puts BEGIN in front of a statement that stood alone, and ROLLBACK behind it', () => {
    const found = played(envelope({}, sent(query('UPDATE t SET a = 1'))));
    assert.deepEqual(
      texts(found).map((line) => /BEGIN|UPDATE|ROLLBACK/.exec(line)?.[0]),
      ['BEGIN', 'UPDATE', 'ROLLBACK'],
    );
    assert.equal(found.commitCheck, null);
  });

  it('sends a check and ROLLBACK instead of a COMMIT that came alone, in either protocol', () => {
    for (const commit of [sent(query('COMMIT;')), sent(parse('', 'END'), bind(''), execute, sync)]) {
      const found = played(envelope({}, sent(query('BEGIN')), sent(query('INSERT INTO t VALUES (1)')), commit));
      const words = texts(found).map(
        (line) => /BEGIN|INSERT|SET CONSTRAINTS ALL IMMEDIATE|ROLLBACK|COMMIT|END/.exec(line)?.[0],
      );
      assert.deepEqual(words, ['BEGIN', 'INSERT', 'SET CONSTRAINTS ALL IMMEDIATE', 'ROLLBACK']);
      assert.equal(isOwnExchange(found.commitCheck ?? 0), true);
      assert.equal(found.cut, null);
    }
  });

  it('cuts COMMIT off a text of several statements, and says how many are left', () => {
    const found = played(envelope({}, sent(query("BEGIN; UPDATE t SET a = 'ä'; COMMIT"))));
    const kept = texts(found)[0] ?? '';
    assert.match(kept, /BEGIN; UPDATE t SET a = 'ä'; ?/);
    assert.ok(!kept.includes('COMMIT'), kept);
    assert.deepEqual(found.cut, { exchange: 0, statements: 2 });
  });

  it('goes over the parts of a long transaction', () => {
    const first = envelope({ lastPart: false }, sent(query('BEGIN')), sent(query('SELECT 1')));
    const second = envelope({ part: 1 }, { ...sent(query('COMMIT')), index: 2 });
    const found = played(first, second);
    assert.equal(found.envelopes.length, 2);
    assert.equal(
      found.envelopes[1]?.exchanges.every(({ index }) => isOwnExchange(index)),
      true,
    );
  });

  it('keeps everything captured behind the BEGIN that it adds', () => {
    const [only] = played(envelope({}, sent(query('SELECT 1')), sent(query('SELECT 2')))).envelopes;
    const [own, ...others] = only?.exchanges ?? [];
    assert.ok(others.every(({ sentUs }) => sentUs >= (own?.doneUs ?? 0n)));
  });

  it('refuses what would be kept', () => {
    assert.match(
      refused(sent(query('UPDATE t SET a = 1; COMMIT; UPDATE t SET a = 2'))),
      /exchange 0 has COMMIT in its middle/,
    );
    assert.match(
      refused(sent(query('BEGIN')), sent(query('ROLLBACK; DELETE FROM t'))),
      /exchange 1 has ROLLBACK in its middle/,
    );
    assert.match(refused(sent(query('BEGIN')), sent(query('COMMIT AND CHAIN'))), /COMMIT AND CHAIN/);
    assert.match(refused(sent(query('VACUUM'))), /VACUUM/);
    assert.match(refused(sent(query("SELECT setval('s', 1)"))), /setval\(\)/);
    assert.match(refused(sent(query("COPY t TO PROGRAM 'cat'"))), /program/);
    assert.match(refused(sent(query("SELECT dblink_exec('x', 'y')"))), /remoteDatabase/);
    assert.match(refused(sent(query('SELEC 1; COMMIT'))), /does not parse/);
    assert.match(
      refused(sent(parse('', 'UPDATE t SET a = 1'), bind(''), execute, parse('', 'COMMIT'), bind(''), execute, sync)),
      /sent together with other messages/,
    );
  });

  it('refuses a COMMIT that hides in a statement prepared earlier, and one whose text nobody knows', () => {
    const found = plan(
      envelope({ statements: { c: 'COMMIT' } }, sent(bind('c'), execute, sync), sent(query('DELETE FROM t'))),
    );
    assert.ok('refused' in found && /COMMIT in its middle/.test(found.refused));
    assert.match(refused(sent(bind('unknown'), execute, sync)), /never captured/);
  });

  it('lets through what a ROLLBACK takes back', () => {
    for (const text of [
      'NOTIFY x',
      'CREATE TABLE u (a int)',
      'SAVEPOINT a; ROLLBACK TO a',
      'TRUNCATE t',
      'CREATE ROLE r',
    ])
      played(envelope({}, sent(query(text))));
  });

  it('needs all parts', () => {
    const half = plan(envelope({ lastPart: false }, sent(query('BEGIN'))));
    assert.ok('refused' in half && /not all of its parts/.test(half.refused));
  });
});
