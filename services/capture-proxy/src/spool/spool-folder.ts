// The folder of one worker's spools: `<spool-dir>/<source>/<node>/<worker>/`, one owner, one subfolder per incarnation.
import { mkdir, readdir, readFile, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { type CaptureSnapshot, captureSnapshotSchema } from '@mirrorstream/domain';
import { snapshotFile } from './kept-snapshot.ts';
import { OwnerLock } from './owner-lock.ts';
import { Segment, segmentIndex } from './segment.ts';

/** What an incarnation that is gone left on the disk. */
export interface LeftSpool {
  readonly incarnation: string;
  readonly worker: number;
  readonly folder: string;
  /** Where its books stood, when that was kept. */
  readonly snapshot: CaptureSnapshot | null;
  readonly segments: readonly Segment[];
}

export interface SpoolOwner {
  readonly spoolDir: string;
  readonly source: string;
  readonly captureNode: string;
  readonly worker: number;
}

export class SpoolFolder {
  readonly path: string;
  readonly #lock: OwnerLock;
  readonly #worker: number;
  /** Bytes of earlier incarnations that lie there. */
  leftBytes = 0;

  constructor({ spoolDir, source, captureNode, worker }: SpoolOwner) {
    this.#worker = worker;
    this.path = join(spoolDir, source, captureNode, String(worker));
    this.#lock = new OwnerLock(this.path);
  }

  /** False: another process owns it. Errors of the file system are thrown. */
  async open(): Promise<boolean> {
    await mkdir(this.path, { recursive: true });
    return await this.#lock.take();
  }

  async close(): Promise<void> {
    await this.#lock.release().catch(() => undefined);
  }

  of(incarnation: string): string {
    return join(this.path, incarnation);
  }

  /** Spools of all incarnations but this one, oldest first. */
  async left(own: string): Promise<readonly LeftSpool[]> {
    const found: LeftSpool[] = [];
    const entries = await readdir(this.path, { withFileTypes: true });
    for (const { name } of entries.filter((entry) => entry.isDirectory() && entry.name !== own)) {
      found.push({
        incarnation: name,
        worker: this.#worker,
        folder: this.of(name),
        ...(await contentsOf(this.of(name))),
      });
    }
    found.sort((a, b) => (a.incarnation < b.incarnation ? -1 : 1)); // they begin with the time
    this.leftBytes = found.flatMap(({ segments }) => segments).reduce((sum, { validBytes }) => sum + validBytes, 0);
    return found;
  }
}

/** It is delivered. */
export async function removeLeft(left: LeftSpool): Promise<void> {
  await Promise.all(left.segments.map((segment) => segment.close()));
  await rm(left.folder, { recursive: true, force: true });
}

/** The workers of a node that have a folder. */
export async function spoolsOf(spoolDir: string, source: string, captureNode: string): Promise<readonly number[]> {
  const names = await readdir(join(spoolDir, source, captureNode)).catch(() => []);
  return names.filter((name) => /^\d+$/.test(name)).map(Number);
}

async function contentsOf(folder: string): Promise<Pick<LeftSpool, 'snapshot' | 'segments'>> {
  const names = (await readdir(folder)).filter((name) => segmentIndex(name) !== null).sort();
  const segments: Segment[] = [];
  for (const name of names) segments.push(Segment.leftBehind(folder, name, (await stat(join(folder, name))).size));
  const text = await readFile(join(folder, snapshotFile), 'utf8').catch(() => '');
  return { segments, snapshot: parsed(text) };
}

function parsed(text: string): CaptureSnapshot | null {
  try {
    return captureSnapshotSchema.safeParse(JSON.parse(text)).data ?? null;
  } catch {
    return null;
  }
}
