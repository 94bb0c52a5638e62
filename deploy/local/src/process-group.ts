// Starts child processes that die with their parent, however the parent dies, and reports how each one ended.
//
// Each child runs in a process group of its own and has a guardian: a shell that holds one end of a pipe from the parent. When the
// parent goes, SIGKILL included, the kernel closes the pipe, the guardian reads its end and kills the child's group. It does not
// depend on any handler in the parent.
import { type ChildProcess, spawn } from 'node:child_process';
import { appendFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { MirrorstreamError } from '@mirrorstream/domain';
import { defaultLogRingLimits, LogRing, type LogRingLimits } from './log-ring.ts';
import { descendantsOf, isAlive, startTicks } from './process-tree.ts';
import { waitUntil } from './wait-until.ts';

export type LogStream = 'stdout' | 'stderr';

export interface TiedOptions {
  /** How messages call it: `kafka`, `postgres source`, `replayer candidate`. */
  readonly name: string;
  readonly command: string;
  readonly args: readonly string[];
  /** The whole environment of the child; the parent's by default. */
  readonly env?: NodeJS.ProcessEnv;
  readonly cwd?: string;
  readonly uid?: number;
  readonly gid?: number;
  /** What the guardian sends first when the parent has gone. PostgreSQL's immediate shutdown is SIGQUIT. */
  readonly orphanSignal?: 'SIGTERM' | 'SIGQUIT' | 'SIGKILL';
  /** How long an orphan may take before SIGKILL. */
  readonly orphanGraceMs?: number;
  readonly logLimits?: LogRingLimits;
  readonly onLog?: (line: string, stream: LogStream) => void;
  /** Whether the running child keeps the parent's event loop going (default true). */
  readonly keepsParentAlive?: boolean;
}

/** How a child ended. */
export interface ProcessExit {
  readonly name: string;
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  /** Whether it was asked to end through `stop` or `kill9`. */
  readonly expected: boolean;
  readonly lastLogLines: readonly string[];
}

export interface StopOptions {
  readonly signal?: NodeJS.Signals;
  /** After this long it is killed, with all its descendants. */
  readonly graceMs?: number;
}

export interface TiedProcess {
  readonly name: string;
  readonly pid: number;
  /** Resolves when the child has ended, for whatever reason; never rejects. */
  readonly exited: Promise<ProcessExit>;
  /** Asks it to end, waits, and kills what remains. */
  stop(options?: StopOptions): Promise<ProcessExit>;
  /** SIGKILL to the child and all its descendants; resolves when none is left. */
  kill9(): Promise<ProcessExit>;
  signal(signal: NodeJS.Signals): void;
  lastLogLines(): string[];
}

/** A file to which every started pid is appended as `pid startTicks name`: lets a test run check that nothing is left. */
export const tiedPidsFileVariable = 'MIRRORSTREAM_TIED_PIDS_FILE';

const guardianScript = join(import.meta.dirname, 'guardian.sh');

/** Starts a child tied to this process. Throws `componentFailed` or `missingPrerequisite` when it cannot be started. */
export async function spawnTied(options: TiedOptions): Promise<TiedProcess> {
  const { name, orphanSignal = 'SIGTERM', orphanGraceMs = 5000, keepsParentAlive = true } = options;
  const guardian = spawn(
    '/bin/sh',
    [guardianScript, name, orphanSignal.slice(3), String(Math.ceil(orphanGraceMs / 100))],
    {
      detached: true,
      stdio: ['pipe', 'ignore', 'ignore'],
      env: { PATH: process.env['PATH'] ?? '/usr/bin:/bin' },
      cwd: '/',
    },
  );
  guardian.on('error', () => {}); // Without /bin/sh nothing else here works either: the child's own error says so.
  guardian.stdin?.on('error', () => {});
  guardian.unref();
  (guardian.stdin as unknown as { unref?: () => void } | null)?.unref?.();

  const child = spawn(options.command, [...options.args], {
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: options.env ?? process.env,
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    ...(options.uid === undefined ? {} : { uid: options.uid }),
    ...(options.gid === undefined ? {} : { gid: options.gid }),
  });
  if (child.pid === undefined) {
    guardian.stdin?.end();
    throw await startError(child, options);
  }
  // In the same turn as the spawn, so that there is no moment at which the child has no guardian.
  guardian.stdin?.write(`${child.pid}\n`);
  recordPid(child.pid, name);
  if (guardian.pid !== undefined) recordPid(guardian.pid, `guardian of ${name}`);
  return new Tied(child as ChildProcess & { readonly pid: number }, guardian, options, keepsParentAlive);
}

class Tied implements TiedProcess {
  readonly name: string;
  readonly pid: number;
  readonly exited: Promise<ProcessExit>;
  readonly #ring: LogRing;
  readonly #keepsParentAlive: boolean;
  readonly #child: ChildProcess;
  #expected = false;
  #ended = false;

  constructor(
    child: ChildProcess & { readonly pid: number },
    guardian: ChildProcess,
    options: TiedOptions,
    keepsParentAlive: boolean,
  ) {
    this.name = options.name;
    this.pid = child.pid;
    this.#child = child;
    this.#keepsParentAlive = keepsParentAlive;
    let current: LogStream = 'stdout';
    this.#ring = new LogRing(options.logLimits ?? defaultLogRingLimits, (line) => options.onLog?.(line, current));
    const streamsEnded = (['stdout', 'stderr'] as const).map((streamName) => {
      const read = this.#ring.stream();
      const take = (chunk: string | undefined): void => {
        current = streamName;
        read(chunk);
      };
      return readStream(child[streamName], take);
    });
    child.on('error', () => {}); // After a successful start: a signal that could not be delivered.
    this.exited = new Promise((resolve) => {
      child.once('exit', (code, signal) => {
        this.#ended = true;
        killGroup(this.pid); // What the child left behind in its group.
        guardian.stdin?.end('ended\n');
        // The last lines may still be in the pipes; a grandchild that keeps them open must not delay the report.
        const grace = new Promise<void>((done) => setTimeout(done, 250).unref());
        void Promise.race([Promise.all(streamsEnded), grace]).then(() => {
          resolve({ name: this.name, code, signal, expected: this.#expected, lastLogLines: this.#ring.lines() });
        });
      });
    });
    if (!keepsParentAlive) this.#setReferenced(false);
  }

  async stop({ signal = 'SIGTERM', graceMs = 10_000 }: StopOptions = {}): Promise<ProcessExit> {
    if (this.#ended) return this.exited;
    this.#expected = true;
    this.#setReferenced(true);
    this.signal(signal);
    const timer = new Promise<undefined>((resolve) => setTimeout(resolve, graceMs, undefined).unref());
    const exit = await Promise.race([this.exited, timer]);
    return exit ?? this.kill9();
  }

  async kill9(): Promise<ProcessExit> {
    if (this.#ended) return this.exited;
    this.#expected = true;
    this.#setReferenced(true);
    const family = descendantsOf(this.pid);
    this.signal('SIGKILL');
    for (const pid of family) killQuietly(pid, 'SIGKILL');
    const exit = await this.exited;
    await waitUntil(() => !family.some(isAlive), { what: `the children of ${this.name} to end`, deadlineMs: 10_000 });
    return exit;
  }

  signal(signal: NodeJS.Signals): void {
    if (!this.#ended) killQuietly(this.pid, signal);
  }

  lastLogLines(): string[] {
    return this.#ring.lines();
  }

  /** While somebody waits for its end, the parent's event loop must go on. */
  #setReferenced(referenced: boolean): void {
    if (this.#keepsParentAlive && referenced) return;
    const verb = referenced ? 'ref' : 'unref';
    this.#child[verb]();
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      (stream as unknown as { ref?: () => void; unref?: () => void } | null)?.[verb]?.();
    }
  }
}

/** The error for a child that ended without being asked to: its name, how it ended, its last lines. */
export function exitError(exit: ProcessExit): MirrorstreamError {
  const how = exit.signal === null ? `with exit code ${exit.code}` : `by ${exit.signal}`;
  const lines = exit.lastLogLines.slice(-10).map((line) => `  ${line}`);
  return new MirrorstreamError(
    'componentFailed',
    [`${exit.name} ended ${how}${lines.length === 0 ? ' and printed nothing' : '; its last lines:'}`, ...lines].join(
      '\n',
    ),
    { stage: exit.name, hint: `See the lines of ${exit.name} above.` },
  );
}

async function startError(child: ChildProcess, options: TiedOptions): Promise<MirrorstreamError> {
  const cause = await new Promise<NodeJS.ErrnoException>((resolve) => child.once('error', resolve));
  // EACCES: also when a folder of PATH cannot be searched.
  const missing = cause.code === 'ENOENT' || cause.code === 'EACCES';
  return new MirrorstreamError(
    missing ? 'missingPrerequisite' : 'componentFailed',
    missing
      ? `${options.name}: cannot find or may not run the program ${options.command}`
      : `${options.name} could not be started (${cause.code})`,
    { stage: options.name, cause, ...(missing ? { hint: 'Install it, or add its folder to PATH.' } : {}) },
  );
}

function readStream(stream: Readable | null, take: (chunk: string | undefined) => void): Promise<void> {
  if (stream === null) return Promise.resolve();
  stream.setEncoding('utf8');
  stream.on('data', take);
  stream.on('error', () => {});
  return new Promise((resolve) => {
    stream.once('close', () => {
      take(undefined);
      resolve();
    });
  });
}

function killGroup(groupLeader: number): void {
  killQuietly(-groupLeader, 'SIGKILL');
}

function killQuietly(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch {
    // It has ended already.
  }
}

function recordPid(pid: number, name: string): void {
  const file = process.env[tiedPidsFileVariable];
  if (file) appendFileSync(file, `${pid} ${startTicks(pid) ?? '-'} ${name}\n`);
}
