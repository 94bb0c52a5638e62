// What of the captured traffic is played: filters on transactions, shedding, and that mirrors nest.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  type Filters,
  type MirrorSettings,
  neverShed,
  noFilters,
  type SideEffect,
  sideEffects,
} from '@mirrorstream/domain';
import { DependencyReason, type Envelope } from '@mirrorstream/envelope';
import { Admission } from './admission.ts';
import { bind, context, envelope, execute, frontend, parse, query, simple, sync } from './lane.fixture.ts';
import { notShedding, type SheddingState } from './shedding.ts';
import type { SqlShapes, TextFacts } from './transaction-facts.ts';

/** Knows `VERB table`; the fingerprint is the text itself. */
const shapes: SqlShapes = {
  facts(sql) {
    const [verb = '', first = '', ...rest] = sql.split(' ');
    const facts: TextFacts = { kind: 'unknown', tables: [], harmless: false, prepares: [], executes: [] };
    switch (verb) {
      case 'BEGIN':
      case 'COMMIT':
        return { ...facts, kind: 'control', harmless: true };
      case 'SELECT':
        return { ...facts, kind: 'reads', tables: [first], harmless: true };
      case 'UPDATE':
        return { ...facts, kind: 'writes', tables: [first] };
      case 'DROP':
        return { ...facts, kind: 'ddl', tables: [first] };
      case 'PREPARE':
        return {
          ...facts,
          kind: 'control',
          harmless: true,
          prepares: [{ name: first, facts: shapes.facts(rest.join(' ')) }],
        };
      case 'EXECUTE':
        return { ...facts, kind: 'control', harmless: true, executes: [first] };
      default:
        return facts;
    }
  },
  fingerprint: (sql) => sql,
  mayHaveSideEffects: (text) => text.includes('NOTIFY') || text.includes('DBLINK'),
  sideEffects: (sql) =>
    new Set(sql.startsWith('NOTIFY') ? ['notify'] : sql.includes('DBLINK') ? ['remoteDatabase'] : []),
};

const base: MirrorSettings = {
  replay: 'on',
  exposure: 1,
  filters: noFilters,
  shed: neverShed,
  allowSideEffects: [],
};

const of = (...texts: readonly string[]): Envelope => envelope({ seq: 1 }, ...texts.map((sql) => simple(sql, 'TAG')));
const firstPart = (...texts: readonly string[]): Envelope =>
  envelope({ seq: 1, lastPart: false }, ...texts.map((sql) => simple(sql, 'TAG', 'T')));

function filtered(filters: Partial<Filters>, it: Envelope): string | null {
  const admission = new Admission({ ...base, filters: { ...noFilters, ...filters } }, shapes);
  return admission.transaction(it)?.reason ?? null;
}

function shedding(state: Partial<SheddingState>, settings: Partial<MirrorSettings> = {}): Admission {
  const shed = { ...neverShed, readsBehindMs: 1 };
  return new Admission({ ...base, shed, ...settings }, shapes, { ...notShedding, ...state });
}

describe('admission of transactions', () => {
  it('goes by the statement that does the most', () => {
    const readsOnly = { includeClasses: ['reads'] } as const;
    assert.equal(filtered(readsOnly, of('BEGIN', 'SELECT a', 'COMMIT')), null);
    assert.equal(filtered(readsOnly, of('BEGIN', 'SELECT a', 'UPDATE a', 'COMMIT')), 'statementClass');
    assert.equal(filtered(readsOnly, of('CALL')), 'statementClass');
    assert.equal(filtered({ excludeClasses: ['ddl'] }, of('UPDATE a', 'DROP a')), 'statementClass');
    assert.equal(filtered({ excludeClasses: ['ddl'] }, of('UPDATE a')), null);
  });

  it('goes by the tables, with and without their schemas; exclusion wins', () => {
    assert.equal(filtered({ excludeTables: ['a'] }, of('SELECT b', 'SELECT a')), 'table');
    assert.equal(filtered({ excludeTables: ['a'] }, of('SELECT shop.a')), 'table');
    assert.equal(filtered({ excludeTables: ['shop.a'] }, of('SELECT a')), 'table');
    assert.equal(filtered({ excludeTables: ['shop.a'] }, of('SELECT other.a')), null);
    assert.equal(filtered({ includeTables: ['a', 'b'] }, of('SELECT c', 'SELECT b')), null);
    assert.equal(filtered({ includeTables: ['a'] }, of('SELECT c')), 'table');
    assert.equal(filtered({ includeTables: ['a'], excludeTables: ['c'] }, of('SELECT a', 'SELECT c')), 'table');
  });

  it('goes by fingerprints', () => {
    assert.equal(filtered({ excludeFingerprints: ['SELECT a'] }, of('BEGIN', 'SELECT a')), 'fingerprint');
    assert.equal(filtered({ includeFingerprints: ['SELECT a'] }, of('BEGIN', 'SELECT a')), null);
    assert.equal(filtered({ includeFingerprints: ['SELECT a'] }, of('SELECT b')), 'fingerprint');
  });

  it('goes by the time of day, over midnight too', () => {
    const at = (hours: number, minutes: number): Envelope => {
      const it = of('SELECT a');
      return { ...it, startedAtUs: BigInt(Date.UTC(2026, 0, 5, hours, minutes)) * 1000n };
    };
    assert.equal(filtered({ includeTimes: ['09:00-17:30'] }, at(9, 0)), null);
    assert.equal(filtered({ includeTimes: ['09:00-17:30'] }, at(17, 30)), 'timeOfDay');
    assert.equal(filtered({ excludeTimes: ['22:00-06:00'] }, at(23, 59)), 'timeOfDay');
    assert.equal(filtered({ excludeTimes: ['22:00-06:00'] }, at(5, 59)), 'timeOfDay');
    assert.equal(filtered({ excludeTimes: ['22:00-06:00'] }, at(6, 0)), null);
    assert.equal(filtered({ includeTimes: ['12:00-24:00'] }, at(23, 59)), null);
  });

  it('knows what prepared statements do, from the context, from the transaction itself, and by name', () => {
    const executed = { request: frontend(bind('s'), execute, sync) };
    const named = envelope({ seq: 2, context: context({ statements: { s: 'UPDATE a' } }) }, executed);
    assert.equal(filtered({ includeClasses: ['reads'] }, named), 'statementClass');
    assert.equal(filtered({ excludeTables: ['a'] }, named), 'table');
    const own = envelope({ seq: 1 }, { request: frontend(parse('', 'SELECT a'), bind(''), execute, sync) });
    assert.equal(filtered({ includeClasses: ['reads'] }, own), null);
    assert.equal(filtered({ includeClasses: ['reads'] }, of('PREPARE p SELECT a', 'EXECUTE p')), null);
    assert.equal(filtered({ includeClasses: ['reads'] }, of('PREPARE p UPDATE a', 'EXECUTE p')), 'statementClass');
    assert.equal(filtered({ includeClasses: ['reads'] }, of('EXECUTE nobody-knows')), 'statementClass');
    const sqlStatements = [
      { $typeName: 'mirrorstream.v1.SqlStatement' as const, name: 'p', sql: 'PREPARE p UPDATE a' },
    ];
    const later = of('EXECUTE p');
    if (later.context === undefined) throw new Error('a first part has a context');
    later.context.sqlStatements.push(...sqlStatements);
    assert.equal(filtered({ excludeTables: ['a'] }, later), 'table');
  });

  it('lets pass what sets and begins and nothing else, whatever the filters', () => {
    const strict = { includeClasses: ['ddl'], includeTables: ['x'], includeFingerprints: ['x'] } as const;
    assert.equal(filtered(strict, of('BEGIN', 'COMMIT')), null);
  });

  it('decides by the first part, and plays what that does not tell yet', () => {
    assert.equal(filtered({ includeClasses: ['writes'] }, firstPart('BEGIN', 'SELECT a')), null);
    assert.equal(filtered({ excludeClasses: ['reads'] }, firstPart('SELECT a')), null);
    assert.equal(filtered({ excludeClasses: ['writes'] }, firstPart('UPDATE a')), 'statementClass');
    assert.equal(filtered({ includeTables: ['b'] }, firstPart('SELECT a')), null);
    assert.equal(filtered({ excludeTables: ['a'] }, firstPart('SELECT a')), 'table');
  });

  it('says what a session loses by it', () => {
    const noReads = new Admission({ ...base, filters: { ...noFilters, excludeClasses: ['reads', 'writes'] } }, shapes);
    assert.equal(noReads.transaction(of('SELECT a'))?.harmless, true);
    assert.equal(noReads.transaction(of('UPDATE a'))?.harmless, false);
    const cursor = envelope({ seq: 1, dependsOn: [DependencyReason.HELD_CURSOR] }, simple('SELECT a', 'SELECT 1'));
    assert.equal(noReads.transaction(cursor)?.harmless, false);
  });
});

describe('admission while shedding', () => {
  it('sheds reads first, and nothing that may write or goes on', () => {
    const admission = shedding({ stage: 'reads', cause: 'queueBytes' });
    assert.deepEqual(admission.transaction(of('BEGIN', 'SELECT a', 'COMMIT')), {
      outcome: 'shed',
      reason: 'queueBytes',
      harmless: true,
    });
    for (const played of [
      of('UPDATE a'),
      of('CALL'),
      of('BEGIN'),
      firstPart('SELECT a'),
      { ...of('SELECT a'), writes: true },
    ])
      assert.equal(admission.transaction(played), null);
  });

  it('filters before it sheds: each transaction has one reason', () => {
    const filters = { ...noFilters, excludeTables: ['a'] };
    assert.equal(shedding({ stage: 'reads' }, { filters }).transaction(of('SELECT a'))?.reason, 'table');
  });

  it('sheds whole sessions from the upper end of the exposed ones, so that what is left nests', () => {
    const played = (exposure: number, share: number): number[] => {
      const admission = shedding({ stage: 'sessions', share }, { exposure });
      const draws = Array.from({ length: 100 }, (_, at) => at / 100);
      return draws.filter((samplingDraw) => {
        const it = { ...of('UPDATE a'), samplingDraw };
        return admission.session(it).kind === 'replay' && admission.transaction(it) === null;
      });
    };
    assert.equal(played(1, 0.25).length, 75);
    assert.equal(played(0.5, 0.5).length, 25);
    assert.equal(played(1, 1).length, 0);
    let before: number[] = [];
    for (const [exposure, share] of [
      [0.2, 0.5],
      [0.2, 0],
      [0.5, 0.5],
      [0.5, 0],
      [1, 0.25],
      [1, 0],
    ] as const) {
      const now = played(exposure, share);
      assert.ok(before.every((draw) => now.includes(draw)));
      before = now;
    }
  });

  it('skips what production did before a moment and plays what it did after', () => {
    const admission = shedding({ stage: 'skip', skipBeforeUs: 1_000_500_000 });
    const at = (startedUs: number): Envelope => envelope({ seq: 1, startedUs }, simple('UPDATE a', 'UPDATE 1'));
    assert.equal(admission.transaction(at(400_000))?.reason, 'skipToNow');
    assert.equal(admission.transaction(at(600_000)), null);
  });
});

describe('what reaches outside of the database', () => {
  const reason = (it: Envelope, ...allowSideEffects: readonly SideEffect[]): string | null =>
    new Admission({ ...base, allowSideEffects }, shapes).transaction(it)?.reason ?? null;

  it('is left out with its whole transaction, unless that effect is allowed', () => {
    assert.equal(reason(of('BEGIN', 'UPDATE a', 'NOTIFY a', 'COMMIT')), 'sideEffect');
    assert.equal(reason(of('NOTIFY a'), 'notify'), null);
    assert.equal(reason(of('NOTIFY a', 'SELECT DBLINK'), 'notify'), 'sideEffect');
    assert.equal(reason(of('SELECT DBLINK'), ...sideEffects), null);
    assert.equal(reason(of('UPDATE a', 'SELECT b')), null);
  });

  it('is found in statements prepared earlier, of both kinds', () => {
    const run = { request: frontend(bind('s'), execute, sync) };
    const named = context({ statements: { s: 'SELECT DBLINK' } });
    assert.equal(reason(envelope({ seq: 1, context: named }, run)), 'sideEffect');
    const sqlLevel = { ...context(), sqlStatements: [{ name: 'p', sql: 'PREPARE p AS SELECT DBLINK' }] };
    assert.equal(reason(envelope({ seq: 1, context: sqlLevel }, simple('EXECUTE p', 'TAG'))), 'sideEffect');
  });

  it('is found in any frame of a long request, and in a later part', () => {
    const long = frontend(query('SELECT a'), query(`INSERT ${'x'.repeat(20_000)}`), query('NOTIFY a'));
    assert.equal(reason(envelope({ seq: 1 }, { request: long })), 'sideEffect');
    const admission = new Admission(base, shapes);
    assert.equal(admission.withholds(envelope({ seq: 1, part: 1 }, simple('NOTIFY a', 'TAG'))), true);
    assert.equal(admission.withholds(envelope({ seq: 1, part: 1 }, simple('UPDATE a', 'TAG'))), false);
  });
});
