// `npm run bench -- proxy`: throughput, latency, CPU and memory of the capture proxy and of what it is compared with.
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { commit, machine } from '../surroundings.ts';
import { help, parseFlags, type Settings } from './flags.ts';
import { pgbenchVersion } from './pgbench.ts';
import { markdown } from './report.ts';
import type { BenchResult } from './result.ts';
import { contendersOf, type Stage, startStage } from './stage.ts';
import { measureCell } from './turns.ts';

const root = join(import.meta.dirname, '../../..');
const say = (line: string): void => void process.stderr.write(`${line}\n`);

/** Exit codes: 0, 2 for a wrong command line, 3 when something is missing or a transaction was not captured. */
export async function runProxyBench(argv: readonly string[]): Promise<number> {
  const parsed = parseFlags(argv, join(root, 'test/bench/results'));
  if (parsed.kind === 'help') {
    process.stdout.write(help);
    return 0;
  }
  if (parsed.kind === 'wrong') {
    say(`${parsed.reason}\nnpm run bench -- proxy --help`);
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
    return isEverythingCaptured(result) ? 0 : 3;
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

async function measure(settings: Settings, directory: string, pgbench: string): Promise<BenchResult> {
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
      write(result, settings.out); // After each load: a grid that is broken off keeps what it has.
    }
    return result;
  } finally {
    await stage.stop();
  }
}

const recordText = (result: BenchResult): string => `${JSON.stringify(result, null, 2)}\n`;

function write(result: BenchResult, out: string | null): void {
  if (out === null) return;
  mkdirSync(out, { recursive: true });
  const minute = result.startedAt.slice(0, 16).replace('T', '-').replace(':', '');
  const file = join(out, `proxy-${minute}`);
  writeFileSync(`${file}.json`, recordText(result));
  writeFileSync(`${file}.md`, markdown(result));
  say(`written: ${file}.json and .md`);
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
