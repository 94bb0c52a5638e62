// Checks that there is room on a disk before something large is written there.
import { statfs } from 'node:fs/promises';
import { dirname } from 'node:path';
import { MirrorstreamError } from '@mirrorstream/domain';

/** Bytes an unprivileged user may still write below `path`, which need not exist yet. */
export async function freeBytes(path: string): Promise<number> {
  try {
    const fs = await statfs(path);
    return fs.bavail * fs.bsize;
  } catch (error) {
    const parent = dirname(path);
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT' || parent === path) throw error;
    return freeBytes(parent);
  }
}

/** Throws `diskFull` unless `neededBytes` are free where `path` is or will be. */
export async function checkDiskSpace(path: string, neededBytes: number, neededFor: string): Promise<void> {
  const free = await freeBytes(path);
  if (free >= neededBytes) return;
  throw new MirrorstreamError(
    'diskFull',
    `${neededFor} needs ${mebibytes(neededBytes)} in ${path}, where ${mebibytes(free)} are free`,
    { stage: neededFor, hint: 'Make room there, or choose another place with --data-dir.' },
  );
}

/** Turns "no space left" of any file operation into an error that names the place. Other errors pass. */
export function explainDiskFull(error: unknown, path: string, neededFor: string): unknown {
  if ((error as NodeJS.ErrnoException | undefined)?.code !== 'ENOSPC') return error;
  return new MirrorstreamError('diskFull', `the disk of ${path} is full`, {
    stage: neededFor,
    hint: 'Make room there, or choose another place with --data-dir.',
    cause: error,
  });
}

function mebibytes(sizeBytes: number): string {
  return `${Math.ceil(sizeBytes / 2 ** 20)} MiB`;
}
