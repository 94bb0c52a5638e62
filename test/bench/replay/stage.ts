// The stage of the replay benchmark: a source, a mirror, a broker, and traffic captured once to be played as often as one likes.
import { join } from 'node:path';
import { envelopesTopic } from '@mirrorstream/domain';
import { type Admin, connectKafka, type KafkaClient } from '@mirrorstream/kafka';
import { type PostgresServer, startKafkaBroker, startPostgres } from '@mirrorstream/local';
import { createTables } from '../proxy/pgbench.ts';
import { spawnReady } from '../proxy/starting.ts';

export interface Stage {
  readonly root: string;
  readonly directory: string;
  readonly brokers: string;
  readonly client: KafkaClient;
  readonly admin: Admin;
  readonly source: PostgresServer;
  readonly mirror: PostgresServer;
  /** A name that was not used before. */
  newName(prefix: string): string;
  stop(): Promise<void>;
}

/** Traffic that lies in Kafka, whole, under the source's name. */
export interface Captured {
  readonly source: string;
}

const pgbenchScale = 10;

/** `sourceSettings`: of the source's server alone. */
export async function startStage(
  directory: string,
  root: string,
  sourceSettings: Readonly<Record<string, string>> = {},
): Promise<Stage> {
  const opened: (() => Promise<unknown>)[] = [];
  const stop = async (): Promise<void> => {
    for (const close of opened.splice(0).reverse()) await close();
  };
  try {
    const broker = await startKafkaBroker({ dataDir: join(directory, 'kafka') });
    opened.push(() => broker.stop());
    const server = async (name: string, more: Readonly<Record<string, string>> = {}): Promise<PostgresServer> => {
      const settings = { ...serverSettings, ...more };
      const one = await startPostgres({ major: 17, name, dataDir: join(directory, name), settings });
      opened.push(() => one.stop());
      return one;
    };
    const source = await server('source', sourceSettings);
    const mirror = await server('mirror');
    const client = connectKafka({ brokers: [broker.bootstrap], clientId: 'bench' });
    opened.push(() => client.close());
    const admin = await client.admin();
    opened.push(() => admin.close());
    let names = 0;
    const newName = (prefix: string): string => `${prefix}-${++names}`;
    return { root, directory, brokers: broker.bootstrap, client, admin, source, mirror, newName, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

const serverSettings = { max_connections: '500' };

/** Both servers' tables as they were in the beginning, so that the mirror answers what the source answered. */
export const resetTables = async (...servers: readonly PostgresServer[]): Promise<void> => {
  for (const { port } of servers) await createTables(port, pgbenchScale);
};

/** Sends traffic through a capture proxy of its own, which is stopped in order: then all of it is in Kafka. */
export async function capture(
  stage: Stage,
  sourcePort: number,
  play: (port: number, source: string) => Promise<void>,
): Promise<Captured> {
  const source = stage.newName('load');
  const child = await spawnReady('capture proxy', process.execPath, [
    join(stage.root, 'services/cli/bin/mirrorstream.js'),
    ...['capture-proxy', '--listen', '127.0.0.1:0', '--source', `127.0.0.1:${sourcePort}`],
    ...['--brokers', stage.brokers, '--source-name', source, '--node', 'bench'],
  ]);
  const listen = String(child.ready['listen']);
  try {
    await play(Number(listen.slice(listen.lastIndexOf(':') + 1)), source);
  } catch (error) {
    await child.process.kill9();
    throw error;
  }
  const exit = await child.process.stop({ graceMs: 120_000 });
  if (exit.code !== 0) throw new Error(`the capture proxy ended with ${exit.code}:\n${exit.lastLogLines.join('\n')}`);
  return { source };
}

/** Waits until the group of a mirror has committed all there is of the source. */
export async function isPlayed(stage: Stage, source: string, group: string): Promise<boolean> {
  const topic = envelopesTopic(source);
  const [ends, committed] = await Promise.all([stage.admin.offsets(topic), stage.admin.committed(group, topic)]);
  return ends.every(({ partition, low, high }) => {
    const found = committed.find((each) => each.partition === partition);
    return high === low || (found?.offset ?? low) >= high;
  });
}
