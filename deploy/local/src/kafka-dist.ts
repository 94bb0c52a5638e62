// Fetches the jars of the embedded Kafka once, with Maven, into a cache folder.
import { randomBytes } from 'node:crypto';
import { mkdir, readdir, readFile, rename, rm, stat } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { MirrorstreamError } from '@mirrorstream/domain';
import { withDirectoryLock } from './directory-lock.ts';
import { checkDiskSpace, explainDiskFull } from './disk-space.ts';
import { findMaven } from './java.ts';
import { type ProcessExit, spawnTied } from './process-group.ts';

export const repositoryRoot = resolve(import.meta.dirname, '../../..');
export const defaultCacheDir = join(repositoryRoot, '.mirrorstream', 'cache');
/** pom.xml, server.properties and log4j2.properties of the broker. */
export const kafkaConfigDir = join(repositoryRoot, 'deploy', 'kafka');

export interface KafkaDist {
  readonly version: string;
  /** Sorted: the class data archive is only used with exactly the same list. */
  readonly jars: readonly string[];
  readonly dir: string;
}

export interface KafkaFetchProgress {
  /** `waiting`: another process is fetching. */
  readonly phase: 'waiting' | 'downloading' | 'copying' | 'done';
  readonly jars: number;
  readonly sizeBytes: number;
}

export type KafkaFetchListener = (progress: KafkaFetchProgress) => void;

export interface EnsureKafkaOptions {
  readonly cacheDir?: string;
  readonly env?: NodeJS.ProcessEnv;
  readonly onProgress?: KafkaFetchListener;
}

const limits = {
  /** Jars plus the room Maven takes for its own copies. */
  neededBytes: 150 * 2 ** 20,
  fetchDeadlineMs: 15 * 60_000,
  progressEveryMs: 500,
};

/** The jars of the broker, fetched if they are not in the cache yet. Throws `missingPrerequisite`, `downloadFailed`, `diskFull`. */
export async function ensureKafka(options: EnsureKafkaOptions = {}): Promise<KafkaDist> {
  const cacheDir = resolve(options.cacheDir ?? defaultCacheDir);
  const version = await wantedVersion();
  const dir = join(cacheDir, `kafka-${version}`);
  const present = await readDist(dir, version);
  if (present !== undefined) return present;
  try {
    await mkdir(cacheDir, { recursive: true });
    const onWait = (): void => options.onProgress?.({ phase: 'waiting', jars: 0, sizeBytes: 0 });
    const lock = { what: 'another process to fetch Kafka', deadlineMs: limits.fetchDeadlineMs, onWait };
    await withDirectoryLock(`${dir}.lock`, lock, async () => {
      if ((await readDist(dir, version)) === undefined) await fetchInto(dir, options);
    });
  } catch (error) {
    throw explainDiskFull(error, cacheDir, 'kafka');
  }
  const dist = await readDist(dir, version);
  if (dist !== undefined) return dist;
  throw new MirrorstreamError('internal', `Kafka was fetched but ${dir} is not complete`, {
    stage: 'kafka',
    hint: `Delete ${dir} and start again.`,
  });
}

async function wantedVersion(): Promise<string> {
  const pom = await readFile(join(kafkaConfigDir, 'pom.xml'), 'utf8');
  const version = /<kafka\.version>([\d.]+)<\/kafka\.version>/.exec(pom)?.[1];
  if (version !== undefined) return version;
  throw new MirrorstreamError('internal', 'deploy/kafka/pom.xml does not name kafka.version', { stage: 'kafka' });
}

async function readDist(dir: string, version: string): Promise<KafkaDist | undefined> {
  const entries = await readdir(dir).catch(() => []);
  const jars = entries.filter((entry) => entry.endsWith('.jar')).sort();
  // The folder is renamed into place when it is complete, so its existence says that all is there; this guards against hand edits.
  if (!jars.includes(`kafka-server-${version}.jar`)) return undefined;
  return { version, dir, jars: jars.map((jar) => join(dir, jar)) };
}

async function fetchInto(dir: string, options: EnsureKafkaOptions): Promise<void> {
  const env = options.env ?? process.env;
  const maven = await findMaven(env);
  await checkDiskSpace(dir, limits.neededBytes, 'the embedded Kafka');
  await removeUnfinished(dir);
  const fetchDir = `${dir}.${randomBytes(4).toString('hex')}.part`;
  try {
    let exit = await copyJars(maven, fetchDir, env, [], options.onProgress);
    // Maven remembers a failed look-up for a day: -U asks again.
    if (exit.code !== 0) exit = await copyJars(maven, fetchDir, env, ['-U'], options.onProgress);
    if (exit.code !== 0) throw fetchError(exit);
    await rm(dir, { recursive: true, force: true });
    await rename(fetchDir, dir);
  } finally {
    await rm(fetchDir, { recursive: true, force: true });
  }
}

/** What a process that was killed while fetching left; whoever holds the lock is the only one at work. */
async function removeUnfinished(dir: string): Promise<void> {
  for (const entry of await readdir(dirname(dir))) {
    if (!entry.startsWith(`${basename(dir)}.`) || !entry.endsWith('.part')) continue;
    await rm(join(dirname(dir), entry), { recursive: true, force: true });
  }
}

async function copyJars(
  maven: string,
  targetDir: string,
  env: NodeJS.ProcessEnv,
  extraArgs: readonly string[],
  onProgress: KafkaFetchListener | undefined,
): Promise<ProcessExit> {
  const goal = ['dependency:copy-dependencies', '-DincludeScope=runtime', `-DoutputDirectory=${targetDir}`];
  const downloaded = { jars: 0, sizeBytes: 0 };
  const child = await spawnTied({
    name: 'maven',
    command: maven,
    args: ['-B', ...extraArgs, '-f', join(kafkaConfigDir, 'pom.xml'), ...goal],
    env,
    orphanSignal: 'SIGKILL',
    onLog: (line) => {
      const size = /Downloaded from .*\.jar \(([\d.]+) (B|kB|MB)/.exec(line);
      if (size === null) return;
      downloaded.jars++;
      downloaded.sizeBytes += Number(size[1]) * ({ B: 1, kB: 1e3, MB: 1e6 }[size[2] as 'B' | 'kB' | 'MB'] ?? 1);
    },
  });
  const timer = setInterval(() => {
    void folderSize(targetDir).then((copied) => {
      onProgress?.(copied.jars > 0 ? { phase: 'copying', ...copied } : { phase: 'downloading', ...downloaded });
    });
  }, limits.progressEveryMs);
  const giveUp = setTimeout(() => void child.kill9(), limits.fetchDeadlineMs);
  const exit = await child.exited;
  clearInterval(timer);
  clearTimeout(giveUp);
  if (exit.code === 0) onProgress?.({ phase: 'done', ...(await folderSize(targetDir)) });
  return exit;
}

async function folderSize(dir: string): Promise<{ jars: number; sizeBytes: number }> {
  const jars = (await readdir(dir).catch(() => [])).filter((entry) => entry.endsWith('.jar'));
  const sizes = await Promise.all(
    jars.map((jar) =>
      stat(join(dir, jar))
        .then((entry) => entry.size)
        .catch(() => 0),
    ),
  );
  return { jars: jars.length, sizeBytes: sizes.reduce((sum, size) => sum + size, 0) };
}

function fetchError(exit: ProcessExit): MirrorstreamError {
  const errors = exit.lastLogLines.filter((line) => line.includes('ERROR')).slice(0, 3);
  const text = errors.join('\n');
  if (/No space left/i.test(text)) {
    return new MirrorstreamError('diskFull', 'Maven found no space left for the jars of Kafka', {
      stage: 'kafka',
      hint: "Make room on the disk of Maven's folder (~/.m2) and of the data folder.",
    });
  }
  // Addresses are left out: whoever has set a mirror of the repository knows it, and a log is not the place for it.
  const shown = text.replaceAll(/https?:\/\/\S+/g, '<repository>');
  return new MirrorstreamError('downloadFailed', `Maven could not fetch Kafka (exit code ${exit.code}):\n${shown}`, {
    stage: 'kafka',
    retryable: true,
    hint: 'Check the network, and the proxy or repository mirror in the Maven settings; then start again.',
  });
}
