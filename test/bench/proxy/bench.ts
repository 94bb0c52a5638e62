// `npm run bench -- proxy`: throughput, latency and CPU per transaction of the capture proxy and of what it is compared with.
import { execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { cpus, loadavg, release, tmpdir, totalmem } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { freePort, startKafkaBroker, startPostgres } from '@mirrorstream/local';
import { captureOutcome } from './captured.ts';
import {
  type Contender,
  captureProxy,
  directConnection,
  haproxy,
  pgbouncer,
  plainPipe,
  type Surroundings,
} from './contenders.ts';
import { cpuTime, totalUs } from './cpu.ts';
import { createTables, type LoadOptions, pgbenchVersion, runPgbench } from './pgbench.ts';
import { type BenchResult, markdown, type Sample } from './report.ts';

const root = join(import.meta.dirname, '../../..');
const say = (line: string): void => void process.stderr.write(`${line}\n`);

const usage = `npm run bench -- proxy [--quick] [--rounds N] [--seconds N] [--clients N] [--protocol simple|extended|prepared]
                       [--only NAME,NAME] [--out DIRECTORY]
`;

interface Settings {
  readonly rounds: number;
  readonly seconds: number;
  readonly clients: number;
  readonly protocol: LoadOptions['protocol'];
  readonly only: readonly string[] | null;
  readonly out: string;
}

export async function runProxyBench(argv: readonly string[]): Promise<number> {
  const settings = parseSettings(argv);
  if (settings === null) {
    process.stderr.write(usage);
    return 2;
  }
  const pgbench = await pgbenchVersion();
  if (pgbench === null) {
    say('pgbench is not installed: apt-get install postgresql-client (or postgresql-contrib)');
    return 3;
  }
  const directory = mkdtempSync(join(tmpdir(), 'mirrorstream-bench-'));
  chmodSync(directory, 0o755);
  try {
    const result = await measure(settings, directory, pgbench);
    mkdirSync(settings.out, { recursive: true });
    const file = join(settings.out, `proxy-${result.startedAt.slice(0, 10)}`);
    writeFileSync(`${file}.json`, `${JSON.stringify(result, null, 2)}\n`);
    writeFileSync(`${file}.md`, markdown(result));
    process.stdout.write(markdown(result));
    say(`written: ${file}.json and .md`);
    return result.capture.every(({ sent, captured }) => captured >= sent) ? 0 : 3;
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

function parseSettings(argv: readonly string[]): Settings | null {
  try {
    const { values } = parseArgs({
      args: [...argv],
      options: {
        quick: { type: 'boolean', default: false },
        rounds: { type: 'string' },
        seconds: { type: 'string' },
        clients: { type: 'string', default: '8' },
        protocol: { type: 'string', default: 'simple' },
        only: { type: 'string' },
        out: { type: 'string', default: join(root, 'test/bench/results') },
      },
    });
    const protocol = (['simple', 'extended', 'prepared'] as const).find((name) => name === values.protocol);
    if (protocol === undefined) return null;
    return {
      rounds: Number(values.rounds ?? (values.quick ? 2 : 5)),
      seconds: Number(values.seconds ?? (values.quick ? 2 : 5)),
      clients: Number(values.clients),
      protocol,
      only: values.only?.split(',') ?? null,
      out: values.out,
    };
  } catch (error) {
    say(String((error as Error).message));
    return null;
  }
}

async function measure(settings: Settings, directory: string, pgbench: string): Promise<BenchResult> {
  const startedAt = new Date().toISOString();
  const loadAverageBefore = loadavg();
  say('starting PostgreSQL 17 and Kafka');
  const server = await startPostgres({ major: 17, name: 'bench', dataDir: join(directory, 'postgres') });
  const broker = await startKafkaBroker({ dataDir: join(directory, 'kafka') });
  const around: Surroundings = { sourcePort: server.port, brokers: broker.bootstrap, directory, root };
  const contenders: Contender[] = [];
  try {
    await createTables(server.port, 10);
    await startContenders(settings, around, contenders);
    const samples = await playRounds(settings, directory, contenders, broker.pid);
    for (const contender of contenders) await contender.stop();
    const sent = (name: string): number =>
      samples.filter((sample) => sample.contender === name).reduce((sum, { transactions }) => sum + transactions, 0);
    const capturing = contenders.filter(({ name }) => name.startsWith('mirrorstream') && !notPublishing.includes(name));
    const capture = await Promise.all(
      capturing.map(({ name }) => captureOutcome(broker.bootstrap, name, sourceNameOf(name), sent(name))),
    );
    return {
      bench: 'proxy',
      startedAt,
      commit: execFileSync('git', ['-C', root, 'rev-parse', '--short', 'HEAD'], { encoding: 'utf8' }).trim(),
      load: `pgbench -S -M ${settings.protocol}, ${settings.clients} clients, ${settings.rounds} rounds of ${settings.seconds} s each`,
      machine: machine(),
      versions: versions(contenders, pgbench),
      loadAverageBefore,
      samples,
      capture,
    };
  } finally {
    for (const contender of contenders) await contender.stop();
    await broker.stop();
    await server.stop();
  }
}

/** Proxies of which nothing can be in Kafka. */
const notPublishing = ['mirrorstream capture off', 'mirrorstream Kafka away'];

const sourceNameOf = (contender: string): string => contender.replaceAll(' ', '-').replaceAll(/[^a-z0-9-]/g, '');

async function startContenders(settings: Settings, around: Surroundings, into: Contender[]): Promise<void> {
  const capture = (name: string, ...extra: string[]) =>
    captureProxy(around, { name, sourceName: sourceNameOf(name), extra });
  const starts: readonly (readonly [string, () => Contender | Promise<Contender | null>])[] = [
    ['direct', () => directConnection(around)],
    ['pgbouncer', () => pgbouncer(around)],
    ['haproxy', () => haproxy(around)],
    ['node pipe', () => plainPipe(around)],
    ['mirrorstream capture off', () => capture('mirrorstream capture off', '--capture', 'off')],
    ['mirrorstream', () => capture('mirrorstream')],
    ['mirrorstream digest', () => capture('mirrorstream digest', '--answers', 'digest')],
    // Nobody listens there: what does an outage of Kafka cost production?
    [
      'mirrorstream Kafka away',
      async () =>
        captureProxy(
          { ...around, brokers: `127.0.0.1:${await freePort()}` },
          { name: 'mirrorstream Kafka away', sourceName: 'away', extra: [] },
        ),
    ],
  ];
  for (const [name, start] of starts) {
    if (settings.only !== null && !settings.only.includes(name)) continue;
    const contender = await start();
    if (contender === null) say(`${name} is not installed: left out`);
    else into.push(contender);
  }
}

async function playRounds(
  settings: Settings,
  directory: string,
  contenders: readonly Contender[],
  brokerPid: number,
): Promise<Sample[]> {
  const samples: Sample[] = [];
  const play = async (contender: Contender, seconds: number, round: number): Promise<Sample> => {
    const before = cpuTime(contender.pids);
    const brokerBefore = totalUs([brokerPid]);
    const load = await runPgbench({ ...settings, seconds, directory, port: contender.port });
    const after = cpuTime(contender.pids);
    const brokerUs = totalUs([brokerPid]) - brokerBefore;
    if (load.failed > 0) throw new Error(`${contender.name}: ${load.failed} transactions failed`);
    const perTransaction = (us: number): number => us / Math.max(1, load.transactions);
    return {
      contender: contender.name,
      round,
      ...load,
      mainUsPerTransaction: perTransaction(after.mainUs - before.mainUs),
      otherUsPerTransaction: perTransaction(after.otherUs - before.otherUs),
      brokerUsPerTransaction: perTransaction(brokerUs),
    };
  };
  // Warm up: compilers, caches, connections. Counted as sent, measured as nothing.
  for (const contender of contenders) samples.push({ ...(await play(contender, 1, 0)), round: 0 });
  for (let round = 1; round <= settings.rounds; round++) {
    for (let i = 0; i < contenders.length; i++) {
      const sample = await play(contenders[(i + round) % contenders.length] as Contender, settings.seconds, round);
      samples.push(sample);
      say(`round ${round}/${settings.rounds}  ${sample.contender.padEnd(26)} ${Math.round(sample.tps)} tps`);
    }
  }
  return samples;
}

function machine(): BenchResult['machine'] {
  const processor = cpus();
  return {
    cpu: `${processor.length} × ${processor[0]?.model ?? 'unknown'}`,
    memoryGb: Math.round(totalmem() / 1024 ** 3),
    system: `${process.platform} ${release()}`,
  };
}

function versions(contenders: readonly Contender[], pgbench: string): Readonly<Record<string, string>> {
  const others = contenders
    .filter(({ version }) => version !== '')
    .map(({ name, version }) => [name, version] as const);
  return { node: process.version, server: 'PostgreSQL 17', pgbench, ...Object.fromEntries(others) };
}
