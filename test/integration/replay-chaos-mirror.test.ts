// A bad network between replayer and mirror: each fault comes in mid-run and goes, and every transaction has one outcome afterwards.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { FaultProxy, sharedKafka, sharedPostgres, waitFor } from '@mirrorstream/testkit';
import { ReplayAccount } from './replay-account.ts';
import { checkJournal, createJournal, JournalWriter, readJournal } from './replay-journal.ts';
import { type Mirror, ReplayerScene } from './replayer-scene.ts';

const sessions = 6;
const transactions = 30;

describe('a bad network between replayer and mirror', { timeout: 400_000 }, () => {
  const cleanUps: (() => Promise<void>)[] = [];
  const cleanUp = { after: (work: () => Promise<void>) => void cleanUps.unshift(work) };
  let scene: ReplayerScene;
  let mirror: Mirror;
  let proxy: FaultProxy;
  let writer: JournalWriter;
  let account: ReplayAccount;

  before(async () => {
    scene = await ReplayerScene.open((await sharedKafka()).bootstrap);
    cleanUp.after(() => scene.close());
    mirror = await scene.newMirror();
    await createJournal(scene.sourceUrl, mirror.url);
    proxy = await FaultProxy.start({ upstream: await sharedPostgres('control') }, cleanUp);
    const through = new URL(mirror.url);
    through.host = proxy.address;
    account = new ReplayAccount(scene, mirror);
    await scene.startReplayer(
      { name: mirror.name, url: through.href },
      ...['--pacing', 'asap', '--connect-timeout-ms', '2000', '--connect-give-up-ms', '120000'],
      ...['--exchange-timeout-ms', '8000'],
    );
    writer = await JournalWriter.open(scene.proxyUrl, { sessions, seed: 1 });
    cleanUp.after(() => writer.close());
  });

  after(async () => {
    for (const work of cleanUps) await work();
  });

  /** Load; in its midst the fault; all of the load with the fault still there; then `heal`, and the account. */
  async function suffer(
    fault: () => void,
    whileBad: () => Promise<void>,
    heal = () => proxy.heal(),
  ): Promise<Failures> {
    await account.settled(writer.transactions);
    const before = account.tally();
    const seen = account.resolved;
    await writer.write(2);
    await account.reached(seen + sessions);
    fault();
    await writer.write(transactions);
    await whileBad();
    await heal();
    await account.settled(writer.transactions);
    assert.equal(account.repeated, 0, 'each transaction has one result');
    const failures = failuresOf(account.tally());
    const all = Object.values(failures).reduce((sum, n) => sum + n, 0);
    assert.equal((account.tally()['replayed'] ?? 0) + all, account.captured);
    const [source, played] = [await readJournal(scene.sourceUrl), await readJournal(mirror.url)];
    assert.equal(checkJournal(source, played, { missing: all, window: 0, returns: 0 }), 0, 'nothing ran twice');
    return difference(failures, failuresOf(before));
  }

  /** So many more are played with the fault there. */
  async function played(more: number): Promise<void> {
    await account.refresh();
    await account.reached(account.resolved + more);
  }

  /** Not everything is played. */
  async function standsStill(): Promise<void> {
    await account.refresh();
    assert.ok(account.resolved < writer.transactions, 'there is something left to play');
  }

  it('slow: everything is played, later', async () => {
    const slow = { latencyMs: 5, bytesPerSecond: 100_000 };
    const failures = await suffer(
      () => proxy.set('both', slow),
      () => account.settled(writer.transactions),
    );
    assert.deepEqual(failures, {});
  });

  it('connections that are reset cost the transaction that was under way in each, at most', async () => {
    const slowly = (): void => proxy.set('both', { latencyMs: 20 }); // so that each has something under way
    const midRun = async (): Promise<void> => {
      await played(2 * sessions);
      await standsStill();
      proxy.reset();
    };
    const failures = await suffer(slowly, midRun);
    const { connectionLost = 0, ...others } = failures;
    assert.deepEqual(others, {});
    assert.ok(connectionLost >= 1 && connectionLost <= sessions, `${connectionLost} lost`);
  });

  it('a black hole that heals in time costs nothing', async () => {
    assert.deepEqual(await suffer(() => proxy.set('both', { blackHole: true }), standsStill), {});
  });

  it('half-open, the mirror does what it is told and is not heard: costs nothing when it heals in time', async () => {
    assert.deepEqual(await suffer(() => proxy.set('down', { blackHole: true }), standsStill), {});
  });

  it('a black hole for longer than an answer may take costs what was under way, and the rest waits for new connections', async () => {
    const failed = async (): Promise<void> => {
      const timedOut = async (): Promise<boolean> => {
        await standsStill();
        return (account.tally()['failed/timeout'] ?? 0) > 0;
      };
      await waitFor(timedOut, { what: 'an answer to be given up', deadlineMs: 60_000, everyMs: 100 });
      proxy.reset(); // what hangs in the black hole never arrives
    };
    const failures = await suffer(() => proxy.set('both', { blackHole: true }), failed);
    assert.deepEqual(
      Object.keys(failures).filter((reason) => !['timeout', 'connectionLost'].includes(reason)),
      [],
    );
    const cost = Object.values(failures).reduce((sum, n) => sum + n, 0);
    assert.ok(cost >= 1 && cost <= sessions, JSON.stringify(failures));
  });

  it('a mirror that refuses connections costs what was under way; the rest waits until it accepts again', async () => {
    const gone = (): void => {
      proxy.refuse();
      proxy.reset();
    };
    const failures = await suffer(gone, standsStill);
    const { connectionLost = 0, ...others } = failures;
    assert.deepEqual(others, {});
    assert.ok(connectionLost <= sessions, `${connectionLost} lost`);
  });

  it('connections that are cut again and again, in mid-answer, cost what was under way each time, and go on', async () => {
    // After the start-up's answer, so that each connection plays something.
    const cut = (): void => proxy.set('down', { cutAfterBytes: 800 });
    const accepted = proxy.accepted;
    const failures = await suffer(cut, () => played(sessions * 25));
    const { connectionLost = 0, ...others } = failures;
    assert.deepEqual(others, {});
    const cuts = proxy.accepted - accepted + sessions;
    assert.ok(connectionLost >= 1 && connectionLost <= cuts, `${connectionLost} lost by ${cuts} cuts`);
  });
});

type Failures = Readonly<Record<string, number>>;

/** By reason. */
function failuresOf(tally: Readonly<Record<string, number>>): Failures {
  const failed = Object.entries(tally).filter(([outcome]) => outcome.startsWith('failed/'));
  const others = Object.keys(tally).filter((outcome) => outcome !== 'replayed' && !outcome.startsWith('failed/'));
  assert.deepEqual(others, []);
  return Object.fromEntries(failed.map(([outcome, count]) => [outcome.slice('failed/'.length), count]));
}

function difference(now: Failures, before: Failures): Failures {
  const more = Object.entries(now).map(([reason, count]) => [reason, count - (before[reason] ?? 0)] as const);
  return Object.fromEntries(more.filter(([, count]) => count > 0));
}
