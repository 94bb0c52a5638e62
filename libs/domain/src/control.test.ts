// The control record: what is absent leaves the flags in force, what is unknown survives, what is wrong is refused by name.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  type CaptureSettings,
  changeCaptureControl,
  encodeCaptureControl,
  parseCaptureControl,
  settingsInForce,
} from './control.ts';

const flags: CaptureSettings = { capture: 'on', sampling: 1, answers: 'full', answerCapBytes: 65_536 };

describe('the control record of capture', () => {
  it('overrides only what it names', () => {
    const control = changeCaptureControl(null, { sampling: 0.25 });
    assert.deepEqual(settingsInForce(flags, control), { ...flags, sampling: 0.25 });
    assert.deepEqual(settingsInForce(flags, null), flags);
  });

  it('survives the round trip, with fields that only a later version knows', () => {
    const later = parseCaptureControl('{"version": 1, "capture": "off", "tables": ["orders"]}');
    const changed = changeCaptureControl(later, { capture: 'on', answers: 'digest' });
    assert.deepEqual(parseCaptureControl(encodeCaptureControl(changed)), {
      version: 1,
      capture: 'on',
      answers: 'digest',
      tables: ['orders'],
    });
  });

  for (const [json, named] of [
    ['', /no JSON/],
    ['[]', /value/],
    ['{"capture": "off"}', /version/],
    ['{"version": 2, "capture": "off"}', /version/],
    ['{"version": 1, "capture": "maybe"}', /capture/],
    ['{"version": 1, "sampling": 1.5}', /sampling/],
    ['{"version": 1, "answers": "all"}', /answers/],
    ['{"version": 1, "answerCapBytes": 1e9}', /answerCapBytes/],
  ] as const) {
    it(`refuses ${json || 'an empty value'}, naming what is wrong`, () => {
      assert.throws(() => parseCaptureControl(json), named);
    });
  }

  it('refuses a change to what no proxy would take', () => {
    assert.throws(() => changeCaptureControl(null, { sampling: -0.1 }));
  });
});
