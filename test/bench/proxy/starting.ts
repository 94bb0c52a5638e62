// What a contender is, and how its process is started.
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { MirrorstreamError } from '@mirrorstream/domain';
import { spawnTied, type TiedProcess, waitUntil } from '@mirrorstream/local';

const run = promisify(execFile);

export interface Contender {
  readonly name: string;
  readonly port: number;
  /** Of the process whose cost, with that of its children, is the contender's; null for the direct connection. */
  readonly pid: number | null;
  readonly version: string;
  /** Under which its transactions are counted in Kafka; null: it publishes none. */
  readonly sourceName: string | null;
  stop(): Promise<void>;
}

export interface Surroundings {
  readonly sourcePort: number;
  /** The second server, where one was asked for. */
  readonly mirrorPort: number | null;
  readonly brokers: string;
  readonly directory: string;
  readonly root: string;
}

export interface Entry {
  readonly name: string;
  readonly needsMirror?: boolean;
  /** A text: why it cannot take part. */
  start(around: Surroundings): Promise<Contender | string>;
}

/** Connections each of them lets through at once, and the pools behind them: more than any load opens. */
export const maxConnections = 250;

export function started(name: string, port: number, child: TiedProcess, version: string): Contender {
  const stop = async (): Promise<void> => {
    await child.stop({ graceMs: 60_000 });
  };
  return { name, port, pid: child.pid, version, sourceName: null, stop };
}

/** Null when the command cannot be run. */
export async function versionOf(command: string, pattern: RegExp, flag = '--version'): Promise<string | null> {
  return await run(command, [flag]).then(
    ({ stdout }) => pattern.exec(stdout)?.[1] ?? 'unknown',
    () => null,
  );
}

/** Starts a process that says in one JSON line on stdout that it is ready. */
export async function spawnReady(
  name: string,
  command: string,
  args: readonly string[],
  env: NodeJS.ProcessEnv = process.env,
): Promise<{ process: TiedProcess; ready: Readonly<Record<string, unknown>> }> {
  let ready: Record<string, unknown> | null = null;
  let ended = false;
  const child = await spawnTied({
    name,
    command,
    args,
    env,
    onLog: (line, stream) => {
      if (stream === 'stdout' && ready === null && line.startsWith('{')) ready = JSON.parse(line);
    },
  });
  void child.exited.then(() => {
    ended = true;
  });
  await waitUntil(() => ready !== null || ended, { what: `${name} to be ready`, deadlineMs: 60_000, stage: 'bench' });
  if (ready === null) {
    const lastLines = child.lastLogLines().join('\n');
    throw new MirrorstreamError('componentFailed', `${name} ended before it was ready:\n${lastLines}`, {
      stage: 'bench',
    });
  }
  return { process: child, ready };
}
