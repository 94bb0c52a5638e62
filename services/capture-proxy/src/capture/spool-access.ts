// The worker's way to its spool: takes the folder when it is free, says why when it is not, and what the disk does meanwhile.
import type { KafkaLogger } from '@mirrorstream/kafka';
import { Spool, type SpoolEvents } from '../spool/spool.ts';
import { type LeftSpool, SpoolFolder, spoolsOf } from '../spool/spool-folder.ts';
import type { CaptureWorker } from './capture-worker.ts';
import { isHeir } from './predecessors.ts';
import type { WorkerSettings } from './worker-protocol.ts';

const waitForOwnerMs = 1_000;
const waitForDiskMs = 5_000;
const maxSegmentBytes = 16 * 1024 * 1024;
/** A cap is used in at least so many pieces: room comes back a segment at a time. */
const segmentsAtLeast = 8;

export interface SpoolAccessOptions {
  readonly settings: Pick<
    WorkerSettings,
    'spool' | 'source' | 'captureNode' | 'worker' | 'workers' | 'incarnation' | 'publishBufferBytes'
  >;
  readonly worker: Pick<CaptureWorker, 'useSpool' | 'snapshot' | 'unreadable' | 'otherSpoolBytes'>;
  readonly logger: KafkaLogger;
}

/** opening: the folder is not ours yet. open. unusable: the disk refuses the folder; tried again now and then. */
export type SpoolState = 'none' | 'opening' | 'open' | 'unusable';

export class SpoolAccess {
  readonly #options: SpoolAccessOptions;
  #state: SpoolState = 'none';
  #folder: SpoolFolder | null = null;
  /** Folders of workers that are started no more. */
  readonly #orphans = new Map<number, SpoolFolder>();
  #spool: Spool | null = null;
  #closing = false;

  constructor(options: SpoolAccessOptions) {
    this.#options = options;
  }

  get state(): SpoolState {
    return this.#state;
  }

  get sizeBytes(): number {
    return (this.#spool?.sizeBytes ?? 0) + this.#leftBytes();
  }

  /** What earlier incarnations left, of this worker and, for the first one, of workers that are started no more. */
  async left(): Promise<readonly LeftSpool[]> {
    if (this.#state !== 'open' || this.#folder === null) return [];
    await this.#openOrphans();
    const folders = [this.#folder, ...this.#orphans.values()];
    return (await Promise.all(folders.map((folder) => folder.left(this.#options.settings.incarnation)))).flat();
  }

  /** Whether that worker's folder may hold something that cannot be had yet: another process owns it. */
  async isBlocked(worker: number): Promise<boolean> {
    const { settings } = this.#options;
    if (worker === settings.worker || settings.spool === null) return this.#state === 'opening';
    return (
      this.#state !== 'unusable' && !this.#orphans.has(worker) && (await workersWithFolders(settings)).includes(worker)
    );
  }

  get failures(): number {
    return this.#spool?.failures ?? 0;
  }

  open(): void {
    const { settings } = this.#options;
    if (settings.spool === null) return;
    this.#state = 'opening';
    this.#folder = folderOf(settings, settings.worker);
    void this.#take(this.#folder, settings.spool.maxBytes);
  }

  /** After the worker has stopped. */
  async close(): Promise<void> {
    this.#closing = true;
    await this.#spool?.end();
    if (this.#state !== 'open') return;
    for (const folder of [this.#folder, ...this.#orphans.values()]) await folder?.close();
  }

  #leftBytes(): number {
    return [this.#folder, ...this.#orphans.values()].reduce((sum, folder) => sum + (folder?.leftBytes ?? 0), 0);
  }

  async #openOrphans(): Promise<void> {
    const { settings } = this.#options;
    for (const worker of await workersWithFolders(settings)) {
      if (worker === settings.worker || !isHeir(settings, worker) || this.#orphans.has(worker)) continue;
      const folder = folderOf(settings, worker);
      if (await folder.open()) this.#orphans.set(worker, folder);
    }
  }

  async #take(folder: SpoolFolder, maxBytes: number): Promise<void> {
    const { logger, worker, settings } = this.#options;
    for (let tries = 0; !this.#closing; tries += 1) {
      try {
        if (await folder.open()) {
          await folder.left(settings.incarnation); // counted before anything is added
          worker.otherSpoolBytes = () => this.#leftBytes();
          this.#spool = this.#create(folder, maxBytes);
          worker.useSpool(this.#spool);
          this.#state = 'open';
          return;
        }
        const details = {
          spool: folder.path,
          hint: 'Give each proxy of a source a --node, or a --spool-dir, of its own.',
        };
        if (tries === 0)
          logger.error(
            details,
            'the spool belongs to another process that lives: captured without one until that ends',
          );
        this.#state = 'opening';
      } catch (error) {
        if (this.#state !== 'unusable')
          logger.error(
            diskTrouble(error, folder.path),
            'the spool cannot be opened: captured without one, tried again',
          );
        this.#state = 'unusable';
      }
      await new Promise((resolve) => setTimeout(resolve, this.#state === 'unusable' ? waitForDiskMs : waitForOwnerMs));
    }
  }

  #create(folder: SpoolFolder, maxBytes: number): Spool {
    const { worker, settings } = this.#options;
    const options = {
      folder: folder.of(settings.incarnation),
      segmentBytes: Math.min(maxSegmentBytes, Math.floor(maxBytes / segmentsAtLeast)),
      holdBytes: settings.publishBufferBytes / 8,
      snapshot: () => worker.snapshot(Date.now(), false),
    };
    return new Spool(options, this.#events(folder.path));
  }

  #events(path: string): SpoolEvents {
    const { logger, worker } = this.#options;
    return {
      onFailing: (error) =>
        logger.error(diskTrouble(error, path), 'the spool cannot be written: records wait in memory, tried again'),
      onMended: () => logger.info({ spool: path }, 'the spool is written again'),
      onUnreadable: (lost) => {
        logger.error({ spool: path, ...lost }, 'records of the spool cannot be read back: they are lost');
        worker.unreadable(lost);
      },
    };
  }
}

type Place = Pick<WorkerSettings, 'spool' | 'source' | 'captureNode'>;

function folderOf({ spool, source, captureNode }: Place, worker: number): SpoolFolder {
  return new SpoolFolder({ spoolDir: spool?.directory ?? '', source, captureNode, worker });
}

async function workersWithFolders({ spool, source, captureNode }: Place): Promise<readonly number[]> {
  return spool === null ? [] : await spoolsOf(spool.directory, source, captureNode);
}

function diskTrouble(error: unknown, spool: string): Readonly<Record<string, unknown>> {
  const { code, message } = error as NodeJS.ErrnoException;
  const full = code === 'ENOSPC' || code === 'EDQUOT';
  const hint = full ? 'Free some space, or lower --spool-bytes.' : 'Check the disk and the permissions of --spool-dir.';
  return { spool, code: full ? 'diskFull' : code, error: message, hint };
}
