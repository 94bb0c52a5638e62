// What the drivers run against: a server with passwords and TLS, and two proxies in front of it, one without TLS and one with.
import {
  createCertificateAuthority,
  createDatabase,
  execute,
  type SpawnedService,
  sharedKafka,
  spawnService,
  startPostgres,
  type TestDatabase,
  uniqueName,
  withClient,
} from '@mirrorstream/testkit';
import { type CapturedSession, type CaptureLog, followCapture } from './capture-log.ts';

export const driverRole = 'driver';
/** A word found nowhere else: it must not be found in Kafka. */
export const driverPassword = 'sesame-0ad5f1c7';

const lastSession = 'last-session';

export interface Scene {
  readonly caFile: string;
  readonly log: CaptureLog;
  /** A new database of the driver's role, and what this SQL makes in it. */
  prepareDatabase(sql: string): Promise<TestDatabase>;
  /** The driver's URL of a database: without TLS, and for TLS; straight to the server, or through the proxy for it. */
  urls(database: string, leg: Leg): { readonly plain: string; readonly tls: string };
  /** What was captured of the sessions of a database so far, those of a driver that has ended, in the order in which they began. */
  captured(database: string): Promise<readonly CapturedSession[]>;
  close(): Promise<void>;
}

export type Leg = 'direct' | 'proxied';

interface Listening {
  readonly service: SpawnedService;
  readonly sourceName: string;
  readonly listen: string;
}

export async function startScene(): Promise<Scene> {
  const authority = await createCertificateAuthority();
  // One certificate on both legs: what SCRAM with channel binding needs.
  const { certFile, keyFile } = await authority.issue();
  const [server, kafka] = await Promise.all([
    startPostgres({
      name: 'drivers',
      auth: 'scram-sha-256',
      password: uniqueName('superuser'),
      settings: { ssl: 'on', ssl_cert_file: certFile, ssl_key_file: keyFile },
      keepsParentAlive: false,
    }),
    sharedKafka(),
  ]);
  await execute(server.url, `CREATE ROLE ${driverRole} LOGIN PASSWORD '${driverPassword}'`);
  const source = `${server.host}:${server.port}`;
  const tlsFlags = [
    ...['--client-tls', 'require', '--tls-cert', certFile, '--tls-key', keyFile],
    ...['--source-tls', 'verify-full', '--source-tls-ca', authority.caFile],
  ];
  const [plainProxy, tlsProxy] = await Promise.all([
    startProxy(source, kafka.bootstrap, []),
    startProxy(source, kafka.bootstrap, tlsFlags),
  ]);
  const log = await followCapture(kafka.bootstrap, [plainProxy.sourceName, tlsProxy.sourceName]);
  const urlOf = (address: string, database: string): string =>
    `postgres://${driverRole}:${driverPassword}@${address}/${database}`;
  const urls: Scene['urls'] = (database, leg) => {
    const [plain, tls] = leg === 'direct' ? [source, source] : [plainProxy.listen, tlsProxy.listen];
    return { plain: `${urlOf(plain, database)}?sslmode=disable`, tls: urlOf(tls, database) };
  };
  return {
    caFile: authority.caFile,
    log,
    prepareDatabase: async (sql) => {
      const database = await createDatabase(server);
      await execute(server.url, `ALTER DATABASE ${database.name} OWNER TO ${driverRole}`);
      await execute(urlOf(source, database.name), sql);
      return database;
    },
    urls,
    captured: async (database) => {
      // A session of our own through each proxy: what began before it is in the log before it.
      const { plain, tls } = urls(database, 'proxied');
      for (const url of [`${plain}&`, `${tls}?sslmode=verify-full&sslrootcert=${authority.caFile}&`])
        await withClient(`${url}application_name=${lastSession}`, (client) => client.query('SELECT 1'));
      const isLast = ({ applicationName }: CapturedSession): boolean => applicationName === lastSession;
      const sessions = await log.sessionsOf(database, (found) => found.filter(isLast).length === 2);
      return sessions.filter((session) => !isLast(session));
    },
    close: async () => {
      await log.close();
      for (const { service } of [plainProxy, tlsProxy]) await service.stop();
      await server.stop();
    },
  };
}

async function startProxy(source: string, brokers: string, flags: readonly string[]): Promise<Listening> {
  const sourceName = uniqueName('drivers');
  const service = await spawnService([
    'capture-proxy',
    ...['--listen', '127.0.0.1:0', '--source', source, '--source-name', sourceName, '--brokers', brokers],
    ...['--node', 'test', '--partitions', '1', ...flags],
  ]);
  const { listen } = JSON.parse(await service.waitForLine(/"ready":true/)) as { listen: string };
  await service.waitForLine(/"publishing"/);
  return { service, sourceName, listen };
}
