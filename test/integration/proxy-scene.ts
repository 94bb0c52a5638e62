// What the tests of the proxy's connections share: proxies that capture nothing, what they count, and start-up bytes written by hand.
import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { connect as connectTcp, type Socket } from 'node:net';
import { join } from 'node:path';
import { type ConnectionOptions, connect as connectTls, type TLSSocket } from 'node:tls';
import { execute, type SpawnedService, spawnService, startPostgres, waitFor } from '@mirrorstream/testkit';
import pg from 'pg';

export interface ProxyProcess {
  readonly service: SpawnedService;
  readonly host: string;
  readonly port: number;
  /** The database's URL with the proxy in place of the server. */
  via(url: string, user?: string, password?: string): string;
  /** One of its numbers; the labels as they are written. */
  metric(name: string, labels?: string): Promise<number>;
}

export const psqlCommand = 'psql';
export const psqlMissing = spawnSync(psqlCommand, ['--version']).status !== 0 && 'psql is not installed';

const running = new Set<SpawnedService>();

/** For `after`: no proxy outlives its file. */
export async function endProxies(): Promise<void> {
  for (const service of running) await service.kill9();
}

/** `source`: HOST:PORT, or several. Captures nothing unless the flags say so. */
export async function startProxy(source: string, ...flags: string[]): Promise<ProxyProcess> {
  const service = await spawnService([
    'capture-proxy',
    ...['--listen', '127.0.0.1:0', '--source', source, '--health', '127.0.0.1:0', '--node', 'test'],
    ...(flags.includes('--capture') ? [] : ['--capture', 'off']),
    ...flags,
  ]);
  running.add(service);
  const { listen } = JSON.parse(await service.waitForLine(/"ready":true/)) as { listen: string };
  const health = JSON.parse(await service.waitForLine(/the health endpoint listens/)) as { port: number };
  const [host = '', port = ''] = listen.split(':');
  const via = (url: string, user?: string, password?: string): string => {
    const through = new URL(url);
    through.host = listen;
    if (user !== undefined) through.username = user;
    if (password !== undefined) through.password = password;
    return through.href;
  };
  const metric = async (name: string, labels = ''): Promise<number> => {
    const text = await (await fetch(`http://127.0.0.1:${health.port}/metrics`)).text();
    const wanted = `mirrorstream_capture_proxy_${name}${labels} `;
    const line = text.split('\n').find((one) => one.startsWith(wanted));
    if (line === undefined) throw new Error(`no metric ${wanted}in\n${text}`);
    return Number(line.slice(wanted.length));
  };
  return { service, host, port: Number(port), via, metric };
}

/** The only row's only value. */
export async function ask(config: string | pg.ClientConfig, sql: string): Promise<unknown> {
  const client = new pg.Client(typeof config === 'string' ? { connectionString: config } : config);
  client.on('error', () => undefined);
  await client.connect();
  try {
    const { rows } = await client.query<unknown[]>({ text: sql, rowMode: 'array' });
    return rows[0]?.[0];
  } finally {
    await client.end().catch(() => undefined);
  }
}

/** What node-postgres is told to connect with. */
export function configOf(url: string, changes: pg.ClientConfig = {}): pg.ClientConfig {
  const { hostname, port, username, password, pathname } = new URL(url);
  return {
    host: hostname,
    port: Number(port),
    user: username,
    password: decodeURIComponent(password),
    database: pathname.slice(1),
    connectionTimeoutMillis: 30_000,
    ...changes,
  };
}

/** Runs a statement that takes a minute, cancels it as the driver does, and returns the SQLSTATE it ended with. */
export async function cancelled(config: pg.ClientConfig, cancelWith: pg.ClientConfig = config): Promise<unknown> {
  const client = new pg.Client(config);
  client.on('error', () => undefined);
  await client.connect();
  try {
    return await cancelStatement(client, cancelWith.port as number, cancelWith.ssl as ConnectionOptions | undefined);
  } finally {
    await client.end().catch(() => undefined);
  }
}

/** CancelRequest of this session: its process id and secret. */
function cancelRequest(client: pg.Client): { readonly packet: Buffer; readonly processID: number } {
  const { processID, secretKey } = client as unknown as { processID: number; secretKey: number };
  const packet = Buffer.alloc(16);
  [16, 80_877_102, processID, secretKey].forEach((word, i) => void packet.writeInt32BE(word | 0, i * 4));
  return { packet, processID };
}

/** Runs a statement on a connection that is there, sends one cancel to this port when it sleeps, and returns the SQLSTATE it ended with. */
export async function cancelOnce(client: pg.Client, serverUrl: string, port: number): Promise<unknown> {
  const { packet, processID } = cancelRequest(client);
  const ended = client.query('SELECT pg_sleep(20)').then(
    () => 'it slept to its end',
    (error: { code?: string }) => error.code,
  );
  const asleep = `SELECT count(*)::int FROM pg_stat_activity WHERE pid = ${processID} AND wait_event = 'PgSleep'`;
  await waitFor(async () => (await ask(serverUrl, asleep)) === 1, { what: 'the statement to sleep' });
  await sendCancel(packet, port);
  return await ended;
}

/** Until it takes effect, over and over, on a connection that is there; the cancels go to this port. */
export async function cancelStatement(client: pg.Client, port: number, ssl?: ConnectionOptions): Promise<unknown> {
  const { packet } = cancelRequest(client);
  let code: unknown;
  const ended = client.query('SELECT pg_sleep(60)').catch((error: { code?: string }) => {
    code = error.code;
  });
  await waitFor(
    async () => {
      await sendCancel(packet, port, ssl);
      return code !== undefined;
    },
    { what: 'the statement to be cancelled' },
  );
  await ended;
  return code;
}

/** Sends it over a connection of its own and waits until that is closed, as libpq does. */
export async function sendCancel(packet: Buffer, port: number, ssl?: ConnectionOptions): Promise<void> {
  const tcp = await openSocket(port);
  const socket = ssl === undefined ? tcp : await requestTls(tcp, ssl);
  socket.write(packet);
  await readToEnd(socket);
}

export async function openSocket(port: number, host = '127.0.0.1'): Promise<Socket> {
  const socket = connectTcp({ port, host, noDelay: true });
  socket.on('error', () => undefined);
  await once(socket, 'connect');
  return socket;
}

export const sslRequest = request(80_877_103);
export const gssencRequest = request(80_877_104);

function request(code: number): Buffer {
  const packet = Buffer.alloc(8);
  packet.writeInt32BE(8, 0);
  packet.writeInt32BE(code, 4);
  return packet;
}

/** SSLRequest, the answer S, and the handshake. */
export async function requestTls(tcp: Socket, options: ConnectionOptions): Promise<TLSSocket> {
  tcp.write(sslRequest);
  const answer = await readSome(tcp);
  if (String(answer) !== 'S') throw new Error(`SSLRequest was answered ${String(answer)}`);
  return await handshake(tcp, options);
}

/** Rejects with the handshake's error. */
export async function handshake(tcp: Socket, options: ConnectionOptions): Promise<TLSSocket> {
  const socket = connectTls({ socket: tcp, ...options });
  await once(socket, 'secureConnect');
  socket.on('error', () => undefined);
  return socket;
}

/** `version`: 0x30000 is 3.0. */
export function startupMessage(parameters: Readonly<Record<string, string>>, version = 0x3_0000): Buffer {
  const strings = Object.entries(parameters).flat();
  const body = Buffer.from(`${strings.map((text) => `${text}\0`).join('')}\0`);
  const head = Buffer.alloc(8);
  head.writeInt32BE(body.length + 8, 0);
  head.writeInt32BE(version, 4);
  return Buffer.concat([head, body]);
}

/** The next chunk; empty at the end. */
export async function readSome(socket: Socket): Promise<Buffer> {
  for (;;) {
    const chunk = socket.read() as Buffer | null;
    if (chunk !== null) return chunk;
    if (socket.readableEnded || socket.destroyed) return Buffer.alloc(0);
    // A reset is an end, too.
    await Promise.race([once(socket, 'readable'), once(socket, 'end'), once(socket, 'close')]).catch(() => undefined);
  }
}

/** All up to the end, however it ends. */
export async function readToEnd(socket: Socket): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for (let chunk = await readSome(socket); chunk.length > 0; chunk = await readSome(socket)) chunks.push(chunk);
  socket.destroy();
  return Buffer.concat(chunks);
}

/** Until these bytes have come. */
export async function readUntil(socket: Socket, wanted: string): Promise<Buffer> {
  let bytes: Buffer = Buffer.alloc(0);
  while (!bytes.includes(wanted, 0, 'latin1')) {
    const chunk = await readSome(socket);
    if (chunk.length === 0) throw new Error(`the connection ended after ${bytes.toString('latin1')}`);
    bytes = Buffer.concat([bytes, chunk]);
  }
  return bytes;
}

/** ReadyForQuery with status I. */
export const readyIdle = 'Z\0\0\0\x05I';

export type Login = 'md5' | 'scram' | 'cleartext' | 'trust' | 'tlsOnly' | 'clientCertificate';
export const passwordOf = (login: Login): string => `pass-word of ${login}`;
export const userOf = (login: Login): string => `${login.toLowerCase()}_user`;

/** How each user proves who it is: pg_hba.conf, whose first matching line counts. */
const logins: Readonly<Record<Login, string>> = {
  md5: 'host all md5_user all md5',
  scram: 'host all scram_user all scram-sha-256',
  cleartext: 'host all cleartext_user all password',
  trust: 'host all trust_user all trust',
  tlsOnly: 'hostssl all tlsonly_user all scram-sha-256',
  clientCertificate: 'hostssl all clientcertificate_user all scram-sha-256 clientcert=verify-ca',
};

/** A server with one user for each way to log in; its superuser needs no password. */
export async function startLoginServer(name: string, settings: Readonly<Record<string, string>> = {}) {
  const server = await startPostgres({ name, settings });
  const hba = ['host all postgres all trust', 'host replication all all trust', ...Object.values(logins), ''];
  await writeFile(join(server.dataDir, 'pg_hba.conf'), hba.join('\n'));
  const statements = (Object.keys(logins) as Login[]).flatMap((login) => [
    `SET password_encryption = '${login === 'md5' ? 'md5' : 'scram-sha-256'}'`,
    `CREATE ROLE ${userOf(login)} LOGIN PASSWORD '${passwordOf(login)}'`,
  ]);
  await execute(server.url, ...statements, 'SELECT pg_reload_conf()');
  return server;
}
