// One replay of captured traffic by real replayer processes, and what their results say about it.
import { join } from 'node:path';
import { replayerGroup, resultsTopic } from '@mirrorstream/domain';
import { decodeResultBatch, ResultOutcome } from '@mirrorstream/envelope';
import { waitUntil } from '@mirrorstream/local';
import { forgetPeak, memoryMb } from '../proxy/process-usage.ts';
import { spawnReady } from '../proxy/starting.ts';
import { percentile } from '../proxy/statistics.ts';
import { type Captured, isPlayed, type Stage } from './stage.ts';
import { ThreadUsage } from './thread-usage.ts';

export interface RunOptions {
  readonly captured: Captured;
  readonly targetPort: number;
  readonly flags: readonly string[];
  readonly replayers?: number;
  readonly deadlineMs?: number;
  /** Each replayer leaves a CPU profile there. */
  readonly profileDirectory?: string | null;
  /** The share of the transactions after which rates and CPU are not counted any more, as sessions run out. */
  readonly countUntil?: number;
  /** After the replayers are ready. */
  readonly meanwhile?: () => Promise<void>;
}

/** Rates and CPU are those between the warm-up and the last transactions, when not all sessions are busy any more. */
export interface ReplayRun {
  readonly transactions: number;
  readonly notReplayed: number;
  readonly statements: number;
  readonly differing: number;
  readonly perSecond: number;
  /** From the first to the last transaction. */
  readonly wholePerSecond: number;
  /** Per transaction: of the thread each process began with, and of all others. */
  readonly cpuMainUs: number;
  readonly cpuRestUs: number;
  readonly rssBeforeMb: number;
  readonly rssPeakMb: number;
  /** Of each transaction: planned against sent, ascending. Empty in asap. */
  readonly scheduleErrorsUs: Float64Array;
  readonly played: readonly Played[];
}

export interface Played {
  readonly capturedAtUs: number;
  readonly scheduledAtUs: number;
  readonly sentAtUs: number;
  readonly doneAtUs: number;
}

export const environment = 'default';
/** Of all transactions: before it compilers warm up, after it sessions run out. */
const countFrom = 0.25;
const countUntilAsARule = 0.95;

export async function replayOnce(stage: Stage, options: RunOptions): Promise<ReplayRun> {
  const { captured, targetPort, replayers = 1, deadlineMs = 600_000, countUntil = countUntilAsARule } = options;
  const mirror = stage.newName('mirror');
  const children = [];
  try {
    for (let i = 0; i < replayers; i++) children.push(await startReplayer(stage, mirror, options));
    const pids = children.map(({ process }) => process.pid);
    const rssBeforeMb = memoryMb(pids).now;
    forgetPeak(pids);
    const usage = new ThreadUsage(pids);
    await options.meanwhile?.();
    await waitUntil(() => isPlayed(stage, captured.source, replayerGroup(environment, mirror)), {
      what: `${captured.source} to be played on port ${targetPort}`,
      deadlineMs,
      everyMs: 200,
      stage: 'bench',
    });
    usage.stop();
    const rssPeakMb = memoryMb(pids).peak;
    return { ...(await readResults(stage, mirror, usage, countUntil)), rssBeforeMb, rssPeakMb };
  } finally {
    for (const { process } of children) await process.stop({ graceMs: 30_000 });
  }
}

export const startReplayer = (
  stage: Stage,
  mirror: string,
  { captured, targetPort, flags, profileDirectory }: RunOptions,
) => {
  const profile = profileDirectory ? ['--cpu-prof', '--cpu-prof-dir', profileDirectory] : [];
  const args = [
    ...profile,
    join(stage.root, 'services/cli/bin/mirrorstream.js'),
    ...['replayer', '--mirror', mirror, '--source-name', captured.source, '--brokers', stage.brokers],
    ...['--environment', environment, '--target-env', 'BENCH_TARGET', ...flags],
  ];
  const env = { ...process.env, BENCH_TARGET: `postgres://postgres@127.0.0.1:${targetPort}/postgres` };
  return spawnReady('replayer', process.execPath, args, env);
};

async function readResults(
  stage: Stage,
  mirror: string,
  usage: ThreadUsage,
  countUntil: number,
): Promise<Omit<ReplayRun, 'rssBeforeMb' | 'rssPeakMb'>> {
  const { played, ...counts } = await readPlayed(stage, mirror);
  return { ...counts, ...figuresOf(played, usage, countUntil) };
}

/** All that the mirror's results say. */
export async function readPlayed(
  stage: Stage,
  mirror: string,
): Promise<Pick<ReplayRun, 'played' | 'notReplayed' | 'statements' | 'differing'>> {
  const topic = resultsTopic(environment, mirror);
  const ranges = (await stage.admin.offsets(topic)).filter(({ low, high }) => low < high);
  const played: Played[] = [];
  let [notReplayed, statements, differing] = [0, 0, 0];
  const read = (value: Uint8Array): void => {
    for (const result of decodeResultBatch(value).results) {
      if (result.transactions === 0) continue;
      if (result.outcome !== ResultOutcome.REPLAYED) notReplayed += result.transactions;
      else played.push(playedOf(result));
      statements += result.statements.length;
      for (const { equal } of result.statements) if (!equal) differing += 1;
    }
  };
  await stage.client.readRange(
    topic,
    ranges.map(({ partition, low, high }) => ({ partition, from: low, to: high })),
    ({ records }) => {
      for (const { value } of records) if (value !== null) read(value);
    },
  );
  return { played, notReplayed, statements, differing };
}

const playedOf = (result: {
  readonly capturedAtUs: bigint;
  readonly scheduledAtUs: bigint;
  readonly sentAtUs: bigint;
  readonly doneAtUs: bigint;
}): Played => ({
  capturedAtUs: Number(result.capturedAtUs),
  scheduledAtUs: Number(result.scheduledAtUs),
  sentAtUs: Number(result.sentAtUs),
  doneAtUs: Number(result.doneAtUs),
});

function figuresOf(played: readonly Played[], usage: ThreadUsage, countUntil: number) {
  const done = Float64Array.from(played, ({ doneAtUs }) => doneAtUs).sort();
  const fromUs = percentile(done, countFrom);
  const toUs = percentile(done, countUntil);
  const counted = done.length * (countUntil - countFrom);
  const { mainUs, restUs } = usage.between(fromUs, toUs);
  const firstUs = played.reduce((least, { sentAtUs }) => Math.min(least, sentAtUs), Number.POSITIVE_INFINITY);
  return {
    transactions: played.length,
    perSecond: (counted * 1e6) / (toUs - fromUs),
    wholePerSecond: (played.length * 1e6) / ((done.at(-1) ?? Number.NaN) - firstUs),
    cpuMainUs: mainUs / counted,
    cpuRestUs: restUs / counted,
    scheduleErrorsUs: Float64Array.from(played, (it) => Math.max(0, it.sentAtUs - it.scheduledAtUs)).sort(),
    played,
  };
}
