// SET and RESET in every spelling, savepoints, and what the server reports.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SettingsTracker, savepointNameOf, settingChangeOf } from './settings.ts';

test('every spelling of SET names the setting it changes', () => {
  const named: Record<string, string> = {
    'SET search_path TO app, public': 'search_path',
    'set Session Search_Path = app': 'search_path',
    'SET "My"."Var" TO 1': 'my.var',
    'SET app.user_id = 7': 'app.user_id',
    "SET TIME ZONE 'UTC'": 'timezone',
    'SET SESSION TIME ZONE LOCAL': 'timezone',
    "SET NAMES 'UTF8'": 'client_encoding',
    "SET SCHEMA 'app'": 'search_path',
    'SET ROLE admin': 'role',
    'SET role TO admin': 'role',
    'SET SESSION AUTHORIZATION bob': 'session_authorization',
    'SET SESSION SESSION AUTHORIZATION bob': 'session_authorization',
    'SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL SERIALIZABLE': 'default_transaction_isolation',
    'SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE': 'default_transaction_read_only',
    'SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY, DEFERRABLE': 'session characteristics',
    'SET XML OPTION DOCUMENT': 'xmloption',
    '/* why */ SET -- now\n jit = off': 'jit',
  };
  for (const [sql, name] of Object.entries(named))
    assert.deepEqual(settingChangeOf(sql), { kind: 'set', name, sql }, sql);
});

test('RESET, and SET to the default, undo; SET LOCAL and SET TRANSACTION concern the session not at all', () => {
  assert.deepEqual(settingChangeOf('RESET ALL'), { kind: 'resetAll' });
  assert.deepEqual(settingChangeOf('RESET TIME ZONE'), { kind: 'reset', name: 'timezone' });
  assert.deepEqual(settingChangeOf('reset Work_Mem'), { kind: 'reset', name: 'work_mem' });
  assert.deepEqual(settingChangeOf('SET work_mem TO DEFAULT'), { kind: 'reset', name: 'work_mem' });
  assert.deepEqual(settingChangeOf('SET ROLE NONE'), { kind: 'reset', name: 'role' });
  assert.deepEqual(settingChangeOf('SET SESSION AUTHORIZATION DEFAULT'), {
    kind: 'reset',
    name: 'session_authorization',
  });
  for (const sql of [
    'SET LOCAL a = 1',
    'SET TRANSACTION READ ONLY',
    'SET CONSTRAINTS ALL DEFERRED',
    'SELECT 1',
    'SET',
    '',
  ]) {
    assert.equal(settingChangeOf(sql), null, sql);
  }
});

test('savepoint names are read from all three statements that have one', () => {
  assert.equal(savepointNameOf('SAVEPOINT a'), 'a');
  assert.equal(savepointNameOf('RELEASE SAVEPOINT "B"'), 'B');
  assert.equal(savepointNameOf('release c'), 'c');
  assert.equal(savepointNameOf('ROLLBACK WORK TO SAVEPOINT d'), 'd');
  assert.equal(savepointNameOf('ROLLBACK TO e'), 'e');
  assert.equal(savepointNameOf('ROLLBACK'), '');
  assert.equal(savepointNameOf('ROLLBACK AND CHAIN'), '');
});

const set = (tracker: SettingsTracker, sql: string): void => {
  const change = settingChangeOf(sql);
  assert.ok(change);
  tracker.change(change);
};
const sqls = (tracker: SettingsTracker): string[] => tracker.inForce.map((it) => it.sql);

test('the array of settings is the same object until something changes', () => {
  const tracker = new SettingsTracker();
  const before = tracker.inForce;
  set(tracker, 'SET a = 1');
  assert.equal(tracker.inForce, before);
  tracker.commit();
  const after = tracker.inForce;
  assert.notEqual(after, before);
  tracker.commit();
  tracker.rollback();
  assert.equal(tracker.inForce, after);
});

test('RESET ALL keeps the role; a new session authorization drops it', () => {
  const tracker = new SettingsTracker();
  set(tracker, 'SET ROLE r');
  set(tracker, 'SET a = 1');
  set(tracker, 'RESET ALL');
  tracker.commit();
  assert.deepEqual(sqls(tracker), ['SET ROLE r']);
  set(tracker, 'SET SESSION AUTHORIZATION s');
  tracker.commit();
  assert.deepEqual(sqls(tracker), ['SET SESSION AUTHORIZATION s']);
});

test('nested savepoints undo to the right place, and a released one undoes nothing', () => {
  const tracker = new SettingsTracker();
  tracker.savepoint('a');
  set(tracker, 'SET x = 1');
  tracker.savepoint('b');
  set(tracker, 'SET y = 2');
  tracker.release('b');
  set(tracker, 'SET z = 3');
  tracker.savepoint('a');
  set(tracker, 'SET z = 4');
  tracker.rollbackTo('a');
  tracker.commit();
  assert.deepEqual(sqls(tracker), ['SET x = 1', 'SET y = 2', 'SET z = 3']);
});

test('a reported value replaces an older SET, gives way to a newer one, and vanishes when it is the initial value again', () => {
  const tracker = new SettingsTracker();
  tracker.report('DateStyle', 'ISO, MDY', true);
  tracker.report('search_path', '"$user", public', true);
  set(tracker, 'SET datestyle TO sql');
  tracker.report('DateStyle', 'SQL, MDY', false);
  tracker.commit();
  assert.deepEqual(sqls(tracker), ['SET datestyle TO sql']);
  tracker.report('DateStyle', 'German, DMY', false);
  assert.deepEqual(sqls(tracker), ["SET DateStyle TO 'German, DMY'"]);
  tracker.report('search_path', 'app, "Odd"', false);
  assert.deepEqual(sqls(tracker), ["SET DateStyle TO 'German, DMY'", 'SET search_path TO app, "Odd"']);
  tracker.report('search_path', '"$user", public', false);
  tracker.report('server_version', '99', false);
  assert.deepEqual(sqls(tracker), ["SET DateStyle TO 'German, DMY'"]);
});

test('a session keeps a bounded number of settings', () => {
  const tracker = new SettingsTracker();
  for (let i = 0; i < 5000; i++) set(tracker, `SET a.v${i} = 1`);
  tracker.commit();
  for (let i = 0; i < 500; i++) {
    set(tracker, `SET b.v${i} = 1`);
    tracker.commit();
  }
  assert.equal(tracker.inForce.length, 64);
  assert.equal(tracker.inForce.at(-1)?.name, 'b.v499');
});
