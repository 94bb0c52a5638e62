// `npm run bench -- replay`: how fast, how exactly and at what cost captured traffic is played.
import { cpus, loadavg } from 'node:os';
import { type Bench, root, runBench, say } from '../frame.ts';
import { foreignShare, readLoad } from '../proxy/foreign-load.ts';
import { titleOf } from '../proxy/plan.ts';
import { commit, machine } from '../surroundings.ts';
import { help, type Part, parseFlags, type Settings } from './flags.ts';
import { measureLaneMemory } from './lane-memory.ts';
import { measurePause } from './pause.ts';
import { loggingSettings } from './pgreplay.ts';
import { markdown } from './report.ts';
import type { BenchResult, CatchUpSample } from './result.ts';
import { measureScale } from './scale.ts';
import { capturePaced, measureCatchUp, measureSchedule, type PacedTraffic } from './schedule.ts';
import { type Stage, startStage } from './stage.ts';
import { measureThroughput } from './throughput.ts';

type Scene = Parameters<Bench<Settings, BenchResult>['measure']>[1];

/** Exit codes: 0, 2 for a wrong command line, 3 when something is missing. */
export const runReplayBench = (argv: readonly string[]): Promise<number> =>
  runBench<Settings, BenchResult>(
    {
      name: 'replay',
      help,
      parse: (args, out) => parseFlags(args, out, process.env),
      measure,
      markdown,
      exitCode: () => 0,
    },
    argv,
  );

async function measure(settings: Settings, { directory, pgbench, keep }: Scene): Promise<BenchResult> {
  let result: BenchResult = {
    bench: 'replay',
    startedAt: new Date().toISOString(),
    commit: commit(root),
    settings: { rounds: settings.rounds, seconds: settings.seconds },
    machine: machine(),
    versions: {
      node: process.version,
      server: 'PostgreSQL 17',
      pgbench,
      'pgreplay-go': settings.pgreplay ?? 'not given',
    },
    loadAverageBefore: loadavg(),
    foreignShares: [],
    throughput: [],
    schedule: [],
    catchUp: null,
    scale: [],
    laneMemory: null,
  };
  say('starting PostgreSQL 17 twice and Kafka');
  const stage = await startStage(directory, root, settings.pgreplay === null ? {} : loggingSettings);
  try {
    for (const step of steps(stage, settings)) {
      const before = readLoad();
      const found = await step(result);
      const foreign = foreignShare(before, readLoad(), cpus().length);
      result = { ...result, ...found, foreignShares: [...result.foreignShares, foreign] };
      keep(result); // After each step: a run that is broken off keeps what it has.
    }
    return result;
  } finally {
    await stage.stop();
  }
}

type Step = (soFar: BenchResult) => Promise<Partial<BenchResult>>;

function steps(stage: Stage, settings: Settings): Step[] {
  const wanted = new Set(settings.parts);
  const throughput = settings.loads.map(
    (load): Step =>
      async (soFar) => {
        const cell = await measureThroughput(stage, load, settings, (line) => say(`${titleOf(load)}  ${line}`));
        return { throughput: [...soFar.throughput, cell] };
      },
  );
  // Captured when the first part that plays it begins.
  let paced: Promise<PacedTraffic> | null = null;
  const traffic = (): Promise<PacedTraffic> => {
    paced ??= capturePaced(stage, settings);
    return paced;
  };
  const catchUp = async (): Promise<CatchUpSample> =>
    settings.pauseSeconds === null
      ? measureCatchUp(stage, await traffic(), say)
      : measurePause(stage, settings.pauseSeconds, say);
  const others: readonly (readonly [part: Part, step: Step])[] = [
    ['schedule', async () => ({ schedule: await measureSchedule(stage, await traffic(), say) })],
    ['catchup', async () => ({ catchUp: await catchUp() })],
    ['scale', async () => ({ scale: await measureScale(stage, say) })],
    ['memory', async () => ({ laneMemory: await measureLaneMemory(stage) })],
  ];
  return [
    ...(wanted.has('throughput') ? throughput : []),
    ...others.filter(([part]) => wanted.has(part)).map(([, step]) => step),
  ];
}
