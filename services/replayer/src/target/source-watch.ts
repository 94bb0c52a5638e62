// What the capture proxies of the source say it is, followed in the status topic.
import type { CaptureSnapshot, Snapshot, SourceServer } from '@mirrorstream/domain';
import type { KafkaClient, KafkaLogger } from '@mirrorstream/kafka';
import type { CaptureOrigin } from '@mirrorstream/replay';
import { SnapshotReader } from '@mirrorstream/service-kit';

export interface SourceWatchOptions {
  readonly client: Pick<KafkaClient, 'follow'>;
  readonly logger: KafkaLogger;
  readonly source: string;
  readonly onCrash: (error: Error) => void;
}

export class SourceWatch {
  readonly #source: string;
  readonly #reader: SnapshotReader;
  readonly #newest: Map<string, CaptureSnapshot>;
  readonly #listeners: Set<() => void>;

  private constructor(
    source: string,
    reader: SnapshotReader,
    newest: Map<string, CaptureSnapshot>,
    listeners: Set<() => void>,
  ) {
    this.#source = source;
    this.#reader = reader;
    this.#newest = newest;
    this.#listeners = listeners;
  }

  /** Resolves when all that is known so far has been read: a proxy says what it captures from before it publishes anything else. */
  static async start({ client, logger, source, onCrash }: SourceWatchOptions): Promise<SourceWatch> {
    const newest = new Map<string, CaptureSnapshot>();
    const listeners = new Set<() => void>();
    const take = (snapshot: Snapshot | undefined): void => {
      if (snapshot?.kind !== 'capture' || snapshot.source !== source || snapshot.server === undefined) return;
      // Of a proxy's lives the last one counts: the server it was on before may be a mirror now.
      const key = `${snapshot.captureNode}/${snapshot.worker ?? 0}`;
      const before = newest.get(key);
      if (snapshot.atMs < (before?.atMs ?? 0)) return;
      newest.set(key, snapshot);
      if (JSON.stringify(before?.server) !== JSON.stringify(snapshot.server)) for (const tell of listeners) tell();
    };
    const reader = await SnapshotReader.start({
      client,
      logger,
      onChange: (_key, snapshot) => take(snapshot),
      onCrash,
    });
    await reader.caughtUp();
    return new SourceWatch(source, reader, newest, listeners);
  }

  get servers(): readonly SourceServer[] {
    return [...this.#newest.values()].map(({ server }) => server).filter((server) => server !== undefined);
  }

  /** Capture workers that have not said that they are done. */
  get captures(): readonly CaptureOrigin[] {
    return this.#reader
      .ofKind('capture')
      .filter(({ source, final }) => source === this.#source && !final)
      .map(({ captureNode, incarnation, worker = 0 }) => ({ captureNode, incarnation, worker }));
  }

  /** The source is on other servers than before. */
  onChange(listener: () => void): void {
    this.#listeners.add(listener);
  }

  stop(): Promise<void> {
    return this.#reader.stop();
  }
}
