// Gathers what a report is made of: findings, plans, and the services' own snapshots.
import {
  type CaptureSnapshot,
  liveRun,
  MirrorstreamError,
  type ReplayerSnapshot,
  type RunSnapshot,
  runInFlight,
  runKey,
  type Snapshot,
  StatusFolder,
  snapshotKey,
  statusTopic,
} from '@mirrorstream/domain';
import type { ServerFacts } from '@mirrorstream/findings';
import type { Admin, KafkaClient } from '@mirrorstream/kafka';
import { readFindings } from '../findings/read-findings.ts';
import { runCounts } from '../history/run-counts.ts';
import { readPlans } from '../inspect/plan-store.ts';
import { followSnapshots } from '../snapshot-feed.ts';
import { checkAnswers, inTime, pause, type StackScope } from '../stack-scope.ts';
import type { Account, Fidelity, ReportSources } from './sources.ts';

const settleMs = 2_000;

export interface Asked {
  readonly mirror: string;
  readonly run: string;
  readonly servers: readonly ServerFacts[];
  readonly notes: readonly string[];
}

/** Throws `badInput` where there is no such mirror or run, or nothing was compared. */
export async function readSources(
  client: KafkaClient,
  admin: Admin,
  scope: StackScope,
  { mirror, run, servers, notes }: Asked,
): Promise<ReportSources> {
  const { environment } = scope;
  const { snapshots, folder } = await readSnapshots(client, scope, mirror);
  const nowMs = Date.now();
  const found = await readFindings(client, { environment, mirror, run }, nowMs);
  const planned = run === liveRun ? null : plannedRun(snapshots, environment, mirror, run);
  const mine = snapshots.filter(
    (one) =>
      (one.kind === 'comparer' || one.kind === 'replayer') &&
      one.environment === environment &&
      one.mirror === mirror &&
      (one.run ?? liveRun) === run,
  );
  const counts = runCounts(mine);
  const status = folder.status(nowMs);
  const live = status.mirrors[mirror];
  const account: Account =
    planned === null
      ? (live?.transactions ?? { captured: counts.resolved, ...counts.outcomes, inFlight: 0 })
      : { captured: planned.captured, ...planned.outcomes, inFlight: runInFlight(planned) };
  return {
    scope: { environment, mirror, run, window: planned?.window ?? null },
    source: planned?.source ?? scope.source,
    atMs: nowMs,
    status: planned === null ? status : null,
    aggregates: found.aggregates,
    controls: found.controls,
    findings: found.findings,
    performance: found.performance,
    suppressions: found.suppressions,
    servers,
    account,
    statements: planned === null && live !== undefined ? live.statements : counts.statements,
    notCompared: counts.notCompared,
    reasons: counts.reasons,
    fidelity: fidelityOf(
      snapshots,
      mine.filter((one) => one.kind === 'replayer'),
      planned,
      scope.source,
      counts.duplicates,
    ),
    lag: [],
    plans: await readPlans(client, admin, environment, mirror),
    notes: [...notes, ...folder.problems(nowMs).map(({ message }) => message)],
  };
}

async function readSnapshots(
  client: KafkaClient,
  scope: StackScope,
  mirror: string,
): Promise<{ readonly snapshots: readonly Snapshot[]; readonly folder: StatusFolder }> {
  await checkAnswers(client, statusTopic, scope);
  const newest = new Map<string, Snapshot>();
  const feed = await followSnapshots(
    client,
    (snapshot) => void newest.set(snapshotKey(snapshot), snapshot),
    () => {},
    (key) => void newest.delete(key),
  );
  await inTime(feed.caughtUp(), scope);
  const fold = (): StatusFolder => {
    const folder = new StatusFolder({ source: scope.source, environment: scope.environment, mirrors: [mirror] });
    for (const snapshot of newest.values()) folder.add(snapshot);
    folder.status(Date.now());
    return folder;
  };
  // Snapshots come from several processes: wait a moment for the one that completes the picture.
  const deadline = performance.now() + settleMs;
  let folder = fold();
  while (folder.holdsBack() && performance.now() < deadline) {
    await pause(100);
    folder = fold();
  }
  await feed.stop();
  return { snapshots: [...newest.values()], folder };
}

function plannedRun(snapshots: readonly Snapshot[], environment: string, mirror: string, run: string): RunSnapshot {
  const found = snapshots.find((one) => snapshotKey(one) === runKey(environment, mirror, run));
  if (found?.kind === 'run') return found;
  throw new MirrorstreamError('badInput', `${run} is no run of ${mirror}`, {
    stage: 'report',
    hint: 'mirrorstream runs lists them.',
  });
}

function fidelityOf(
  snapshots: readonly Snapshot[],
  replayers: readonly ReplayerSnapshot[],
  planned: RunSnapshot | null,
  source: string,
  duplicates: number,
): Fidelity {
  const paced = replayers.flatMap(({ pacing }) => pacing ?? []);
  const admissions = replayers
    .filter(({ final }) => !final || planned !== null)
    .flatMap(({ admission }) => admission ?? []);
  const sum = (of: (one: (typeof paced)[number]) => number): number | null =>
    paced.length === 0 ? null : paced.reduce((total, one) => total + of(one), 0);
  // Of several replayers, those of the one that was latest: quantiles cannot be added up.
  const latest = paced
    .filter(({ mode, scheduleLagMs }) => mode === 'timed' && scheduleLagMs.sends > 0)
    .sort((a, b) => b.scheduleLagMs.p99 - a.scheduleLagMs.p99)[0];
  const seen = admissions.reduce((total, { sessions }) => total + sessions.seen, 0);
  const played = admissions.reduce((total, { sessions }) => total + sessions.played, 0);
  const partitions = replayers.filter(({ final }) => !final).flatMap((one) => Object.values(one.partitions));
  const captures = snapshots.filter((one): one is CaptureSnapshot => one.kind === 'capture' && one.source === source);
  const filters = admissions[0]?.filters ?? {};
  return {
    pacing: planned?.settings.pacing ?? paced[0]?.mode ?? null,
    speed: planned?.settings.speed ?? null,
    scheduleLagMs: latest?.scheduleLagMs ?? null,
    configuredExposure: planned?.settings.exposure ?? admissions[0]?.exposure ?? null,
    effectiveExposure: seen === 0 ? null : played / seen,
    filters: Object.entries(filters).map(([name, values]) => `${name}: ${values.join(', ')}`),
    orderGivenUp: sum(({ orderGivenUp }) => orderGivenUp),
    outOfOrder: sum(({ outOfOrder }) => outOfOrder),
    divergedByOrder: sum(({ divergedByOrder }) => divergedByOrder),
    shedding: admissions.find(({ shedding }) => shedding.stage !== 'none')?.shedding.stage ?? null,
    behindSourceMs:
      partitions.length === 0 ? null : Math.max(...partitions.map(({ behindSourceMs }) => behindSourceMs)),
    consumerLag: partitions.length === 0 ? null : partitions.reduce((total, { consumerLag }) => total + consumerLag, 0),
    captureDropped:
      planned === null ? captures.reduce((total, { dropped }) => total + dropped.transactions, 0) : planned.captureGaps,
    duplicates,
  };
}
