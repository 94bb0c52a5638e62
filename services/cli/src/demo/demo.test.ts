// Tests of what makes the demo repeatable: its randomness and the rules its statements keep.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { activities } from './activities.ts';
import { seededRandom } from './random.ts';
import { plants } from './schema.ts';

test('the same seed gives the same numbers, another seed others', () => {
  const draw = (seed: number): number[] => {
    const random = seededRandom(seed);
    return Array.from({ length: 50 }, () => random.below(1000));
  };
  assert.deepEqual(draw(7), draw(7));
  assert.notDeepEqual(draw(7), draw(8));
});

test('numbers stay in their range and a shuffle loses nothing', () => {
  const random = seededRandom(1);
  for (let n = 0; n < 10_000; n++) assert.ok(random.below(7) < 7 && random.fraction() < 1);
  assert.deepEqual(random.shuffled([1, 2, 3, 4, 5]).sort(), [1, 2, 3, 4, 5]);
});

test('no statement of the demo asks for the time, randomness or a sequence', () => {
  const source = readFileSync(new URL('./activities.ts', import.meta.url), 'utf8').replace(/^\s*\/\/.*$/gm, '');
  assert.doesNotMatch(source, /\b(now|clock_timestamp|gen_random_uuid|uuidv7|nextval|txid_current|pg_backend_pid)\(/i);
  assert.doesNotMatch(source, /'[^']*\brandom\(\)[^']*'/i);
});

test('every plant has an activity that shows it', () => {
  const shown = activities.filter((activity) => activity.name.startsWith('planted,')).map((activity) => activity.name);
  assert.equal(shown.length, plants.length);
});
