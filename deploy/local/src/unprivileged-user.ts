// PostgreSQL refuses to run as root: finds another user for it, and places that this user can reach.
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { chown, lstat, mkdir, readdir, readlink, rm, stat, symlink } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { MirrorstreamError } from '@mirrorstream/domain';

export interface UnixUser {
  readonly uid: number;
  readonly gid: number;
}

/** The user to run PostgreSQL as, or undefined when this process is not root and may run it itself. */
export function unprivilegedUser(): UnixUser | undefined {
  if (process.getuid?.() !== 0) return undefined;
  for (const name of ['postgres', 'nobody']) {
    try {
      const id = (flag: string): number =>
        Number(execFileSync('id', [flag, name], { encoding: 'utf8', stdio: 'pipe' }));
      const user = { uid: id('-u'), gid: id('-g') };
      if (user.uid > 0) return user;
    } catch {
      // No such user here.
    }
  }
  return { uid: 65534, gid: 65534 }; // Any number will do: a process needs no entry in the password file.
}

/** Whether `user` can pass through every folder above `path`. */
export async function isReachable(path: string, user: UnixUser | undefined): Promise<boolean> {
  if (user === undefined) return true;
  for (let folder = dirname(resolve(path)); ; folder = dirname(folder)) {
    const entry = await stat(folder).catch(() => undefined);
    if (entry !== undefined) {
      const bit = entry.uid === user.uid ? 0o100 : entry.gid === user.gid ? 0o010 : 0o001;
      if ((entry.mode & bit) === 0) return false;
    }
    if (folder === dirname(folder)) return true;
  }
}

/**
 * `path` itself where `user` can reach it. Else a place below /var/tmp that belongs to `path`, which becomes a symbolic link to it, so
 * that whoever deletes `path` finds what it stands for.
 */
export async function reachablePlace(path: string, user: UnixUser | undefined): Promise<string> {
  if (await isReachable(path, user)) return path;
  const place = join(await makeRelocationRoot(path), basename(path));
  await mkdir(dirname(path), { recursive: true });
  await symlink(place, path).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'EEXIST') throw error;
  });
  return place;
}

const relocationPrefix = '/var/tmp/mirrorstream-';

/** Makes the folder for things whose own folder an unprivileged user cannot reach: one per path, the same at each start. */
export async function makeRelocationRoot(path: string): Promise<string> {
  const hash = createHash('sha256').update(resolve(path)).digest('hex').slice(0, 12);
  const root = `${relocationPrefix}${hash}`;
  await mkdir(root, { recursive: true, mode: 0o755 });
  // Anybody may write to /var/tmp: a folder somebody else laid there for us is not to be trusted.
  const entry = await lstat(root);
  if (entry.isDirectory() && entry.uid === process.getuid?.()) return root;
  throw new MirrorstreamError('badInput', `${root} exists and belongs to somebody else`, {
    stage: 'postgres',
    hint: 'Delete it, or put the project and its data into a folder that every user can pass through.',
  });
}

/** Deletes `path`, and where it is a link to such a place, that place too. */
export async function removeRelocated(path: string): Promise<void> {
  const target = await readlink(path).catch(() => undefined);
  if (target?.startsWith(relocationPrefix)) await rm(dirname(target), { recursive: true, force: true });
  await rm(path, { recursive: true, force: true });
}

/** Makes a folder that belongs to `user`; what is in it already changes hands too. */
export async function makeOwned(path: string, user: UnixUser | undefined): Promise<void> {
  await mkdir(path, { recursive: true, mode: 0o755 });
  if (user === undefined) return;
  const entry = await lstat(path);
  if (entry.uid === user.uid && entry.gid === user.gid) return;
  await chownTree(path, user);
}

async function chownTree(path: string, user: UnixUser): Promise<void> {
  for (const entry of await readdir(path, { withFileTypes: true })) {
    const child = join(path, entry.name);
    if (entry.isDirectory()) await chownTree(child, user);
    else if (entry.isFile()) await chown(child, user.uid, user.gid);
  }
  await chown(path, user.uid, user.gid);
}
