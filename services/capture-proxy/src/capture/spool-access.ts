// The worker's way to its spool: takes the folder when it is free, says why when it is not, and what the disk does meanwhile.
import { MirrorstreamError } from '@mirrorstream/domain';
import type { KafkaLogger } from '@mirrorstream/kafka';
import { Spool, type SpoolEvents } from '../spool/spool.ts';
import { SpoolFolder } from '../spool/spool-folder.ts';
import type { CaptureWorker } from './capture-worker.ts';
import type { WorkerSettings } from './worker-protocol.ts';

const waitForOwnerMs = 1_000;
const waitForDiskMs = 5_000;
const maxSegmentBytes = 16 * 1024 * 1024;
/** A cap is used in at least so many pieces: room comes back a segment at a time. */
const segmentsAtLeast = 8;

export interface SpoolAccessOptions {
  readonly settings: WorkerSettings;
  readonly worker: CaptureWorker;
  readonly logger: KafkaLogger;
}

/** opening: the folder is not ours yet. open. unusable: the disk refuses the folder; tried again now and then. */
export type SpoolState = 'none' | 'opening' | 'open' | 'unusable';

export class SpoolAccess {
  readonly #options: SpoolAccessOptions;
  #state: SpoolState = 'none';
  #folder: SpoolFolder | null = null;
  #spool: Spool | null = null;
  #closing = false;

  constructor(options: SpoolAccessOptions) {
    this.#options = options;
  }

  get state(): SpoolState {
    return this.#state;
  }

  /** Null until it is open. */
  get folder(): SpoolFolder | null {
    return this.#state === 'open' ? this.#folder : null;
  }

  get sizeBytes(): number {
    return (this.#spool?.sizeBytes ?? 0) + (this.folder?.leftBytes ?? 0);
  }

  get failures(): number {
    return this.#spool?.failures ?? 0;
  }

  open(): void {
    const { settings } = this.#options;
    if (settings.spool === null) return;
    this.#state = 'opening';
    const { source, captureNode, worker } = settings;
    this.#folder = new SpoolFolder({ spoolDir: settings.spool.directory, source, captureNode, worker });
    void this.#take(this.#folder, settings.spool.maxBytes);
  }

  /** After the worker has stopped. */
  async close(): Promise<void> {
    this.#closing = true;
    await this.#spool?.end();
    await this.folder?.close();
  }

  async #take(folder: SpoolFolder, maxBytes: number): Promise<void> {
    const { logger, worker, settings } = this.#options;
    for (let tries = 0; !this.#closing; tries += 1) {
      try {
        if (await folder.open()) {
          await folder.left(settings.incarnation); // counted before anything is added
          worker.otherSpoolBytes = () => folder.leftBytes;
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

function diskTrouble(error: unknown, spool: string): Readonly<Record<string, unknown>> {
  const { code, message } = error as NodeJS.ErrnoException;
  const full = code === 'ENOSPC' || code === 'EDQUOT';
  const hint = full ? 'Free some space, or lower --spool-bytes.' : 'Check the disk and the permissions of --spool-dir.';
  const told = new MirrorstreamError('diskFull', message, { stage: 'spool', hint });
  return { spool, error: told.message, ...(full ? { code: told.code } : { code }), hint };
}
