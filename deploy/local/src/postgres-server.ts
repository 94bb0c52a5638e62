// Runs one embedded PostgreSQL server, loopback only, its data kept between runs.
import { randomBytes } from 'node:crypto';
import { chown, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { MirrorstreamError } from '@mirrorstream/domain';
import { explainDiskFull } from './disk-space.ts';
import { checkPortFree, freePort } from './free-port.ts';
import { ensurePostgres, type PostgresDist, type PostgresMajor } from './postgres-dist.ts';
import { probePostgres } from './postgres-probe.ts';
import { exitError, type ProcessExit, spawnTied, type TiedProcess } from './process-group.ts';
import { makeOwned, reachablePlace, type UnixUser, unprivilegedUser } from './unprivileged-user.ts';
import { untilServing } from './until-serving.ts';

/** How clients prove who they are; names of pg_hba.conf. */
export type PostgresAuth = 'trust' | 'scram-sha-256' | 'md5' | 'password';

export interface PostgresOptions {
  readonly major: PostgresMajor;
  /** How messages call it: `source`, `candidate`. */
  readonly name: string;
  readonly dataDir: string;
  readonly port?: number;
  /** Default `postgres`. */
  readonly superuser?: string;
  /** Default `trust`. All others need `password`, which is set when the data folder is made. */
  readonly auth?: PostgresAuth;
  readonly password?: string;
  /** Server settings, by their names in PostgreSQL's manual; they win over ours. */
  readonly settings?: Readonly<Record<string, string>>;
  readonly onLog?: (line: string) => void;
  readonly keepsParentAlive?: boolean;
}

export interface PostgresServer {
  readonly name: string;
  readonly major: PostgresMajor;
  readonly host: string;
  readonly port: number;
  readonly superuser: string;
  /** `postgres://superuser@host:port/postgres`, with the password where there is one. */
  readonly url: string;
  readonly pid: number;
  /** Where the data is: another place than asked for when PostgreSQL's user cannot reach that. */
  readonly dataDir: string;
  readonly exited: Promise<ProcessExit>;
  /** Fast shutdown: open transactions are rolled back. */
  stop(): Promise<ProcessExit>;
  /** SIGKILL to the server and all its backends at once. */
  kill9(): Promise<ProcessExit>;
}

const host = '127.0.0.1';
const limits = { initDeadlineMs: 120_000, readyDeadlineMs: 60_000, stopGraceMs: 15_000, startAttempts: 3 };

/** Small, loopback only, and without waiting for the disk: the process may crash without loss, the machine may not. */
const defaultSettings: Readonly<Record<string, string>> = {
  listen_addresses: host,
  unix_socket_directories: '',
  fsync: 'off',
  full_page_writes: 'off',
  shared_buffers: '64MB',
  max_connections: '200',
  max_wal_size: '256MB',
  timezone: 'UTC',
  log_timezone: 'UTC',
  log_checkpoints: 'off',
  log_line_prefix: '%m [%p] ',
};

/**
 * Starts the server, making its data folder if it is empty, and waits until it answers a query. Throws `badInput`, `missingPrerequisite`,
 * `portTaken`, `diskFull`, `componentFailed` with its last lines, `notReady`.
 */
export async function startPostgres(options: PostgresOptions): Promise<PostgresServer> {
  checkAuth(options);
  const stage = `postgres ${options.name}`;
  if (options.port !== undefined) await checkPortFree(options.port, stage);
  const user = unprivilegedUser();
  const dist = await ensurePostgres(options.major, user);
  const dataDir = await reachablePlace(resolve(options.dataDir), user);
  try {
    await makeOwned(dataDir, user);
    await initialise(dist, dataDir, user, options);
    await writeHba(dataDir, user, options.auth ?? 'trust');
  } catch (error) {
    throw explainDiskFull(error, dataDir, stage);
  }
  for (let attempt = 1; ; attempt++) {
    try {
      return await startOnce(dist, dataDir, user, options);
    } catch (error) {
      // A free port can be taken by somebody else before the server opens it.
      const lostPort = error instanceof MirrorstreamError && /Address already in use/.test(error.message);
      if (!lostPort || options.port !== undefined || attempt >= limits.startAttempts) throw error;
    }
  }
}

function checkAuth({ auth = 'trust', password, name }: PostgresOptions): void {
  if (auth === 'trust' || password) return;
  throw new MirrorstreamError('badInput', `postgres ${name}: authentication ${auth} needs a password`, {
    stage: `postgres ${name}`,
  });
}

async function initialise(
  dist: PostgresDist,
  dataDir: string,
  user: UnixUser | undefined,
  options: PostgresOptions,
): Promise<void> {
  const present = (await readFile(join(dataDir, 'PG_VERSION'), 'utf8').catch(() => '')).trim();
  if (present === String(dist.major)) return;
  const stage = `postgres ${options.name}`;
  if (present !== '' || (await readdir(dataDir)).length > 0) {
    throw new MirrorstreamError(
      'badInput',
      present === ''
        ? `${dataDir} is neither empty nor a PostgreSQL data folder`
        : `${dataDir} was made by PostgreSQL ${present}, not ${dist.major}`,
      { stage, hint: 'Choose another --data-dir, or begin anew with --fresh.' },
    );
  }
  const { superuser = 'postgres', auth = 'trust', password } = options;
  // Beside the data folder, which initdb wants empty.
  const passwordFile = join(dirname(dataDir), `.${randomBytes(8).toString('hex')}.pw`);
  const args = ['-D', dataDir, '-U', superuser, '--no-sync', '-E', 'UTF8', '--auth-local=trust', `--auth-host=${auth}`];
  // The builtin provider sorts alike on every system and in every version.
  args.push('--locale=C', '--locale-provider=builtin', '--builtin-locale=C.UTF-8');
  try {
    if (password !== undefined) {
      await writeFile(passwordFile, `${password}\n`, { mode: 0o600 });
      if (user !== undefined) await chown(passwordFile, user.uid, user.gid);
      args.push(`--pwfile=${passwordFile}`);
    }
    const child = await spawnAs(user, `${stage} initdb`, dist.initdb, args, dataDir, options);
    const giveUp = setTimeout(() => void child.kill9(), limits.initDeadlineMs);
    const exit = await child.exited;
    clearTimeout(giveUp);
    if (exit.code !== 0) throw initError(exit, dataDir, stage);
  } finally {
    await rm(passwordFile, { force: true });
  }
}

function initError(exit: ProcessExit, dataDir: string, stage: string): unknown {
  const full = exit.lastLogLines.some((line) => line.includes('No space left on device'));
  return full ? explainDiskFull({ code: 'ENOSPC' }, dataDir, stage) : exitError(exit);
}

async function writeHba(dataDir: string, user: UnixUser | undefined, auth: PostgresAuth): Promise<void> {
  const lines = [
    '# Written at each start.',
    ...['all', 'replication'].map((db) => `host ${db} all 127.0.0.1/32 ${auth}`),
    '',
  ];
  const file = join(dataDir, 'pg_hba.conf');
  await writeFile(file, lines.join('\n'), { mode: 0o600 });
  if (user !== undefined) await chown(file, user.uid, user.gid);
}

async function startOnce(
  dist: PostgresDist,
  dataDir: string,
  user: UnixUser | undefined,
  options: PostgresOptions,
): Promise<PostgresServer> {
  const { name, major, superuser = 'postgres', password } = options;
  const port = options.port ?? (await freePort());
  const settings = { ...defaultSettings, ...options.settings, port: String(port) };
  const args = ['-D', dataDir, ...Object.entries(settings).flatMap(([key, value]) => ['-c', `${key}=${value}`])];
  const child = await spawnAs(user, `postgres ${name}`, dist.postgres, args, dataDir, options);
  const serves = async (): Promise<boolean> => {
    const answer = await probePostgres({ host, port, user: superuser, database: 'postgres', timeoutMs: 2000 });
    return answer === 'ready' || answer === 'asksPassword';
  };
  await untilServing(child, serves, {
    what: `${child.name} to answer a query`,
    deadlineMs: limits.readyDeadlineMs,
    everyMs: 20,
    stage: child.name,
  });
  const credentials = password === undefined ? superuser : `${superuser}:${encodeURIComponent(password)}`;
  return {
    name,
    major,
    host,
    port,
    superuser,
    url: `postgres://${credentials}@${host}:${port}/postgres`,
    pid: child.pid,
    dataDir,
    exited: child.exited,
    stop: () => child.stop({ signal: 'SIGINT', graceMs: limits.stopGraceMs }),
    kill9: () => child.kill9(),
  };
}

function spawnAs(
  user: UnixUser | undefined,
  name: string,
  command: string,
  args: readonly string[],
  cwd: string,
  { onLog, keepsParentAlive }: PostgresOptions,
): Promise<TiedProcess> {
  // Variables such as PGDATA or LC_ALL of whoever started us must not change what the server does.
  const env: NodeJS.ProcessEnv = { PATH: process.env['PATH'] ?? '/usr/bin:/bin', LC_ALL: 'C', TZ: 'UTC' };
  return spawnTied({
    name,
    command,
    args,
    cwd,
    env,
    // Immediate shutdown. The server kills its own backends with SIGKILL after 5 s; the guardian waits for that.
    orphanSignal: 'SIGQUIT',
    orphanGraceMs: 8000,
    ...(user ?? {}),
    ...(onLog === undefined ? {} : { onLog }),
    ...(keepsParentAlive === undefined ? {} : { keepsParentAlive }),
  });
}
