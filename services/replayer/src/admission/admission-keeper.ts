// Keeps what is admitted up to date: follows the mirror's control record, looks at the lag some times a second, and tells the partitions.
import {
  type MirrorControl,
  type MirrorSettings,
  mirrorSettingsInForce,
  type ReplayerSnapshot,
  sideEffects,
} from '@mirrorstream/domain';
import type { Envelope } from '@mirrorstream/envelope';
import {
  Admission,
  looksAtTransactions,
  mayShed,
  nextShedding,
  notShedding,
  type SqlShapes,
  transactionFacts,
} from '@mirrorstream/replay';
import type { ControlState, ServiceKit } from '@mirrorstream/service-kit';
import { createSqlAnalyzer } from '@mirrorstream/sql';
import type { Partition } from '../partition.ts';
import { ExposureCounts } from './exposure-counts.ts';

export interface KeeperOptions {
  /** What the flags say. */
  readonly flags: MirrorSettings;
  /** How often the lag is looked at. */
  readonly lookMs: number;
  /** Of the past nobody is behind. */
  readonly live: boolean;
  /** By the schedule replay comes so much after production: that is no lag. */
  readonly replayDelayMs: number;
  /** Of texts and what is known of them. */
  readonly maxSqlBytes: number;
  /** Somebody asks what transactions do, whatever is admitted. */
  readonly looksAlways: boolean;
}

export interface KeeperSurroundings {
  readonly partitions: () => Iterable<Partition>;
  readonly queuedBytes: () => number;
  readonly logger: ServiceKit['logger'];
}

export class AdmissionKeeper {
  /** Offset of the control record in force; null: the flags alone. */
  revision: bigint | null = null;
  readonly exposure = new ExposureCounts();
  readonly #options: KeeperOptions;
  readonly #surroundings: KeeperSurroundings;
  #admission: Admission;
  #shapes: SqlShapes | null = null;
  #timer: NodeJS.Timeout | null = null;
  #heard: () => void = () => {};
  /** The control topic has been read, and what it says is in force. */
  readonly informed: Promise<void> = new Promise((resolve) => {
    this.#heard = resolve;
  });
  /** Changes are applied one after the other: some wait for the parser. */
  #applying: Promise<void> = Promise.resolve();

  constructor(options: KeeperOptions, surroundings: KeeperSurroundings) {
    this.#options = options;
    this.#surroundings = surroundings;
    this.#admission = new Admission(options.flags, null);
  }

  get admission(): Admission {
    return this.#admission;
  }

  get paused(): boolean {
    return this.#admission.settings.replay === 'paused';
  }

  /** The flags' settings are in force when it resolves. */
  async start(): Promise<void> {
    await this.#use(this.#options.flags, false);
    this.#timer = setInterval(() => this.#look(), this.#options.lookMs);
  }

  stop(): void {
    if (this.#timer !== null) clearInterval(this.#timer);
  }

  /** Whether all its statements are known to only read. */
  onlyReads(envelope: Envelope): boolean {
    return this.#shapes !== null && transactionFacts(envelope, this.#shapes).kind === 'reads';
  }

  /** The control record says so now. */
  changed({ control, revision }: ControlState<MirrorControl>): void {
    this.#applying = this.#applying.then(async () => {
      await this.#use(mirrorSettingsInForce(this.#options.flags, control), control?.immediate === true);
      this.revision = revision;
      this.#heard();
      if (revision === null) return;
      this.#surroundings.logger.info({ revision: String(revision) }, 'what is played is what the control topic says');
    });
  }

  snapshot(): NonNullable<ReplayerSnapshot['admission']> {
    const { settings, shedding } = this.#admission;
    const { replay, exposure, filters, shed } = settings;
    const { stage, cause, share } = shedding;
    return {
      revision: this.revision === null ? null : String(this.revision),
      replay,
      exposure,
      filters: Object.fromEntries(Object.entries(filters).filter(([, values]) => values.length > 0)),
      shed: mayShed(shed)
        ? Object.fromEntries(Object.entries(shed).flatMap(([name, value]) => (value === null ? [] : [[name, value]])))
        : {},
      shedding: { stage, cause, share },
      sessions: { ...this.exposure.sessions },
      transactions: { ...this.exposure.transactions },
    };
  }

  async #use(settings: MirrorSettings, immediate: boolean): Promise<void> {
    const guards = settings.allowSideEffects.length < sideEffects.length;
    const looks = guards || this.#options.looksAlways;
    if (this.#shapes === null && (looks || looksAtTransactions(settings.filters) || mayShed(settings.shed)))
      this.#shapes = await createSqlAnalyzer({ maxBytes: this.#options.maxSqlBytes });
    const wasPaused = this.paused;
    const shedding = mayShed(settings.shed) ? this.#admission.shedding : notShedding;
    this.#admission = new Admission(settings, this.#shapes, shedding);
    this.exposure.reset();
    for (const partition of this.#surroundings.partitions()) {
      if (immediate) partition.decideAnew();
      if (this.paused !== wasPaused) partition.feedAll({ kind: 'pause', on: this.paused });
    }
  }

  /** A mirror that the operator has paused falls behind by his will. */
  #look(): void {
    const { shed } = this.#admission.settings;
    if (this.paused || !mayShed(shed)) return;
    const before = this.#admission.shedding;
    const nowMs = Date.now();
    const lag = { behindMs: this.#behindMs(nowMs), queueBytes: this.#surroundings.queuedBytes() };
    const shedding = nextShedding(before, lag, shed, nowMs);
    if (shedding === before) return;
    const admission = this.#admission.withShedding(shedding);
    this.#admission = admission;
    const { stage, cause, share } = shedding;
    if (stage !== before.stage)
      this.#surroundings.logger.warn(
        { ...lag, from: before.stage, stage, cause, share },
        stage === 'none' ? 'the mirror has caught up: nothing is shed any more' : 'the mirror is behind: replay sheds',
      );
    if (stage === 'none') return;
    const judge = admission.shed.bind(admission);
    for (const partition of this.#surroundings.partitions()) partition.feedAll({ kind: 'review', judge });
  }

  /** How late the oldest transaction is that waits or is under way. */
  #behindMs(nowMs: number): number {
    if (!this.#options.live) return 0;
    let oldestUs = Number.POSITIVE_INFINITY;
    for (const { runners } of this.#surroundings.partitions())
      for (const { lane } of runners) oldestUs = Math.min(oldestUs, lane.oldestDoneAtUs ?? oldestUs);
    if (oldestUs === Number.POSITIVE_INFINITY) return 0;
    return Math.max(0, Math.trunc(nowMs - oldestUs / 1000 - this.#options.replayDelayMs));
  }
}
