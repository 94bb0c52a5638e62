// Where the books stand, kept beside the segments for a successor: written anew each second while there is something to succeed to.
import { open, rename } from 'node:fs/promises';
import { join } from 'node:path';

export const snapshotFile = 'snapshot.json';

const everyMs = 1_000;

export class KeptSnapshot {
  readonly #folder: string;
  readonly #snapshot: () => unknown;
  #keptMs = Number.NEGATIVE_INFINITY;
  #keeping = false;

  constructor(folder: string, snapshot: () => unknown) {
    this.#folder = folder;
    this.#snapshot = snapshot;
  }

  tick(nowMs: number): void {
    if (this.#keeping || nowMs - this.#keptMs < everyMs) return;
    this.#keeping = true;
    void this.keep()
      .catch(() => undefined) // tried again in a second; the segments tell the rest
      .finally(() => {
        this.#keeping = false;
      });
  }

  async keep(durable = true): Promise<void> {
    this.#keptMs = performance.now();
    const path = join(this.#folder, snapshotFile);
    const file = await open(`${path}.part`, 'w');
    try {
      await file.writeFile(JSON.stringify(this.#snapshot()));
      if (durable) await file.datasync();
    } finally {
      await file.close();
    }
    await rename(`${path}.part`, path);
  }
}
