// PostgreSQL's own client programs, straight to the server and through the proxy: psql, pg_dump and pg_restore, pgbench in its three modes.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it, type TestContext } from 'node:test';
import { TransactionOutcome } from '@mirrorstream/envelope';
import { temporaryDirectory, withClient } from '@mirrorstream/testkit';
import { checkAccounts } from '../runner/account-checks.ts';
import type { CapturedSession } from '../runner/capture-log.ts';
import { linesOf, tableInTree } from '../runner/captured-table.ts';
import { wholeExchanges } from '../runner/notation.ts';
import { folderOrSkip } from '../runner/presence.ts';
import { driverPassword, type Leg, type Scene, startScene } from '../runner/scene.ts';
import { runTool, type ToolName, toolsBuild } from './tools.ts';

const timeout = 10 * 60_000;
const here = import.meta.dirname;

describe("PostgreSQL's own client programs", { timeout }, () => {
  let scene: Scene;
  let folder: string;
  before(async () => {
    scene = await startScene();
    folder = await temporaryDirectory('libpq-tools');
  });
  after(() => scene.close());

  /** A database with what `sql` makes, dropped at the end of the test. */
  async function makeDatabase(t: TestContext, sql = ''): Promise<string> {
    const database = await scene.prepareDatabase(sql);
    t.after(() => database.drop());
    return database.name;
  }

  const urlOf = (database: string, leg: Leg, applicationName: string): string =>
    `${scene.urls(database, leg).plain}&application_name=${applicationName}`;

  /** Runs it and returns what it printed; it must end with 0. */
  async function output(dir: string, tool: ToolName, ...args: string[]): Promise<string> {
    const { code, lines, printed } = await runTool(dir, tool, args);
    assert.equal(code, 0, `${tool}:\n${lines.join('\n')}`);
    return printed.join('\n');
  }

  it('psql prints the same and fails in the same places, whatever the script does', { timeout }, async (t) => {
    const dir = await folderOrSkip(t, 'psql', toolsBuild);
    if (dir === undefined) return;
    const file = join(folder, 'large-object');
    await writeFile(file, 'x'.repeat(5000));
    const script = async (database: string, leg: Leg) => {
      const args = ['-X', '--quiet', '-v', `file=${file}`, '-f', join(here, 'script.sql')];
      const ended = await runTool(dir, 'psql', [...args, urlOf(database, leg, 'psql')]);
      const told = ({ complaints, printed }: typeof ended) => ({ code: ended.code, complaints, printed });
      return JSON.parse(JSON.stringify(told(ended)).replaceAll(/process with PID \d+/g, 'process')) as typeof ended;
    };
    const direct = await script(await makeDatabase(t), 'direct');
    const database = await makeDatabase(t);
    const proxied = await script(database, 'proxied');
    assert.deepEqual(proxied, direct);
    assert.equal(direct.code, 0);
    const failures = direct.complaints.filter((line) => line.includes('ERROR:'));
    assert.equal(failures.length, 4, failures.join('\n'));
    assert.deepEqual(direct.printed.slice(-3), [
      'Asynchronous notification "news" with payload "heard" received from server process.',
      'count',
      '7',
    ]);
    const sessions = await scene.captured(database);
    checkAccounts(sessions);
    const seen = { script: linesOf(sessions) };
    assert.deepEqual(seen, tableInTree(join(here, 'psql.captured.json'), seen));
  });

  it('a dump made through the proxy is the dump of the server, and comes back through it', { timeout }, async (t) => {
    const dir = await folderOrSkip(t, 'pg_dump and pg_restore', toolsBuild);
    if (dir === undefined) return;
    const database = await makeDatabase(t, readFileSync(join(here, 'database.sql'), 'utf8'));
    const dump = (from: string, leg: Leg): Promise<string> =>
      output(dir, 'pg_dump', '--restrict-key=test', '-d', urlOf(from, leg, 'pg_dump'));
    const original = await dump(database, 'direct');
    assert.match(original, /COPY shop\.orders/);
    assert.match(original, /lowrite/);
    assert.equal(await dump(database, 'proxied'), original);

    const custom = join(folder, 'custom.dump');
    await output(dir, 'pg_dump', '-Fc', '-f', custom, '-d', urlOf(database, 'proxied', 'pg_dump'));
    const asSql = ['--restrict-key=test', '-f', '-', custom];
    assert.match(await output(dir, 'pg_restore', ...asSql), /COPY shop\.orders/);
    const restored = await makeDatabase(t);
    const into = urlOf(restored, 'proxied', 'pg_restore');
    await output(dir, 'pg_restore', '--exit-on-error', '--jobs=2', '-d', into, custom);
    assert.equal(await dump(restored, 'direct'), original);

    const plain = join(folder, 'plain.sql');
    await output(dir, 'pg_dump', '-f', plain, '-d', urlOf(database, 'proxied', 'pg_dump'));
    const replayed = await makeDatabase(t);
    await output(dir, 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-f', plain, urlOf(replayed, 'proxied', 'psql'));
    assert.equal(await dump(replayed, 'direct'), original);

    for (const [name, copies] of [
      [database, 3 * 3],
      [restored, 3],
      [replayed, 3],
    ] as const) {
      const sessions = await scene.captured(name);
      checkAccounts(sessions);
      const tags = tagsOf(sessions).filter((tag) => ['COPY 2000', 'COPY 6000', 'COPY 100'].includes(tag));
      assert.equal(tags.length, copies, `COPY of the tables with rows, captured from ${name}`);
    }
    assert.deepEqual(scene.log.gaps(), []);
    assert.equal(scene.log.contains(driverPassword), false);
  });

  for (const mode of ['simple', 'extended', 'prepared'] as const) {
    it(`pgbench -M ${mode}: the transactions it reports are those captured`, { timeout }, async (t) => {
      const dir = await folderOrSkip(t, 'pgbench', toolsBuild);
      if (dir === undefined) return;
      const database = await makeDatabase(t);
      await output(dir, 'pgbench', '-i', '-I', 'dtGp', '-q', urlOf(database, 'direct', 'pgbench'));
      const load = [
        '-n',
        '-M',
        mode,
        '-c',
        '4',
        '-j',
        '2',
        '-t',
        '100',
        '--random-seed=7',
        urlOf(database, 'proxied', 'pgbench'),
      ];
      const report = await output(dir, 'pgbench', ...load);
      assert.match(report, /actually processed: 400\/400/);
      assert.match(report, /number of failed transactions: 0/);
      const sessions = await scene.captured(database);
      checkAccounts(sessions);
      const benching = sessions.filter(({ applicationName }) => applicationName === 'pgbench');
      const tpcb = benching
        .flatMap(({ transactions }) => transactions)
        .filter((parts) => {
          const tags = parts.flatMap((part) => tagsOfTransaction([part]));
          return tags[0] === 'BEGIN' && tags.at(-1) === 'COMMIT' && tags.includes('INSERT 0 1');
        });
      assert.equal(tpcb.length, 400);
      assert.ok(tpcb.every((parts) => parts.at(-1)?.outcome === TransactionOutcome.COMMITTED));
      const letters = new Set(tpcb.flatMap(wholeExchanges).map(({ request }) => String.fromCharCode(request[0] ?? 0)));
      assert.deepEqual([...letters].sort(), { simple: ['Q'], extended: ['P'], prepared: ['B', 'P'] }[mode]);
      const rows = await withClient(scene.urls(database, 'direct').plain, async (client) => {
        const { rows } = await client.query<{ count: string }>('SELECT count(*) FROM pgbench_history');
        return rows[0]?.count;
      });
      assert.equal(rows, '400');
    });
  }
});

const tagsOfTransaction = (parts: Parameters<typeof wholeExchanges>[0]): string[] =>
  wholeExchanges(parts).flatMap(({ observations }) => observations.map(({ commandTag }) => commandTag));

const tagsOf = (sessions: readonly CapturedSession[]): string[] =>
  sessions.flatMap(({ transactions }) => transactions.flatMap(tagsOfTransaction));
