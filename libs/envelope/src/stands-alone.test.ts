// standsAlone: what a consumer is told of an envelope that needs its session.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { create } from '@bufbuild/protobuf';
import { DependencyReason, SessionContextSchema } from './gen/mirrorstream/v1/envelope_pb.ts';
import { standsAlone } from './stands-alone.ts';

const context = create(SessionContextSchema, {});
const every = Object.values(DependencyReason)
  .filter((reason) => typeof reason === 'number' && reason !== DependencyReason.UNSPECIFIED)
  .map((reason) => reason as DependencyReason);

test('an envelope with a context and no dependency stands alone', () => {
  assert.deepEqual(standsAlone({ context, dependsOnSession: [] }), { standsAlone: true, reasons: [] });
});

test('every dependency of the schema has a name of its own, and keeps the envelope from standing alone', () => {
  const names = every.map((reason) => {
    const { standsAlone: alone, reasons } = standsAlone({ context, dependsOnSession: [reason] });
    assert.equal(alone, false);
    assert.equal(reasons.length, 1);
    return reasons[0];
  });
  assert.equal(new Set(names).size, every.length);
  assert.ok(!names.includes('unknownReason'));
});

test('a reason of a later version is a reason all the same, and each reason is named once', () => {
  const later = 99 as DependencyReason;
  const dependsOnSession = [
    later,
    DependencyReason.LISTEN,
    DependencyReason.TEMP_TABLE,
    later,
    DependencyReason.LISTEN,
  ];
  assert.deepEqual(standsAlone({ context, dependsOnSession }).reasons, ['tempTable', 'listen', 'unknownReason']);
});

test('a part without a context goes where its first part went', () => {
  const part = { context: undefined, dependsOnSession: [DependencyReason.AFTER_GAP] };
  assert.deepEqual(standsAlone(part), { standsAlone: false, reasons: ['afterGap', 'noContext'] });
});
