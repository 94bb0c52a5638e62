// The control record of a mirror: what is absent leaves the flags in force, what is unknown survives, what is wrong is refused by name.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { filterFlags, noFilters } from './filters.ts';
import {
  changeMirrorControl,
  clearedMirrorControl,
  encodeMirrorControl,
  type MirrorSettings,
  mirrorSettingsInForce,
  parseMirrorControl,
} from './mirror-control.ts';
import { neverShed, shedFlags, shedProblem } from './shed.ts';

const flags: MirrorSettings = {
  replay: 'on',
  exposure: 0.5,
  filters: { ...noFilters, excludeUsers: ['backup'] },
  shed: { ...neverShed, readsBehindMs: 1_000 },
  allowSideEffects: ['notify'],
};

describe('the control record of a mirror', () => {
  it('keeps what the mirror is for when all else is cleared, and is gone when it says nothing more', () => {
    const control = changeMirrorControl(changeMirrorControl(null, { role: 'control' }), { exposure: 0.5 });
    assert.deepEqual(control, { version: 1, role: 'control', exposure: 0.5 });
    assert.deepEqual(clearedMirrorControl(control), { version: 1, role: 'control' });
    assert.equal(clearedMirrorControl(changeMirrorControl(null, { exposure: 0.5 })), null);
    assert.throws(() => parseMirrorControl('{"version": 1, "role": "spare"}'), /role/);
  });

  it('overrides only what it names, within filters and shedding too', () => {
    const control = changeMirrorControl(null, {
      filters: { excludeTables: ['audit'] },
      shed: { readsBehindMs: null, skipBehindMs: 60_000 },
    });
    assert.deepEqual(mirrorSettingsInForce(flags, control), {
      ...flags,
      filters: { ...flags.filters, excludeTables: ['audit'] },
      shed: { ...neverShed, skipBehindMs: 60_000 },
    });
    assert.deepEqual(mirrorSettingsInForce(flags, null), flags);
    const strict = changeMirrorControl(control, { allowSideEffects: [] });
    assert.deepEqual(mirrorSettingsInForce(flags, strict).allowSideEffects, []);
  });

  it('is changed field by field, and keeps what only a later version knows', () => {
    const later = parseMirrorControl(
      '{"version": 1, "exposure": 0.1, "pacing": "asap", "filters": {"includeTables": ["a"]}}',
    );
    const changed = changeMirrorControl(later, { replay: 'paused', filters: { includeClasses: ['reads'] } });
    assert.deepEqual(parseMirrorControl(encodeMirrorControl(changed)), {
      version: 1,
      exposure: 0.1,
      pacing: 'asap',
      replay: 'paused',
      filters: { includeTables: ['a'], includeClasses: ['reads'] },
    });
  });

  it('is immediate for one change only', () => {
    const now = changeMirrorControl(null, { exposure: 0.2, immediate: true });
    assert.equal(now.immediate, true);
    assert.equal(changeMirrorControl(now, { exposure: 0.3 }).immediate, undefined);
  });

  for (const [json, named] of [
    ['', /no JSON.*/],
    ['{"exposure": 1}', /version/],
    ['{"version": 1, "exposure": 2}', /exposure/],
    ['{"version": 1, "replay": "off"}', /replay/],
    ['{"version": 1, "filters": {"includeSchemas": ["a"]}}', /filters.*includeSchemas/],
    ['{"version": 1, "filters": {"includeClasses": ["dml"]}}', /filters\.includeClasses\.0/],
    ['{"version": 1, "filters": {"includeTimes": ["9-17"]}}', /includeTimes\.0: must be HH:MM/],
    ['{"version": 1, "filters": {"excludeFingerprints": ["x"]}}', /hexadecimal/],
    ['{"version": 1, "shed": {"writesBehindMs": 1}}', /shed.*writesBehindMs/],
    ['{"version": 1, "shed": {"recoverShare": 1}}', /shed\.recoverShare/],
  ] as const) {
    it(`refuses ${json || 'an empty value'}, naming what is wrong`, () => {
      assert.throws(() => parseMirrorControl(json), named);
    });
  }

  it('has a flag for every filter and every threshold', () => {
    assert.deepEqual(
      filterFlags.map(({ name }) => name),
      ['database', 'user', 'application', 'class', 'table', 'fingerprint', 'time'].flatMap((name) => [
        `include-${name}`,
        `exclude-${name}`,
      ]),
    );
    assert.ok(shedFlags.some(({ name }) => name === 'shed-reads-behind-ms'));
  });

  it('wants the stages of shedding in their order', () => {
    assert.equal(shedProblem({ ...neverShed, readsBehindMs: 1, skipBehindMs: 2 }), null);
    assert.match(
      shedProblem({ ...neverShed, readsBehindMs: 5, skipBehindMs: 5 }) ?? '',
      /--shed-skip-behind-ms must be above --shed-reads-behind-ms/,
    );
  });
});
