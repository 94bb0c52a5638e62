// Findings: one per shape and class, decided with the control mirrors, hidden by suppressions with exact counts, reopened by being seen.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { aggregateOf, seen } from './aggregate.fixture.ts';
import { findingsOf } from './findings.ts';
import { findingId } from './fnv.ts';
import { type Aggregate, findingSchema, suppressionCountSchema } from './model.ts';
import {
  type FindingRecords,
  findingKeyOf,
  parseStatusRecord,
  parseSuppressionRecord,
  type SuppressionRecord,
  statusKey,
  suppressionKey,
} from './records.ts';

const nowMs = 5_000_000;
const fingerprint = '00000000000000aa';

const records = (
  suppressions: Readonly<Record<string, Partial<SuppressionRecord>>> = {},
  statuses: FindingRecords['statuses'] = new Map(),
): FindingRecords => ({
  statuses,
  suppressions: new Map(
    Object.entries(suppressions).map(([id, one]) => [
      id,
      { version: 1, owner: 'ana', reason: 'known', createdAtMs: 0, expiresAtMs: nowMs + 1, scope: {}, ...one },
    ]),
  ),
});

const controlOf = (aggregates: readonly Aggregate[]) => [{ mirror: 'control', run: 'live', aggregates }];

const two = aggregateOf([
  [900, seen('match')],
  [60, seen('value', { columns: ['a'] })],
  [30, seen('value', { columns: ['b', 'a'] })],
  [10, seen('value')],
]);

describe('findings', () => {
  it('are one for each shape and class of difference, with counts, columns and an id that is always the same', () => {
    const mixed = aggregateOf([
      [10, seen('match')],
      [4, seen('errorNew', { errorReplayed: '42P01' })],
      [2, seen('errorNew', { errorReplayed: '23505' })],
      [3, seen('rowCount')],
      [5, seen('suspect')],
      [6, seen('notCompared', { notCompared: 'volatile' })],
    ]);
    const { findings } = findingsOf({ aggregates: [mixed], controls: [], records: records(), nowMs });
    for (const finding of findings) findingSchema.parse(finding);
    assert.deepEqual(
      findings.map(({ class: name, count, calls, compared }) => [name, count, calls, compared]),
      [
        ['errorNew', 6, 30, 24],
        ['rowCount', 3, 30, 24],
      ],
    );
    assert.deepEqual(findings[0]?.errors, [
      { captured: '', replayed: '42P01', count: 4 },
      { captured: '', replayed: '23505', count: 2 },
    ]);
    assert.equal(findings[0]?.id, findingId(fingerprint, 'errorNew'));
    assert.match(findings[0]?.id ?? '', /^[0-9a-f]{12}$/);
    assert.equal(new Set(findings.map(({ id }) => id)).size, 2);
  });

  it('are real, noise or undecided by what control mirrors show of the same shape and class, all of them together', () => {
    const candidate = aggregateOf([
      [9_400, seen('match')],
      [300, seen('value', { columns: ['at'] })],
      [300, seen('rowCount')],
    ]);
    const control = aggregateOf([
      [4_850, seen('match')],
      [150, seen('value', { columns: ['at'] })],
    ]);
    const { findings } = findingsOf({
      aggregates: [candidate],
      controls: [...controlOf([control]), ...controlOf([control])],
      records: records(),
      nowMs,
    });
    const decisions = findings.map(({ class: name, decision }) => [name, decision]);
    assert.deepEqual(decisions, [
      ['rowCount', 'real'],
      ['value', 'noise'],
    ]);
    assert.equal(findings[1]?.noise?.compared, 10_000);
    assert.equal(findings[1]?.columns[0]?.decision, 'noise');
  });

  it('are real as soon as one column is more than noise, however noisy another one is', () => {
    const candidate = aggregateOf([
      [5_000, seen('match')],
      [4_900, seen('value', { columns: ['at'] })],
      [100, seen('value', { columns: ['at', 'price'] })],
    ]);
    const control = aggregateOf([
      [5_000, seen('match')],
      [5_000, seen('value', { columns: ['at'] })],
    ]);
    const { findings } = findingsOf({
      aggregates: [candidate],
      controls: controlOf([control]),
      records: records(),
      nowMs,
    });
    assert.equal(findings[0]?.decision, 'real');
    assert.match(findings[0]?.why ?? '', /^column price: /);
    assert.deepEqual(
      findings[0]?.columns.map(({ name, decision }) => [name, decision]),
      [
        ['at', 'noise'],
        ['price', 'real'],
      ],
    );
  });

  it('are hidden by a suppression statement by statement: in a column only where no other column differs', () => {
    const hiddenBy = (suppressions: Readonly<Record<string, Partial<SuppressionRecord>>>) => {
      const { findings, suppressions: counted } = findingsOf({
        aggregates: [two],
        controls: [],
        records: records(suppressions),
        nowMs,
      });
      for (const one of counted) suppressionCountSchema.parse(one);
      return { hidden: findings[0]?.hidden, status: findings[0]?.status, hides: counted.map(({ hides }) => hides) };
    };
    assert.deepEqual(hiddenBy({ x: { scope: { column: 'a' } } }), { hidden: 60, status: 'open', hides: [60] });
    assert.deepEqual(hiddenBy({ x: { scope: { column: 'b' } } }), { hidden: 0, status: 'open', hides: [0] });
    const both = { x: { scope: { column: 'a' } }, y: { scope: { column: 'b', class: 'value' as const } } };
    assert.deepEqual(hiddenBy(both), { hidden: 90, status: 'open', hides: [90, 30] });
    assert.deepEqual(hiddenBy({ x: { scope: { class: 'value' } } }), {
      hidden: 100,
      status: 'suppressed',
      hides: [100],
    });
    assert.deepEqual(hiddenBy({ x: { scope: { table: 't' } } }), { hidden: 100, status: 'suppressed', hides: [100] });
    assert.deepEqual(hiddenBy({ x: { scope: { table: 'other.t' } } }), { hidden: 0, status: 'open', hides: [0] });
    assert.deepEqual(hiddenBy({ x: { scope: { fingerprint, class: 'rowCount' } } }), {
      hidden: 0,
      status: 'open',
      hides: [0],
    });
  });

  it('are seen again when their suppression has expired, and it says what it would hide', () => {
    const found = findingsOf({
      aggregates: [two],
      controls: [],
      records: records({ x: { scope: { fingerprint }, expiresAtMs: nowMs } }),
      nowMs,
    });
    assert.equal(found.findings[0]?.status, 'open');
    assert.equal(found.findings[0]?.hidden, 0);
    assert.deepEqual(found.findings[0]?.expiredSuppressions, ['x']);
    assert.deepEqual(
      found.suppressions.map(({ state, hides }) => [state, hides]),
      [['expired', 100]],
    );
  });

  it('stand where somebody said, until they are seen after they were resolved', () => {
    const id = findingId(fingerprint, 'value');
    const statusAt = (status: 'acknowledged' | 'resolved' | 'reopened', atMs: number) =>
      findingsOf({
        aggregates: [two],
        controls: [],
        records: records({}, new Map([[id, { version: 1, status, by: 'ana', reason: 'r', atMs }]])),
        nowMs,
      }).findings[0]?.status;
    // Seen last at 1 000 ms.
    assert.equal(statusAt('acknowledged', 500), 'acknowledged');
    assert.equal(statusAt('resolved', 1_000), 'resolved');
    assert.equal(statusAt('resolved', 999), 'reopened');
    assert.equal(statusAt('reopened', 999), 'reopened');
  });

  it('have records that keys and JSON carry, and a scope that names nothing or the unknown is refused', () => {
    assert.deepEqual(findingKeyOf('e', 'm', statusKey('e', 'm', 'abc')), { kind: 'status', id: 'abc' });
    assert.deepEqual(findingKeyOf('e', 'm', suppressionKey('e', 'm', 'abc')), { kind: 'suppression', id: 'abc' });
    assert.equal(findingKeyOf('e', 'm', statusKey('e', 'm2', 'abc')), null);
    assert.equal(findingKeyOf('e', 'm', 'mirror/e/m'), null);
    const suppression = { version: 1, owner: 'a', reason: 'b', createdAtMs: 1, expiresAtMs: 2 };
    assert.equal(parseSuppressionRecord(JSON.stringify({ ...suppression, scope: { column: 'c' } })).scope.column, 'c');
    for (const scope of [{}, { user: 'x' }, { class: 'nonsense' }])
      assert.throws(() => parseSuppressionRecord(JSON.stringify({ ...suppression, scope })), /not usable/);
    assert.throws(
      () => parseStatusRecord('{"version": 1, "status": "gone", "by": "x", "reason": "", "atMs": 1}'),
      /status/,
    );
  });
});
