// What of the traffic a mirror plays, changed while it runs: exposure, filters, and relief when it falls behind. Every transaction is
// accounted for, whatever became of it.
import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import type { Filters, ReplayerSnapshot } from '@mirrorstream/domain';
import { descendantsOf } from '@mirrorstream/local';
import { createSqlAnalyzer } from '@mirrorstream/sql';
import {
  execute,
  FaultProxy,
  type PostgresAddress,
  queryFrame,
  seededRandom,
  sharedKafka,
  spawnService,
  startPostgres,
  WireConnection,
  waitFor,
  withClient,
} from '@mirrorstream/testkit';
import { differences, type Mirror, type Outcomes, ReplayerScene, repeated, tally } from './replayer-scene.ts';

describe('what a mirror plays', { timeout: 300_000 }, () => {
  it('follows exposure at run time: sessions under way keep what they began with, mirrors nest, and immediate means now', async (t) => {
    const scene = await openScene(t);
    const mirror = await scene.newMirror();
    const larger = await scene.newMirror();
    await scene.startReplayer(mirror, '--exposure', '0.25');
    await scene.startReplayer(larger, '--exposure', '0.75');
    const first = await Sessions.open(t, scene, 24);
    await first.askAll();
    const before = await playedSessions(scene, mirror, 24);
    const draws = await scene.draws();
    assert.deepEqual(sorted(before), sorted([...draws].filter(([, draw]) => draw < 0.25).map(([id]) => id)));
    const nesting = await playedSessions(scene, larger, 24);
    assert.ok([...before].every((id) => nesting.has(id)) && nesting.size > before.size);

    await scene.control(mirror, { exposure: 0.75 });
    await first.askAll();
    const second = await Sessions.open(t, scene, 12);
    await second.askAll();
    const after = await playedSessions(scene, mirror, 24 + 24 + 12);
    const joined = await scene.draws();
    const newcomers = [...joined].filter(([id, draw]) => !draws.has(id) && draw < 0.75).map(([id]) => id);
    assert.deepEqual(sorted(after), sorted([...before, ...newcomers]));
    const effective = async (transactions: number): Promise<ReplayerSnapshot['admission']> =>
      (
        await waitFor(
          async () => {
            const snapshot = await scene.snapshot(mirror);
            return snapshot?.admission?.transactions.seen === transactions ? snapshot : null;
          },
          { what: 'the status to say what exposure came to', everyMs: 100 },
        )
      ).admission;
    const admission = await effective(36);
    assert.deepEqual(
      [admission?.exposure, admission?.sessions.seen, admission?.sessions.played],
      [0.75, 36, before.size + newcomers.length],
    );

    await scene.control(mirror, { exposure: 0, immediate: true });
    await first.askAll();
    await playedSessions(scene, mirror, 60 + 24);
    assert.equal((await effective(24))?.transactions.played, 0);
    await scene.control(mirror, { exposure: 1, immediate: true });
    await first.askAll();
    const outcomes = await scene.waitForAll(mirror, 60 + 24 + 24);
    assert.equal((await effective(24))?.transactions.played, 24);
    assert.deepEqual(Object.keys(tally(outcomes)).sort(), ['replayed', 'unexposed']);
    assert.equal(repeated(outcomes), 0);
    assert.deepEqual(differences(outcomes), []);
  });

  it('filters by every criterion, as the control topic says, and the flags hold again without it', async (t) => {
    const scene = await openScene(t);
    const mirror = await scene.newMirror();
    for (const url of [scene.sourceUrl, mirror.url])
      await execute(url, 'CREATE TABLE orders (n int)', 'CREATE SCHEMA log', 'CREATE TABLE log.audit (n int)');
    await scene.startReplayer(mirror, '--exclude-database', 'nobody');
    const database = new URL(scene.sourceUrl).pathname.slice(1);
    let seen: Outcomes = new Map();
    let captured = 0;
    const become = async (
      filters: Partial<Filters>,
      application: string,
      ...texts: readonly string[]
    ): Promise<string[]> => {
      await scene.control(mirror, { filters });
      const url = new URL(scene.proxyUrl);
      url.searchParams.set('application_name', application);
      await withClient(url.href, async (client) => {
        for (const text of texts) await client.query(text.includes('$1') ? { name: 'p', text, values: [1] } : text);
      });
      captured += texts.length;
      const all = await scene.waitForAll(mirror, captured);
      const fresh = new Map([...all].filter(([key]) => !seen.has(key)));
      seen = all;
      return [...fresh]
        .sort(([a], [b]) => Number(a.split('/')[1]) - Number(b.split('/')[1]))
        .map(([key, results]) => Object.keys(tally(new Map([[key, results]])))[0] ?? '');
    };
    const read = 'SELECT * FROM orders';
    const write = 'INSERT INTO orders VALUES ($1)';
    const both = 'BEGIN; SELECT 1 FROM log.audit; INSERT INTO orders VALUES (2); COMMIT';
    const ddl = 'CREATE INDEX ON orders (n)';
    const all4 = [read, write, both, ddl] as const;
    const no = (reason: string): string => `filtered/${reason}`;
    const played = 'replayed';

    assert.deepEqual(await become({ excludeDatabases: [database] }, '', read), [no('database')]);
    assert.deepEqual(await become({ includeDatabases: ['other'] }, '', read), [no('database')]);
    assert.deepEqual(await become({ includeUsers: ['other'] }, '', read), [no('user')]);
    assert.deepEqual(await become({ includeApplications: ['web'] }, 'batch', read), [no('application')]);
    assert.deepEqual(await become({ includeApplications: ['web'] }, 'web', read), [played]);
    const wrongClass = no('statementClass');
    assert.deepEqual(await become({ includeClasses: ['reads'] }, '', ...all4), [
      played,
      ...new Array(3).fill(wrongClass),
    ]);
    assert.deepEqual(await become({ excludeClasses: ['ddl', 'reads'] }, '', ...all4), [
      wrongClass,
      played,
      played,
      wrongClass,
    ]);
    assert.deepEqual(await become({ excludeTables: ['audit'] }, '', ...all4), [played, played, no('table'), played]);
    assert.deepEqual(await become({ includeTables: ['log.audit'] }, '', read, both, 'SET a.b TO 1'), [
      no('table'),
      played,
      played,
    ]);
    const fingerprint = await fingerprintOf(write);
    assert.deepEqual(await become({ excludeFingerprints: [fingerprint] }, '', read, write), [
      played,
      no('fingerprint'),
    ]);
    assert.deepEqual(await become({ includeFingerprints: [fingerprint] }, '', read, write), [
      no('fingerprint'),
      played,
    ]);
    const hour = new Date().getUTCHours();
    const span = (from: number, to: number): string =>
      [from, to].map((it) => `${String(it % 24).padStart(2, '0')}:00`).join('-');
    assert.deepEqual(await become({ excludeTimes: [span(hour + 23, hour + 2)] }, '', read), [no('timeOfDay')]);
    assert.deepEqual(await become({ includeTimes: [span(hour + 23, hour + 2)] }, '', read), [played]);
    assert.equal(repeated(seen), 0);

    await scene.control(mirror, null);
    assert.deepEqual((await scene.snapshot(mirror))?.admission?.filters, { excludeDatabases: ['nobody'] });
  });

  it('brings a session over what was filtered out of it, and says what cannot be played any more', async (t) => {
    const scene = await openScene(t);
    const mirror = await scene.newMirror();
    for (const url of [scene.sourceUrl, mirror.url])
      await execute(url, 'CREATE TABLE audit (n int)', 'INSERT INTO audit VALUES (1)');
    await scene.startReplayer(mirror, '--exclude-table', 'audit', '--exclude-class', 'ddl,writes');
    await withClient(scene.proxyUrl, async (client) => {
      await client.query('BEGIN');
      await client.query("SET my.setting TO 'kept'");
      await client.query('SELECT * FROM audit');
      await client.query('COMMIT');
      await client.query("SELECT current_setting('my.setting')");
      await client.query('CREATE TEMP TABLE mine (n int)');
      // From here on every name may be the temporary table's.
      await client.query('SELECT * FROM mine');
      await client.query("SELECT current_setting('my.setting')");
    });
    await withClient(scene.proxyUrl, (client) => client.query('SELECT 1'));
    const outcomes = await scene.waitForAll(mirror, 6);
    assert.deepEqual(tally(outcomes), {
      'filtered/table': 1,
      'filtered/statementClass': 1,
      replayed: 2,
      'failed/dependsOnSession': 2,
    });
    assert.deepEqual(differences(outcomes), []);
  });

  it('starts as the control topic says, not as its flags do', async (t) => {
    const scene = await openScene(t);
    const mirror = await scene.newMirror();
    await withClient(scene.proxyUrl, (client) => client.query('SELECT 1'));
    await scene.writeControl(mirror, { exposure: 0 });
    await scene.startReplayer(mirror, '--exposure', '1');
    assert.deepEqual(tally(await scene.waitForAll(mirror, 1)), { unexposed: 1 });
  });

  it('pauses and goes on as it is told: nothing is lost', async (t) => {
    const scene = await openScene(t);
    const mirror = await scene.newMirror();
    await scene.startReplayer(mirror);
    const sessions = await Sessions.open(t, scene, 3);
    await sessions.askAll();
    await scene.waitForAll(mirror, 3);
    await scene.control(mirror, { replay: 'paused' });
    await sessions.askAll();
    await waitFor(async () => ((await scene.snapshot(mirror))?.pending ?? 0) === 3, { what: 'transactions that wait' });
    assert.equal((await scene.outcomes(mirror)).size, 3);
    await scene.control(mirror, { replay: 'on' });
    assert.deepEqual(tally(await scene.waitForAll(mirror, 6)), { replayed: 6 });
  });

  it('does what mirrorstream mirror says, which waits until every replayer has said so', async (t) => {
    const scene = await openScene(t);
    const mirror = await scene.newMirror();
    await scene.startReplayer(mirror, '--instance', 'one', '--exclude-user', 'backup');
    await scene.startReplayer(mirror, '--instance', 'two', '--exclude-user', 'backup');
    const say = async (...words: string[]): Promise<{ readonly code: number | null; readonly said: string }> => {
      const command = await spawnService(['mirror', ...words, '--json', '--brokers', scene.brokers]);
      const { code } = await command.exited;
      const said = command.lines().join('\n');
      assert.ok(code === 0 || words.includes('90000'), said);
      return { code, said };
    };
    const inForce = ({ said }: { readonly said: string }): unknown => {
      const { mirrors } = JSON.parse(/^\{.*\}$/m.exec(said)?.[0] ?? '{"mirrors":[]}') as MirrorAnswer;
      const found = mirrors.find((each) => each.mirror === mirror.name);
      return found?.replayers.map(({ instance, replay, exposure, filters, shed }) => [
        instance,
        replay,
        exposure,
        filters,
        shed['skipBehindMs'] ?? null,
      ]);
    };
    const flags = { excludeUsers: ['backup'] };
    const before = await waitFor(
      async () => {
        const answer = inForce(await say('status', mirror.name));
        return Array.isArray(answer) && answer.length === 2 ? answer : null;
      },
      { what: 'both replayers to say what they do' },
    );
    assert.deepEqual(before, [
      ['one', 'on', 1, flags, null],
      ['two', 'on', 1, flags, null],
    ]);
    const change = ['--exposure', '0.25', '--exclude-table', 'audit,log.events', '--shed-skip-behind-ms', '60000'];
    const set = await say('set', mirror.name, ...change);
    assert.equal(set.code, 0, set.said);
    const changed = { ...flags, excludeTables: ['audit', 'log.events'] };
    assert.deepEqual(inForce(set), [
      ['one', 'on', 0.25, changed, 60_000],
      ['two', 'on', 0.25, changed, 60_000],
    ]);
    assert.deepEqual(inForce(await say('pause', mirror.name)), [
      ['one', 'paused', 0.25, changed, 60_000],
      ['two', 'paused', 0.25, changed, 60_000],
    ]);
    assert.deepEqual(inForce(await say('clear', mirror.name)), before);
    assert.deepEqual(inForce(await say('status')), before);
    const wrong = await say('set', mirror.name, '--shed-reads-behind-ms', '90000', '--shed-skip-behind-ms', '60000');
    assert.equal(wrong.code, 2, wrong.said);
    assert.match(wrong.said, /--shed-skip-behind-ms must be above --shed-reads-behind-ms/);
  });

  it('sheds by stages when the mirror stops, accounts for every transaction, and recovers by itself', async (t) => {
    const scene = await openScene(t);
    const server = await startPostgres({ name: 'stopped' });
    t.after(() => server.kill9());
    const mirror = await scene.newMirror(addressOf(server));
    for (const url of [scene.sourceUrl, mirror.url]) await execute(url, 'CREATE TABLE kept (session int, n int)');
    const replayer = await scene.startReplayer(
      mirror,
      ...[
        '--pacing',
        'asap',
        '--connect-give-up-ms',
        '600000',
        '--connect-timeout-ms',
        '600000',
        '--shed-step-ms',
        '10000',
      ],
      ...['--shed-reads-behind-ms', '1000', '--shed-sessions-behind-ms', '4000', '--shed-skip-behind-ms', '10000'],
    );
    const sessions = await Sessions.open(t, scene, 8);
    const write = (at: number): string => `INSERT INTO kept VALUES (${at}, 1)`;
    const round = (): Promise<void> => sessions.askAll(write, () => 'SELECT count(*) FROM pg_class');
    await round();
    await scene.waitForAll(mirror, 16);
    let asked = 16;
    const stopped = [server.pid, ...descendantsOf(server.pid)];
    for (const pid of stopped) process.kill(pid, 'SIGSTOP');
    const stage = async (): Promise<string | undefined> => (await scene.snapshot(mirror))?.admission?.shedding.stage;
    await waitFor(
      async () => {
        await round();
        asked += 16;
        return (await stage()) === 'skip';
      },
      { what: 'the last stage', deadlineMs: 90_000, everyMs: 200 },
    );
    for (const pid of stopped) process.kill(pid, 'SIGCONT');
    await waitFor(async () => (await stage()) === 'none', { what: 'the mirror to catch up', everyMs: 200 });
    // Sessions come back: of each one a transaction is played again.
    await waitFor(
      async () => {
        const known = new Set((await scene.outcomes(mirror)).keys());
        await round();
        asked += 16;
        const outcomes = await scene.waitForAll(mirror, asked);
        const fresh = new Map([...outcomes].filter(([key]) => !known.has(key)));
        return tally(fresh)['replayed'] === 16;
      },
      { what: 'a round without shedding', deadlineMs: 90_000, everyMs: 200 },
    );
    const outcomes = await scene.waitForAll(mirror, asked);
    const { replayed = 0, 'shed/behindSource': behind = 0, 'shed/skipToNow': skipped = 0, ...others } = tally(outcomes);
    assert.deepEqual(others, {});
    assert.equal(replayed + behind + skipped, asked);
    assert.ok(behind > 0 && skipped > 0, JSON.stringify({ behind, skipped }));
    assert.equal(repeated(outcomes), 0);
    const stages = replayer
      .lines()
      .flatMap((line) => /"stage":"(\w+)"/.exec(line)?.[1] ?? [])
      .filter((name) => name !== 'replayer');
    assert.deepEqual(stages.slice(0, 3), ['reads', 'sessions', 'skip']);
    const rows = await withClient(mirror.url, (client) => client.query('SELECT count(*)::int AS n FROM kept'));
    const written = [...outcomes.values()].filter(
      ([result]) => result?.statements.some(({ sql }) => sql.startsWith('INSERT')) ?? false,
    );
    assert.equal(rows.rows[0].n, written.length);
    await scene.waitForCommits(mirror);
  });

  for (const how of ['accepts and never answers', 'hangs in the midst of it'] as const) {
    it(`holds no more than its limit and one fetch while the mirror ${how}, and goes on when that is over`, async (t) => {
      const scene = await openScene(t);
      const server = await startPostgres({ name: 'hung' });
      t.after(() => server.stop());
      const proxy = await FaultProxy.start({ upstream: server }, t);
      const direct = await scene.newMirror(addressOf(server));
      const through = new URL(direct.url);
      through.port = String(proxy.port);
      const mirror = { ...direct, url: through.href };
      const limitBytes = 4 * 1024 * 1024;
      const hung = how === 'hangs in the midst of it';
      if (!hung) proxy.set('both', { blackHole: true });
      await scene.startReplayer(
        mirror,
        ...['--pacing', 'asap', '--max-queue-bytes', String(limitBytes), '--max-lane-bytes', String(limitBytes)],
        ...['--connect-give-up-ms', '600000', '--connect-timeout-ms', '1000'],
      );
      const sessions = await Sessions.open(t, scene, 6);
      await sessions.askAll();
      if (hung) {
        await scene.waitForAll(mirror, 6);
        proxy.set('both', { blackHole: true });
      }
      const rounds = 60;
      const filler = (at: number, n: number): string => `SELECT length('${noise(at * 1000 + n, 32 * 1024)}')`;
      for (let n = 0; n < rounds; n++) await sessions.askAll((at) => filler(at, n));
      const full = await waitFor(
        async () => {
          const snapshot = await scene.snapshot(mirror);
          return (snapshot?.queue?.pausedPartitions ?? 0) > 0 ? snapshot : null;
        },
        { what: 'partitions to pause' },
      );
      assert.ok((full.queue?.peakBytes ?? 0) > limitBytes);
      proxy.set('both', {});
      if (hung) proxy.reset();
      const outcomes = await scene.waitForAll(mirror, 6 * (rounds + 1));
      const { replayed = 0, 'failed/connectionLost': lost = 0, ...others } = tally(outcomes);
      assert.deepEqual(others, {});
      assert.equal(replayed + lost, 6 * (rounds + 1));
      assert.ok(lost <= (hung ? 6 : 0), `${lost} lost`);
      const { queue } = await waitFor(
        async () => {
          const snapshot = await scene.snapshot(mirror);
          return snapshot?.pending === 0 ? snapshot : null;
        },
        { what: 'the queue to empty' },
      );
      assert.deepEqual([queue?.bytes, queue?.pausedPartitions], [0, 0]);
      t.diagnostic(`at most ${queue?.peakBytes} bytes waited, with a limit of ${limitBytes}`);
      // A fetch is 1 MiB of a partition, as it is compressed; this text shrinks to half.
      assert.ok((queue?.peakBytes ?? 0) <= limitBytes + 3 * 1024 * 1024, `${queue?.peakBytes} bytes`);
    });
  }
});

interface MirrorAnswer {
  readonly mirrors: readonly {
    readonly mirror: string;
    readonly replayers: readonly {
      readonly instance: string;
      readonly replay: string;
      readonly exposure: number;
      readonly filters: Readonly<Record<string, readonly string[]>>;
      readonly shed: Readonly<Record<string, number>>;
    }[];
  }[];
}

/** Clients that stay connected. */
class Sessions {
  readonly #connections: readonly WireConnection[];

  private constructor(connections: readonly WireConnection[]) {
    this.#connections = connections;
  }

  static async open(t: TestContext, scene: ReplayerScene, count: number): Promise<Sessions> {
    const connections = await Promise.all(Array.from({ length: count }, () => WireConnection.connect(scene.proxyUrl)));
    t.after(() => Promise.all(connections.map((each) => each.close())).then(() => undefined));
    return new Sessions(connections);
  }

  /** Each of them says all of it, one after the other. */
  async askAll(...texts: readonly ((at: number) => string)[]): Promise<void> {
    const asked = texts.length === 0 ? [() => 'SELECT 1'] : texts;
    await Promise.all(
      this.#connections.map(async (connection, at) => {
        for (const text of asked) await connection.exchange(queryFrame(text(at)));
      }),
    );
  }
}

async function openScene(t: TestContext): Promise<ReplayerScene> {
  const scene = await ReplayerScene.open((await sharedKafka()).bootstrap);
  t.after(() => scene.close());
  return scene;
}

/** Sessions with a played transaction, once so many transactions have a result. */
async function playedSessions(
  scene: ReplayerScene,
  mirror: Mirror,
  transactions: number,
): Promise<ReadonlySet<string>> {
  const outcomes = await scene.waitForAll(mirror, transactions);
  const played = [...outcomes].filter(([key, results]) => tally(new Map([[key, results]]))['replayed'] === 1);
  return new Set(played.map(([key]) => key.slice(0, key.lastIndexOf('/'))));
}

const sorted = (names: Iterable<string>): string[] => [...names].sort();

function addressOf(server: Awaited<ReturnType<typeof startPostgres>>): PostgresAddress {
  const { name, host, port, url } = server;
  return { name, major: 17, host, port, superuser: 'postgres', url };
}

async function fingerprintOf(sql: string): Promise<string> {
  return (await createSqlAnalyzer()).fingerprint(sql);
}

/** Text that does not compress to less than half. */
const noise = (seed: number, length: number): string =>
  seededRandom(seed)
    .bytes(length / 2)
    .toString('hex');
