// What the control topic says of controls and findings: of this environment and mirror only, and nothing unusable is taken for anything.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { statusKey, suppressionKey } from '@mirrorstream/findings';
import { wishesIn } from './wishes.ts';

const suppression = { version: 1, owner: 'a', reason: 'r', createdAtMs: 1, expiresAtMs: 2, scope: { column: 'c' } };
const status = { version: 1, status: 'resolved', by: 'a', reason: '', atMs: 3 };

describe('wishes', () => {
  it('are the control mirrors of the environment, and what was said of one mirror', () => {
    const newest = new Map<string, object>([
      ['mirror/e/control', { version: 1, role: 'control' }],
      ['mirror/e/second', { version: 1, role: 'control', exposure: 0.5 }],
      ['mirror/e/candidate', { version: 1, role: 'candidate' }],
      ['mirror/e/silent', { version: 1 }],
      ['mirror/other/control2', { version: 1, role: 'control' }],
      ['capture/source', { version: 1, capture: 'on' }],
      [statusKey('e', 'candidate', 'f1'), status],
      [statusKey('e', 'second', 'f2'), status],
      [suppressionKey('e', 'candidate', 's1'), suppression],
    ]);
    const found = wishesIn(new Map([...newest].map(([key, value]) => [key, JSON.stringify(value)])), 'e', 'candidate');
    assert.deepEqual(found.controls, ['control', 'second']);
    assert.deepEqual([...found.records.statuses.keys()], ['f1']);
    assert.deepEqual(found.records.suppressions.get('s1')?.scope, { column: 'c' });
    assert.deepEqual(found.unusable, []);
  });

  it('leave out what is not usable and name it; a mirror is no control of itself', () => {
    const bad = suppressionKey('e', 'm', 's');
    const found = wishesIn(
      new Map([
        [bad, JSON.stringify({ ...suppression, scope: { column: 'c', user: 'new' } })],
        ['mirror/e/m', '{"version":1,"role":"control"}'],
        ['mirror/e/broken', '{'],
      ]),
      'e',
      'm',
    );
    assert.deepEqual([found.controls, found.unusable], [[], [bad, 'mirror/e/broken']]);
    assert.equal(found.records.suppressions.size, 0);
  });
});
