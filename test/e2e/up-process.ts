// Runs the `mirrorstream` command as a person would, and knows every process it starts.
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { isAlive, startTicks, tiedPidsFileVariable } from '@mirrorstream/local';
import { waitFor } from '@mirrorstream/testkit';

const binary = resolve(import.meta.dirname, '../../services/cli/bin/mirrorstream.js');

export interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunFile {
  readonly pid: number;
  readonly addresses: Readonly<Record<string, string>>;
  readonly kafka: { readonly brokers: readonly string[] } | null;
  readonly processes: readonly { readonly name: string; readonly pid: number }[];
}

export class Command {
  readonly child: ChildProcess;
  readonly ended: Promise<Ended>;
  readonly #pidsFile: string;
  #stderr = '';

  /** `folder` keeps the list of processes; it must exist. */
  constructor(args: readonly string[], folder: string, env: Readonly<Record<string, string>> = {}) {
    this.#pidsFile = join(folder, `pids-${process.hrtime.bigint()}`);
    this.child = spawn(process.execPath, [binary, ...args], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, [tiedPidsFileVariable]: this.#pidsFile, ...env },
    });
    let stdout = '';
    this.child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      stdout += text;
    });
    this.child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.#stderr += text;
    });
    this.ended = new Promise((done) => {
      this.child.once('close', (code, signal) => done({ code, signal, stdout, stderr: this.#stderr }));
    });
  }

  /** What it has said so far. */
  get stderr(): string {
    return this.#stderr;
  }

  /** Processes that it started and that still run, with their names. */
  left(): string[] {
    if (!existsSync(this.#pidsFile)) return [];
    const lines = readFileSync(this.#pidsFile, 'utf8').trim().split('\n');
    return lines.filter((line) => {
      const [pid = '', ticks] = line.split(' ');
      return isAlive(Number(pid)) && startTicks(Number(pid)) === ticks;
    });
  }

  /** Ends it whatever happened, and waits until nothing of it is left. */
  async clear(): Promise<void> {
    this.child.kill('SIGKILL');
    await this.noneLeft();
  }

  noneLeft(): Promise<boolean> {
    return waitFor(() => this.left().length === 0, { what: 'every process of the stack to end', deadlineMs: 30_000 });
  }
}

/** Runs a command to its end. */
export function run(args: readonly string[], folder: string, env?: Readonly<Record<string, string>>): Promise<Ended> {
  return new Command(args, folder, env).ended;
}

/** run.json of a stack whose proxy is ready. */
export function untilReady(command: Command, dataDir: string): Promise<RunFile> {
  return waitFor(
    () => {
      if (command.child.exitCode !== null) throw new Error(`it ended early: ${command.stderr}`);
      const run = readRun(dataDir);
      return run !== undefined && run.kafka !== null && run.pid === command.child.pid ? run : undefined;
    },
    { what: 'the stack to be ready', deadlineMs: 120_000 },
  );
}

export function readRun(dataDir: string): RunFile | undefined {
  try {
    return JSON.parse(readFileSync(join(dataDir, 'run.json'), 'utf8')) as RunFile;
  } catch {
    return undefined;
  }
}
