// Works out what `up` has to run: flags over configuration file over defaults. Everything that can be refused is refused here.
import { type MirrorConfig, type MirrorRole, MirrorstreamError, type SideEffect } from '@mirrorstream/domain';
import {
  type DatabaseAddress,
  formatHostPort,
  type HostPort,
  parseDatabaseUrl,
  parseHostPort,
  sameServer,
} from '../address.ts';
import { badFlag, type GivenFlags } from '../command-line.ts';
import type { LoadedConfig } from '../config-file.ts';
import { parseDuration } from '../duration.ts';
import { type KafkaPlan, planKafka } from '../kafka-plan.ts';
import { upCommand } from './flags.ts';
import { mirrorTargetFlags } from './mirror-target.ts';
import { clientTlsFlags, sourceTlsFlags } from './proxy-tls.ts';

export interface MirrorPlan {
  readonly name: string;
  /** null: one of the embedded servers. */
  readonly address: DatabaseAddress | null;
  readonly pacing: 'timed' | 'asap' | 'ordered';
  readonly speed: number;
  readonly replayDelayMs: number;
  readonly exposure: number;
  readonly filters: NonNullable<MirrorConfig['filters']>;
  readonly shed: NonNullable<MirrorConfig['shed']>;
  /** Flags of its replayer, about its server. */
  readonly target: readonly string[];
  readonly allowSideEffects: readonly SideEffect[];
  /** null: what the control topic says, if anything. */
  readonly role: MirrorRole | null;
}

export interface StackPlan {
  readonly sourceName: string;
  readonly environment: string;
  /** null: the embedded server. */
  readonly source: DatabaseAddress | null;
  readonly mirrors: readonly MirrorPlan[];
  readonly listen: HostPort;
  /** The address was asked for, so another one will not do. */
  readonly listenGiven: boolean;
  readonly kafka: KafkaPlan;
  readonly workload: 'demo' | 'none';
  readonly forMs: number | null;
  readonly json: boolean;
  readonly fresh: boolean;
  readonly dataDir: string;
  readonly partitions: number | null;
  readonly answers: 'none' | 'digest' | 'full' | null;
  /** Processes of the proxy; null: its own default. */
  readonly workers: number | null;
  /** Of the source's cluster. */
  readonly systemIdentifier: string | null;
  /** TLS of the proxy, as its flags. */
  readonly proxyTls: readonly string[];
}

const defaultListen: HostPort = { host: '127.0.0.1', port: 6543 };
const mirrorName = /^[a-z0-9][a-z0-9-]{0,62}$/;
const noFile: LoadedConfig = { config: {}, place: () => 'configuration' };

export interface PlanSurroundings {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly defaultDataDir: string;
}

/** Throws `badInput`, naming the flag or the line of the file. */
export function planStack(flags: GivenFlags, file: LoadedConfig | null, surroundings: PlanSurroundings): StackPlan {
  const loaded = file ?? noFile;
  const { config } = loaded;
  const { source, tls } = planSource(flags, loaded, surroundings);
  const mirrors = planMirrors(flags, loaded, surroundings, source);
  const workload = planWorkload(flags, source);
  const listenText = flags.last('listen') ?? config.listen;
  const listenPlace = flags.has('listen') ? '--listen' : loaded.place(['listen']);
  const listen = listenText === undefined ? defaultListen : parseHostPort(listenText, listenPlace);
  if (source !== null) refuseLoops(listen, source, mirrors);
  return {
    sourceName: config.source?.name ?? 'source',
    environment: config.environment ?? 'default',
    source,
    mirrors,
    listen,
    listenGiven: listenText !== undefined,
    kafka: planKafka(upCommand, flags, config.kafka),
    workload,
    forMs: planDuration(flags),
    json: flags.has('json'),
    fresh: flags.has('fresh'),
    dataDir: flags.last('data-dir') ?? surroundings.defaultDataDir,
    partitions: config.partitions ?? null,
    answers: config.answers ?? null,
    workers: planWorkers(flags) ?? config.workers ?? null,
    systemIdentifier: config.source?.systemIdentifier ?? null,
    proxyTls: [...tls, ...clientTlsFlags(config.tls)],
  };
}

function planSource(
  flags: GivenFlags,
  { config, place }: LoadedConfig,
  { env }: PlanSurroundings,
): { readonly source: DatabaseAddress | null; readonly tls: readonly string[] } {
  const flag = flags.last('source');
  if (flag === undefined && config.source?.url === undefined && config.source?.urlEnv === undefined)
    return { source: null, tls: [] };
  const { url, at } =
    flag === undefined ? urlOf(config.source ?? {}, ['source'], place, env) : { url: flag, at: '--source' };
  const source = parseDatabaseUrl(url, at);
  return { source, tls: sourceTlsFlags(source, at) };
}

function planMirrors(
  flags: GivenFlags,
  { config, place }: LoadedConfig,
  { env }: PlanSurroundings,
  source: DatabaseAddress | null,
): MirrorPlan[] {
  const mirrors = new Map<string, MirrorPlan>();
  for (const [name, mirror] of Object.entries(config.mirrors ?? {})) {
    const { url, at } = urlOf(mirror, ['mirrors', name], place, env);
    mirrors.set(name, mirrorPlan(name, parseDatabaseUrl(url, at), mirror));
  }
  const flagged = new Set<string>();
  for (const text of flags.all('mirror')) {
    const equals = text.indexOf('=');
    const name = text.slice(0, Math.max(0, equals));
    if (!mirrorName.test(name)) {
      throw badFlag(
        upCommand,
        '--mirror',
        'is not NAME=URL',
        'NAME: lower-case letters, digits, hyphens; candidate=postgres://host:5432.',
      );
    }
    if (flagged.has(name))
      throw badFlag(upCommand, '--mirror', `names ${name} twice`, 'Give each mirror its own name.');
    flagged.add(name);
    const address = parseDatabaseUrl(text.slice(equals + 1), `--mirror ${name}`);
    mirrors.set(name, mirrorPlan(name, address, config.mirrors?.[name] ?? {}));
  }
  if (source === null) {
    if (mirrors.size === 0)
      return [mirrorPlan('candidate', null, {}), mirrorPlan('control', null, { role: 'control' })];
    const where = flagged.size > 0 ? '--mirror' : place(['mirrors']);
    throw bad(
      `${where} is given without a source`,
      'Name the production database with --source URL or source: in the file.',
    );
  }
  if (mirrors.size === 0) {
    throw bad(
      'a source is given without any mirror',
      'Add --mirror NAME=URL: a server that holds a copy of the source’s data.',
    );
  }
  return [...mirrors.values()];
}

function mirrorPlan(name: string, address: DatabaseAddress | null, config: MirrorConfig): MirrorPlan {
  return {
    name,
    address,
    pacing: config.pacing ?? 'timed',
    speed: config.speed ?? 1,
    replayDelayMs: config.replayDelayMs ?? 1000,
    exposure: config.exposure ?? 1,
    filters: config.filters ?? {},
    shed: config.shed ?? {},
    target: mirrorTargetFlags(config),
    allowSideEffects: config.allowSideEffects ?? [],
    role: config.role ?? null,
  };
}

function planWorkload(flags: GivenFlags, source: DatabaseAddress | null): 'demo' | 'none' {
  const given = flags.last('workload');
  if (given === undefined) return source === null ? 'demo' : 'none';
  if (given !== 'demo' && given !== 'none')
    throw badFlag(upCommand, '--workload', 'is neither demo nor none', 'Write demo or none.');
  if (given === 'demo' && source !== null) {
    throw badFlag(
      upCommand,
      '--workload demo',
      'cannot be sent to a source of your own',
      'Demo traffic writes: it runs only with the embedded servers. Leave out --source, or --workload.',
    );
  }
  return given;
}

function planWorkers(flags: GivenFlags): number | null {
  const text = flags.last('workers');
  if (text === undefined) return null;
  const count = /^\d{1,2}$/.test(text) ? Number(text) : 0;
  if (count < 1 || count > 64)
    throw badFlag(upCommand, '--workers', 'is not a whole number from 1 to 64', 'One for each core the proxy may use.');
  return count;
}

function planDuration(flags: GivenFlags): number | null {
  const text = flags.last('for');
  if (text === undefined) return null;
  const ms = parseDuration(text);
  if (ms === undefined || ms > 30 * 86_400_000)
    throw badFlag(upCommand, '--for', 'is not a duration', 'For example 30s, 5m or 1h.');
  return ms;
}

/** Traffic must not be played to where it came from, nor the proxy be its own source. */
function refuseLoops(listen: HostPort, source: DatabaseAddress, mirrors: readonly MirrorPlan[]): void {
  if (sameServer(listen, source)) {
    throw bad(
      `the proxy would listen on the source’s own address ${formatHostPort(source)}`,
      'Choose another --listen HOST:PORT.',
    );
  }
  for (const { name, address } of mirrors) {
    if (address === null) continue;
    if (sameServer(address, source)) {
      throw bad(
        `mirror ${name} is the source itself (${formatHostPort(source)})`,
        'Production’s writes would be made twice. A mirror is another server with a copy of the data.',
      );
    }
    if (sameServer(address, listen)) {
      throw bad(
        `mirror ${name} is the proxy itself (${formatHostPort(listen)})`,
        'What is replayed would be captured again.',
      );
    }
  }
}

function urlOf(
  config: { readonly url?: string | undefined; readonly urlEnv?: string | undefined },
  path: readonly string[],
  place: LoadedConfig['place'],
  env: PlanSurroundings['env'],
): { url: string; at: string } {
  if (config.urlEnv === undefined) return { url: config.url ?? '', at: place([...path, 'url']) };
  const at = place([...path, 'urlEnv']);
  const url = env[config.urlEnv];
  if (url === undefined || url === '')
    throw bad(`${at}: the environment variable ${config.urlEnv} is not set`, 'Set it to a postgres:// URL.');
  return { url, at: `${at} (${config.urlEnv})` };
}

function bad(message: string, hint: string): MirrorstreamError {
  return new MirrorstreamError('badInput', message, { stage: 'configuration', hint });
}
