// The embedded servers of a stack: Kafka, and for the demo three PostgreSQL servers with the demo's data.
import {
  type DataDir,
  type KafkaFetchProgress,
  type PostgresServer,
  startKafkaBroker,
  startPostgres,
} from '@mirrorstream/local';
import { Client } from 'pg';
import { demoDatabase, ensureDemoRoleAndDatabase, ensureDemoSchema, nextRunNumber } from '../demo/schema.ts';
import { formatBytes } from '../view/text.ts';
import { openLogFile } from './log-files.ts';
import type { Part, Parts } from './parts.ts';
import type { Steps } from './steps.ts';

export interface EmbeddedDatabases {
  readonly source: PostgresServer;
  /** By mirror name. */
  readonly mirrors: ReadonlyMap<string, PostgresServer>;
  readonly demoRun: number;
}

const servers = [
  { name: 'source', major: 17 },
  { name: 'candidate', major: 18 },
  { name: 'control', major: 17 },
] as const;

const connectTimeoutMs = 10_000;

export const embeddedMirrors: Readonly<Record<string, string>> = {
  candidate: 'PostgreSQL 18',
  control: 'PostgreSQL 17',
};

export async function startEmbeddedKafka(
  layout: DataDir,
  parts: Parts,
  note: (text: string) => void,
): Promise<Part & { readonly bootstrap: string }> {
  const log = openLogFile(layout.logsDir, 'kafka');
  return parts.start(
    startKafkaBroker({
      dataDir: layout.kafkaDir,
      cacheDir: layout.cacheDir,
      onLog: log.write,
      onProgress: (progress) => note(sayFetch(progress)),
    }).then((broker) => ({ name: 'kafka', ...broker })),
  );
}

export async function startEmbeddedDatabases(layout: DataDir, parts: Parts, steps: Steps): Promise<EmbeddedDatabases> {
  const running = await Promise.all(
    servers.map(({ name, major }) =>
      steps.run(
        `PostgreSQL ${major} ${name}`,
        async () => {
          const log = openLogFile(layout.logsDir, `postgres ${name}`);
          const server = await parts.start(
            startPostgres({ name, major, dataDir: layout.postgresDir(name), onLog: log.write }).then((started) => ({
              ...started,
              name: `postgres ${name}`,
            })),
          );
          await prepareDemo(server, name === 'candidate');
          return server;
        },
        (server) => `PostgreSQL ${major} ${name} ready on ${server.host}:${server.port}`,
      ),
    ),
  );
  const [source, candidate, control] = running as [PostgresServer, PostgresServer, PostgresServer];
  const demoRun = await withClient(demoUrl(source), nextRunNumber);
  return { source, mirrors: new Map([['candidate', candidate] as const, ['control', control] as const]), demoRun };
}

/** The demo database of an embedded server, as its superuser. */
export function demoUrl({ host, port, superuser }: PostgresServer): string {
  return `postgres://${superuser}@${host}:${port}/${demoDatabase}`;
}

async function prepareDemo(server: PostgresServer, planted: boolean): Promise<void> {
  await withClient(server.url, ensureDemoRoleAndDatabase);
  await withClient(demoUrl(server), (client) => ensureDemoSchema(client, { planted }));
}

async function withClient<T>(connectionString: string, work: (client: Client) => Promise<T>): Promise<T> {
  const client = new Client({ connectionString, connectionTimeoutMillis: connectTimeoutMs });
  client.on('error', () => {}); // The query under way reports it.
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end().catch(() => {});
  }
}

function sayFetch({ phase, jars, sizeBytes }: KafkaFetchProgress): string {
  switch (phase) {
    case 'waiting':
      return 'another process is fetching it';
    case 'downloading':
    case 'copying':
      return `fetching with Maven, once: ${jars} jars, ${formatBytes(sizeBytes)}`;
    case 'done':
      return `${jars} jars fetched, starting`;
    default:
      return phase satisfies never;
  }
}
