// The poolers and proxies that are packaged everywhere: pgbouncer, HAProxy.
import { chmod, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { freePort, spawnTied } from '@mirrorstream/local';
import { type Contender, maxConnections, type Surroundings, started, versionOf } from './starting.ts';

/** Session pooling, which is what a transparent proxy can be compared with. */
export async function pgbouncer({ sourcePort, directory }: Surroundings): Promise<Contender | string> {
  const version = await versionOf('pgbouncer', /PgBouncer ([\d.]+)/);
  if (version === null) return 'not installed';
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
max_client_conn = ${maxConnections}
default_pool_size = ${maxConnections}
unix_socket_dir =
ignore_startup_parameters = extra_float_digits
`,
  );
  await chmod(own, 0o755);
  await chmod(file, 0o644);
  const asUser = process.getuid?.() === 0 ? ['-u', 'nobody'] : []; // it refuses to run as root
  const child = await spawnTied({ name: 'pgbouncer', command: 'pgbouncer', args: ['-q', ...asUser, file] });
  return started('pgbouncer', port, child, version);
}

/** Plain TCP. */
export async function haproxy({ sourcePort, directory }: Surroundings): Promise<Contender | string> {
  const version = await versionOf('haproxy', /HAProxy version (\S+)/, '-v');
  if (version === null) return 'not installed';
  const port = await freePort();
  const file = join(directory, 'haproxy.cfg');
  await writeFile(
    file,
    `global
  maxconn ${2 * maxConnections}
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
  return started('haproxy', port, child, version);
}
