// Installs and builds what a driver's program needs, once, in a cache outside the tree; says by name what is missing.
import { createHash } from 'node:crypto';
import { globSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { stripVTControlCharacters } from 'node:util';
import { repositoryRoot, spawnTied, withDirectoryLock } from '@mirrorstream/local';

/** A command that must be there, at least this new. */
export interface Tool {
  readonly command: string;
  readonly args: readonly string[];
  /** `major.minor` */
  readonly minimum: string;
}

export interface Step {
  /** `fetch`: a failure means that the network is away, or a package. `compile`: a failure means that the program is wrong. */
  readonly kind: 'fetch' | 'compile';
  readonly command: string;
  readonly args: readonly string[];
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
}

export interface Build {
  /** Of its folder in the cache. */
  readonly name: string;
  readonly tools: readonly Tool[];
  /** Glob patterns from test/drivers: when one of these files changes, the steps run again. */
  readonly inputs: readonly string[];
  /** Whether the steps make use of what they left the last time. */
  readonly isIncremental?: boolean;
  steps(dir: string): readonly Step[];
}

export type Built = { readonly dir: string } | { readonly missing: string };

export const driversDir = join(repositoryRoot, 'test', 'drivers');
const cacheDir = resolve(
  process.env['MIRRORSTREAM_DRIVERS_CACHE'] ?? join(repositoryRoot, 'node_modules', '.cache', 'mirrorstream-drivers'),
);
const limits = { toolMs: 30_000, stepMs: 15 * 60_000, tailLines: 15 };
const builds = new Map<string, Promise<Built>>();

/** Builds it, or waits for whoever does. Rejects when the program cannot be compiled; what is merely missing is a value. */
export function build(wanted: Build): Promise<Built> {
  const known = builds.get(wanted.name);
  if (known !== undefined) return known;
  const started = buildOnce(wanted);
  started.catch(() => {}); // Whoever needs it sees the error.
  builds.set(wanted.name, started);
  return started;
}

async function buildOnce(wanted: Build): Promise<Built> {
  const versions: string[] = [];
  for (const tool of wanted.tools) {
    const version = await versionOf(tool);
    if (version === undefined) return { missing: `${tool.command} was not found` };
    if (isOlder(version, tool.minimum)) {
      return { missing: `${tool.command} ${version} is older than ${tool.minimum}` };
    }
    versions.push(`${tool.command} ${version}`);
  }
  const dir = join(cacheDir, wanted.name);
  mkdirSync(cacheDir, { recursive: true });
  const lock = { what: `another process to build ${wanted.name}`, deadlineMs: limits.stepMs };
  return await withDirectoryLock(`${dir}.lock`, lock, async () => {
    const stamp = stampOf(wanted, versions);
    if (readOrEmpty(`${dir}.stamp`) === stamp) return { dir };
    await rm(`${dir}.stamp`, { force: true });
    if (!wanted.isIncremental) await rm(dir, { recursive: true, force: true });
    mkdirSync(dir, { recursive: true });
    const missing = await runSteps(wanted, dir);
    if (missing !== undefined) return { missing };
    writeFileSync(`${dir}.stamp`, stamp);
    return { dir };
  });
}

async function runSteps(wanted: Build, dir: string): Promise<string | undefined> {
  const startedAtMs = performance.now();
  for (const step of wanted.steps(dir)) {
    const line = [step.command, ...step.args]
      .join(' ')
      .replaceAll(`${driversDir}/`, '')
      .replaceAll(`${dir}`, '<cache>');
    say(wanted.name, line);
    const { code, lines } = await run(`${wanted.name} ${step.kind}`, step, limits.stepMs);
    if (code === 0) continue;
    const tail = lines.slice(-limits.tailLines).join('\n');
    if (step.kind === 'compile') throw new Error(`${wanted.name} cannot be built: ${line}\n${tail}`);
    // Addresses are left out: whoever has set a mirror of a registry knows it, and a report is not the place for it.
    say(wanted.name, `failed:\n${tail.replaceAll(/https?:\/\/\S+/g, '<registry>')}`);
    return `its packages could not be fetched (${step.command}, exit code ${code})`;
  }
  say(wanted.name, `ready after ${Math.round((performance.now() - startedAtMs) / 1000)} s`);
  return undefined;
}

function say(name: string, text: string): void {
  process.stderr.write(`drivers: ${name}: ${text}\n`);
}

/** Of the inputs and the tools. */
function stampOf(wanted: Build, versions: readonly string[]): string {
  const hash = createHash('sha256').update(JSON.stringify([versions, process.platform, process.arch]));
  const files = wanted.inputs.flatMap((pattern) => globSync(pattern, { cwd: driversDir })).sort();
  if (files.length === 0) throw new Error(`no file matches ${wanted.inputs.join(', ')}`);
  for (const file of files) hash.update(`${file}\0`).update(readFileSync(join(driversDir, file)));
  return hash.digest('hex');
}

function readOrEmpty(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}

async function versionOf({ command, args }: Tool): Promise<string | undefined> {
  try {
    const { code, lines } = await run(command, { command, args }, limits.toolMs);
    return code === 0 ? /\d+(?:\.\d+)*/.exec(stripVTControlCharacters(lines.join('\n')))?.[0] : undefined;
  } catch {
    return undefined;
  }
}

function isOlder(version: string, minimum: string): boolean {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  const [wantedMajor = 0, wantedMinor = 0] = minimum.split('.').map(Number);
  return major < wantedMajor || (major === wantedMajor && minor < wantedMinor);
}

export interface Command {
  readonly command: string;
  readonly args: readonly string[];
  readonly cwd?: string;
  /** Added to this process's own. */
  readonly env?: Readonly<Record<string, string>>;
}

export interface Ended {
  readonly code: number | null;
  /** Of both streams, of standard output, of standard error. */
  readonly lines: readonly string[];
  readonly printed: readonly string[];
  readonly complaints: readonly string[];
}

/** Runs a command that ends with this process, and is killed after `deadlineMs`. */
export async function run(name: string, { command, args, cwd, env }: Command, deadlineMs: number): Promise<Ended> {
  const lines: string[] = [];
  const printed: string[] = [];
  const complaints: string[] = [];
  const child = await spawnTied({
    name,
    command,
    args,
    cwd: cwd ?? dirname(driversDir),
    env: { ...process.env, ...env },
    orphanSignal: 'SIGKILL',
    logLimits: { lines: 1, lineLength: 1024 * 1024 },
    onLog: (line, stream) => {
      lines.push(line);
      (stream === 'stdout' ? printed : complaints).push(line);
    },
  });
  const giveUp = setTimeout(() => {
    lines.push(`(killed after ${deadlineMs / 1000} s)`);
    void child.kill9();
  }, deadlineMs);
  const { code } = await child.exited;
  clearTimeout(giveUp);
  return { code, lines, printed, complaints };
}
