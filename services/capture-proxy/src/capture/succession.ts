// Closes the books of this worker's earlier incarnations: waits until they are dead, delivers what their spool holds, counts.
import { type CaptureSnapshot, envelopesTopic, snapshotKey } from '@mirrorstream/domain';
import type { KafkaClient, KafkaLogger, PartitionOffsets, Producer } from '@mirrorstream/kafka';
import { SnapshotReader } from '@mirrorstream/service-kit';
import { livenessOf, ownIdentity } from '../spool/process-identity.ts';
import { type LeftSpool, removeLeft } from '../spool/spool-folder.ts';
import { InheritedBooks } from './inherited-books.ts';
import { countPublished, unfinished } from './predecessors.ts';
import { redeliver } from './redelivery.ts';
import type { SpoolAccess } from './spool-access.ts';
import type { WorkerSettings } from './worker-protocol.ts';

/** A predecessor that cannot be looked up is dead when it has not renewed its snapshot for so long. */
const leaseMs = 15_000;
const lookEveryMs = 1_000;
const publishEveryMs = 500;

export interface SuccessionOptions {
  readonly client: KafkaClient;
  readonly settings: WorkerSettings;
  readonly logger: KafkaLogger;
  readonly spool: SpoolAccess;
  readonly producer: Pick<Producer, 'sendEach'>;
  /** Of their spools in memory, on the way to Kafka: how much there may be, and how much it is. */
  readonly bufferBytes: number;
  readonly onBuffered: (bytes: () => number) => void;
  readonly offsets: () => Promise<readonly PartitionOffsets[]>;
  /** False: Kafka did not take them. */
  readonly publish: (snapshots: readonly CaptureSnapshot[]) => Promise<boolean>;
  readonly stopped: () => boolean;
}

export class Succession {
  readonly #options: SuccessionOptions;
  readonly #own = ownIdentity();
  /** Snapshot key → when it was last heard of, on this process's clock. */
  readonly #heardMs = new Map<string, number>();
  readonly #closed = new Set<string>();
  #warned = false;

  constructor(options: SuccessionOptions) {
    this.#options = options;
  }

  /** Resolves when all of them are closed, or when told to stop. Throws what Kafka or the disk throw: call it again. */
  async run(): Promise<void> {
    const { client, logger, stopped } = this.#options;
    const reader = await SnapshotReader.start({
      client,
      logger,
      onCrash: (err) => logger.warn({ err }, 'status reader'),
      onChange: (key) => this.#heardMs.set(key, performance.now()),
    });
    try {
      await reader.caughtUp();
      while (!stopped() && !(await this.#settled(reader)))
        await new Promise((resolve) => setTimeout(resolve, lookEveryMs));
    } finally {
      await reader.stop();
    }
  }

  /** True: nobody is left. */
  async #settled(reader: SnapshotReader): Promise<boolean> {
    const { spool } = this.#options;
    const left = await spool.left();
    const lasts = this.#lastWords(reader.ofKind('capture'), left).filter(
      ({ incarnation }) => !this.#closed.has(incarnation),
    );
    const dead = lasts.filter((last) => this.#isDead(last));
    this.#tellOf(lasts.filter((last) => !dead.includes(last)));
    // Without its spool a predecessor's books cannot be closed, and another process may still own the folder.
    const closable: CaptureSnapshot[] = [];
    for (const last of dead) if (!(await spool.isBlocked(last.worker ?? 0))) closable.push(last);
    if (closable.length > 0) await this.#close(closable, left);
    return closable.length === lasts.length && spool.state !== 'opening';
  }

  /** The newest of what Kafka and the spool know of each; a spool whose folder has no snapshot stands for itself. */
  #lastWords(snapshots: readonly CaptureSnapshot[], left: readonly LeftSpool[]): CaptureSnapshot[] {
    const { settings } = this.#options;
    const lasts = new Map(unfinished(snapshots, settings).map((last) => [last.incarnation, last]));
    const known = new Map(snapshots.map((snapshot) => [snapshot.incarnation, snapshot]));
    for (const { incarnation, worker, snapshot } of left) {
      const told = known.get(incarnation);
      const kept = snapshot ?? unknownBooks(settings, worker, incarnation);
      lasts.set(incarnation, told === undefined || told.atMs < kept.atMs ? kept : told);
    }
    return [...lasts.values()];
  }

  #isDead(last: CaptureSnapshot): boolean {
    if (last.final) return true;
    const liveness = livenessOf(last.process, this.#own);
    if (liveness !== 'unknown') return liveness !== 'alive';
    const heardMs = this.#heardMs.get(snapshotKey(last));
    return heardMs === undefined || performance.now() - heardMs > leaseMs;
  }

  #tellOf(alive: readonly CaptureSnapshot[]): void {
    const other = alive.find((last) => livenessOf(last.process, this.#own) === 'alive');
    if (other === undefined || this.#warned) return;
    this.#warned = true;
    const { captureNode: node, incarnation } = other;
    const hint = 'An earlier one that is ending is normal. Otherwise give each proxy of a source a --node of its own.';
    this.#options.logger.error(
      { node, incarnation, hint },
      'another proxy with this --node is alive: its books are left alone',
    );
  }

  async #close(dead: readonly CaptureSnapshot[], left: readonly LeftSpool[]): Promise<void> {
    const { client, settings, offsets, logger, stopped } = this.#options;
    const ends = await offsets();
    const counts = await countPublished(client, envelopesTopic(settings.source), ends, dead);
    for (const [last, found] of counts) {
      const books = new InheritedBooks(last, found, ends);
      const spool = left.find(({ incarnation }) => incarnation === last.incarnation);
      if (spool !== undefined && !(await this.#deliver(books, spool))) return;
      const final = books.final(Date.now());
      if (!(await this.#publish([final]))) return;
      if (spool !== undefined) await removeLeft(spool);
      this.#closed.add(last.incarnation);
      const { incarnation, transactions, dropped } = final;
      logger.info(
        { incarnation, transactions, dropped: dropped.transactions },
        'closed the books of an earlier incarnation',
      );
      if (stopped()) return;
    }
    await this.#options.spool.left(); // what is left counts against the cap
  }

  /** Nothing of an incarnation is sent before its books are known in the status topic. */
  async #deliver(books: InheritedBooks, left: LeftSpool): Promise<boolean> {
    const { producer, stopped, logger } = this.#options;
    if (!(await this.#publish([books.snapshot(Date.now())]))) return false;
    const timer = setInterval(() => void this.#options.publish([books.snapshot(Date.now())]), publishEveryMs);
    try {
      const onDamaged = ({ path }: { readonly path: string }): void =>
        logger.warn({ path }, 'a segment of the spool ends in an unfinished record: cut off there');
      const { bufferBytes, onBuffered } = this.#options;
      return await redeliver({ producer, books, left, bufferBytes, onBuffered, stopped, onDamaged });
    } finally {
      clearInterval(timer);
    }
  }

  async #publish(snapshots: readonly CaptureSnapshot[]): Promise<boolean> {
    while (!this.#options.stopped()) if (await this.#options.publish(snapshots)) return true;
    return false;
  }
}

/** Of an incarnation that nobody heard of, and whose spool lost its own word: everything of it is counted from the topic. */
const unknownBooks = (
  { source, captureNode }: WorkerSettings,
  worker: number,
  incarnation: string,
): CaptureSnapshot => ({
  kind: 'capture',
  source,
  captureNode,
  incarnation,
  worker,
  atMs: 0,
  final: false,
  sessions: { total: 0, open: 0 },
  transactions: 0,
  exchanges: 0,
  bytes: 0,
  dropped: { transactions: 0, bytes: 0, byReason: {} },
  pending: { transactions: 0, bytes: 0 },
  publishedUpTo: {},
  settledRecords: {},
});
