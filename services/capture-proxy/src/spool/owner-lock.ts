// One owner per spool folder: a file that names the owner's process and is renewed while it lives.
//
// Whether a holder lives is looked up where it can be (same host, same pid namespace); elsewhere, as for two containers that share
// a volume, one that has not renewed the file for a while is taken for dead.
import { link, open, readFile, rename, rm, stat, utimes } from 'node:fs/promises';
import { join } from 'node:path';
import { livenessOf, ownIdentity } from './process-identity.ts';

const renewEveryMs = 2_000;
export const leaseMs = 15_000;

export class OwnerLock {
  readonly #path: string;
  readonly #identity = ownIdentity() ?? `-/-/${process.pid}/-`;
  #renewal: NodeJS.Timeout | undefined;

  constructor(folder: string) {
    this.#path = join(folder, 'owner');
  }

  /** True: it is ours. Errors of the file system are thrown. */
  async take(): Promise<boolean> {
    if (!(await this.#create()) && !(await this.#inherit())) return false;
    this.#renewal = setInterval(() => void this.#renew(), renewEveryMs);
    this.#renewal.unref();
    return true;
  }

  async release(): Promise<void> {
    if (this.#renewal === undefined) return;
    clearInterval(this.#renewal);
    this.#renewal = undefined;
    if ((await this.#holder()) === this.#identity) await rm(this.#path, { force: true });
  }

  async #create(): Promise<boolean> {
    const file = await open(this.#path, 'wx').catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'EEXIST') return null;
      throw error;
    });
    if (file === null) return false;
    try {
      await file.writeFile(this.#identity);
    } catch (error) {
      await rm(this.#path, { force: true });
      throw error;
    } finally {
      await file.close();
    }
    return true;
  }

  /** From an earlier worker of this process, or from a holder that is gone. */
  async #inherit(): Promise<boolean> {
    const holder = await this.#holder();
    if (holder === this.#identity) return true;
    const liveness = livenessOf(holder);
    if (liveness === 'alive' || (liveness === 'unknown' && (await this.#ageMs()) < leaseMs)) return false;
    // Renamed first: of several that find the holder dead only one succeeds.
    const aside = `${this.#path}.${process.pid}.dead`;
    try {
      await rename(this.#path, aside);
    } catch {
      return false;
    }
    // Somebody else was faster and owns it now: given back.
    const moved = await readFile(aside, 'utf8');
    if (moved !== (holder ?? '')) await link(aside, this.#path).catch(() => undefined);
    await rm(aside, { force: true });
    return await this.#create();
  }

  async #holder(): Promise<string | null> {
    return await readFile(this.#path, 'utf8').then(
      (text) => (text === '' ? null : text),
      () => null,
    );
  }

  async #ageMs(): Promise<number> {
    return await stat(this.#path).then(
      ({ mtimeMs }) => Date.now() - mtimeMs,
      () => 0,
    );
  }

  async #renew(): Promise<void> {
    const now = new Date();
    await utimes(this.#path, now, now).catch(() => undefined);
  }
}
