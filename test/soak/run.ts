// `npm run soak`: high load, connection churn and faults for a while, then the account. Exit code 1 when a rule was violated.
import { execFileSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { type FaultKind, faultKinds, faultsWith } from './fault-plan.ts';
import { markdown, progressLine } from './report.ts';
import { type Progress, runSoak, type SoakOptions } from './soak.ts';

const usage = `npm run soak -- [flags]

Sends mixed load through two capture proxies, with connections that come, go and break, and inflicts faults meanwhile. Every byte
is compared before and behind the proxies. At the end every connection is compared with what Kafka holds of it, and the first
proxy's memory with what it was in the middle.

  --for DURATION     how long, e.g. 90s, 15m (default 15m; memory is judged from 2m on)
  --seed NUMBER      of the load (default 1)
  --faults LIST      all, none, or some of those below, separated by commas (default all)
  --clients NUMBER   connections at a time (default 16)
  --turns NUMBER     of a connection at most, before it leaves (default 100)
  --workers NUMBER   of each proxy (default 1)
  --no-spool         without the spool on disk and with a small publish buffer: what an outage of Kafka costs is dropped, and must
                     be told in gaps to the last transaction
  --out DIRECTORY    where the result is written, as JSON and Markdown (default test/soak/results)
  --json             the result on stdout as JSON
  --help             this text

Faults:
  kafka-stop         Kafka stands still (SIGSTOP)
  kafka-restart      Kafka is stopped and started again
  drain              the second proxy is stopped in order (SIGTERM) and started again
  drain-away         the same while Kafka stands still: with a spool nothing is lost
  kill-proxy         the second proxy is killed (SIGKILL) and started again
  kill-thread        the capture worker thread of one of the first proxy's processes ends: no client may notice
  kill-worker        one of the first proxy's worker processes is killed: no other's client may notice (--workers 2 or more)

What is lost with a process or thread that is killed has no exact number. All else has one, and must agree: every connection that
it did not hold; that no transaction is captured twice; what it had published; and of the connections that live on, everything
from their next quiet point after a new worker is there.

Exit code: 0 passed, 1 a rule was violated (the reasons are printed), 2 the command line is wrong.
`;

const progressEveryMs = 5_000;

interface CommandLine extends Omit<SoakOptions, 'onProgress'> {
  readonly out: string;
  readonly json: boolean;
}

function readCommandLine(argv: readonly string[]): CommandLine | 'help' {
  const { values } = parseArgs({
    args: [...argv],
    options: {
      for: { type: 'string', default: '15m' },
      seed: { type: 'string', default: '1' },
      faults: { type: 'string', default: 'all' },
      clients: { type: 'string', default: '16' },
      turns: { type: 'string', default: '100' },
      workers: { type: 'string', default: '1' },
      'no-spool': { type: 'boolean', default: false },
      out: { type: 'string', default: join(import.meta.dirname, 'results') },
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) return 'help';
  const workers = wholeNumber('workers', values.workers, 1);
  return {
    forMs: durationMs(values.for),
    seed: wholeNumber('seed', values.seed, 0),
    faults: faultsOf(values.faults, workers),
    clients: wholeNumber('clients', values.clients, 1),
    turns: wholeNumber('turns', values.turns, 1),
    workers,
    spool: !values['no-spool'],
    out: values.out,
    json: values.json,
  };
}

function durationMs(text: string): number {
  const match = /^(\d+)(s|m|h)$/.exec(text);
  const unitMs = { s: 1_000, m: 60_000, h: 3_600_000 }[match?.[2] ?? ''];
  if (unitMs === undefined) throw new Error(`--for must be a duration such as 90s or 15m, not ${text}`);
  return Number(match?.[1]) * unitMs;
}

function wholeNumber(flag: string, text: string, least: number): number {
  if (!/^\d+$/.test(text) || Number(text) < least) throw new Error(`--${flag} must be a whole number from ${least}`);
  return Number(text);
}

function faultsOf(text: string, workers: number): readonly FaultKind[] {
  const possible = faultsWith(workers);
  if (text === 'all') return possible;
  if (text === 'none') return [];
  return text.split(',').map((name) => {
    const kind = faultKinds.find((it) => it === name);
    if (kind === undefined) throw new Error(`--faults knows all, none and ${faultKinds.join(', ')}, not ${name}`);
    if (!possible.includes(kind)) throw new Error(`--faults ${kind} needs --workers 2 or more`);
    return kind;
  });
}

async function main(argv: readonly string[]): Promise<number> {
  let commandLine: CommandLine | 'help';
  try {
    commandLine = readCommandLine(argv);
  } catch (error) {
    process.stderr.write(`${(error as Error).message}\n\n${usage}`);
    return 2;
  }
  if (commandLine === 'help') {
    process.stdout.write(usage);
    return 0;
  }
  const { out, json, ...options } = commandLine;
  let told: Progress | null = null;
  const result = await runSoak({
    ...options,
    onProgress: (now) => {
      if (told !== null && now.atMs - told.atMs < progressEveryMs) return;
      process.stderr.write(`${progressLine(now, told, options.forMs)}\n`);
      told = now;
    },
  });
  const startedAt = new Date();
  const around = { date: startedAt.toISOString(), commit: commit(), node: process.version, machine: machine() };
  const text = markdown(result, around);
  mkdirSync(out, { recursive: true });
  const file = join(out, `soak-${around.date.slice(0, 16).replaceAll(':', '')}`);
  writeFileSync(`${file}.json`, `${JSON.stringify({ around, ...result }, null, 2)}\n`);
  writeFileSync(`${file}.md`, text);
  process.stdout.write(json ? `${JSON.stringify(result)}\n` : text);
  process.stderr.write(`written: ${file}.md and .json\n`);
  return result.violations.length === 0 ? 0 : 1;
}

const commit = (): string => {
  try {
    return execFileSync('git', ['rev-parse', '--short', 'HEAD'], { encoding: 'utf8', cwd: import.meta.dirname }).trim();
  } catch {
    return 'unknown';
  }
};

const machine = (): string => `${cpus().length} × ${cpus()[0]?.model ?? 'unknown CPU'}`;

process.exitCode = await main(process.argv.slice(2));
