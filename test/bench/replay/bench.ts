// `npm run bench -- replay`: how fast, how exactly and at what cost captured traffic is played.
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { cpus, loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { foreignShare, readLoad } from '../proxy/foreign-load.ts';
import { pgbenchVersion } from '../proxy/pgbench.ts';
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

const root = join(import.meta.dirname, '../../..');
const say = (line: string): void => void process.stderr.write(`${line}\n`);

/** Exit codes: 0, 2 for a wrong command line, 3 when something is missing. */
export async function runReplayBench(argv: readonly string[]): Promise<number> {
  const parsed = parseFlags(argv, join(root, 'test/bench/results'), process.env);
  if (parsed.kind === 'help') {
    process.stdout.write(help);
    return 0;
  }
  if (parsed.kind === 'wrong') {
    say(`${parsed.reason}\nnpm run bench -- replay --help`);
    return 2;
  }
  const pgbench = await pgbenchVersion();
  if (pgbench === null) {
    say('pgbench is not installed: apt-get install postgresql-client (or postgresql-contrib)');
    return 3;
  }
  const directory = mkdtempSync(join(tmpdir(), 'mirrorstream-bench-'));
  chmodSync(directory, 0o755);
  try {
    const result = await measure(parsed.settings, directory, pgbench);
    process.stdout.write(parsed.settings.json ? recordText(result) : markdown(result));
    return 0;
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

async function measure(settings: Settings, directory: string, pgbench: string): Promise<BenchResult> {
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
      write(result, settings.out); // After each step: a run that is broken off keeps what it has.
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

const recordText = (result: BenchResult): string => `${JSON.stringify(result, null, 2)}\n`;

function write(result: BenchResult, out: string | null): void {
  if (out === null) return;
  mkdirSync(out, { recursive: true });
  const minute = result.startedAt.slice(0, 16).replace('T', '-').replace(':', '');
  const file = join(out, `replay-${minute}`);
  writeFileSync(`${file}.json`, recordText(result));
  writeFileSync(`${file}.md`, markdown(result));
  say(`written: ${file}.json and .md`);
}
