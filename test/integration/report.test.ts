// The report of a mirror with planted differences, through a real proxy, replayer and comparer: every format, and exit codes by rules.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { after, before, describe, it } from 'node:test';
import { findingsTopic } from '@mirrorstream/domain';
import { execute, sharedKafka, spawnService, waitFor } from '@mirrorstream/testkit';
import type { Report } from '../../services/cli/src/report/report.ts';
import { type Ended, run as runCommand } from '../e2e/up-process.ts';
import { HistoryScene } from './history-scene.ts';
import type { Mirror } from './replayer-scene.ts';

const schema = `CREATE TABLE item (id int PRIMARY KEY, name text);
  INSERT INTO item SELECT i, 'item ' || i FROM generate_series(1, 20) i;
  CREATE FUNCTION price(id int) RETURNS int LANGUAGE sql AS 'SELECT id * 2';
  CREATE FUNCTION slow() RETURNS int LANGUAGE sql AS 'SELECT 1';`;
const planted = `${schema} UPDATE item SET name = '<script>alert(1)</script>' WHERE id = 3; DROP FUNCTION price;
  CREATE OR REPLACE FUNCTION slow() RETURNS int LANGUAGE sql AS 'SELECT 1 FROM pg_sleep(0.02)';`;
const rounds = 40;

describe('mirrorstream report', { timeout: 240_000 }, () => {
  let history: HistoryScene;
  let mirror: Mirror;

  before(async () => {
    const kafka = await sharedKafka();
    history = await HistoryScene.open(kafka.bootstrap);
    mirror = await history.scene.newMirror();
    await execute(history.scene.sourceUrl, schema);
    await execute(mirror.url, planted);
    await history.scene.startReplayer(mirror);
    const comparer = await spawnService(['comparer', '--mirror', mirror.name, '--brokers', kafka.bootstrap]);
    after(() => comparer.kill9());
    const client = await history.session();
    for (let round = 0; round < rounds; round++) {
      await client.query('SELECT count(*) FROM item');
      await client.query('SELECT id, name FROM item WHERE id = $1', [3]);
      await client.query('SELECT price($1)', [round]);
      await client.query('SELECT slow()');
    }
    await history.scene.stopProxy();
    await waitFor(
      async () => {
        const found = await reported();
        return found !== null && found.sources.account.inFlight === 0 && found.compared === rounds * 4 ? found : null;
      },
      { what: 'every transaction to be judged and its findings to be published', deadlineMs: 90_000, everyMs: 500 },
    );
  });

  after(() => history?.close());

  const run = (...args: readonly string[]): Promise<Ended> =>
    history.run('report', '--mirror', mirror.name, '--source-name', history.scene.source, ...args);

  /** null: there is nothing yet. */
  const reported = async (): Promise<Report | null> => {
    const { admin } = history.scene;
    const topic = findingsTopic('default', mirror.name, 'live');
    if (!(await admin.partitionCounts([topic])).has(topic)) return null;
    const ended = await run('--format', 'json');
    return ended.code === 0 ? (JSON.parse(ended.stdout) as Report) : null;
  };

  it('finds what was planted, and nothing else', async () => {
    const found = await reported();
    assert.ok(found !== null);
    assert.equal(found.balanced, true);
    assert.equal(found.sources.account.captured, rounds * 4);
    const all = [...found.real, ...found.undecided];
    assert.deepEqual(all.map((one) => `${one.class} ${one.count}`).sort(), [`errorNew ${rounds}`, `value ${rounds}`]);
    assert.equal(found.sources.statements.match, rounds * 2);
    assert.deepEqual(all.find((one) => one.class === 'errorNew')?.errors, [
      { captured: '', replayed: '42883', count: rounds },
    ]);
    assert.ok(
      found.regressions.some(({ normalizedSql }) => normalizedSql.includes('slow()')),
      JSON.stringify(found.sources.performance),
    );
    assert.ok(!JSON.stringify(found).includes('alert(1)'), 'a value was shown');
  });

  it('names findings that inspect shows an example of', async () => {
    const found = await reported();
    const id = found?.real.concat(found.undecided).find((one) => one.class === 'value')?.id ?? '';
    const ended = await history.run(
      ...['inspect', id, '--mirror', mirror.name, '--source-name', history.scene.source, '--show-values'],
    );
    assert.equal(ended.code, 0, ended.stderr);
    assert.match(
      ended.stdout,
      /- id=3 \| name=item 3[\s\S]*\+ id=3 \| name=<script>[\s\S]*finding [0-9a-f]{12}: value, 40 statements/,
    );
  });

  it('writes one page that asks for nothing, with versions of a mirror that was named', async () => {
    const out = `${history.folder}/report.html`;
    const ended = await history.run(
      ...['report', '--mirror', `${mirror.name}=${mirror.url}`, '--source-name', history.scene.source],
      ...['--out', out, '--show-values'],
    );
    assert.equal(ended.code, 0, ended.stderr);
    assert.equal(ended.stdout, '');
    const page = await readFile(out, 'utf8');
    assert.match(page, /^<!doctype html>/);
    assert.match(page, /2 kinds of statement differ \(no control mirror/);
    assert.match(page, /&lt;script&gt;alert\(1\)/);
    assert.ok(!page.includes('<script'));
    assert.match(page, /<td>version[\s\S]*?<code>17/);
    assert.ok(!page.includes(new URL(mirror.url).password || 'no password'));
  });

  it('gives a pipeline its exit code, and a test case for each rule', async () => {
    const holds = await run('--format', 'md', '--fail-on', 'errors.gone==0', '--fail-on', 'transactions.failed==0');
    assert.equal(holds.code, 0, holds.stderr);
    assert.match(holds.stdout, /\| `errors\.gone==0` \| holds/);
    const fails = await run('--format', 'junit', '--fail-on', 'errors.new==0', '--fail-on', 'divergence.rate<0.1%');
    assert.equal(fails.code, 1, fails.stderr);
    assert.match(fails.stderr, /FAILS {2}errors\.new==0 {2}\(errors\.new is 40\)/);
    assert.match(fails.stdout, /<testsuite [^>]*tests="4" failures="2"/);
  });

  it('refuses a wrong rule before anything is read', async () => {
    const wrong = await runCommand(
      ['report', '--mirror', 'any', '--brokers', '127.0.0.1:1', '--fail-on', 'error.new==0'],
      history.folder,
    );
    assert.equal(wrong.code, 2);
    assert.match(wrong.stderr, /there is no metric "error\.new"[\s\S]*errors\.new/);
    assert.equal((await run('--run', 'nothing')).code, 2);
  });
});
