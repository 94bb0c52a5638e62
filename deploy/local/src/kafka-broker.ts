// Runs the embedded Kafka broker: one node, loopback only, its data kept between runs.
import { randomBytes } from 'node:crypto';
import { access, mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { MirrorstreamError } from '@mirrorstream/domain';
import { checkPortFree, freePorts } from './free-port.ts';
import { findJava, type JavaRuntime } from './java.ts';
import { ensureKafka, type KafkaDist, type KafkaFetchListener, kafkaConfigDir } from './kafka-dist.ts';
import { aliveBrokers } from './kafka-probe.ts';
import { exitError, type ProcessExit, spawnTied, type TiedProcess } from './process-group.ts';
import { untilServing } from './until-serving.ts';

export interface KafkaBrokerOptions {
  /** Where topics are kept; made and formatted when missing. */
  readonly dataDir: string;
  readonly cacheDir?: string;
  readonly port?: number;
  /** Further broker settings, by their names in Kafka's manual. */
  readonly settings?: Readonly<Record<string, string>>;
  readonly heapMb?: number;
  readonly env?: NodeJS.ProcessEnv;
  readonly onLog?: (line: string) => void;
  readonly onProgress?: KafkaFetchListener;
  readonly keepsParentAlive?: boolean;
}

export interface KafkaBroker {
  /** `127.0.0.1:port` */
  readonly bootstrap: string;
  readonly host: string;
  readonly port: number;
  readonly pid: number;
  readonly exited: Promise<ProcessExit>;
  stop(): Promise<ProcessExit>;
  kill9(): Promise<ProcessExit>;
}

const limits = { readyDeadlineMs: 60_000, formatDeadlineMs: 60_000, stopGraceMs: 20_000, startAttempts: 3 };
const host = '127.0.0.1';

/**
 * Starts the broker and waits until it answers. Throws `missingPrerequisite` (Java, Maven), `downloadFailed`, `diskFull`, `portTaken`,
 * `componentFailed` with its last lines, `notReady`.
 */
export async function startKafkaBroker(options: KafkaBrokerOptions): Promise<KafkaBroker> {
  const java = await findJava(options.env);
  const dist = await ensureKafka(options);
  if (options.port !== undefined) await checkPortFree(options.port, 'kafka');
  const dataDir = resolve(options.dataDir);
  await mkdir(dataDir, { recursive: true });
  for (let attempt = 1; ; attempt++) {
    try {
      return await startOnce(java, dist, { ...options, dataDir });
    } catch (error) {
      // A free port can be taken by somebody else before the broker opens it.
      const lostPort = error instanceof MirrorstreamError && /Address already in use|BindException/.test(error.message);
      if (!lostPort || attempt >= limits.startAttempts) throw error;
    }
  }
}

async function startOnce(java: JavaRuntime, dist: KafkaDist, options: KafkaBrokerOptions): Promise<KafkaBroker> {
  // Found together: one after the other they may be the same, which the broker refuses.
  const [first, second] = (await freePorts(2)) as [number, number];
  const port = options.port ?? first;
  const controllerPort = second === port ? first : second;
  const propertiesFile = join(options.dataDir, 'server.properties');
  await writeFile(propertiesFile, await serverProperties(options, port, controllerPort));
  const heap = [
    '-Xms32m',
    `-Xmx${options.heapMb ?? 384}m`,
    '-XX:+UseSerialGC',
    '-XX:TieredStopAtLevel=1',
    '-Xlog:disable',
    '-Xlog:all=error',
  ];
  const logging = `-Dlog4j2.configurationFile=${join(kafkaConfigDir, 'log4j2.properties')}`;
  const run: JavaRun = { java, dist, jvmArgs: [...heap, logging, '-Djava.awt.headless=true'], options };
  await format(run, propertiesFile);

  const archive = await classArchive(run);
  const child = await spawnJava(run, 'kafka', [...archive.args, 'kafka.Kafka', propertiesFile]);
  void child.exited.then((exit) => archive.settle(exit));
  await untilServing(child, async () => (await aliveBrokers(host, port, 1000)) > 0, {
    what: 'kafka to answer a Metadata request',
    deadlineMs: limits.readyDeadlineMs,
    everyMs: 50,
    stage: 'kafka',
  });
  return {
    bootstrap: `${host}:${port}`,
    host,
    port,
    pid: child.pid,
    exited: child.exited,
    stop: async () => {
      const exit = await child.stop({ graceMs: limits.stopGraceMs });
      await archive.settle(exit);
      return exit;
    },
    kill9: () => child.kill9(),
  };
}

interface JavaRun {
  readonly java: JavaRuntime;
  readonly dist: KafkaDist;
  readonly jvmArgs: readonly string[];
  readonly options: KafkaBrokerOptions;
}

function spawnJava(run: JavaRun, name: string, args: readonly string[]): Promise<TiedProcess> {
  const { onLog, keepsParentAlive, env } = run.options;
  return spawnTied({
    name,
    command: run.java.command,
    args: [...run.jvmArgs, '-cp', run.dist.jars.join(':'), ...args],
    // A clean end takes seconds; its data survives SIGKILL, so an orphan is not waited for long.
    orphanGraceMs: 5000,
    cwd: run.options.dataDir,
    ...(env === undefined ? {} : { env }),
    ...(onLog === undefined ? {} : { onLog }),
    ...(keepsParentAlive === undefined ? {} : { keepsParentAlive }),
  });
}

async function serverProperties(
  options: KafkaBrokerOptions,
  brokerPort: number,
  controllerPort: number,
): Promise<string> {
  const template = await readFile(join(kafkaConfigDir, 'server.properties'), 'utf8');
  const values: Record<string, string> = {
    brokerPort: String(brokerPort),
    controllerPort: String(controllerPort),
    logDir: logDir(options),
  };
  const filled = template.replaceAll(/\$\{(\w+)\}/g, (word, name: string) => values[name] ?? word);
  const extra = Object.entries(options.settings ?? {}).map(([name, value]) => `${name}=${value}`);
  return [filled, ...extra, ''].join('\n');
}

const logDir = (options: KafkaBrokerOptions): string => join(options.dataDir, 'log');

/** Gives an empty data folder its cluster id. */
async function format(run: JavaRun, propertiesFile: string): Promise<void> {
  if (await exists(join(logDir(run.options), 'meta.properties'))) return;
  const clusterId = randomBytes(16).toString('base64url');
  // With an equals sign: one id in 64 begins with a hyphen and would be taken for an option.
  const id = `--cluster-id=${clusterId}`;
  const tool = ['kafka.tools.StorageTool', 'format', '--ignore-formatted', id, '-c', propertiesFile];
  const child = await spawnJava(run, 'kafka format', tool);
  const giveUp = setTimeout(() => void child.kill9(), limits.formatDeadlineMs);
  const exit = await child.exited;
  clearTimeout(giveUp);
  if (exit.code !== 0) throw exitError(exit);
}

interface ClassArchive {
  readonly args: readonly string[];
  /** Keeps an archive that an ended broker wrote, drops a broken one. */
  settle(exit: ProcessExit): Promise<void>;
}

/**
 * Class data sharing: the first broker that ends in order leaves an archive of its loaded classes, with which the next ones start in
 * half the time. The JVM ignores an archive that does not fit, so nothing here can fail a start.
 */
async function classArchive(run: JavaRun): Promise<ClassArchive> {
  const file = join(run.dist.dir, `classes-java${run.java.majorVersion}.jsa`);
  if (await exists(file)) return { args: ['-Xshare:auto', `-XX:SharedArchiveFile=${file}`], settle: async () => {} };
  const part = `${file}.${randomBytes(4).toString('hex')}.part`;
  const settle = async (exit: ProcessExit): Promise<void> => {
    // 143: ended by SIGTERM, in order. Only then has the archive been written to its end.
    if (exit.code === 143) await rename(part, file).catch(() => {});
    else await rm(part, { force: true }).catch(() => {});
  };
  return { args: [`-XX:ArchiveClassesAtExit=${part}`], settle };
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
