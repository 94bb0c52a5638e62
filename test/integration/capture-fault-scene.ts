// What the tests of capture's failures share: a broker to be maltreated, clients that check every answer, and the books at the end.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { type CaptureSnapshot, envelopesTopic, statusTopic } from '@mirrorstream/domain';
import { decodeEnvelopeBatch, type Gap, GapReason } from '@mirrorstream/envelope';
import { connectKafka } from '@mirrorstream/kafka';
import {
  type CleanUp,
  createDatabase,
  createTpcbTables,
  runTpcb,
  sharedPostgres,
  waitFor,
  withClient,
} from '@mirrorstream/testkit';
import { captureSnapshotIn, type ProxyScene, snapshotsOf, sumOf } from './capture-scene.ts';

export interface Traffic {
  /** Runs so many transactions, checking every answer. Returns how many the server ended. */
  run(proxy: ProxyScene, transactions: number): Promise<number>;
}

/** TPC-B from four clients, and beside it one that compares every answer with the server's own, byte for byte as text. */
export async function createTraffic(cleanUp: CleanUp): Promise<Traffic> {
  const database = await createDatabase(await sharedPostgres('source'), cleanUp);
  await createTpcbTables(database.url);
  const question =
    "SELECT i, md5(i::text) AS hash, repeat('x', i % 400) AS pad FROM generate_series($1::int, $1 + 40) i";
  const answerOf = (url: string, from: number[]): Promise<string> =>
    withClient(url, async (client) => {
      const hash = createHash('sha256');
      for (const i of from) hash.update(JSON.stringify((await client.query(question, [i])).rows));
      return hash.digest('hex');
    });
  let seed = 0;
  return {
    async run(proxy, transactions) {
      const through = proxy.via(database.url);
      const from = Array.from({ length: Math.ceil(transactions / 10) }, (_, i) => i * 7);
      seed += 1;
      const each = Math.ceil((transactions - from.length) / 4);
      const [load, asked, expected] = await Promise.all([
        runTpcb({ url: through, clients: 4, transactions: each, seed }),
        answerOf(through, from),
        answerOf(database.url, from),
      ]);
      assert.deepEqual(load.errors, {}, 'the client notices nothing');
      assert.equal(asked, expected, 'the client gets the bytes the server sent');
      return load.transactions + from.length;
    },
  };
}

export interface Books {
  readonly captured: number;
  readonly dropped: number;
  readonly byReason: Readonly<Record<string, number>>;
  /** In the topic: complete transactions, repeated ones once. */
  readonly published: number;
  readonly repeated: number;
  readonly gaps: readonly Gap[];
}

/** What snapshots and topic say, with the rules that hold after every fault already checked. */
export async function closedBooks(scene: Pick<ProxyScene, 'brokers' | 'sourceName'>): Promise<Books> {
  const snapshots = await snapshotsOf(scene);
  for (const { final, pending, incarnation } of snapshots) {
    assert.ok(final, `the books of ${incarnation} are closed`);
    assert.deepEqual(pending, { transactions: 0, bytes: 0 });
  }
  const byReason: Record<string, number> = {};
  for (const { dropped } of snapshots)
    for (const [reason, count] of Object.entries(dropped.byReason)) byReason[reason] = (byReason[reason] ?? 0) + count;
  const captured = sumOf(snapshots, ({ transactions }) => transactions);
  const topic = await topicContents(scene);
  assert.equal(captured, topic.published, 'captured is what the topic holds, each once');
  await assertSteadyReports(scene);
  return { captured, dropped: sumOf(snapshots, ({ dropped }) => dropped.transactions), byReason, ...topic };
}

async function topicContents(
  scene: Pick<ProxyScene, 'brokers' | 'sourceName'>,
): Promise<Pick<Books, 'published' | 'repeated' | 'gaps'>> {
  const last = new Map<string, bigint>();
  const gaps: Gap[] = [];
  const disorder: string[] = [];
  let published = 0;
  let repeated = 0;
  await readTopic(scene.brokers, envelopesTopic(scene.sourceName), (value) => {
    for (const { record } of decodeEnvelopeBatch(value).records) {
      if (record.case === 'gap') {
        gaps.push(record.value);
        last.set(record.value.sessionId, -1n); // what follows may skip
      }
      if (record.case !== 'envelope' || !record.value.lastPart) continue;
      const { sessionId, sessionSeq } = record.value;
      const before = last.get(sessionId) ?? 0n;
      if (before >= 0n && sessionSeq <= before) {
        repeated += 1;
        continue;
      }
      if (before >= 0n && sessionSeq !== before + 1n) disorder.push(`${sessionId}: ${sessionSeq} after ${before}`);
      last.set(sessionId, sessionSeq);
      published += 1;
    }
  });
  assert.deepEqual(disorder, [], 'each session is in order, without a hole that no gap tells of');
  return { published, repeated, gaps };
}

/** captured + dropped + pending is what was seen: it never falls from one report of an incarnation to the next. */
async function assertSteadyReports({ brokers, sourceName }: Pick<ProxyScene, 'brokers' | 'sourceName'>): Promise<void> {
  const seen = new Map<string, number>();
  await readTopic(brokers, statusTopic, (value) => {
    const snapshot = captureSnapshotIn(value, sourceName);
    if (snapshot === null) return;
    const { incarnation, transactions, dropped, pending } = snapshot;
    const now = transactions + dropped.transactions + pending.transactions;
    assert.ok(now >= (seen.get(incarnation) ?? 0), `${incarnation} had seen ${seen.get(incarnation)}, and now ${now}`);
    seen.set(incarnation, now);
  });
}

async function readTopic(brokers: string, topic: string, onValue: (value: Uint8Array) => void): Promise<void> {
  const client = connectKafka({ brokers: [brokers], clientId: 'test' });
  try {
    const admin = await client.admin();
    const ends = (await admin.offsets(topic)).filter(({ low, high }) => low < high);
    const ranges = ends.map(({ partition, low, high }) => ({ partition, from: low, to: high }));
    await client.readRange(topic, ranges, ({ records }) => {
      for (const { value } of records) if (value !== null) onValue(value);
    });
  } finally {
    await client.close();
  }
}

/** Waits until the newest snapshot of the proxy that runs says so. */
export async function waitForSnapshot(
  proxy: ProxyScene,
  what: string,
  condition: (snapshot: CaptureSnapshot) => boolean,
): Promise<void> {
  await waitFor(async () => (await snapshotsOf(proxy)).some((snapshot) => !snapshot.final && condition(snapshot)), {
    what,
    deadlineMs: 60_000,
  });
}

export const reasonsOf = (gaps: readonly Gap[]): readonly (string | undefined)[] =>
  [...new Set(gaps.map(({ reason }) => reason))].map(
    (reason) => Object.entries(GapReason).find(([, value]) => value === reason)?.[0],
  );

export const gapTransactions = (gaps: readonly Gap[]): number =>
  gaps.reduce((sum, { transactions }) => sum + Number(transactions), 0);
