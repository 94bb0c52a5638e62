// Starts mirrorstream's own services, each as a process of its own, and waits for its ready line.
import { join } from 'node:path';
import { filterFlags, MirrorstreamError, shedFlags } from '@mirrorstream/domain';
import { spawnTied, type TiedProcess } from '@mirrorstream/local';
import { formatHostPort, type HostPort } from '../address.ts';
import { type KafkaAccess, kafkaArguments } from '../kafka-plan.ts';
import { logPath, openLogFile } from './log-files.ts';
import { endedError, type Part } from './parts.ts';
import type { MirrorPlan } from './stack-plan.ts';

export interface ServiceStart {
  /** `replayer candidate`: in messages and as the log's file name. */
  readonly name: string;
  readonly arguments: readonly string[];
  /** In addition to this process's own; the place for secrets. */
  readonly env?: Readonly<Record<string, string>>;
  readonly logsDir: string;
}

export interface RunningService extends Part {
  /** What the service said when it was ready. */
  readonly ready: Readonly<Record<string, unknown>>;
}

const limits = { readyDeadlineMs: 60_000, stopGraceMs: 30_000 };
const targetVariable = 'MIRRORSTREAM_TARGET_URL';
const binary = join(import.meta.dirname, '../../bin/mirrorstream.js');

/** Throws `componentFailed` when it ends before it is ready, `notReady` when it takes too long. */
export async function startService(service: ServiceStart): Promise<RunningService> {
  const log = openLogFile(service.logsDir, service.name);
  let say: (ready: Readonly<Record<string, unknown>>) => void = () => {};
  const ready = new Promise<Readonly<Record<string, unknown>>>((resolve) => {
    say = resolve;
  });
  const child = await spawnTied({
    name: service.name,
    command: process.execPath,
    args: [binary, ...service.arguments],
    env: { ...process.env, ...service.env },
    onLog: (line, stream) => {
      log.write(line);
      const details = stream === 'stdout' ? readyLine(line) : undefined;
      if (details !== undefined) say(details);
    },
  });
  void child.exited.then(() => log.close());
  return running(child, await firstWord(child, ready, service.logsDir));
}

async function firstWord(
  child: TiedProcess,
  ready: Promise<Readonly<Record<string, unknown>>>,
  logsDir: string,
): Promise<Readonly<Record<string, unknown>>> {
  const ended = child.exited.then((exit) => {
    throw endedError(exit, logsDir);
  });
  ended.catch(() => {});
  const late = new Promise<undefined>((resolve) => setTimeout(resolve, limits.readyDeadlineMs, undefined).unref());
  const details = await Promise.race([ready, ended, late]);
  if (details !== undefined) return details;
  await child.kill9();
  throw new MirrorstreamError('notReady', `${child.name} was not ready after ${limits.readyDeadlineMs / 1000} s`, {
    stage: child.name,
    hint: `Its log is ${logPath(logsDir, child.name)}`,
  });
}

function running(child: TiedProcess, ready: Readonly<Record<string, unknown>>): RunningService {
  return {
    name: child.name,
    pid: child.pid,
    exited: child.exited,
    ready,
    stop: () => child.stop({ graceMs: limits.stopGraceMs }),
    kill9: () => child.kill9(),
  };
}

/** `{"ready":true,…}`, the one line a service writes to stdout. */
function readyLine(line: string): Readonly<Record<string, unknown>> | undefined {
  if (!line.startsWith('{')) return undefined;
  try {
    const value = JSON.parse(line) as Readonly<Record<string, unknown>>;
    return value['ready'] === true ? value : undefined;
  } catch {
    return undefined;
  }
}

export interface ProxyStart {
  readonly listen: HostPort;
  readonly source: HostPort;
  readonly sourceName: string;
  readonly node: string;
  readonly partitions: number;
  readonly answers: string | null;
  readonly workers: number | null;
  readonly systemIdentifier: string | null;
  readonly spoolDir: string;
  readonly tls: readonly string[];
  readonly kafka: KafkaAccess;
}

export function proxyArguments(start: ProxyStart): string[] {
  return [
    'capture-proxy',
    ...['--listen', formatHostPort(start.listen)],
    ...['--source', formatHostPort(start.source)],
    ...['--source-name', start.sourceName],
    ...['--node', start.node],
    ...['--partitions', String(start.partitions)],
    ...(start.answers === null ? [] : ['--answers', start.answers]),
    ...(start.systemIdentifier === null ? [] : ['--source-system-identifier', start.systemIdentifier]),
    ...(start.workers === null ? [] : ['--workers', String(start.workers)]),
    ...['--spool-dir', start.spoolDir],
    ...start.tls,
    ...kafkaArguments(start.kafka),
  ];
}

export interface MirrorServiceStart {
  readonly mirror: MirrorPlan;
  readonly targetUrl: string;
  readonly sourceName: string;
  readonly environment: string;
  readonly kafka: KafkaAccess;
}

/** The target's URL may hold a password: it goes by environment variable, never on the command line. */
export function replayerStart(start: MirrorServiceStart): Pick<ServiceStart, 'arguments' | 'env'> {
  const { mirror } = start;
  const many = (flag: string, values: readonly string[]): string[] => values.flatMap((value) => [flag, value]);
  return {
    arguments: [
      'replayer',
      ...['--mirror', mirror.name],
      ...['--source-name', start.sourceName],
      ...['--environment', start.environment],
      ...['--target-env', targetVariable],
      ...['--pacing', mirror.pacing],
      ...['--speed', String(mirror.speed)],
      ...['--replay-delay-ms', String(mirror.replayDelayMs)],
      ...['--exposure', String(mirror.exposure)],
      ...mirror.target,
      ...filterFlags.flatMap(({ name, filter }) => many(`--${name}`, mirror.filters[filter] ?? [])),
      ...many('--allow-side-effect', mirror.allowSideEffects),
      ...shedFlags.flatMap(({ name, setting }) => {
        const value = mirror.shed[setting];
        return value === undefined || value === null ? [] : [`--${name}`, String(value)];
      }),
      ...kafkaArguments(start.kafka),
    ],
    env: { [targetVariable]: start.targetUrl },
  };
}

export function comparerArguments(start: Omit<MirrorServiceStart, 'targetUrl'>): string[] {
  return [
    'comparer',
    ...['--mirror', start.mirror.name],
    ...['--environment', start.environment],
    ...kafkaArguments(start.kafka),
  ];
}
