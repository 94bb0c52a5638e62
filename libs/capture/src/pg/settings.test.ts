// SET and RESET in every spelling, savepoints, and what the server reports.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DependencyReason } from '@mirrorstream/envelope';
import { dependencyBit, Facet, SessionState } from './session-state.ts';
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

const limits = { maxSettings: 64, maxSettingBytes: 64 * 1024 };

/** A session's settings with their journal. */
function session(of = limits) {
  const settings = new SettingsTracker(of);
  const state = new SessionState(settings);
  const set = (sql: string): void => {
    const change = settingChangeOf(sql);
    assert.ok(change);
    state.journal.change(change);
  };
  return { settings, state, journal: state.journal, set, sqls: () => settings.inForce.map((it) => it.sql) };
}

test('the array of settings is the same object until something changes', () => {
  const { settings, journal, set } = session();
  const before = settings.inForce;
  set('SET a = 1');
  assert.equal(settings.inForce, before);
  journal.commit();
  const after = settings.inForce;
  assert.notEqual(after, before);
  journal.commit();
  journal.rollback();
  assert.equal(settings.inForce, after);
});

test('RESET ALL keeps the role; a new session authorization drops it', () => {
  const { journal, set, sqls } = session();
  set('SET ROLE r');
  set('SET a = 1');
  set('RESET ALL');
  journal.commit();
  assert.deepEqual(sqls(), ['SET ROLE r']);
  set('SET SESSION AUTHORIZATION s');
  journal.commit();
  assert.deepEqual(sqls(), ['SET SESSION AUTHORIZATION s']);
});

test('nested savepoints undo to the right place, and a released one undoes nothing', () => {
  const { journal, set, sqls } = session();
  journal.savepoint('a');
  set('SET x = 1');
  journal.savepoint('b');
  set('SET y = 2');
  journal.release('b');
  set('SET z = 3');
  journal.savepoint('a');
  set('SET z = 4');
  journal.rollbackTo('a');
  journal.commit();
  assert.deepEqual(sqls(), ['SET x = 1', 'SET y = 2', 'SET z = 3']);
});

test('a reported value replaces an older SET, gives way to a newer one, and vanishes when it is the initial value again', () => {
  const { settings, journal, set, sqls } = session();
  settings.report('DateStyle', 'ISO, MDY', true);
  settings.report('search_path', '"$user", public', true);
  set('SET datestyle TO sql');
  settings.report('DateStyle', 'SQL, MDY', false);
  journal.commit();
  assert.deepEqual(sqls(), ['SET datestyle TO sql']);
  settings.report('DateStyle', 'German, DMY', false);
  assert.deepEqual(sqls(), ["SET DateStyle TO 'German, DMY'"]);
  settings.report('search_path', 'app, "Odd"', false);
  assert.deepEqual(sqls(), ["SET DateStyle TO 'German, DMY'", 'SET search_path TO app, "Odd"']);
  settings.report('search_path', '"$user", public', false);
  settings.report('server_version', '99', false);
  assert.deepEqual(sqls(), ["SET DateStyle TO 'German, DMY'"]);
});

const unknownSetting = dependencyBit(DependencyReason.UNKNOWN_SETTING);

test('a session keeps a bounded number and size of settings; what it had no room for is said until RESET ALL', () => {
  for (const of of [
    { maxSettings: 10, maxSettingBytes: 64 * 1024 },
    { maxSettings: 64, maxSettingBytes: 400 },
  ]) {
    const { settings, state, journal, set, sqls } = session(of);
    for (let i = 0; i < 10; i++) set(`SET a.v${i} = 1`);
    journal.commit();
    assert.equal(state.dependencies, of.maxSettings === 10 ? 0 : unknownSetting);
    for (let i = 0; i < 50; i++) {
      set(`SET b.v${i} = 1`);
      journal.commit();
    }
    assert.ok(settings.sizeBytes <= of.maxSettingBytes && sqls().length <= of.maxSettings);
    assert.equal(state.dependencies, unknownSetting);
    set('RESET ALL');
    journal.commit();
    assert.deepEqual([settings.sizeBytes, sqls(), state.dependencies], [0, [], 0]);
    set(`SET a.long = '${'x'.repeat(70_000)}'`);
    journal.commit();
    assert.equal(state.dependencies, unknownSetting);
  }
});

test('a transaction with more changes than are kept loses track of its settings, and says so when it commits', () => {
  const { state, journal, set } = session();
  const fill = (): void => {
    journal.savepoint('first');
    for (let i = 0; i < 5000; i++) set(`SET a.v${i % 7} = 1`);
    journal.rollbackTo('first');
  };
  fill();
  journal.rollback();
  assert.equal(state.dependencies, 0);
  fill();
  journal.commit();
  assert.equal(state.dependencies, unknownSetting);
});

test('after a gap every facet is unknown until a command settles it, and the reports from before count no more', () => {
  const afterGap = dependencyBit(DependencyReason.AFTER_GAP);
  const { settings, state, journal, set, sqls } = session();
  settings.report('TimeZone', 'UTC', true);
  settings.report('TimeZone', 'Asia/Tokyo', false);
  state.gap();
  set('RESET ALL');
  set('RESET SESSION AUTHORIZATION');
  journal.change({ kind: 'discardTemp' });
  journal.change({ kind: 'unlisten', channel: null });
  journal.commit();
  assert.deepEqual(sqls(), []);
  state.settle(Facet.cursors);
  assert.equal(state.dependencies, afterGap);
  state.settle(Facet.locks);
  assert.equal(state.dependencies, 0);
  state.gap();
  state.discardAll();
  assert.equal(state.dependencies, 0);
});
