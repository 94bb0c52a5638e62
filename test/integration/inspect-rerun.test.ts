// One captured transaction looked at and played once more: through a real proxy, replayer and comparer, on mirrors with planted differences.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { envelopesTopic, verdictsTopic } from '@mirrorstream/domain';
import { decodeEnvelopeBatch, decodeVerdictBatch } from '@mirrorstream/envelope';
import { sharedKafka, sharedPostgres, spawnService, waitFor } from '@mirrorstream/testkit';
import pg from 'pg';
import type { Story, StoryStatement } from '../../services/cli/src/inspect/story.ts';
import type { Ended } from '../e2e/up-process.ts';
import { HistoryScene } from './history-scene.ts';
import type { Mirror } from './replayer-scene.ts';

interface RerunJson {
  readonly schema: string;
  readonly story: Story;
  readonly changes: readonly string[];
  readonly commitCheck: { readonly sqlState: string } | null;
  readonly differs: boolean;
}

const schema = `CREATE TABLE item (id int PRIMARY KEY, name text, price numeric);
  CREATE TABLE part (id int PRIMARY KEY, item int REFERENCES item DEFERRABLE INITIALLY DEFERRED);
  INSERT INTO item SELECT i, 'item ' || i, i FROM generate_series(1, 20) i;`;

describe('inspect and rerun', { timeout: 240_000 }, () => {
  let history: HistoryScene;
  let mirror: Mirror;
  /** By a word of its SQL. */
  let names: ReadonlyMap<string, string>;

  before(async () => {
    const kafka = await sharedKafka();
    history = await HistoryScene.open(kafka.bootstrap);
    mirror = await history.scene.newMirror();
    await sqlOn(history.scene.sourceUrl, schema);
    await sqlOn(
      mirror.url,
      `${schema} UPDATE item SET name = 'other <script>' WHERE id = 3; DELETE FROM item WHERE id = 20;`,
    );
    await history.scene.startReplayer(mirror);
    const comparer = await spawnService(['comparer', '--mirror', mirror.name, '--brokers', kafka.bootstrap]);
    after(() => comparer.kill9());
    const client = await history.session();
    await client.query('SELECT /* equal */ name FROM item WHERE id = $1', [1]);
    await client.query('SELECT /* three */ id, name FROM item WHERE id < $1 ORDER BY id', [6]);
    await client.query('BEGIN');
    await client.query("UPDATE /* kept */ item SET name = 'changed' WHERE id = $1", [12]);
    await client.query('SELECT name FROM item WHERE id = 12');
    await client.query('COMMIT');
    await client.query(
      'BEGIN; UPDATE /* inner */ item SET price = 1 WHERE id = 14; COMMIT; UPDATE item SET price = 2 WHERE id = 14',
    );
    await client.query('VACUUM /* outside */ item');
    await client.query('INSERT /* deferred */ INTO part VALUES (1, 20)');
    await client.query('BEGIN; INSERT /* checked */ INTO part VALUES (2, 20); COMMIT');
    await waitFor(async () => (await verdicts(history, mirror)) >= 7, {
      what: 'the verdicts',
      deadlineMs: 60_000,
      everyMs: 100,
    });
    names = await envelopeNames(history);
  });

  after(() => history?.close());

  const scoped = (...args: readonly string[]): Promise<Ended> =>
    history.run(...args, '--source-name', history.scene.source);
  const inspect = async (word: string, ...flags: readonly string[]): Promise<Story> => {
    const ended = await scoped('inspect', names.get(word) ?? '', '--mirror', mirror.name, '--json', ...flags);
    assert.equal(ended.code, 0, ended.stderr);
    return JSON.parse(ended.stdout) as Story;
  };
  const rerunRaw = (word: string, ...flags: readonly string[]): Promise<Ended> =>
    scoped('rerun', names.get(word) ?? '', '--mirror', `${mirror.name}=${mirror.url}`, '--json', ...flags);
  const rerun = async (word: string, code: number, ...flags: readonly string[]): Promise<RerunJson> => {
    const ended = await rerunRaw(word, ...flags);
    assert.equal(ended.code, code, ended.stderr);
    return JSON.parse(ended.stdout) as RerunJson;
  };

  it('shows both answers of a difference row by row, and no value unless asked', async () => {
    const story = await inspect('three');
    const statement = only(story);
    assert.equal(statement.judgement?.class, 'value');
    assert.equal(statement.captured?.rows, 5);
    assert.ok((statement.replayed?.latencyUs ?? 0) > 0);
    const changed = statement.diff?.rows.find(({ kind }) => kind === 'changed');
    assert.deepEqual(changed?.kind === 'changed' ? changed.columns : [], [1]);
    const text = JSON.stringify(story);
    for (const value of ['item 3', 'other', '"6"']) assert.ok(!text.includes(value), `${value} in ${text}`);
    const shown = only(await inspect('three', '--show-values'));
    assert.deepEqual(shown.parameters, ['6']);
    assert.match(JSON.stringify(shown.diff), /"item 3".*"other <script>"/);
  });

  it('tells an equal answer, and the story for people', async () => {
    assert.equal(only(await inspect('equal')).judgement?.class, 'match');
    const ended = await scoped('inspect', names.get('three') ?? '', '--mirror', mirror.name, '--show-values');
    assert.match(
      ended.stdout,
      /value +SELECT \/\* three \*\/[\s\S]*\$1 = 6[\s\S]*- id=3 \| name=item 3[\s\S]*\+ id=3 \| name=other <script>/,
    );
  });

  it('says which envelope is not there', async () => {
    const ended = await scoped('inspect', '0:99999999:0');
    assert.equal(ended.code, 2);
    assert.match(ended.stderr, /there is no envelope 0:99999999:0: partition 0 of .* ends at/);
    assert.match((await scoped('inspect', '3-5')).stderr, /names no envelope/);
  });

  it('plays a difference again, with the mirror as it is now', async () => {
    const found = await rerun('three', 1, '--explain', 'differing');
    const statement = only(found.story);
    assert.equal(statement.judgement?.class, 'value');
    assert.equal(statement.plans.length, 1);
    assert.match(JSON.stringify(statement.plans[0]?.plan), /"Node Type":"(?:Index|Seq|Bitmap)/);
    await sqlOn(mirror.url, "UPDATE item SET name = 'item 3' WHERE id = 3");
    const mended = await rerun('three', 0);
    assert.equal(only(mended.story).judgement?.class, 'match');
    await sqlOn(mirror.url, "UPDATE item SET name = 'other <script>' WHERE id = 3");
  });

  it('takes two plans of a statement in a quarter of an hour, and shows them in the story', async () => {
    for (let taken = 0; taken < 2; taken++) await rerun('equal', 0, '--explain', 'all');
    const third = await rerun('equal', 0, '--explain', 'all');
    assert.match(third.story.notes.join('\n'), /no new plan of exchange 0, statement 0 on the mirror before/);
    assert.equal(only(await inspect('equal')).plans.length, 2);
  });

  it('leaves nothing of a transaction that was committed in production, and puts ROLLBACK in the place of COMMIT', async () => {
    await sqlOn(mirror.url, "UPDATE item SET name = 'before' WHERE id = 12");
    const found = await rerun('kept', 0);
    assert.ok(found.changes.includes('ROLLBACK was sent instead of COMMIT'), found.changes.join());
    assert.deepEqual(found.commitCheck, { sqlState: '' });
    const told = found.story.exchanges.flatMap(({ statements }) =>
      statements.map(({ judgement }) => judgement?.class ?? 'none'),
    );
    assert.deepEqual(told, ['match', 'match', 'match', 'none']);
    assert.deepEqual(await sqlOn(mirror.url, 'SELECT name FROM item WHERE id = 12'), [{ name: 'before' }]);
  });

  it('finds what COMMIT would have found', async () => {
    const found = await rerun('checked', 1);
    assert.deepEqual(found.commitCheck, { sqlState: '23503' });
    assert.deepEqual(await sqlOn(mirror.url, 'SELECT count(*)::int AS rows FROM part WHERE id = 2'), [{ rows: 0 }]);
  });

  it('refuses what cannot be taken back, before anything is sent', async () => {
    const middle = await rerunRaw('inner');
    assert.equal(middle.code, 2);
    assert.match(middle.stderr, /exchange 0 has COMMIT in its middle: what follows would be kept/);
    const vacuum = await rerunRaw('outside');
    assert.equal(vacuum.code, 2);
    assert.match(vacuum.stderr, /exchange 0 has VACUUM, which cannot run inside/);
  });

  it('never plays to the source', async () => {
    const ended = await scoped('rerun', names.get('equal') ?? '', '--mirror', `source=${history.scene.sourceUrl}`);
    assert.equal(ended.code, 4, ended.stderr);
    assert.match(ended.stderr, /is the captured source/);
  });

  it('asks the source for a plan only when told to', async () => {
    const server = await sharedPostgres('source');
    assert.ok(server.port > 0);
    const command = history.start(
      ...['rerun', names.get('kept') ?? '', '--mirror', `${mirror.name}=${mirror.url}`, '--json'],
      ...['--explain', 'all', '--explain-source', '--source-name', history.scene.source],
    );
    const without = await command.ended;
    assert.equal(without.code, 2);
    assert.match(without.stderr, /MIRRORSTREAM_SOURCE_URL is not set/);
  });
});

function only({ exchanges }: Story): StoryStatement {
  const statements = exchanges.flatMap((exchange) => exchange.statements);
  assert.equal(statements.length, 1, JSON.stringify(statements));
  return statements[0] as StoryStatement;
}

async function sqlOn(url: string, sql: string): Promise<readonly unknown[]> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query(sql)).rows ?? [];
  } finally {
    await client.end();
  }
}

async function verdicts({ scene }: HistoryScene, mirror: Mirror): Promise<number> {
  const topic = verdictsTopic('default', mirror.name);
  if (!(await scene.admin.partitionCounts([topic])).has(topic)) return 0;
  let count = 0;
  await scene.client.readRange(topic, await wholeTopic(scene, topic), ({ records }) => {
    for (const { value } of records) count += decodeVerdictBatch(value ?? new Uint8Array(0)).verdicts.length;
  });
  return count;
}

/** By the word that a comment in its request has. */
async function envelopeNames({ scene }: HistoryScene): Promise<ReadonlyMap<string, string>> {
  const topic = envelopesTopic(scene.source);
  const found = new Map<string, string>();
  await scene.client.readRange(topic, await wholeTopic(scene, topic), ({ partition, records }) => {
    for (const { offset, value } of records)
      for (const [index, { record }] of decodeEnvelopeBatch(value ?? new Uint8Array(0)).records.entries()) {
        if (record.case !== 'envelope') continue;
        for (const { request } of record.value.exchanges) {
          const word = /\/\* (\w+) \*\//.exec(Buffer.from(request).toString('latin1'))?.[1];
          if (word !== undefined) found.set(word, `${partition}:${offset}:${index}`);
        }
      }
  });
  return found;
}

async function wholeTopic({ admin }: HistoryScene['scene'], topic: string) {
  return (await admin.offsets(topic)).map(({ partition, low: from, high: to }) => ({ partition, from, to }));
}
