// Finds free loopback ports, and says who holds a port that is taken.
import { execFile } from 'node:child_process';
import { readdir, readFile, readlink } from 'node:fs/promises';
import { createServer } from 'node:net';
import { MirrorstreamError } from '@mirrorstream/domain';

const host = '127.0.0.1';

/** A port that was free on the loopback interface a moment ago. */
export async function freePort(): Promise<number> {
  return listenOnce(0);
}

/** Several distinct free ports: all are held until the last is found. */
export async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer());
  try {
    return await Promise.all(
      servers.map(
        (server) =>
          new Promise<number>((resolve, reject) => {
            server.once('error', reject);
            server.listen(0, host, () => resolve((server.address() as { port: number }).port));
          }),
      ),
    );
  } finally {
    for (const server of servers) server.close();
  }
}

/** Throws `portTaken`, naming the holder where the system tells, unless the port can be listened on. */
export async function checkPortFree(port: number, wantedFor: string, listenHost = host): Promise<void> {
  try {
    await listenOnce(port, listenHost);
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (code === 'EACCES') {
      throw new MirrorstreamError('badInput', `port ${port} for ${wantedFor} may not be opened by this user`, {
        stage: wantedFor,
        hint: 'Choose a port above 1023.',
        cause: error,
      });
    }
    if (code !== 'EADDRINUSE') throw error;
    const holder = await portHolder(port);
    throw new MirrorstreamError(
      'portTaken',
      `port ${port} for ${wantedFor} is taken${holder === undefined ? '' : ` by ${holder}`}`,
      { stage: wantedFor, hint: 'Stop that program, or choose another port.', cause: error },
    );
  }
}

function listenOnce(port: number, listenHost = host): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen({ port, host: listenHost, exclusive: true }, () => {
      const { port: bound } = server.address() as { port: number };
      server.close(() => resolve(bound));
    });
  });
}

/** `name (pid 123)` of the process listening on a port, as far as this user may see it. */
export async function portHolder(port: number): Promise<string | undefined> {
  const pid = process.platform === 'linux' ? await holderFromProc(port) : await holderFromLsof(port);
  if (pid === undefined) return undefined;
  const name = await commandName(pid);
  return name === undefined ? `pid ${pid}` : `${name} (pid ${pid})`;
}

async function holderFromProc(port: number): Promise<number | undefined> {
  const wanted = `:${port.toString(16).toUpperCase().padStart(4, '0')}`;
  const inodes = new Set<string>();
  for (const table of ['/proc/net/tcp', '/proc/net/tcp6']) {
    for (const line of (await readFile(table, 'utf8').catch(() => '')).split('\n')) {
      // proc(5): sl local_address rem_address st … inode is column 10; state 0A is LISTEN.
      const columns = line.trim().split(/\s+/);
      if (columns[1]?.endsWith(wanted) && columns[3] === '0A' && columns[9]) inodes.add(`socket:[${columns[9]}]`);
    }
  }
  if (inodes.size === 0) return undefined;
  for (const entry of await readdir('/proc')) {
    if (!/^\d+$/.test(entry)) continue;
    for (const descriptor of await readdir(`/proc/${entry}/fd`).catch(() => [])) {
      const link = await readlink(`/proc/${entry}/fd/${descriptor}`).catch(() => '');
      if (inodes.has(link)) return Number(entry);
    }
  }
  return undefined;
}

function holderFromLsof(port: number): Promise<number | undefined> {
  return new Promise((resolve) => {
    execFile('lsof', ['-nP', `-iTCP:${port}`, '-sTCP:LISTEN', '-t'], { timeout: 5000 }, (_error, stdout) => {
      const pid = Number.parseInt(stdout, 10);
      resolve(Number.isNaN(pid) ? undefined : pid);
    });
  });
}

async function commandName(pid: number): Promise<string | undefined> {
  if (process.platform === 'linux') {
    return (await readFile(`/proc/${pid}/comm`, 'utf8').catch(() => undefined))?.trim();
  }
  return new Promise((resolve) => {
    execFile('ps', ['-o', 'comm=', '-p', String(pid)], (_error, stdout) => resolve(stdout.trim() || undefined));
  });
}
