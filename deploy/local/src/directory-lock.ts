// A lock between processes: whoever creates the directory holds it; a holder that has died loses it.
import { mkdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { isAlive } from './process-tree.ts';
import { waitUntil } from './wait-until.ts';

/** Runs `work` while holding the lock at `path` (its parent must exist), waiting for another holder up to `deadlineMs`. */
export async function withDirectoryLock<T>(
  path: string,
  options: { readonly what: string; readonly deadlineMs: number; readonly onWait?: (holderPid: number) => void },
  work: () => Promise<T>,
): Promise<T> {
  let told = false;
  await waitUntil(
    async () => {
      if (await tryLock(path)) return true;
      const holder = await holderOf(path);
      if (holder === 'dead') await breakLock(path);
      else if (!told && holder !== 'unknown') {
        told = true;
        options.onWait?.(holder);
      }
      return false;
    },
    { what: options.what, deadlineMs: options.deadlineMs, everyMs: 100 },
  );
  try {
    return await work();
  } finally {
    await rm(path, { recursive: true, force: true });
  }
}

async function tryLock(path: string): Promise<boolean> {
  try {
    await mkdir(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
  await writeFile(join(path, 'pid'), String(process.pid));
  return true;
}

async function holderOf(path: string): Promise<number | 'dead' | 'unknown'> {
  const text = await readFile(join(path, 'pid'), 'utf8').catch(() => '');
  if (text !== '') return isAlive(Number(text)) ? Number(text) : 'dead';
  // Between making the directory and writing the pid; a holder that died just there is told by age.
  const madeAtMs = await stat(path).then(
    (entry) => entry.mtimeMs,
    () => Date.now(),
  );
  return Date.now() - madeAtMs > 10_000 ? 'dead' : 'unknown';
}

async function breakLock(path: string): Promise<void> {
  // Renamed first: of several that find it dead only one succeeds.
  const aside = `${path}.${process.pid}.dead`;
  try {
    await rename(path, aside);
  } catch {
    return;
  }
  await rm(aside, { recursive: true, force: true });
}
