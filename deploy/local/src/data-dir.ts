// The folder a stack keeps its data in: what lies where, whose it is, and how it is emptied.
import { mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { MirrorstreamError } from '@mirrorstream/domain';
import { defaultCacheDir, repositoryRoot } from './kafka-dist.ts';
import { isAlive, startTicks } from './process-tree.ts';
import { removeRelocated } from './unprivileged-user.ts';

export const defaultDataDir = join(repositoryRoot, '.mirrorstream');

export interface DataDir {
  readonly root: string;
  readonly kafkaDir: string;
  readonly postgresDir: (name: string) => string;
  readonly logsDir: string;
  /** What capture keeps while Kafka is away. */
  readonly spoolDir: string;
  readonly runFile: string;
  /** Fetched software. Shared by all data folders of this repository, and kept when one is emptied. */
  readonly cacheDir: string;
}

/** What `run.json` says about the stack that uses the folder now. Nothing secret belongs here. */
export interface RunInfo {
  /** Of the process that started the stack. */
  readonly pid: number;
  readonly startedAtMs: number;
  /** Addresses by component name: `{"kafka": "127.0.0.1:9092"}`. */
  readonly addresses: Readonly<Record<string, string>>;
}

const stage = 'data folder';
const marker = '.mirrorstream-data';
const contents = ['kafka', 'postgres', 'logs', 'spool', 'run.json'];
/** What other parts of the project may have put into the default folder before a stack did. */
const foreign = ['cache', 'install.lock', marker];

export function dataDirLayout(dataDir: string): DataDir {
  const root = resolve(dataDir);
  return {
    root,
    kafkaDir: join(root, 'kafka'),
    postgresDir: (name) => join(root, 'postgres', name),
    logsDir: join(root, 'logs'),
    spoolDir: join(root, 'spool'),
    runFile: join(root, 'run.json'),
    cacheDir: defaultCacheDir,
  };
}

/** Makes the folder, or takes an existing one that is ours. Throws `badInput` when it is somebody else's or in use. */
export async function openDataDir(dataDir: string): Promise<DataDir> {
  const layout = dataDirLayout(dataDir);
  await makeWritable(layout.root);
  await checkOurs(layout.root);
  await checkUnused(layout);
  await writeFile(join(layout.root, marker), 'Data of mirrorstream. `--fresh` empties this folder.\n');
  await mkdir(layout.logsDir, { recursive: true });
  return layout;
}

/** Deletes a stack's data and logs; what was fetched stays. Refuses a folder that is not ours or in use. */
export async function wipeDataDir(dataDir: string): Promise<void> {
  const layout = dataDirLayout(dataDir);
  await checkOurs(layout.root);
  await checkUnused(layout);
  for (const server of await readdir(join(layout.root, 'postgres')).catch(() => [])) {
    await removeRelocated(layout.postgresDir(server));
  }
  for (const entry of contents) await rm(join(layout.root, entry), { recursive: true, force: true });
}

/** Says that this process runs a stack here. */
export async function writeRun(
  layout: DataDir,
  addresses: Readonly<Record<string, string>>,
  nowMs: number,
): Promise<void> {
  const info: RunInfo & { startTicks: string | undefined } = {
    pid: process.pid,
    startTicks: startTicks(process.pid),
    startedAtMs: nowMs,
    addresses,
  };
  // Renamed into place: a reader never sees half of it.
  await writeFile(`${layout.runFile}.part`, `${JSON.stringify(info, null, 2)}\n`);
  await rename(`${layout.runFile}.part`, layout.runFile);
}

/** The stack that runs on this folder now, or undefined. */
export async function readRun(layout: DataDir): Promise<RunInfo | undefined> {
  const text = await readFile(layout.runFile, 'utf8').catch(() => '');
  if (text === '') return undefined;
  const { startTicks: started, ...info } = JSON.parse(text) as RunInfo & { startTicks?: string };
  return isAlive(info.pid) && startTicks(info.pid) === started ? info : undefined;
}

export async function removeRun(layout: DataDir): Promise<void> {
  await rm(layout.runFile, { force: true });
}

async function makeWritable(root: string): Promise<void> {
  try {
    await mkdir(root, { recursive: true, mode: 0o755 });
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    throw new MirrorstreamError('badInput', `cannot make the data folder ${root} (${code})`, {
      stage,
      hint: 'Choose another place with --data-dir.',
      cause,
    });
  }
}

async function checkOurs(root: string): Promise<void> {
  const entries = await readdir(root).catch((error: NodeJS.ErrnoException): string[] => {
    if (error.code === 'ENOENT') return [];
    throw new MirrorstreamError('badInput', `${root} cannot be used as data folder (${error.code})`, {
      stage,
      hint: 'Choose another place with --data-dir.',
      cause: error,
    });
  });
  if (entries.includes(marker) || entries.every((entry) => foreign.includes(entry))) return;
  throw new MirrorstreamError('badInput', `${root} holds files that are not mirrorstream's`, {
    stage,
    hint: 'Name an empty or new folder with --data-dir. Nothing was changed.',
  });
}

async function checkUnused(layout: DataDir): Promise<void> {
  const run = await readRun(layout);
  if (run === undefined || run.pid === process.pid) return;
  throw new MirrorstreamError('badInput', `a stack is running on ${layout.root} already (pid ${run.pid})`, {
    stage,
    hint: 'Stop it first, or choose another folder with --data-dir.',
  });
}
