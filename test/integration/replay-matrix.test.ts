// Every kind of conversation, through the proxy, onto a mirror of the same version and one of the next, with each pacing: nothing differs
// unexplained.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { waitFor } from '@mirrorstream/testkit';
import { schema } from './capture-exact-conversations.ts';
import { kinds, moreSchema } from './replay-conversations.ts';
import { MatrixScene, mirrorNames } from './replay-matrix-scene.ts';

const pacings: readonly (readonly string[])[] = [
  ['--pacing', 'asap'],
  ['--pacing', 'timed', '--speed', '4'],
  ['--pacing', 'ordered'],
];

for (const pacing of pacings) {
  const title = `every kind of conversation is answered alike by the same version and the next, with ${pacing.join(' ')}`;
  describe(title, { timeout: 280_000 }, () => {
    let matrix: MatrixScene;
    before(async () => {
      matrix = await MatrixScene.open([...schema, ...moreSchema], pacing);
    });
    after(() => matrix.close());

    for (const { name, talk, explained = {} } of kinds) {
      it(name, async () => {
        const { unusual, matches } = await matrix.play(talk);
        for (const mirror of mirrorNames) {
          assert.deepEqual([...new Set(unusual[mirror])], explained[mirror] ?? [], mirror);
          assert.ok(matches[mirror] > 0, `${mirror} has answered`);
        }
        // The mirror ends a session after its result.
        const equal = async () => {
          const { source, ...mirrors } = await matrix.contents();
          return Object.values(mirrors).every((contents) => contents === source);
        };
        await waitFor(equal, { what: 'equal contents', deadlineMs: 5_000 }).catch(() => {});
        const { source, ...mirrors } = await matrix.contents();
        for (const mirror of mirrorNames) assert.equal(mirrors[mirror], source, mirror);
      });
    }
  });
}
