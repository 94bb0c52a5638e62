// `npm run bench -- proxy`: throughput, latency, CPU and memory of the capture proxy and of what it is compared with.
import { loadavg } from 'node:os';
import { type Bench, root, runBench, say } from '../frame.ts';
import { commit, machine } from '../surroundings.ts';
import { help, parseFlags, type Settings } from './flags.ts';
import { markdown } from './report.ts';
import type { BenchResult } from './result.ts';
import { contendersOf, type Stage, startStage } from './stage.ts';
import { measureCell } from './turns.ts';

type Scene = Parameters<Bench<Settings, BenchResult>['measure']>[1];

/** Exit codes: 0, 2 for a wrong command line, 3 when something is missing or a transaction was not captured. */
export const runProxyBench = (argv: readonly string[]): Promise<number> =>
  runBench<Settings, BenchResult>(
    {
      name: 'proxy',
      help,
      parse: parseFlags,
      measure,
      markdown,
      exitCode: (result) => (isEverythingCaptured(result) ? 0 : 3),
    },
    argv,
  );

async function measure(settings: Settings, { directory, pgbench, keep }: Scene): Promise<BenchResult> {
  const startedAt = new Date().toISOString();
  const loadAverageBefore = loadavg();
  const stage = await startStage(settings, directory, root, say);
  try {
    let result: BenchResult = {
      bench: 'proxy',
      startedAt,
      commit: commit(root),
      settings: { rounds: settings.rounds, seconds: settings.seconds, megabytes: settings.megabytes },
      machine: machine(),
      versions: versions(stage, pgbench),
      missing: stage.missing,
      loadAverageBefore,
      contenders: contendersOf(stage),
      cells: [],
    };
    for (const [index, load] of settings.loads.entries()) {
      const progress = `${index + 1}/${settings.loads.length}`;
      const cell = await measureCell(stage, load, settings, (line) => say(`${progress}  ${line}`));
      result = { ...result, cells: [...result.cells, cell] };
      keep(result); // After each load: a grid that is broken off keeps what it has.
    }
    return result;
  } finally {
    await stage.stop();
  }
}

const isEverythingCaptured = ({ cells }: BenchResult): boolean =>
  cells
    .flatMap(({ arrivals }) => arrivals)
    .every(({ sent, arrived, dropped }) => dropped === null || (dropped === 0 && arrived >= sent));

function versions({ contenders }: Stage, pgbench: string): Readonly<Record<string, string>> {
  const others = contenders
    .filter(({ version }) => version !== '')
    .map(({ name, version }) => [name, version] as const);
  return { node: process.version, server: 'PostgreSQL 17', pgbench, ...Object.fromEntries(others) };
}
