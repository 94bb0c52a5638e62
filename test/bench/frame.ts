// What every benchmark does around its measuring: reads flags, needs pgbench, works in a folder of its own, prints and keeps the result.
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pgbenchVersion } from './proxy/pgbench.ts';

export const root = join(import.meta.dirname, '../..');
export const say = (line: string): void => void process.stderr.write(`${line}\n`);

interface CommonSettings {
  readonly json: boolean;
  /** Where results are kept; null: nowhere. */
  readonly out: string | null;
}

export interface Bench<Settings extends CommonSettings, Result extends { readonly startedAt: string }> {
  readonly name: string;
  readonly help: string;
  readonly parse: (
    argv: readonly string[],
    out: string,
  ) => { kind: 'help' } | { kind: 'wrong'; reason: string } | { kind: 'run'; settings: Settings };
  /** `keep`: what there is so far, so that a run that is broken off keeps it. */
  readonly measure: (
    settings: Settings,
    scene: { readonly directory: string; readonly pgbench: string; readonly keep: (result: Result) => void },
  ) => Promise<Result>;
  readonly markdown: (result: Result) => string;
  readonly exitCode: (result: Result) => number;
}

/** Exit codes: 2 for a wrong command line, 3 when something is missing, else the benchmark's own. */
export async function runBench<Settings extends CommonSettings, Result extends { readonly startedAt: string }>(
  bench: Bench<Settings, Result>,
  argv: readonly string[],
): Promise<number> {
  const parsed = bench.parse(argv, join(root, 'test/bench/results'));
  if (parsed.kind === 'help') {
    process.stdout.write(bench.help);
    return 0;
  }
  if (parsed.kind === 'wrong') {
    say(`${parsed.reason}\nnpm run bench -- ${bench.name} --help`);
    return 2;
  }
  const pgbench = await pgbenchVersion();
  if (pgbench === null) {
    say('pgbench is not installed: apt-get install postgresql-client (or postgresql-contrib)');
    return 3;
  }
  const { settings } = parsed;
  const directory = mkdtempSync(join(tmpdir(), 'mirrorstream-bench-'));
  chmodSync(directory, 0o755);
  try {
    const result = await bench.measure(settings, { directory, pgbench, keep: (it) => write(bench, it, settings.out) });
    process.stdout.write(settings.json ? recordText(result) : bench.markdown(result));
    return bench.exitCode(result);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

const recordText = (result: object): string => `${JSON.stringify(result, null, 2)}\n`;

function write<Result extends { readonly startedAt: string }>(
  { name, markdown }: { readonly name: string; readonly markdown: (result: Result) => string },
  result: Result,
  out: string | null,
): void {
  if (out === null) return;
  mkdirSync(out, { recursive: true });
  const minute = result.startedAt.slice(0, 16).replace('T', '-').replace(':', '');
  const file = join(out, `${name}-${minute}`);
  writeFileSync(`${file}.json`, recordText(result));
  writeFileSync(`${file}.md`, markdown(result));
  say(`written: ${file}.json and .md`);
}
