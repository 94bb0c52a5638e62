// What stands between the load and the server in each round: nothing, a plain pipe, pgbouncer, HAProxy, the capture proxy.
import { execFile } from 'node:child_process';
import { chmod, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { freePort, spawnTied, type TiedProcess, waitUntil } from '@mirrorstream/local';

const run = promisify(execFile);

export interface Contender {
  readonly name: string;
  readonly port: number;
  /** Processes whose CPU time is its cost; none for the direct connection. */
  readonly pids: readonly number[];
  readonly version: string;
  stop(): Promise<void>;
}

export interface Surroundings {
  readonly sourcePort: number;
  readonly brokers: string;
  readonly directory: string;
  readonly root: string;
}

export const directConnection = ({ sourcePort }: Surroundings): Contender => ({
  name: 'direct',
  port: sourcePort,
  pids: [],
  version: '',
  stop: async () => undefined,
});

export async function plainPipe({ sourcePort }: Surroundings): Promise<Contender> {
  const script = join(import.meta.dirname, 'pipe-proxy.ts');
  const child = await spawnReady('node pipe', process.execPath, [script, String(sourcePort)]);
  return contender('node pipe', Number(child.ready['port']), child.process, `Node ${process.version}`);
}

export interface ProxyFlags {
  readonly name: string;
  readonly sourceName: string;
  readonly extra: readonly string[];
}

/** The capture proxy as it is run in production, publishing to a real broker. */
export async function captureProxy(around: Surroundings, flags: ProxyFlags): Promise<Contender> {
  const child = await spawnReady(flags.name, process.execPath, [
    join(around.root, 'services/cli/bin/mirrorstream.js'),
    'capture-proxy',
    ...['--listen', '127.0.0.1:0', '--source', `127.0.0.1:${around.sourcePort}`, '--brokers', around.brokers],
    ...['--source-name', flags.sourceName, '--node', 'bench', ...flags.extra],
  ]);
  const listen = String(child.ready['listen']);
  return contender(flags.name, Number(listen.slice(listen.lastIndexOf(':') + 1)), child.process, '');
}

/** Null when it is not installed. Session pooling, which is what a transparent proxy can be compared with. */
export async function pgbouncer({ sourcePort, directory }: Surroundings): Promise<Contender | null> {
  const version = await versionOf('pgbouncer', /PgBouncer ([\d.]+)/);
  if (version === null) return null;
  const port = await freePort();
  const own = join(directory, 'pgbouncer');
  await mkdir(own);
  const file = join(own, 'pgbouncer.ini');
  await writeFile(
    file,
    `[databases]
* = host=127.0.0.1 port=${sourcePort} user=postgres
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = ${port}
auth_type = any
pool_mode = session
max_client_conn = 200
default_pool_size = 100
unix_socket_dir =
ignore_startup_parameters = extra_float_digits
`,
  );
  await chmod(own, 0o755);
  await chmod(file, 0o644);
  const asUser = process.getuid?.() === 0 ? ['-u', 'nobody'] : []; // it refuses to run as root
  const child = await spawnTied({ name: 'pgbouncer', command: 'pgbouncer', args: ['-q', ...asUser, file] });
  return contender('pgbouncer', port, child, version);
}

/** Null when it is not installed. Plain TCP. */
export async function haproxy({ sourcePort, directory }: Surroundings): Promise<Contender | null> {
  const version = await versionOf('haproxy', /HAProxy version (\S+)/, '-v');
  if (version === null) return null;
  const port = await freePort();
  const file = join(directory, 'haproxy.cfg');
  await writeFile(
    file,
    `global
  maxconn 400
defaults
  mode tcp
  timeout connect 5s
  timeout client 1h
  timeout server 1h
listen bench
  bind 127.0.0.1:${port}
  server source 127.0.0.1:${sourcePort}
`,
  );
  await chmod(file, 0o644);
  const child = await spawnTied({ name: 'haproxy', command: 'haproxy', args: ['-db', '-f', file] });
  return contender('haproxy', port, child, version);
}

function contender(name: string, port: number, child: TiedProcess, version: string): Contender {
  const stop = async (): Promise<void> => {
    await child.stop({ graceMs: 60_000 });
  };
  return { name, port, pids: [child.pid], version, stop };
}

async function versionOf(command: string, pattern: RegExp, flag = '--version'): Promise<string | null> {
  return await run(command, [flag]).then(
    ({ stdout }) => pattern.exec(stdout)?.[1] ?? 'unknown',
    () => null,
  );
}

/** Starts a process that says in one JSON line on stdout that it is ready. */
async function spawnReady(
  name: string,
  command: string,
  args: readonly string[],
): Promise<{ process: TiedProcess; ready: Readonly<Record<string, unknown>> }> {
  let ready: Record<string, unknown> | null = null;
  let ended = false;
  const child = await spawnTied({
    name,
    command,
    args,
    onLog: (line, stream) => {
      if (stream === 'stdout' && ready === null && line.startsWith('{')) ready = JSON.parse(line);
    },
  });
  void child.exited.then(() => {
    ended = true;
  });
  await waitUntil(() => ready !== null || ended, { what: `${name} to be ready`, deadlineMs: 60_000, stage: 'bench' });
  if (ready === null) throw new Error(`${name} ended before it was ready:\n${child.lastLogLines().join('\n')}`);
  return { process: child, ready };
}
