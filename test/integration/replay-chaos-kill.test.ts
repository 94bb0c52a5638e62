// Replayers of one mirror that are killed with -9, join, leave and are restarted under load, round after round, beside a broker that is
// restarted: after each round every transaction has one outcome, and the mirror shows what ran, how often, and in which order.
//
// `MIRRORSTREAM_CHAOS_ROUNDS` (default 20) and `MIRRORSTREAM_CHAOS_SEED` make it longer and other.
import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import { statusSchema } from '@mirrorstream/domain';
import {
  removeDirectory,
  type SpawnedService,
  seededRandom,
  spawnService,
  startKafka,
  temporaryDirectory,
  waitFor,
} from '@mirrorstream/testkit';
import { run } from '../e2e/up-process.ts';
import { ReplayAccount } from './replay-account.ts';
import { checkJournal, createJournal, JournalWriter, readJournal } from './replay-journal.ts';
import { type Mirror, ReplayerScene } from './replayer-scene.ts';

const rounds = Number(process.env['MIRRORSTREAM_CHAOS_ROUNDS'] ?? 20);
const seed = Number(process.env['MIRRORSTREAM_CHAOS_SEED'] ?? 1);
const sessions = 6;
const perRound = 12;
/** A death is noticed soon, so that a round is short. */
const brokerSettings = { 'group.min.session.timeout.ms': '500' };
const flags = ['--pacing', 'asap', '--duplicate-window', '1', '--group-session-timeout-ms', '1500'];

describe('replayers of one mirror', { timeout: Math.max(400_000, rounds * 20_000) }, () => {
  it(`count each transaction once and keep each session's order, when one is killed with -9 in each of ${rounds} rounds`, async (t) => {
    const stage = await openStage(t);
    const random = seededRandom(seed);
    const replayers = [await stage.start('a'), await stage.start('b')];
    for (let round = 1; round <= rounds; round++) {
      const victim = random.integer(0, replayers.length - 1);
      const load = stage.writer.write(perRound);
      await stage.account.reached(stage.account.resolved + random.integer(1, (sessions * perRound) / 2));
      await replayers[victim]?.kill9();
      const [started] = await Promise.all([stage.start(victim === 0 ? 'a' : 'b'), load]);
      replayers[victim] = started;
      await stage.settle({ round, disturbances: round });
    }
    t.diagnostic(`${rounds} kills, ${stage.writer.transactions} transactions, ${stage.ranTwice} ran twice`);
    await stage.close();
  });

  it('do so while others join, leave, are restarted one after the other, and while the broker is restarted', async (t) => {
    const stage = await openStage(t);
    let [a, b] = [await stage.start('a'), await stage.start('b')];
    let c = a;
    let disturbances = 0;
    const during = async (change: () => Promise<void>): Promise<void> => {
      const load = stage.writer.write(perRound);
      await stage.account.reached(stage.account.resolved + sessions);
      await change();
      await load;
      disturbances += 1;
      await stage.settle({ round: disturbances, disturbances });
    };
    const restart = async (replayer: SpawnedService, name: string): Promise<SpawnedService> => {
      assert.equal((await replayer.stop()).code, 0, replayer.lastLogLines().join('\n'));
      return stage.start(name);
    };
    await during(async () => {
      c = await stage.start('c');
    });
    await during(async () => void (await c.stop()));
    await during(async () => {
      a = await restart(a, 'a');
    });
    await during(async () => {
      b = await restart(b, 'b');
    });
    await during(() => stage.restartBroker());
    await stage.close();
    for (const replayer of [a, b]) assert.equal((await replayer.stop()).code, 0);
  });
});

interface Stage {
  readonly account: ReplayAccount;
  readonly writer: JournalWriter;
  readonly ranTwice: number;
  start(instance: string): Promise<SpawnedService>;
  restartBroker(): Promise<void>;
  /** The account and the mirror after a round. */
  settle(after: { readonly round: number; readonly disturbances: number }): Promise<void>;
  /** Ends the traffic; the comparer's counts must come to the same. */
  close(): Promise<void>;
}

async function openStage(t: TestContext): Promise<Stage> {
  const dataDir = await temporaryDirectory('chaos-kafka');
  let broker = await startKafka({ dataDir, settings: brokerSettings });
  const { bootstrap, port } = broker;
  t.after(async () => {
    await broker.kill9();
    await removeDirectory(dataDir);
  });
  const scene = await ReplayerScene.open(bootstrap);
  t.after(() => scene.close());
  const mirror = await scene.newMirror();
  await createJournal(scene.sourceUrl, mirror.url);
  const comparer = await spawnService(['comparer', '--mirror', mirror.name, '--brokers', bootstrap]);
  t.after(() => comparer.kill9());
  const account = new ReplayAccount(scene, mirror);
  const writer = await JournalWriter.open(scene.proxyUrl, { sessions, seed });
  let open = true;
  const closeWriter = async (): Promise<void> => {
    if (open) await writer.close();
    open = false;
  };
  t.after(closeWriter);
  let ranTwice = 0;
  return {
    account,
    writer,
    get ranTwice() {
      return ranTwice;
    },
    start: (instance) => scene.startReplayer(mirror, ...flags, '--instance', instance),
    restartBroker: async () => {
      await broker.stop();
      broker = await startKafka({ dataDir, port, settings: brokerSettings });
    },
    settle: async ({ round, disturbances }) => {
      await account.settled(writer.transactions);
      assert.deepEqual(account.tally(), { replayed: writer.transactions }, `round ${round}`);
      const [source, played] = [await readJournal(scene.sourceUrl), await readJournal(mirror.url)];
      // The death of a member and its return are two assignments, and at each a session may change hands.
      ranTwice = checkJournal(source, played, { missing: 0, window: 1, returns: 2 * disturbances });
    },
    close: async () => {
      await closeWriter();
      await scene.stopProxy();
      await compared(t, scene, mirror, writer.transactions);
    },
  };
}

/** What `mirrorstream status` says when all is done. */
async function compared(t: TestContext, scene: ReplayerScene, mirror: Mirror, sent: number): Promise<void> {
  const folder = await temporaryDirectory('chaos-status');
  t.after(() => removeDirectory(folder));
  const status = async () => {
    const args = ['status', '--json', '--brokers', scene.brokers, '--source-name', scene.source];
    const { code, stdout, stderr } = await run(args, folder);
    assert.equal(code, 0, stderr);
    return statusSchema.parse(JSON.parse(stdout)).mirrors[mirror.name]?.transactions;
  };
  const counts = await waitFor(
    async () => {
      const now = await status();
      return now?.inFlight === 0 ? now : null;
    },
    { what: 'nothing in flight', deadlineMs: 60_000, everyMs: 200 },
  );
  const none = { filtered: 0, unexposed: 0, shed: 0, failed: 0, inFlight: 0 };
  assert.deepEqual(counts, { captured: sent, replayed: sent, ...none });
}
