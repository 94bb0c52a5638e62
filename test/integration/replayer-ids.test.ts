// ID mapping through the real services: racing sessions insert into the same tables, and each mirror gives its own ids.
import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { execute, sharedKafka, withClient } from '@mirrorstream/testkit';
import { contentByName, createIdTables, READ_BY_OTHERS, readByOthers, runIdLoad, shiftIds } from './id-load.ts';
import { type Mirror, type Outcomes, ReplayerScene, tally } from './replayer-scene.ts';

const mapped = [
  '--map-ids-reference',
  'ticket_notes.ticket=tickets',
  '--map-ids-reference',
  'mails.customer=customers.id',
];

/** How many statements came to what: `=`, an id mark, a reason, or `≠`. */
function kinds(outcomes: Outcomes): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { statements } of [...outcomes.values()].flat())
    for (const { equal, notCompared, ids } of statements) {
      const kind = equal ? '=' : notCompared || ids?.mark || '≠';
      counts[kind] = (counts[kind] ?? 0) + 1;
    }
  return counts;
}

const unexplained = (outcomes: Outcomes): string[] =>
  [...outcomes.values()]
    .flat()
    .flatMap(({ statements }) =>
      statements.flatMap((it) =>
        it.equal || it.notCompared !== '' || it.ids?.mark === 'equal'
          ? []
          : [
              `${it.ids?.mark}: ${it.sql}: ${it.captured?.commandTag}${it.captured?.sqlState} → ${it.replayed?.commandTag}${it.replayed?.sqlState}`,
            ],
      ),
    );

/** Texts that named an id nobody knew, where the answers differed. */
const unmapped = (outcomes: Outcomes): string[] =>
  [...outcomes.values()]
    .flat()
    .flatMap(({ statements }) => statements.filter((it) => it.notCompared === 'idUnmapped').map(({ sql }) => sql));

const rewritten = (outcomes: Outcomes): number =>
  [...outcomes.values()]
    .flat()
    .reduce((sum, { statements }) => sum + statements.reduce((n, { ids }) => n + (ids?.rewritten ?? 0), 0), 0);

async function newMirror(scene: ReplayerScene): Promise<Mirror> {
  const mirror = await scene.newMirror();
  await createIdTables(mirror.url);
  await shiftIds(mirror.url);
  return mirror;
}

async function play(
  scene: ReplayerScene,
  mirror: Mirror,
  transactions: number,
  ...flags: readonly string[]
): Promise<Outcomes> {
  const replayer = await scene.startReplayer(mirror, ...flags);
  const outcomes = await scene.waitForAll(mirror, transactions);
  const { code, lastLogLines } = await replayer.stop();
  assert.equal(code, 0, lastLogLines.join('\n'));
  assert.deepEqual(tally(outcomes), { replayed: transactions });
  return outcomes;
}

/** Production: racing sessions, and one that asks for what they made. */
async function capture(t: TestContext, turns: number) {
  const scene = await ReplayerScene.open((await sharedKafka()).bootstrap);
  t.after(() => scene.close());
  await createIdTables(scene.sourceUrl);
  const customers = await withClient(scene.proxyUrl, async (reader) => {
    // Timed replay begins with whichever session it meets first: all of them begin here.
    await reader.query('SELECT 1');
    const made = await runIdLoad({ url: scene.proxyUrl, sessions: 8, turns, seed: 1 });
    await pause(4_000); // think time: when it is over the mirror knows what the others were given
    await readByOthers(reader, made);
    return made;
  });
  await scene.stopProxy();
  const transactions = (await scene.captured()).size;
  return { scene, customers, transactions, content: await contentByName(scene.sourceUrl) };
}

describe('ID mapping', { timeout: 280_000 }, () => {
  it('follows the mirror’s own ids over racing sessions, foreign keys, batches, lastval and uuids; without it little agrees', async (t) => {
    const { scene, transactions, content } = await capture(t, 12);
    const plain = await newMirror(scene);
    const without = await play(scene, plain, transactions, '--speed', '4');
    t.diagnostic(`without: ${JSON.stringify(kinds(without))}`);
    assert.ok(unexplained(without).length > transactions / 4);
    assert.equal(rewritten(without), 0);
    assert.notEqual(await contentByName(plain.url), content);

    const mirror = await newMirror(scene);
    const withMap = await play(scene, mirror, transactions, '--speed', '4', '--map-ids', 'mirror', ...mapped);
    const counts = kinds(withMap);
    t.diagnostic(`with: ${JSON.stringify(counts)}, ${rewritten(withMap)} values rewritten`);
    assert.deepEqual(unexplained(withMap), []);
    // Nobody waits for another session with timed pacing: it may ask before the id is known.
    assert.deepEqual(new Set(unmapped(withMap)).difference(new Set([READ_BY_OTHERS])), new Set());
    assert.ok((counts['equal'] ?? 0) > transactions / 4);
    assert.ok(rewritten(withMap) > transactions / 4);
    assert.equal(await contentByName(mirror.url), content);
  });

  it('knows every id in time when the order across sessions is kept', async (t) => {
    const { scene, transactions, content } = await capture(t, 5);
    const mirror = await newMirror(scene);
    const ordered = ['--pacing', 'ordered', '--order-wait-ms', '30000'];
    const outcomes = await play(scene, mirror, transactions, ...ordered, '--map-ids', 'mirror', ...mapped);
    t.diagnostic(`ordered: ${JSON.stringify(kinds(outcomes))}`);
    assert.deepEqual([unexplained(outcomes), unmapped(outcomes)], [[], []]);
    assert.equal(await contentByName(mirror.url), content);
  });

  it('with a scope of its own a session follows what it saw itself; what others made is said to be unknown', async (t) => {
    const { scene, customers, transactions, content } = await capture(t, 5);
    const mirror = await newMirror(scene);
    const outcomes = await play(scene, mirror, transactions, '--speed', '4', '--map-ids', 'session', ...mapped);
    t.diagnostic(`session: ${JSON.stringify(kinds(outcomes))}`);
    assert.deepEqual(unexplained(outcomes), []);
    assert.deepEqual(new Set(unmapped(outcomes)), new Set([READ_BY_OTHERS]));
    assert.ok(unmapped(outcomes).length > customers.size / 2);
    assert.equal(await contentByName(mirror.url), content);
  });

  it('follows a table that was made while the traffic went on', async (t) => {
    const scene = await ReplayerScene.open((await sharedKafka()).bootstrap);
    t.after(() => scene.close());
    await execute(scene.sourceUrl, 'CREATE SEQUENCE late_ids');
    await withClient(scene.proxyUrl, async (client) => {
      await client.query("CREATE TABLE late (id bigint DEFAULT nextval('late_ids') PRIMARY KEY, name text NOT NULL)");
      await pause(6_000); // think time: longer, at twice the speed, than it takes to read the catalog again
      for (const name of ['a', 'b', 'c']) {
        const { rows } = await client.query<{ id: string }>('INSERT INTO late (name) VALUES ($1) RETURNING id', [name]);
        await client.query('UPDATE late SET name = upper(name) WHERE id = $1 RETURNING id, name', [rows[0]?.id]);
      }
    });
    await scene.stopProxy();
    const transactions = (await scene.captured()).size;
    const mirror = await scene.newMirror();
    await execute(mirror.url, 'CREATE SEQUENCE late_ids START 2');
    const outcomes = await play(scene, mirror, transactions, '--speed', '2', '--map-ids', 'session');
    assert.deepEqual(kinds(outcomes), { '=': 1, equal: 6 });
    const names = await withClient(mirror.url, (client) => client.query('SELECT id, name FROM late ORDER BY id'));
    assert.deepEqual(
      names.rows.map(({ id, name }) => [id, name]),
      [
        ['2', 'A'],
        ['3', 'B'],
        ['4', 'C'],
      ],
    );
  });
});
