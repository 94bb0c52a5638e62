// The spool between a real proxy and a real Kafka that is away: nothing is lost, everything is in order and counted once, over restarts.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdir, readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import {
  type CleanUp,
  quickDirectory,
  startKafka,
  temporaryDirectory,
  uniqueName,
  waitFor,
} from '@mirrorstream/testkit';
import { decodeFrames, segmentMagic } from '../../services/capture-proxy/src/spool/segment-format.ts';
import { closedBooks, createTraffic, gapTransactions, reasonsOf, waitForSnapshot } from './capture-fault-scene.ts';
import { endProxies, snapshotsOf, startProxy, stopInOrder, sumOf } from './capture-scene.ts';

type Broker = Awaited<ReturnType<typeof startKafka>>;

const mountCommand = 'mount';
const umountCommand = 'umount';
const isRoot = process.getuid?.() === 0;
let broker: Broker;
let dataDir: string;
before(async () => {
  dataDir = await temporaryDirectory('kafka');
  broker = await startKafka({ dataDir });
});
after(async () => {
  await endProxies();
  await broker.stop();
});

/** The broker answers nobody; its connections stay open. */
function freeze(t: CleanUp): void {
  process.kill(broker.pid, 'SIGSTOP');
  t.after(async () => thaw());
}
const thaw = (): void => void process.kill(broker.pid, 'SIGCONT');
const segmentsIn = async (dir: string): Promise<string[]> => {
  const names = await readdir(dir, { recursive: true }).catch(() => ['a folder that was just deleted.segment']);
  return names.filter((name) => name.endsWith('.segment'));
};
/** Transactions that the segments of one incarnation hold: the books beside them also count what is in memory yet. */
async function onDisk(folder: string): Promise<number> {
  let transactions = 0;
  for (const name of await segmentsIn(folder)) {
    const bytes = await readFile(join(folder, name)).catch(() => Buffer.alloc(0));
    if (bytes.length < segmentMagic.length) continue;
    for (const record of decodeFrames(bytes.subarray(segmentMagic.length)).records) transactions += record.transactions;
  }
  return transactions;
}

/** Small for an outage; enough for what these clients do while the worker or the disk holds its breath for a moment. */
const small = ['--publish-buffer-bytes', '4194304'];

describe('the spool', { timeout: 240_000 }, () => {
  it('bridges an outage under load: nothing is lost, each session in order, and the disk is empty again', async (t) => {
    const traffic = await createTraffic(t);
    const spoolDir = await quickDirectory('spool');
    const proxy = await startProxy({ brokers: broker.bootstrap, flags: [...small, '--spool-dir', spoolDir] });
    await proxy.service.waitForLine(/"publishing"/);
    let sent = await traffic.run(proxy, 100);
    await broker.kill9();
    sent += await traffic.run(proxy, 1_200);
    await waitFor(async () => (await segmentsIn(spoolDir)).length > 0, { what: 'the spool to be used' });
    broker = await startKafka({ port: broker.port, dataDir });
    sent += await traffic.run(proxy, 200);
    await waitForSnapshot(proxy, 'everything to be captured', ({ transactions }) => transactions === sent);
    await waitFor(async () => (await segmentsIn(spoolDir)).length === 0, { what: 'the segments to be deleted' });
    await stopInOrder(proxy);
    const books = await closedBooks(proxy);
    assert.deepEqual([books.captured, books.dropped, books.gaps.length], [sent, 0, 0]);
  });

  it('survives kill -9 of the proxy, twice: the next ones deliver it, and count each transaction once', async (t) => {
    const traffic = await createTraffic(t);
    const spoolDir = await quickDirectory('spool');
    const sourceName = uniqueName('proxy');
    const start = () =>
      startProxy({ brokers: broker.bootstrap, sourceName, flags: [...small, '--spool-dir', spoolDir] });
    const first = await start();
    await first.service.waitForLine(/"publishing"/);
    let sent = await traffic.run(first, 200);
    await waitForSnapshot(first, 'it to be captured', ({ transactions }) => transactions === sent);
    freeze(t);
    sent += await traffic.run(first, 800);
    const spooled = join(spoolDir, sourceName, 'test', '0');
    const kept = async (incarnation: string) => {
      const text = await readFile(join(spooled, incarnation, 'snapshot.json'), 'utf8').catch(() => '{}');
      const { transactions = 0, pending } = JSON.parse(text) as {
        transactions?: number;
        pending?: { transactions: number };
      };
      const waiting = pending?.transactions ?? 0;
      return (await onDisk(join(spooled, incarnation))) >= waiting ? transactions + waiting : 0;
    };
    const incarnations = async (): Promise<string[]> => (await readdir(spooled)).filter((name) => name !== 'owner');
    await waitFor(async () => (await kept((await incarnations())[0] ?? '')) === sent, {
      what: 'all of it to be on disk',
    });
    await first.service.kill9();
    const second = await start();
    await waitFor(
      async () => (await readFile(join(spooled, 'owner'), 'utf8').catch(() => '')).includes(`/${second.service.pid}/`),
      {
        what: 'the second one to own the spool',
      },
    );
    sent += await traffic.run(second, 400);
    await waitFor(
      async () => {
        const counts = await Promise.all((await incarnations()).map(kept));
        return counts.length === 2 && counts.reduce((a, b) => a + b, 0) === sent;
      },
      { what: 'the second one’s to be on disk' },
    );
    await second.service.kill9();
    thaw();
    const third = await start();
    await waitFor(async () => (await incarnations()).length === 0, {
      what: 'the spools to be delivered',
      deadlineMs: 60_000,
    });
    sent += await traffic.run(third, 100);
    await stopInOrder(third);
    const books = await closedBooks(third);
    assert.deepEqual([books.captured, books.dropped, books.gaps.length], [sent, 0, 0]);
    assert.equal((await snapshotsOf(third)).length, 3);
  });

  it('takes what is left when the proxy is stopped in an outage; the next start delivers it', async (t) => {
    const traffic = await createTraffic(t);
    const spoolDir = await quickDirectory('spool');
    const sourceName = uniqueName('proxy');
    const flags = ['--spool-dir', spoolDir];
    const first = await startProxy({ brokers: broker.bootstrap, sourceName, flags });
    await first.service.waitForLine(/"publishing"/);
    freeze(t);
    const sent = await traffic.run(first, 300);
    await stopInOrder(first);
    assert.ok((await segmentsIn(spoolDir)).length > 0);
    thaw();
    const second = await startProxy({ brokers: broker.bootstrap, sourceName, flags });
    await second.service.waitForLine(/closed the books/, 60_000);
    await stopInOrder(second);
    const books = await closedBooks(second);
    assert.deepEqual([books.captured, books.dropped, await segmentsIn(spoolDir)], [sent, 0, []]);
  });

  it('refuses the newest when it is full, tells gaps that say so, and captures again', async (t) => {
    const traffic = await createTraffic(t);
    const spoolDir = await quickDirectory('spool');
    const flags = [...small, '--spool-dir', spoolDir, '--spool-bytes', '1048576'];
    const proxy = await startProxy({ brokers: broker.bootstrap, flags });
    await proxy.service.waitForLine(/"publishing"/);
    freeze(t);
    let sent = await traffic.run(proxy, 1_800);
    thaw();
    await waitForSnapshot(proxy, 'Kafka to hear of it', ({ dropped }) => dropped.transactions > 0);
    await waitForSnapshot(proxy, 'the spool to be read', ({ pending }) => pending.transactions === 0);
    sent += await traffic.run(proxy, 100);
    await stopInOrder(proxy);
    const books = await closedBooks(proxy);
    assert.equal(books.captured + books.dropped, sent);
    assert.deepEqual(books.byReason, { spoolFull: books.dropped });
    assert.deepEqual(reasonsOf(books.gaps), ['SPOOL_FULL']);
    assert.equal(gapTransactions(books.gaps), books.dropped);
    assert.ok(books.captured > 100, 'what came first was kept');
  });

  it('goes on in memory when the disk is full, says so, and writes again when there is space', {
    skip: !isRoot,
  }, async (t) => {
    const traffic = await createTraffic(t);
    const spoolDir = join(await quickDirectory('spool'), 'small');
    await mkdir(spoolDir);
    execFileSync(mountCommand, ['-t', 'tmpfs', '-o', 'size=128k', 'tmpfs', spoolDir]);
    t.after(() => execFileSync(umountCommand, ['-l', spoolDir]));
    const proxy = await startProxy({ brokers: broker.bootstrap, flags: [...small, '--spool-dir', spoolDir] });
    await proxy.service.waitForLine(/"publishing"/);
    freeze(t);
    // Enough for the disk, not for the memory: what is refused later is refused because of the disk.
    let sent = await traffic.run(proxy, 200);
    assert.match(await proxy.service.waitForLine(/"diskFull"/), /"level":"error".*Free some space/);
    sent += await traffic.run(proxy, 1_600);
    thaw();
    await waitForSnapshot(proxy, 'Kafka to hear of it', ({ dropped }) => dropped.transactions > 0);
    await waitForSnapshot(proxy, 'the spool to be read', ({ pending }) => pending.transactions === 0);
    sent += await traffic.run(proxy, 100);
    await stopInOrder(proxy);
    const books = await closedBooks(proxy);
    assert.equal(books.captured + books.dropped, sent);
    assert.deepEqual(books.byReason, { spoolFailed: books.dropped });
    assert.deepEqual(reasonsOf(books.gaps), ['SPOOL_FAILED']);
    assert.equal(gapTransactions(books.gaps), books.dropped);
  });

  it('has one owner: a second proxy of the same name captures without it until the first has ended', async (t) => {
    const traffic = await createTraffic(t);
    const spoolDir = await quickDirectory('spool');
    const sourceName = uniqueName('proxy');
    const start = () => startProxy({ brokers: broker.bootstrap, sourceName, flags: ['--spool-dir', spoolDir] });
    const first = await start();
    await first.service.waitForLine(/"publishing"/);
    const second = await start();
    assert.match(await second.service.waitForLine(/belongs to another process/), /"level":"error".*--node/);
    assert.match(await second.service.waitForLine(/another proxy with this --node is alive/), /"level":"error"/);
    let sent = (await traffic.run(first, 100)) + (await traffic.run(second, 100));
    await waitFor(async () => sumOf(await snapshotsOf(first), ({ transactions }) => transactions) === sent, {
      what: 'both to be captured',
    });
    assert.deepEqual(
      (await snapshotsOf(first)).map(({ final }) => final),
      [false, false],
      'neither closes the other’s books',
    );
    await first.service.kill9();
    await second.service.waitForLine(/closed the books/, 60_000);
    sent += await traffic.run(second, 50);
    await stopInOrder(second);
    const books = await closedBooks(second);
    assert.deepEqual([books.captured, books.dropped], [sent, 0]);
  });
});
