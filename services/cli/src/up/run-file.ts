// run.json: who runs a stack on a data folder, and how `mirrorstream status` finds it. Nothing secret is written.
import { open, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { MirrorstreamError } from '@mirrorstream/domain';
import { type DataDir, isAlive, startTicks, waitUntil } from '@mirrorstream/local';
import { z } from 'zod';

const processSchema = z.object({
  name: z.string(),
  pid: z.number().int().positive(),
  startTicks: z.string().nullable(),
});

/** A superset of what @mirrorstream/local reads from the same file. */
const runSchema = z.object({
  pid: z.number().int().positive(),
  /** Of the process, in the kernel's ticks since boot: tells it from a later one with the same pid. Linux only. */
  startTicks: z.string().optional(),
  startedAtMs: z.number(),
  addresses: z.record(z.string(), z.string()),
  source: z.string(),
  environment: z.string(),
  mirrors: z.array(z.string()),
  /** URLs of the servers the stack brought along; those of others may hold passwords. */
  embeddedMirrors: z.record(z.string(), z.string()).optional(),
  kafka: z
    .object({
      brokers: z.array(z.string()),
      tls: z.record(z.string(), z.string()).optional(),
      sasl: z
        .object({
          mechanism: z.enum(['plain', 'scram-sha-256', 'scram-sha-512']),
          username: z.string(),
          passwordEnv: z.string().optional(),
          passwordFile: z.string().optional(),
        })
        .optional(),
    })
    .nullable(),
  processes: z.array(processSchema),
});
export type RunFile = z.infer<typeof runSchema>;

const limits = { leftoverDeadlineMs: 30_000 };

/** What the file says, whether or not that stack still runs; undefined when there is none. */
export async function readRunFile({ runFile }: DataDir): Promise<{ run: RunFile; running: boolean } | undefined> {
  const text = await readFile(runFile, 'utf8').catch(() => '');
  if (text === '') return undefined;
  const parsed = runSchema.safeParse(tryJson(text));
  if (!parsed.success) return undefined; // Half-written by a process that died: nobody runs by it.
  const { pid, startTicks: ticks } = parsed.data;
  return { run: parsed.data, running: isSame(pid, ticks ?? null) };
}

/** The claim on a data folder: held from before anything starts until everything has ended. */
export class RunClaim {
  readonly #path: string;
  #run: RunFile;
  #writing: Promise<void> = Promise.resolve();

  private constructor(path: string, run: RunFile) {
    this.#path = path;
    this.#run = run;
  }

  /** Throws `badInput` when a stack runs here. A stale claim is taken over, once its processes have ended. */
  static async take(
    layout: DataDir,
    about: Pick<RunFile, 'source' | 'environment' | 'mirrors'>,
    nowMs: number,
  ): Promise<RunClaim> {
    await awaitEarlierRun(layout);
    await rm(layout.runFile, { force: true });
    const ticks = startTicks(process.pid);
    const run: RunFile = {
      pid: process.pid,
      ...(ticks === undefined ? {} : { startTicks: ticks }),
      startedAtMs: nowMs,
      addresses: {},
      kafka: null,
      processes: [],
      ...about,
    };
    try {
      const file = await open(layout.runFile, 'wx'); // Of two that start at the same moment only one makes the file.
      await file.writeFile(format(run));
      await file.close();
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
      throw inUse(layout, (await readRunFile(layout))?.run.pid);
    }
    return new RunClaim(layout.runFile, run);
  }

  /** Notes a child, so that a successor can wait for its end should this process be killed. */
  addProcess(name: string, pid: number): void {
    const processes = [...this.#run.processes, { name, pid, startTicks: startTicks(pid) ?? null }];
    this.update({ processes });
  }

  update(change: Partial<RunFile>): void {
    this.#run = { ...this.#run, ...change };
    const text = format(this.#run);
    this.#writing = this.#writing.then(async () => {
      // Renamed into place: a reader never sees half of it.
      await writeFile(`${this.#path}.part`, text);
      await rename(`${this.#path}.part`, this.#path);
    });
    this.#writing.catch(() => {}); // A full disk must not end the run; release() removes what is there.
  }

  async release(): Promise<void> {
    await this.#writing.catch(() => {});
    await rm(this.#path, { force: true });
    await rm(`${this.#path}.part`, { force: true });
  }
}

/** Throws `badInput` when a stack runs here; waits for the processes of one that was killed. */
export async function awaitEarlierRun(layout: DataDir): Promise<void> {
  const earlier = await readRunFile(layout);
  if (earlier === undefined) return;
  if (earlier.running) throw inUse(layout, earlier.run.pid);
  const { processes } = earlier.run;
  await waitUntil(() => !processes.some((one) => isSame(one.pid, one.startTicks)), {
    what: `the processes of a killed run to end (${processes.map((one) => one.name).join(', ')})`,
    deadlineMs: limits.leftoverDeadlineMs,
    stage: 'data folder',
  });
}

function isSame(pid: number, ticks: string | null): boolean {
  return isAlive(pid) && (startTicks(pid) ?? null) === ticks;
}

function inUse({ root }: DataDir, pid: number | undefined): MirrorstreamError {
  return new MirrorstreamError(
    'badInput',
    `a stack is running on ${root} already${pid === undefined ? '' : ` (pid ${pid})`}`,
    {
      stage: 'data folder',
      hint: 'Stop it first, or choose another folder with --data-dir.',
    },
  );
}

function format(run: RunFile): string {
  return `${JSON.stringify(run, null, 2)}\n`;
}

function tryJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
