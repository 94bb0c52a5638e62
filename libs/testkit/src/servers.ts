// The servers tests run against: one Kafka and one set of PostgreSQL servers per test run, or own ones where a test needs them.
import { rmSync } from 'node:fs';
import { access, chmod, constants, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  descendantsOf,
  type KafkaBroker,
  type KafkaBrokerOptions,
  type PostgresMajor,
  type PostgresOptions,
  type PostgresServer,
  startKafkaBroker,
  startPostgres as startPostgresServer,
} from '@mirrorstream/local';

/** Where a broker answers. */
export interface KafkaAddress {
  /** `127.0.0.1:port` */
  readonly bootstrap: string;
  readonly host: string;
  readonly port: number;
}

/** Where a PostgreSQL server answers; the superuser needs no password. */
export interface PostgresAddress {
  readonly name: string;
  readonly major: PostgresMajor;
  readonly host: string;
  readonly port: number;
  readonly superuser: string;
  readonly url: string;
}

/** The servers of a test run. `control` has the source's version, `candidate` the next one. */
export const sharedServers = { source: 17, candidate: 18, control: 17 } as const satisfies Record<
  string,
  PostgresMajor
>;
export type SharedServerName = keyof typeof sharedServers;

/** Environment variables through which the run's global set-up tells each test process what is running. */
export const sharedKafkaVariable = 'MIRRORSTREAM_TEST_KAFKA';
export const sharedPostgresVariable = (name: SharedServerName): string =>
  `MIRRORSTREAM_TEST_POSTGRES_${name.toUpperCase()}`;

/** Linux has it. */
const sharedMemory = '/dev/shm';

let ownKafka: Promise<KafkaAddress> | undefined;
const ownPostgres = new Map<SharedServerName, Promise<PostgresAddress>>();

/**
 * The test run's broker. A file run by hand gets one of its own, tied to this process. Use topics and groups with `uniqueName`, and
 * never stop it: for that there is `startKafka`.
 */
export function sharedKafka(): Promise<KafkaAddress> {
  const given = process.env[sharedKafkaVariable];
  if (given) return Promise.resolve(JSON.parse(given) as KafkaAddress);
  ownKafka ??= startKafka({ keepsParentAlive: false });
  return ownKafka;
}

/** One of the test run's PostgreSQL servers; a file run by hand gets its own. Work in a database from `createDatabase`. */
export function sharedPostgres(name: SharedServerName): Promise<PostgresAddress> {
  const given = process.env[sharedPostgresVariable(name)];
  if (given) return Promise.resolve(JSON.parse(given) as PostgresAddress);
  let server = ownPostgres.get(name);
  if (server === undefined) {
    server = startPostgres({ name, major: sharedServers[name], keepsParentAlive: false });
    ownPostgres.set(name, server);
  }
  return server;
}

/** A broker of the test's own, to be stopped or killed. Its data lies in a temporary folder unless `dataDir` is given. */
export async function startKafka(options: Partial<KafkaBrokerOptions> = {}): Promise<KafkaBroker> {
  const dataDir = options.dataDir ?? (await temporaryDirectory('kafka'));
  const broker = await startKafkaBroker({ ...options, dataDir });
  killAtExit(broker);
  return broker;
}

/** A PostgreSQL server of the test's own, version 17 unless told otherwise. */
export async function startPostgres(options: Partial<PostgresOptions> = {}): Promise<PostgresServer> {
  const dataDir = options.dataDir ?? join(await temporaryDirectory('postgres'), 'data');
  const server = await startPostgresServer({ major: 17, name: 'test', ...options, dataDir });
  killAtExit(server);
  return server;
}

/** What this process still has to end and to delete. Servers first: the guardian ends them later and in order, writing there again. */
const running = new Set<KafkaBroker | PostgresServer>();
const folders = new Set<string>();
let clearsAtExit = false;

function clearAtExit(): void {
  if (clearsAtExit) return;
  clearsAtExit = true;
  process.prependOnceListener('exit', () => {
    for (const { pid } of running) {
      for (const victim of [pid, ...descendantsOf(pid)]) {
        try {
          process.kill(victim, 'SIGKILL');
        } catch {
          // It has ended.
        }
      }
    }
    for (const folder of folders) rmSync(folder, { recursive: true, force: true, maxRetries: 3 });
  });
}

function killAtExit(server: KafkaBroker | PostgresServer): void {
  clearAtExit();
  running.add(server);
  void server.exited.then(() => running.delete(server));
}

/** A folder that is deleted when this process exits, reachable by the user PostgreSQL runs as. */
export function temporaryDirectory(purpose: string): Promise<string> {
  return newDirectory(tmpdir(), purpose);
}

/**
 * The same in memory where there is such a place: for tests in which the disk is not the fault under test. Beside other servers'
 * fsyncs a disk may take seconds for anything.
 */
export async function quickDirectory(purpose: string): Promise<string> {
  const place = await access(sharedMemory, constants.W_OK).then(
    () => sharedMemory,
    () => tmpdir(),
  );
  return await newDirectory(place, purpose);
}

async function newDirectory(place: string, purpose: string): Promise<string> {
  const dir = await mkdtemp(join(place, `mirrorstream-test-${purpose}-`));
  await chmod(dir, 0o755);
  clearAtExit();
  folders.add(dir);
  return dir;
}

/** Deletes such a folder before that. */
export async function removeDirectory(dir: string): Promise<void> {
  await rm(dir, { recursive: true, force: true, maxRetries: 3 });
  folders.delete(dir);
}
