import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { IdMap } from './id-map.ts';

const roomy = { maxEntries: 1000, maxBytes: 1e6 };

describe('the map of ids', () => {
  test('knows what was learnt last, of this space and this scope only', () => {
    const map = new IdMap(roomy);
    map.learn('', 'customers.id', '1', '7');
    map.learn('', 'customers.id', '1', '8');
    map.learn('s1', 'customers.id', '1', '9');
    assert.equal(map.find('', 'customers.id', '1'), '8');
    assert.equal(map.find('s1', 'customers.id', '1'), '9');
    assert.equal(map.find('s2', 'customers.id', '1'), undefined);
    assert.equal(map.find('', 'orders.id', '1'), undefined);
    assert.deepEqual([map.size, map.counts.learned, map.counts.differing], [2, 3, 3]);
  });

  test('a number from the first learnt on should be known; of a lower one and of a uuid nobody can tell', () => {
    const map = new IdMap(roomy);
    assert.equal(map.isRecent('a', '5'), false);
    map.learn('', 'a', '100', '100');
    map.learn('', 'a', '98', '101');
    map.learn('', 'u', 'aaaaaaaa-0000-4000-8000-000000000000', 'bbbbbbbb-0000-4000-8000-000000000000');
    assert.deepEqual(
      ['97', '98', '99', '101', '9223372036854775807', '-1'].map((id) => map.isRecent('a', id)),
      [false, true, true, true, true, false],
    );
    assert.equal(map.isRecent('u', 'cccccccc-0000-4000-8000-000000000000'), false);
  });

  test('stays within its limits; the longest unused leave first, and are counted', () => {
    const map = new IdMap({ maxEntries: 3, maxBytes: 1e6 });
    for (const id of ['1', '2', '3']) map.learn('', 'a', id, id);
    assert.equal(map.find('', 'a', '1'), '1');
    map.learn('', 'a', '4', '4');
    assert.deepEqual(
      ['1', '2', '3', '4'].map((id) => map.find('', 'a', id)),
      ['1', undefined, '3', '4'],
    );
    assert.equal(map.counts.evicted, 1);
  });

  test('for any course of learning, neither limit is passed and the books are right', () => {
    const step = fc.tuple(fc.nat({ max: 60 }), fc.nat({ max: 1e9 }), fc.constantFrom('', 'a', 'session-2'));
    fc.assert(
      fc.property(fc.array(step, { maxLength: 200 }), fc.integer({ min: 1, max: 20 }), (steps, maxEntries) => {
        const maxBytes = 2000;
        const map = new IdMap({ maxEntries, maxBytes });
        for (const [captured, observed, scope] of steps) {
          map.learn(scope, 'space', String(captured), String(observed));
          assert.ok(map.size <= maxEntries && map.sizeBytes <= maxBytes && map.sizeBytes > 0);
          assert.equal(map.find(scope, 'space', String(captured)), String(observed));
        }
        const distinct = new Set(steps.map(([captured, , scope]) => `${scope}/${captured}`)).size;
        assert.ok(map.size + map.counts.evicted >= distinct);
      }),
    );
  });
});
