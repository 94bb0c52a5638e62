import assert from 'node:assert/strict';
import { before, describe, it } from 'node:test';
import { createSqlAnalyzer } from './analyzer.ts';
import { mayEndTransaction, transactionCommands } from './transaction-commands.ts';

const kinds = (sql: string): string =>
  (transactionCommands(sql) ?? []).map(({ kind, name }) => (name === '' ? kind : `${kind} ${name}`)).join('; ');

describe('what a statement is to its transaction', () => {
  before(() => createSqlAnalyzer());

  it('is told of what begins and ends one', () => {
    const expected: Readonly<Record<string, string>> = {
      'BEGIN ISOLATION LEVEL SERIALIZABLE': 'begin BEGIN',
      'START TRANSACTION': 'begin START TRANSACTION',
      END: 'commit COMMIT',
      'COMMIT WORK': 'commit COMMIT',
      'COMMIT AND CHAIN': 'outside COMMIT AND CHAIN',
      ABORT: 'rollback ROLLBACK',
      'ROLLBACK TO SAVEPOINT a': 'inside SAVEPOINT',
      'RELEASE a': 'inside SAVEPOINT',
      "PREPARE TRANSACTION 'x'": 'outside PREPARE TRANSACTION',
      "COMMIT PREPARED 'x'": 'outside COMMIT PREPARED',
      'UPDATE t SET a = 1; COMMIT': 'inside; commit COMMIT',
      '': '',
    };
    for (const [sql, kind] of Object.entries(expected)) assert.equal(kinds(sql), kind, sql);
  });

  it('is told of what cannot run inside, or stays after a ROLLBACK', () => {
    const expected: Readonly<Record<string, string>> = {
      'VACUUM t': 'outside VACUUM',
      'ANALYZE t': 'inside ANALYZE',
      'CREATE INDEX CONCURRENTLY i ON t (a)': 'outside CONCURRENTLY',
      'CREATE INDEX i ON t (a)': 'inside',
      'DROP INDEX CONCURRENTLY i': 'outside CONCURRENTLY',
      'REINDEX TABLE CONCURRENTLY t': 'outside CONCURRENTLY',
      'REINDEX TABLE t': 'inside',
      'REINDEX DATABASE d': 'outside REINDEX',
      CLUSTER: 'outside CLUSTER',
      'CLUSTER t': 'inside',
      'DISCARD ALL': 'outside DISCARD ALL',
      'DISCARD TEMP': 'inside',
      'ALTER TABLE a DETACH PARTITION b CONCURRENTLY': 'outside CONCURRENTLY',
      "SELECT pg_catalog.setval('s', 1)": 'lasting setval()',
      "SELECT nextval('s')": 'inside',
      'CREATE DATABASE x': 'outside CREATE DATABASE',
      "ALTER SYSTEM SET work_mem = '1MB'": 'outside ALTER SYSTEM',
    };
    for (const [sql, kind] of Object.entries(expected)) assert.equal(kinds(sql), kind, sql);
  });

  it('says where each begins, in bytes, behind characters of several bytes', () => {
    const sql = "SELECT 'äöü';COMMIT";
    const commit = transactionCommands(sql)?.[1];
    assert.equal(Buffer.from(sql).subarray(commit?.startByte).toString(), 'COMMIT');
  });

  it('leaves a text that does not parse to its words', () => {
    assert.equal(transactionCommands('SELEC 1'), null);
    assert.equal(mayEndTransaction('SELEC 1; commit'), true);
    assert.equal(mayEndTransaction('SELECT new_thing WITHIN x'), false);
  });
});
