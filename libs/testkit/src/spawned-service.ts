// Starts one mirrorstream command as a process of its own, tied to the test, so that it can be killed and its output looked at.
import { join } from 'node:path';
import { exitError, type ProcessExit, repositoryRoot, spawnTied, type TiedProcess } from '@mirrorstream/local';
import { waitFor } from './waiting.ts';

export interface SpawnedService extends TiedProcess {
  /** Lines of its output so far, both streams, the oldest dropped first. */
  lines(): string[];
  /** Waits for a line that matches; throws with its last lines when it ends before that. */
  waitForLine(pattern: RegExp, deadlineMs?: number): Promise<string>;
}

const keptLines = 5000;

/** `spawnService(['replayer', '--mirror', 'candidate'])`. Stopped with SIGTERM by `stop()`, at the latest when the test process ends. */
export async function spawnService(
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<SpawnedService> {
  const lines: string[] = [];
  const child = await spawnTied({
    name: `mirrorstream ${args[0] ?? ''}`.trim(),
    command: process.execPath,
    args: [join(repositoryRoot, 'services', 'cli', 'bin', 'mirrorstream.js'), ...args],
    env: { ...process.env, NO_COLOR: '1', ...env },
    orphanGraceMs: 2000,
    keepsParentAlive: false,
    onLog: (line) => {
      lines.push(line);
      if (lines.length > keptLines) lines.shift();
    },
  });
  let ended: ProcessExit | undefined;
  void child.exited.then((exit) => {
    ended = exit;
  });
  return {
    name: child.name,
    pid: child.pid,
    exited: child.exited,
    stop: (options) => child.stop(options),
    kill9: () => child.kill9(),
    signal: (signal) => child.signal(signal),
    lastLogLines: () => child.lastLogLines(),
    lines: () => [...lines],
    waitForLine: (pattern, deadlineMs = 30_000) => {
      const find = (): string | undefined => {
        const found = lines.find((line) => pattern.test(line));
        if (found === undefined && ended !== undefined) throw exitError(ended);
        return found;
      };
      return waitFor(find, { what: `${child.name} to print ${pattern}`, deadlineMs });
    },
  };
}
