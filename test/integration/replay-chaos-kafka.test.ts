// A bad network between a replayer and Kafka: each fault comes in mid-run and goes; every transaction has one outcome afterwards, and
// the mirror shows what ran twice: nothing while the replayer keeps its partitions, at most the window when it loses them meanwhile.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { type FaultProxy, startFaultyKafka, waitFor } from '@mirrorstream/testkit';
import { ReplayAccount } from './replay-account.ts';
import { checkJournal, createJournal, JournalWriter, readJournal } from './replay-journal.ts';
import { type Mirror, ReplayerScene } from './replayer-scene.ts';

const sessions = 6;
const transactions = 20;
const sessionTimeoutMs = 3000;

describe('a bad network between a replayer and Kafka', { timeout: 400_000 }, () => {
  const cleanUps: (() => Promise<void>)[] = [];
  const cleanUp = { after: (work: () => Promise<void>) => void cleanUps.unshift(work) };
  const flags = ['--pacing', 'asap', '--duplicate-window', '2', '--group-session-timeout-ms', String(sessionTimeoutMs)];
  let scene: ReplayerScene;
  let mirror: Mirror;
  let proxy: FaultProxy;
  let writer: JournalWriter;
  let account: ReplayAccount;
  /** How often partitions may have changed hands. */
  let handovers = 0;

  before(async () => {
    const kafka = await startFaultyKafka(cleanUp, { 'group.min.session.timeout.ms': '500' });
    proxy = kafka.proxy;
    scene = await ReplayerScene.open(kafka.broker.bootstrap);
    cleanUp.after(() => scene.close());
    mirror = await scene.newMirror();
    await createJournal(scene.sourceUrl, mirror.url);
    account = new ReplayAccount(scene, mirror);
    scene.replayerBrokers = kafka.throughProxy;
    await scene.startReplayer(mirror, ...flags, '--instance', 'behind-the-fault');
    writer = await JournalWriter.open(scene.proxyUrl, { sessions, seed: 2 });
    cleanUp.after(() => writer.close());
  });

  after(async () => {
    for (const work of cleanUps) await work();
  });

  /** Load, with the fault in its midst; `whileBad`; `heal`; and the account. Returns how many transactions ran twice in all. */
  async function suffer(fault: () => void, whileBad: () => Promise<void>): Promise<number> {
    const seen = account.resolved;
    await writer.write(2);
    await account.reached(seen + sessions);
    fault();
    await writer.write(transactions);
    await whileBad();
    await proxy.heal();
    await account.settled(writer.transactions);
    assert.deepEqual(account.tally(), { replayed: writer.transactions });
    const [source, played] = [await readJournal(scene.sourceUrl), await readJournal(mirror.url)];
    return checkJournal(source, played, { missing: 0, window: 2, returns: handovers });
  }

  /** Results do not come. */
  async function silent(): Promise<void> {
    await account.refresh();
    assert.ok(account.resolved < writer.transactions, 'there is something left to say');
  }

  it('slow: everything is played, later, and once', async () => {
    const slow = { latencyMs: 10, bytesPerSecond: 200_000 };
    const all = () => account.settled(writer.transactions);
    assert.equal(await suffer(() => proxy.set('both', slow), all), 0);
  });

  it('connections that are reset, again and again, cost nothing', async () => {
    const again = async (): Promise<void> => {
      for (let i = 0; i < 5; i++) {
        const accepted = proxy.accepted;
        proxy.reset();
        await waitFor(() => proxy.accepted > accepted, { what: 'it to connect again' });
      }
    };
    assert.equal(await suffer(() => proxy.reset(), again), 0);
  });

  it('a Kafka that refuses connections for a moment costs nothing', async () => {
    const gone = (): void => {
      proxy.refuse();
      proxy.reset();
    };
    assert.equal(await suffer(gone, silent), 0);
  });

  it('a black hole that heals before the group gives the replayer up costs nothing', async () => {
    assert.equal(await suffer(() => proxy.set('both', { blackHole: true }), silent), 0);
  });

  it('half-open, Kafka hears and is not heard: what it has is not said twice', async () => {
    assert.equal(await suffer(() => proxy.set('down', { blackHole: true }), silent), 0);
    assert.equal(account.repeated, 0, 'each transaction has one result');
  });

  it('a black hole for longer than that hands its partitions to another, which goes on; the one that comes back steps aside', async () => {
    const { replayerBrokers } = scene;
    scene.replayerBrokers = scene.brokers;
    await scene.startReplayer(mirror, ...flags, '--instance', 'beside-it');
    scene.replayerBrokers = replayerBrokers;
    handovers = 1;
    await suffer(
      () => undefined,
      () => Promise.resolve(),
    );
    handovers = 3;
    const takenOver = () => account.settled(writer.transactions);
    const twice = await suffer(() => proxy.set('both', { blackHole: true }), takenOver);
    assert.ok(twice <= sessions * 2 * handovers, `${twice} ran twice`);
    handovers = 5;
    await suffer(
      () => undefined,
      () => Promise.resolve(),
    );
  });
});
