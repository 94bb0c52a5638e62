// The whole line as separate processes: proxy, replayer, comparer. What went in is accounted for, transaction by transaction.
import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import { type Status, statusSchema } from '@mirrorstream/domain';
import {
  createTpcbTables,
  removeDirectory,
  runTpcb,
  type SpawnedService,
  sharedKafka,
  spawnService,
  temporaryDirectory,
  tpcbSums,
  waitFor,
} from '@mirrorstream/testkit';
import { type Mirror, ReplayerScene, tally } from '../integration/replayer-scene.ts';
import { run } from './up-process.ts';

const clients = 4;
const transactionsPerClient = 60;
const protocols = ['simple', 'extended', 'prepared'] as const;

describe('proxy, replayer and comparer together', { timeout: 240_000 }, () => {
  it('account for exactly the transactions that went in, over every protocol, and leave equal tables', async (t) => {
    const line = await openLine(t);
    await line.scene.startReplayer(line.mirror);
    await line.load();
    await line.scene.stopProxy();
    const status = await line.drained();
    const sent = protocols.length * clients * transactionsPerClient + preparing;
    assert.equal(status.source.transactions, sent);
    assert.deepEqual(status.source.dropped, { transactions: 0, bytes: 0 });
    assert.deepEqual(status.mirrors[line.mirror.name]?.transactions, account(sent));
    assert.deepEqual(await tpcbSums(line.mirror.url), await tpcbSums(line.scene.sourceUrl));
  });

  it('count each transaction once when the replayer is killed with -9 in mid-run and started again', async (t) => {
    const line = await openLine(t);
    let replayer = await line.scene.startReplayer(line.mirror);
    const load = line.load();
    for (const resolved of [80, 240, 400]) {
      await waitFor(async () => resolvedOf(await line.status(), line.mirror) >= resolved, {
        what: `${resolved} transactions to be resolved`,
        everyMs: 50,
      });
      await replayer.kill9();
      replayer = await line.scene.startReplayer(line.mirror);
    }
    await load;
    await line.scene.stopProxy();
    const status = await line.drained();
    const sent = protocols.length * clients * transactionsPerClient + preparing;
    assert.deepEqual(tally(await line.scene.outcomes(line.mirror)), { replayed: sent });
    assert.equal(status.source.transactions, sent);
    assert.deepEqual(status.mirrors[line.mirror.name]?.transactions, account(sent));
    // A transaction that ran and left no result is run again: the mirror has every row, and may have some twice.
    const [mirrored, source] = [await tpcbSums(line.mirror.url), await tpcbSums(line.scene.sourceUrl)];
    assert.ok(mirrored.historyRows >= source.historyRows, `${mirrored.historyRows} of ${source.historyRows} rows`);
  });
});

/** The `prepared` protocol parses each of the seven statements once per client, in a Sync group of its own: a transaction too. */
const preparing = clients * 7;

function account(sent: number): Record<string, number> {
  return { captured: sent, replayed: sent, filtered: 0, unexposed: 0, shed: 0, failed: 0, inFlight: 0 };
}

function resolvedOf(status: Status, mirror: Mirror): number {
  const counts = status.mirrors[mirror.name]?.transactions;
  return counts === undefined ? 0 : counts.captured - counts.inFlight;
}

interface Line {
  readonly scene: ReplayerScene;
  readonly mirror: Mirror;
  load(): Promise<void>;
  status(): Promise<Status>;
  drained(): Promise<Status>;
}

async function openLine(t: TestContext): Promise<Line> {
  const kafka = await sharedKafka();
  const scene = await ReplayerScene.open(kafka.bootstrap);
  t.after(() => scene.close());
  const mirror = await scene.newMirror();
  await Promise.all([createTpcbTables(scene.sourceUrl), createTpcbTables(mirror.url)]);
  let comparer: SpawnedService | null = null;
  t.after(() => comparer?.kill9());
  // The replayer makes the mirror's topics; the comparer waits for them.
  comparer = await spawnService(['comparer', '--mirror', mirror.name, '--brokers', kafka.bootstrap]);
  const folder = await temporaryDirectory('whole-line');
  t.after(() => removeDirectory(folder));
  const status = async (): Promise<Status> => {
    const args = ['status', '--json', '--brokers', kafka.bootstrap, '--source-name', scene.source];
    const { code, stdout, stderr } = await run(args, folder);
    assert.equal(code, 0, stderr);
    return statusSchema.parse(JSON.parse(stdout));
  };
  return {
    scene,
    mirror,
    status,
    load: async () => {
      for (const [seed, protocol] of protocols.entries()) {
        const options = { clients, transactions: transactionsPerClient, seed: seed + 1 };
        const done = await runTpcb({ url: scene.proxyUrl, protocol, ...options });
        assert.deepEqual([done.transactions, done.errors], [clients * transactionsPerClient, {}]);
      }
    },
    drained: () =>
      waitFor(
        async () => {
          const now = await status();
          const mine = now.mirrors[mirror.name];
          return mine?.transactions.inFlight === 0 && mine.consumerLag === 0 ? now : null;
        },
        { what: 'nothing in flight', deadlineMs: 60_000, everyMs: 200 },
      ),
  };
}
