// Follows the status topic and keeps the newest snapshot of each key.
import { type Snapshot, snapshotKey, snapshotSchema, statusTopic } from '@mirrorstream/domain';
import type { IncomingBatch, IncomingRecord, KafkaClient, KafkaLogger } from '@mirrorstream/kafka';

export interface SnapshotReaderOptions {
  readonly client: Pick<KafkaClient, 'follow'>;
  readonly logger: KafkaLogger;
  readonly onChange?: (key: string, snapshot: Snapshot | undefined) => void;
  readonly onCrash: (error: Error) => void;
  /** Keys kept; further ones are counted as overflow. Default 10 000. */
  readonly maxKeys?: number;
}

type Follower = Awaited<ReturnType<KafkaClient['follow']>>;

export class SnapshotReader {
  readonly #options: SnapshotReaderOptions;
  readonly #maxKeys: number;
  readonly #snapshots = new Map<string, Snapshot>();
  #follower: Follower | undefined;
  #invalid = 0;
  #overflow = 0;

  private constructor(options: SnapshotReaderOptions) {
    this.#options = options;
    this.#maxKeys = options.maxKeys ?? 10_000;
  }

  static async start(options: SnapshotReaderOptions): Promise<SnapshotReader> {
    const reader = new SnapshotReader(options);
    const onBatch = (batch: IncomingBatch): void => {
      for (const record of batch.records) reader.#take(record);
    };
    reader.#follower = await options.client.follow([statusTopic], 'earliest', onBatch, options.onCrash);
    return reader;
  }

  /** Resolves when all that was in the topic at the time of the call has been read. */
  async caughtUp(): Promise<void> {
    await this.#follower?.caughtUp();
  }

  get(key: string): Snapshot | undefined {
    return this.#snapshots.get(key);
  }

  all(): readonly Snapshot[] {
    return [...this.#snapshots.values()];
  }

  ofKind<K extends Snapshot['kind']>(kind: K): readonly Extract<Snapshot, { kind: K }>[] {
    return this.all().filter((snapshot): snapshot is Extract<Snapshot, { kind: K }> => snapshot.kind === kind);
  }

  /** Records that were no snapshot, or stood under another's key; and keys there was no room for. */
  stats(): { readonly keys: number; readonly invalid: number; readonly overflow: number } {
    return { keys: this.#snapshots.size, invalid: this.#invalid, overflow: this.#overflow };
  }

  async stop(): Promise<void> {
    await this.#follower?.stop();
  }

  #take({ key: keyBytes, value }: IncomingRecord): void {
    const key = keyBytes?.toString() ?? '';
    if (value === null) {
      this.#snapshots.delete(key);
      this.#options.onChange?.(key, undefined);
      return;
    }
    const snapshot = parse(value);
    if (snapshot === undefined || snapshotKey(snapshot) !== key) {
      this.#invalid++;
      this.#options.logger.warn({ key }, 'a record of the status topic is no snapshot of its key; it is left out');
      return;
    }
    if (!this.#snapshots.has(key) && this.#snapshots.size >= this.#maxKeys) {
      this.#overflow++;
      return;
    }
    this.#snapshots.set(key, snapshot);
    this.#options.onChange?.(key, snapshot);
  }
}

function parse(value: Buffer): Snapshot | undefined {
  try {
    return snapshotSchema.safeParse(JSON.parse(value.toString())).data;
  } catch {
    return undefined;
  }
}
