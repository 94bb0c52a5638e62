// Two databases that differ in one thing: it is found, in its class, as one finding, and nothing else is.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { divergenceClasses } from '@mirrorstream/domain';
import { plantedCases } from './planted-cases.ts';
import { fingerprintOf, mirrorNames, namesOf, PlantedScene } from './planted-scene.ts';

/** Rows in another order where nobody asked for one are nothing to act on. */
const findingClasses: ReadonlySet<string> = new Set(divergenceClasses.filter((name) => name !== 'orderOnly'));

describe('what differs between two databases is found as one finding', { timeout: 240_000 }, () => {
  let scene: PlantedScene;
  before(async () => {
    scene = await PlantedScene.open(plantedCases);
    await scene.play(plantedCases);
  });
  after(() => scene?.close());

  for (const one of plantedCases) {
    it(one.name.replaceAll('_', ' '), async () => {
      const expected = { planted: one.finds, next: one.findsNext ?? [] };
      for (const mirror of mirrorNames) {
        const statements = scene.statements(mirror, one);
        assert.ok(statements.length >= (one.rounds ?? 5) * one.traffic.length, `${mirror} has answered`);
        const found = statements.filter((it) => findingClasses.has(it.class));
        const names = [...new Set(found.map((it) => `${it.class} ${it.fingerprint}`))].sort();
        const details = [...new Set(found.map((it) => `${it.class} ${it.fingerprint}: ${it.detail}`))];
        assert.deepEqual(names, namesOf(one, expected[mirror]), `${mirror}: ${details.join('; ')}`);
      }
    });
  }

  it('and nothing else, in what is reported of the mirror of the same version', async () => {
    const said = await scene.findings('planted');
    const isFinding = (name: string): boolean => findingClasses.has(name.split(' ')[0] ?? '');
    assert.deepEqual(said.findings.filter(isFinding), plantedCases.flatMap((it) => namesOf(it, it.finds)).sort());
    const slower = plantedCases.flatMap((it) => (it.slower === undefined ? [] : [fingerprintOf(it, it.slower)]));
    // What else became slower is up to the machine, which plays all sessions at once: only what was planted is certain.
    assert.deepEqual(
      slower.filter((fingerprint) => !said.slower.includes(fingerprint)),
      [],
      'found as regressions',
    );
  });

  it('and nothing else, in what is reported of the mirror of the next version', async () => {
    const said = await scene.findings('next');
    const isFinding = (name: string): boolean => findingClasses.has(name.split(' ')[0] ?? '');
    const expected = plantedCases.flatMap((it) => namesOf(it, it.findsNext ?? [])).sort();
    assert.deepEqual(said.findings.filter(isFinding), expected);
  });
});
