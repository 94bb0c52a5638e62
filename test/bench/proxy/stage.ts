// The stage: the servers behind the contenders, the contenders themselves, and the tables they are asked for.
import { join } from 'node:path';
import { type KafkaBroker, type PostgresServer, startKafkaBroker, startPostgres } from '@mirrorstream/local';
import { type ArrivalCounter, countInKafka, countOnMirror } from './arrivals.ts';
import { entries } from './contenders.ts';
import { isWanted, type Settings } from './flags.ts';
import { createLargeTables, writeCopyFile } from './large-results.ts';
import { createTables } from './pgbench.ts';
import { isLarge } from './plan.ts';
import type { Contender, Entry, Surroundings } from './starting.ts';

export interface Stage {
  readonly contenders: readonly Contender[];
  /** By contender: where its transactions arrive. */
  readonly arrivals: ReadonlyMap<string, ArrivalCounter>;
  readonly missing: Readonly<Record<string, string>>;
  readonly sourcePort: number;
  readonly brokerPid: number;
  readonly directory: string;
  readonly copyFile: string;
  /** Somebody wants the benchmark to end: no further turn begins. */
  readonly stopRequested: AbortSignal;
  stop(): Promise<void>;
}

export const contendersOf = ({ contenders }: Stage): string[] => contenders.map(({ name }) => name);

const pgbenchScale = 10;
/** Pools keep connections open when their clients have left. */
const serverSettings = { max_connections: '1500' };

type Say = (line: string) => void;

export async function startStage(settings: Settings, directory: string, root: string, say: Say): Promise<Stage> {
  const wanted = entries.filter(({ name }) => isWanted(name, settings.only));
  if (wanted.length === 0)
    throw new Error(`--only matches nobody; there are: ${entries.map((one) => one.name).join(', ')}`);
  const opened: (() => Promise<unknown>)[] = [];
  const stopRequested = untilSignalled();
  const stop = async (): Promise<void> => {
    for (const close of opened.splice(0).reverse()) await close();
  };
  try {
    return await setUp(settings, { directory, root, wanted, opened, stop, stopRequested, say });
  } catch (error) {
    await stop();
    throw error;
  }
}

/** The servers are stopped in order and nothing is left behind; a second signal ends it at once. */
function untilSignalled(): AbortSignal {
  const controller = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.once(signal, () => controller.abort(new Error(`ended by ${signal}`)));
  }
  return controller.signal;
}

interface SetUp {
  readonly directory: string;
  readonly root: string;
  readonly wanted: readonly Entry[];
  /** What is to be closed, in the order in which it was opened. */
  readonly opened: (() => Promise<unknown>)[];
  readonly stop: () => Promise<void>;
  readonly stopRequested: AbortSignal;
  readonly say: Say;
}

async function setUp(settings: Settings, setting: SetUp): Promise<Stage> {
  const { directory, root, wanted, opened, say } = setting;
  const mirrors = wanted.some(({ needsMirror }) => needsMirror === true) && Boolean(process.env['PGDOG_BIN']);
  say(`starting PostgreSQL 17${mirrors ? ' twice' : ''} and Kafka`);
  const broker: KafkaBroker = await startKafkaBroker({ dataDir: join(directory, 'kafka') });
  opened.push(() => broker.stop());
  const server = async (name: string): Promise<PostgresServer> => {
    const one = await startPostgres({ major: 17, name, dataDir: join(directory, name), settings: serverSettings });
    opened.push(() => one.stop());
    await fill(one.port, settings);
    return one;
  };
  const source = await server('bench');
  const mirrorPort = mirrors ? (await server('mirror')).port : null;
  const copyFile = join(directory, 'rows.txt');
  if (settings.loads.some(({ workload }) => workload === 'copy-in')) await writeCopyFile(copyFile, settings.megabytes);
  const around: Surroundings = { sourcePort: source.port, mirrorPort, brokers: broker.bootstrap, directory, root };
  const missing: Record<string, string> = {};
  const contenders: Contender[] = [];
  const arrivals = new Map<string, ArrivalCounter>();
  for (const entry of wanted) {
    const contender = await entry.start(around);
    if (typeof contender === 'string') {
      missing[entry.name] = contender;
      say(`${entry.name} is left out: ${contender}`);
      continue;
    }
    opened.push(() => contender.stop());
    contenders.push(contender);
    const counter = await counterOf(contender, entry, around, settings.megabytes);
    if (counter === null) continue;
    opened.push(() => counter.close());
    arrivals.set(contender.name, counter);
  }
  const { port: sourcePort } = source;
  const { stop, stopRequested } = setting;
  return {
    ...{ contenders, arrivals, missing, sourcePort, brokerPid: broker.pid, directory, copyFile },
    ...{ stop, stopRequested },
  };
}

async function fill(port: number, settings: Settings): Promise<void> {
  await createTables(port, pgbenchScale);
  if (settings.loads.some(({ workload }) => isLarge(workload))) await createLargeTables(port, settings.megabytes);
}

async function counterOf(
  { sourceName }: Contender,
  { needsMirror = false }: Entry,
  { brokers, mirrorPort }: Surroundings,
  megabytes: number,
): Promise<ArrivalCounter | null> {
  if (sourceName !== null) return await countInKafka(brokers, sourceName);
  return needsMirror && mirrorPort !== null ? countOnMirror(mirrorPort, megabytes) : null;
}
