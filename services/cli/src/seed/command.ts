// `mirrorstream seed`: makes a mirror equal to the source, and says where its replay begins.
//
//   snapshots through the proxy ─► what capture tells of that moment ─► one snapshot without doubt ─► copy ─► plan ─► start offsets
// The plan and the offsets come last: what fails before leaves the mirror's replay as it was.
import {
  controlTopic,
  encodeSeedPlan,
  envelopesTopic,
  exitCodes,
  MirrorstreamError,
  replayerGroup,
  resultsTopic,
  type SeedPlan,
  type Snapshot,
  seedPlanKey,
  snapshotKey,
} from '@mirrorstream/domain';
import type { Admin, KafkaClient } from '@mirrorstream/kafka';
import { bestSnapshot, type SeedJudgement } from '@mirrorstream/replay';
import { ensureControlTopic, ensureMirrorTopics } from '@mirrorstream/service-kit';
import { helpText } from '../command-line.ts';
import { followSnapshots } from '../snapshot-feed.ts';
import { withKafka } from '../stack-kafka.ts';
import { checkAnswers, inTime, type StackScope, stackScope } from '../stack-scope.ts';
import { publishAccount, transactionsBefore } from './account.ts';
import { type CopyProgress, connectTo, copyTables } from './copy-tables.ts';
import { progressLine, type SeedReport, seedJson, seedText } from './report.ts';
import { databaseOf, readSeedRequest, type SeedRequest, seedCommand } from './request.ts';
import { setSequences } from './sequences.ts';
import { type SourceSnapshot, type SourceSnapshots, takeSnapshots } from './source-snapshots.ts';
import {
  checkSchemas,
  type LeftOut,
  leftOutOf,
  refuseFilled,
  refusePrepared,
  refuseSameDatabase,
  type Table,
  tablesOf,
  truncateTables,
} from './tables.ts';
import { type ReadWindow, readWindow, unheard } from './window-reader.ts';

/** By which clocks of proxies on different hosts may differ. */
const clockUncertaintyUs = 10_000;
/** Of taking snapshots, while none is without doubt. */
const rounds = 5;

export async function seed(argv: readonly string[]): Promise<number> {
  const request = readSeedRequest(argv, process.env);
  if (request === null) {
    process.stdout.write(helpText(seedCommand));
    return exitCodes.ok;
  }
  const scope = await stackScope(seedCommand, request.flags);
  return await withKafka(scope, async (client) => {
    await checkAnswers(client, envelopesTopic(scope.source), scope);
    const admin = await client.admin();
    const report = await seedMirror(client, admin, scope, request);
    process.stdout.write(`${request.flags.has('json') ? seedJson(report) : seedText(report)}\n`);
    return exitCodes.ok;
  });
}

async function seedMirror(
  client: KafkaClient,
  admin: Admin,
  scope: StackScope,
  request: SeedRequest,
): Promise<SeedReport> {
  const startedMs = performance.now();
  const { environment, source: sourceName } = scope;
  const { mirror, source, target } = request;
  const partitions = (await inTime(admin.offsets(envelopesTopic(sourceName)), scope)).length;
  await ensureMirrorTopics(admin, environment, mirror, { partitions });
  await ensureControlTopic(admin);
  await refuseReplayers(admin, replayerGroup(environment, mirror), mirror);
  const { tables, leftOut } = await prepare(request);
  say(`${tables.length} tables; taking ${request.snapshots} snapshots through the proxy`);
  const { snapshots, counters, snapshot, judgement, read } = await takeSure(client, admin, scope, request);
  try {
    await snapshots.keep(snapshot.name);
    if (request.truncate) await emptyMirror(target.url, tables);
    const total = tables.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
    const copied = await copyTables(
      { sourceUrl: source.url, targetUrl: target.url, snapshot: snapshot.exported, jobs: request.jobs },
      tables,
      (progress) => showProgress(progress, tables.length, total),
    );
    endProgress();
    const missingSequences = await finishMirror(target.url, tables, snapshot);
    const plan: SeedPlan = {
      version: 1,
      seedId: snapshots.seedId,
      database: databaseOf(source.url),
      snapshotAtUs: judgement.snapshotAtUs,
      endOffsets: Object.fromEntries([...read.to].map(([partition, offset]) => [partition, String(offset)])),
      exceptions: judgement.exceptions,
    };
    const before = await begin(client, admin, { environment, source: sourceName, mirror }, plan, {
      counters,
      judgement,
      read,
    });
    return {
      mirror,
      database: plan.database,
      tables: tables.length,
      bytes: copied.bytes,
      sequences: Object.keys(snapshot.sequences).length - missingSequences.length,
      missingSequences,
      leftOut,
      snapshotAt: new Date(judgement.snapshotAtUs / 1000).toISOString(),
      transactionsBefore: before,
      underWay: Object.values(judgement.exceptions).filter(Boolean).length,
      unresolved: judgement.unresolved,
      seconds: Math.round((performance.now() - startedMs) / 100) / 10,
    };
  } finally {
    await snapshots.close();
  }
}

async function refuseReplayers(admin: Admin, group: string, mirror: string): Promise<void> {
  const members = await admin.groupMembers(group);
  if (members === 0) return;
  throw new MirrorstreamError('badInput', `${mirror} has ${members} replayers that run`, {
    stage: 'seed',
    hint: 'Stop them first; started again they begin behind the copy.',
  });
}

/** All that can be refused is refused here, before the mirror is touched. */
async function prepare(
  request: SeedRequest,
): Promise<{ readonly tables: readonly Table[]; readonly leftOut: LeftOut }> {
  const source = await connectTo(request.source.url, 'source');
  try {
    const target = await connectTo(request.target.url, 'mirror');
    try {
      await refuseSameDatabase(source, target);
      await refusePrepared(source);
      const tables = await tablesOf(source);
      checkSchemas(tables, await tablesOf(target));
      if (!request.truncate) await refuseFilled(target, tables);
      return { tables, leftOut: await leftOutOf(source) };
    } finally {
      await target.end();
    }
  } finally {
    await source.end();
  }
}

interface Chosen {
  readonly snapshot: SourceSnapshot;
  readonly judgement: SeedJudgement;
  readonly read: ReadWindow;
}

/** Takes snapshots, and takes them anew a few times while of each something stays unresolved. Whoever calls closes those it gets. */
async function takeSure(
  client: KafkaClient,
  admin: Admin,
  scope: StackScope,
  request: SeedRequest,
): Promise<Chosen & { readonly snapshots: SourceSnapshots; readonly counters: readonly Snapshot[] }> {
  for (let round = 1; ; round++) {
    const snapshots = await takeSnapshots(request.source.url, request.proxy, request.snapshots);
    try {
      const counters = await readCounters(client, admin, scope, request.mirror);
      const chosen = await choose(client, admin, scope.source, snapshots);
      const unresolved = chosen.judgement.unresolved.length;
      const last = round === rounds;
      if (unresolved === 0 || (last && request.acceptUnresolved)) return { snapshots, counters, ...chosen };
      if (last) throw doubtful(unresolved);
      say(`${unresolved} commits overlap even the best of them and cannot be told: taking others`);
    } catch (error) {
      await snapshots.close();
      throw error;
    }
    await snapshots.close();
  }
}

function doubtful(unresolved: number): MirrorstreamError {
  return new MirrorstreamError('notReady', `${unresolved} commits overlap even the best snapshot`, {
    stage: 'seed',
    retryable: true,
    hint: 'Nobody can tell whether they are in it. Try again with more --snapshots, or as a member of pg_read_all_stats, which sees more; or --accept-unresolved.',
  });
}

async function choose(
  client: KafkaClient,
  admin: Admin,
  sourceName: string,
  snapshots: SourceSnapshots,
): Promise<Chosen> {
  await snapshots.sendEnd();
  const read = await readWindow(client, admin, sourceName, snapshots, clockUncertaintyUs);
  const candidates = snapshots.all.flatMap((snapshot) => {
    const marker = read.window.marker(snapshot.name);
    return marker === undefined ? [] : [{ snapshot, judgement: read.window.judge(marker, snapshot.reading) }];
  });
  if (candidates.length === 0) throw unheard();
  const best = bestSnapshot(candidates);
  if (best === null)
    throw new MirrorstreamError('badInput', 'too many transactions were under way at each snapshot', {
      stage: 'seed',
      hint: 'Seed at a quieter moment.',
    });
  const { beheaded } = best.judgement;
  if (beheaded.length > 0)
    throw new MirrorstreamError('badInput', `${beheaded.length} transactions began before what Kafka still has`, {
      stage: 'seed',
      hint: 'They have been open since before capture began, or for longer than the topic keeps: wait for their end.',
    });
  return { ...best, read };
}

async function emptyMirror(url: string, tables: readonly Table[]): Promise<void> {
  const target = await connectTo(url, 'mirror');
  try {
    await truncateTables(target, tables);
  } finally {
    await target.end();
  }
}

async function finishMirror(
  url: string,
  tables: readonly Table[],
  snapshot: SourceSnapshot,
): Promise<readonly string[]> {
  const target = await connectTo(url, 'mirror');
  try {
    const missing = await setSequences(target, snapshot.sequences);
    if (tables.length > 0) await target.query(`ANALYZE ${tables.map(({ name }) => name).join(', ')}`);
    return missing;
  } finally {
    await target.end();
  }
}

/** What capture and the mirror's comparer have counted. Throws `notReady` while the comparer has not read all results. */
async function readCounters(
  client: KafkaClient,
  admin: Admin,
  scope: StackScope,
  mirror: string,
): Promise<readonly Snapshot[]> {
  const newest = new Map<string, Snapshot>();
  const feed = await followSnapshots(
    client,
    (one) => void newest.set(snapshotKey(one), one),
    () => {},
  );
  await inTime(feed.caughtUp(), scope);
  await feed.stop();
  const { environment } = scope;
  const ends = await admin.offsets(resultsTopic(environment, mirror));
  const read = new Map<number, bigint>();
  for (const one of newest.values())
    if (one.kind === 'comparer' && one.environment === environment && one.mirror === mirror)
      read.set(one.partition, BigInt(one.nextOffset));
  const behind = ends.some(({ partition, low, high }) => (read.get(partition) ?? low) < high);
  if (!behind) return [...newest.values()];
  throw new MirrorstreamError('notReady', `the comparer of ${mirror} has not read all of its results`, {
    stage: 'seed',
    retryable: true,
    hint: 'Let it run until it has caught up, with the replayers stopped: the account goes on from there.',
  });
}

/** From now on the mirror's replayers begin behind the snapshot. Returns the transactions that are in it. */
async function begin(
  client: KafkaClient,
  admin: Admin,
  place: { readonly environment: string; readonly source: string; readonly mirror: string },
  plan: SeedPlan,
  found: { readonly counters: readonly Snapshot[]; readonly judgement: SeedJudgement; readonly read: ReadWindow },
): Promise<number> {
  const { environment, source, mirror } = place;
  const { counters, judgement, read } = found;
  const starts = new Map(
    [...read.to].map(([partition, end]) => [partition, judgement.startOffsets.get(partition) ?? end]),
  );
  const before = transactionsBefore(counters, place, starts, read.records);
  const group = replayerGroup(environment, mirror);
  const topic = envelopesTopic(source);
  const at = (resultsFrom: ReadonlyMap<number, bigint>) =>
    [...starts].map(([partition, offset]) => ({
      ...{ topic, partition, offset },
      metadata: JSON.stringify({ r: String(resultsFrom.get(partition) ?? 0n) }),
    }));
  const producer = await client.producer();
  try {
    await admin.setCommitted(group, at(new Map())); // refused while the mirror has replayers, before anything is written
    const value = Buffer.from(encodeSeedPlan(plan));
    await producer.send([{ topic: controlTopic, partition: 0, key: seedPlanKey(environment, mirror), value }]);
    await admin.setCommitted(group, at(await publishAccount(admin, producer, place, starts, before)));
    return before;
  } finally {
    await producer.close();
  }
}

const say = (text: string): void => void process.stderr.write(`${text}\n`);

let shownAtMs = 0;
function showProgress(progress: CopyProgress, tables: number, totalBytes: number): void {
  if (!process.stderr.isTTY || performance.now() - shownAtMs < 100) return;
  shownAtMs = performance.now();
  process.stderr.write(`\r\x1b[K${progressLine(progress, tables, totalBytes)}`);
}
function endProgress(): void {
  if (process.stderr.isTTY) process.stderr.write('\r\x1b[K');
}
