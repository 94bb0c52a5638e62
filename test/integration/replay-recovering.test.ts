// A mirror that crashes under load and then stays in recovery, refusing every connection with 57P03, until it is promoted.
import assert from 'node:assert/strict';
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import type { PostgresServer } from '@mirrorstream/local';
import { type SpawnedService, sharedKafka, startPostgres, waitFor } from '@mirrorstream/testkit';
import { ReplayAccount } from './replay-account.ts';
import { checkJournal, createJournal, JournalWriter, readJournal } from './replay-journal.ts';
import { type Mirror, ReplayerScene } from './replayer-scene.ts';

const sessions = 6;
const retryMaxMs = 400;
/** From the first wait of 100 ms on each is at least half of what it doubles to. */
const leastWaitMs = (tries: number): number => Math.min(retryMaxMs, 100 * 2 ** tries) / 2;
/** Of the server's clock, which stamps the lines, and of a connection that is slow to be made. */
const clockToleranceMs = 40;

describe('a mirror that crashes under load and stays in recovery', { timeout: 240_000 }, () => {
  it('is asked again at growing distances; what was under way is lost, all else is played once it is out of recovery', async (t) => {
    const stage = await openStage(t, '--connect-give-up-ms', '120000');
    await stage.crashUnderLoad();
    await stage.writer.write(10);
    const refusals = await stage.refused(12);
    assert.ok(stage.account.resolved < stage.writer.transactions, 'there is something left to play');
    await stage.promote();
    await stage.account.settled(stage.writer.transactions);

    const { replayed = 0, 'failed/connectionLost': lost = 0, ...others } = stage.account.tally();
    assert.deepEqual(others, {});
    assert.ok(lost <= sessions, `${lost} lost`);
    assert.equal(replayed + lost, stage.writer.transactions);
    await stage.check(lost);

    // The breaker was open before recovery began: one probe at a time, each further from the last, up to the longest wait.
    for (const [tries, at] of refusals.entries()) {
      const next = refusals[tries + 1];
      if (next !== undefined)
        assert.ok(
          next - at >= leastWaitMs(tries) - clockToleranceMs,
          `try ${tries + 2} came after ${next - at} ms: ${refusals}`,
        );
    }
    const said = stage.replayer.lines().filter((line) => /the mirror (is down|answers again)/.test(line));
    assert.equal(said.length, 2, 'it says that the mirror is gone, and that it is back, once each');
  });

  it('costs what could wait no longer, counted as targetUnreachable, and nothing that comes after recovery', async (t) => {
    const stage = await openStage(t, '--connect-give-up-ms', '800');
    await stage.crashUnderLoad();
    await stage.writer.write(10);
    // All of it is settled while the mirror still refuses.
    await stage.account.settled(stage.writer.transactions);
    const before = stage.account.tally();
    assert.ok((before['failed/targetUnreachable'] ?? 0) > 0, JSON.stringify(before));
    await stage.promote();
    // Until a probe has gone through, transactions fail at once; nobody asks while nobody waits.
    await waitFor(
      async () => {
        await stage.writer.write(1);
        await stage.account.settled(stage.writer.transactions);
        return (stage.account.tally()['replayed'] ?? 0) > (before['replayed'] ?? 0);
      },
      { what: 'the mirror to be played to again', deadlineMs: 30_000, everyMs: 50 },
    );
    const { 'failed/targetUnreachable': given } = stage.account.tally();
    await stage.writer.write(10);
    await stage.account.settled(stage.writer.transactions);

    const {
      replayed = 0,
      'failed/connectionLost': lost = 0,
      'failed/targetUnreachable': away = 0,
      ...others
    } = stage.account.tally();
    assert.deepEqual(others, {});
    assert.equal(away, given, 'nothing fails any more');
    assert.ok(lost <= sessions, `${lost} lost`);
    assert.equal(replayed + lost + away, stage.writer.transactions);
    await stage.check(lost + away);
  });
});

interface Stage {
  readonly account: ReplayAccount;
  readonly writer: JournalWriter;
  readonly replayer: SpawnedService;
  /** Kills the server and all its backends while they work, and starts it as one that stays in recovery. */
  crashUnderLoad(): Promise<void>;
  /** Waits until the replayer was refused so often, and says when, in ms. */
  refused(times: number): Promise<readonly number[]>;
  promote(): Promise<void>;
  /** Nothing ran twice, and what is missing failed. */
  check(failed: number): Promise<void>;
}

async function openStage(t: TestContext, ...flags: readonly string[]): Promise<Stage> {
  const cleanUps: (() => Promise<unknown>)[] = [];
  t.after(async () => {
    for (const work of cleanUps.reverse()) await work();
  });
  const scene = await ReplayerScene.open((await sharedKafka()).bootstrap);
  let server = await startPostgres({ name: 'recovering' });
  cleanUps.push(
    () => server.kill9(),
    () => scene.close(),
  );
  const mirror = await scene.newMirror({ ...server });
  await createJournal(scene.sourceUrl, mirror.url);
  const account = new ReplayAccount(scene, mirror);
  const all = ['--pacing', 'asap', '--retry-max-ms', String(retryMaxMs), ...flags];
  const replayer = await scene.startReplayer(mirror, ...all);
  const writer = await JournalWriter.open(scene.proxyUrl, { sessions, seed: 1 });
  cleanUps.push(() => writer.close());
  const refusals = new Refusals(mirror);
  let recovering: Promise<PostgresServer> | null = null;
  return {
    account,
    writer,
    replayer,
    crashUnderLoad: async () => {
      await writer.write(2);
      await account.reached(sessions);
      const load = writer.write(40);
      await account.reached(account.resolved + sessions);
      await server.kill9();
      await load;
      await replayer.waitForLine(/the mirror is down/);
      const { dataDir, port } = server;
      await writeFile(join(dataDir, 'standby.signal'), '');
      // It recovers from its crash, and then waits for more WAL; nobody is let in.
      recovering = startPostgres({
        ...{ name: 'recovering', dataDir, port, onLog: (line) => refusals.take(line) },
        settings: { hot_standby: 'off', log_line_prefix: '%n [%p] %d ' },
      });
      recovering.catch(() => {});
      await waitFor(() => refusals.at.length > 0, { what: 'the first refusal', deadlineMs: 60_000 });
    },
    refused: (times) =>
      waitFor(() => (refusals.at.length >= times ? [...refusals.at] : null), {
        what: `${times} refusals`,
        deadlineMs: 40_000,
      }),
    promote: async () => {
      await writeFile(join(server.dataDir, 'promote'), '');
      process.kill(refusals.postmaster, 'SIGUSR1');
      server = await (recovering as Promise<PostgresServer>);
      await rm(join(server.dataDir, 'standby.signal'), { force: true });
    },
    check: async (failed) => {
      assert.equal(account.repeated, 0, 'each transaction has one result');
      const [source, played] = [await readJournal(scene.sourceUrl), await readJournal(mirror.url)];
      assert.equal(checkJournal(source, played, { missing: failed, window: 0, returns: 0 }), 0, 'nothing ran twice');
    },
  };
}

/** When the mirror's server refused a session of the replayer with 57P03, by its own log. Others who ask for it ask for other databases. */
class Refusals {
  readonly at: number[] = [];
  postmaster = 0;
  readonly #database: string;

  constructor({ url }: Mirror) {
    this.#database = new URL(url).pathname.slice(1);
  }

  take(line: string): void {
    const [, seconds = '', pid = '', database = ''] = /^(\d+\.\d+) \[(\d+)\] (\S*)/.exec(line) ?? [];
    if (/starting PostgreSQL/.test(line)) this.postmaster = Number(pid);
    if (!/FATAL:.*(not (yet )?accepting connections|is starting up)/.test(line) || database !== this.#database) return;
    this.at.push(Number(seconds) * 1000);
  }
}
