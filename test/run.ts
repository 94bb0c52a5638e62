// `npm test`: runs every test of the repository, or those named on the command line, and fails when something is left running.
import { spawn } from 'node:child_process';
import { globSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative, resolve } from 'node:path';
import { stripVTControlCharacters } from 'node:util';

const root = resolve(import.meta.dirname, '..');
const minimumNode = 24;
/** Fewer tests than this mean that a pattern matches nothing, not that all is well. */
const minimumTests = 2_400;
const concurrency = 2;
const testTimeoutMs = 300_000;
/** Of a line of the summary; longer ones are none. */
const MAX_LINE_CHARS = 200;
/** An orphaned server is given up to 8 s to end in order. */
const leftoverDeadlineMs = 15_000;

const patterns = [
  'libs/*/src/**/*.test.ts',
  'services/*/src/**/*.test.ts',
  'deploy/**/*.test.ts',
  'test/{integration,drivers,e2e,bench,soak}/**/*.test.ts',
  '.ci/**/*.test.ts',
];

/** The runner's closing lines, repeated at the very end as `# tests 12`. */
const countNames = ['tests', 'pass', 'fail', 'cancelled', 'skipped', 'todo'] as const;
type Counts = Readonly<Record<(typeof countNames)[number], number>>;

interface Selection {
  readonly files: readonly string[];
  /** Options of node that were on the command line. */
  readonly options: readonly string[];
  readonly isEverything: boolean;
}

/** Options that take their value as the next argument when there is no `=`. */
const optionsWithValue = [
  '--test-name-pattern',
  '--test-skip-pattern',
  '--test-reporter',
  '--test-shard',
  '--test-timeout',
];

function select(args: readonly string[]): Selection {
  const options: string[] = [];
  const named: string[] = [];
  for (let i = 0; i < args.length; i++) {
    const arg = args[i] ?? '';
    if (!arg.startsWith('-')) named.push(arg);
    else if (optionsWithValue.includes(arg)) options.push(`${arg}=${args[++i] ?? ''}`);
    else options.push(arg);
  }
  const exclude = (path: string): boolean => path.includes('node_modules');
  const expand = (pattern: string): string[] => globSync(pattern, { cwd: root, exclude });
  const wanted = named.length === 0 ? patterns : named.map((path) => relative(root, resolve(path)));
  for (const path of named.length === 0 ? [] : wanted) {
    if (expand(path).length === 0) stop(`no test file matches ${path}`);
  }
  const files = [...new Set(wanted.flatMap(expand))].filter((path) => path.endsWith('.test.ts')).sort();
  return { files, options, isEverything: args.length === 0 };
}

/** Whether a file talks to the shared servers: unit tests alone must not wait for Kafka. */
function needsServers(file: string): boolean {
  return /shared(?:Kafka|Postgres)\b/.test(readFileSync(join(root, file), 'utf8')) || /^test\/(?!bench\/)/.test(file);
}

function stop(message: string): never {
  process.stderr.write(`npm test: ${message}\n`);
  process.exit(1);
}

/** Runs node's test runner; its output passes through. Resolves with the exit code and what it counted. */
async function runTests(
  { files, options }: Selection,
  env: NodeJS.ProcessEnv,
): Promise<{ code: number; counts: Counts }> {
  const args = ['--test', `--test-concurrency=${concurrency}`, `--test-timeout=${testTimeoutMs}`];
  if (files.some(needsServers)) args.push(`--test-global-setup=${join(root, 'test', 'global-setup.ts')}`);
  if (!options.some((option) => option.startsWith('--test-reporter'))) args.push('--test-reporter=spec');
  const child = spawn(process.execPath, [...args, ...options, ...files], {
    cwd: root,
    env,
    stdio: ['inherit', 'pipe', 'inherit'],
  });
  // The summary stands before what it says of failures, which may be of any length.
  const counts = Object.fromEntries(countNames.map((name) => [name, 0])) as Record<(typeof countNames)[number], number>;
  let line = '';
  child.stdout.on('data', (chunk: Buffer) => {
    process.stdout.write(chunk);
    const lines = (line + chunk.toString('utf8')).split('\n');
    line = (lines.pop() ?? '').slice(-MAX_LINE_CHARS);
    for (const whole of lines) {
      const [, name, count] =
        /^(?:ℹ|#) (\w+) (\d+)$/.exec(stripVTControlCharacters(whole.slice(0, MAX_LINE_CHARS))) ?? [];
      const known = countNames.find((it) => it === name);
      if (known !== undefined) counts[known] = Number(count);
    }
  });
  // Ctrl-C reaches the runner too (same terminal); waiting for it lets the servers be stopped in order.
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => child.kill(signal));
  const code = await new Promise<number>((settle) => child.once('close', (exitCode) => settle(exitCode ?? 1)));
  return { code, counts };
}

/** Processes the run started that are still there when their time to end has passed. */
async function findLeftovers(pidsFile: string): Promise<string[]> {
  const { isAlive, startTicks } = await import('@mirrorstream/local');
  const running = (): string[] =>
    readFileSync(pidsFile, { encoding: 'utf8', flag: 'a+' })
      .split('\n')
      .filter((line) => {
        const [pid, started] = line.split(' ');
        return line !== '' && isAlive(Number(pid)) && (startTicks(Number(pid)) ?? '-') === started;
      });
  const startedAtMs = performance.now();
  let left = running();
  while (left.length > 0 && performance.now() - startedAtMs < leftoverDeadlineMs) {
    await new Promise((wake) => setTimeout(wake, 100));
    left = running();
  }
  return left;
}

async function main(): Promise<void> {
  const major = Number(process.versions.node.split('.')[0]);
  if (major < minimumNode) {
    stop(
      `this is Node ${process.version}; ${minimumNode} or newer is needed. Use \`npm test\`, which installs and uses its own.`,
    );
  }
  const selection = select(process.argv.slice(2));
  if (selection.files.length === 0) stop('no test files found');
  const scratch = mkdtempSync(join(tmpdir(), 'mirrorstream-test-run-'));
  const pidsFile = join(scratch, 'pids');
  const startedAtMs = performance.now();
  const { code, counts } = await runTests(selection, {
    ...process.env,
    NODE_COMPILE_CACHE: process.env['NODE_COMPILE_CACHE'] ?? join(root, 'node_modules', '.cache', 'mirrorstream'),
    // The name is tiedPidsFileVariable of @mirrorstream/local.
    MIRRORSTREAM_TIED_PIDS_FILE: pidsFile,
  });
  const left = await findLeftovers(pidsFile);
  rmSync(scratch, { recursive: true, force: true });
  process.stdout.write(
    `# files ${selection.files.length}\n# seconds ${Math.round((performance.now() - startedAtMs) / 1000)}\n`,
  );
  for (const name of countNames) process.stdout.write(`# ${name} ${counts[name]}\n`);
  const { tests } = counts;
  if (left.length > 0) stop(`processes are left over (pid, start, name):\n  ${left.join('\n  ')}`);
  if (selection.isEverything && tests < minimumTests)
    stop(`only ${tests} tests ran, at least ${minimumTests} were expected`);
  if (tests === 0 && code === 0) stop('no test ran');
  process.exitCode = code;
}

await main();
