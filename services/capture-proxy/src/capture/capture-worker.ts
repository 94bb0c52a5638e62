// The capture worker: empties the ring every few ms, assembles, gathers, publishes, and counts. Nobody wakes it and it keeps nobody waiting.
import { type AnswerRule, createSequencer } from '@mirrorstream/capture';
import { type CaptureSnapshot, envelopesTopic } from '@mirrorstream/domain';
import { GapReason } from '@mirrorstream/envelope';
import { type Batcher, createBatcher, type OutgoingRecord } from '@mirrorstream/kafka';
import { wallUsAtMonoZero } from '../forward/mono-clock.ts';
import { RingConsumer } from '../ring.ts';
import { ownIdentity } from '../spool/process-identity.ts';
import type { Spool } from '../spool/spool.ts';
import { GatedProducer } from './gated-producer.ts';
import { Ledger } from './ledger.ts';
import { Outbox } from './outbox.ts';
import { type CaptureRecord, Publisher } from './publisher.ts';
import { SessionTable } from './session-table.ts';
import { SharedCells } from './shared-cells.ts';
import type { SpoolAccess } from './spool-access.ts';
import { watermarkOf } from './watermark.ts';
import type { WorkerNumbers } from './worker-numbers.ts';
import type { IdleSession, SettingsInForce, WorkerSettings } from './worker-protocol.ts';

/** Wait between two looks at the ring: from this under load, growing to that while there is nothing to see. */
const busyPollMs = 5;
const idlePollMs = 25;
const pollGrowth = 1.25;
/** One look that finds this much is load. */
const busyBytes = 4 * 1024;
/** At most this long without letting Kafka's sockets have their turn. */
const sliceMs = 4;
const ageCheckUs = 250_000;
/** A heartbeat goes to every partition: seldom when there is nothing new to tell. */
const heartbeatUs = 1_000_000;
const quietHeartbeatUs = 5_000_000;
/** Records are cut at this age, or at a size (few and large ones cost least, here and at the broker); the batcher groups them per request. */
const recordLingerUs = 100_000;
const requestLingerMs = 1;

export interface CaptureWorkerOptions {
  readonly settings: WorkerSettings;
  readonly nowUs: () => number;
  readonly random: () => number;
  readonly onAvailability: (available: boolean, error?: Error) => void;
  /** The capture of one session threw: its transactions are told as a gap. */
  readonly onBug: (error: unknown) => void;
}

export class CaptureWorker {
  readonly producer = new GatedProducer();
  readonly ledger = new Ledger();
  readonly #settings: WorkerSettings;
  readonly #nowUs: () => number;
  readonly #ring: RingConsumer;
  readonly #cells: SharedCells;
  readonly #sessions: SessionTable;
  readonly #publisher: Publisher;
  readonly #outbox: Outbox;
  readonly #identity = ownIdentity();
  readonly #sequencer = createSequencer();
  #pollMs = busyPollMs;
  #agesCheckedUs = 0;
  #heartbeatUs = 0;
  #inForce: SettingsInForce;
  #stopping = false;
  /** Records are left whose fate is unknown, or that lie in the spool: a successor closes the books. */
  #unfinished = false;
  /** Of those, some lie in the spool. */
  leftOnDisk = false;
  /** Bytes that earlier incarnations left in the spool's folder. */
  otherSpoolBytes: () => number = () => 0;
  /** Of those, what is in memory. */
  earlierSpoolBytes: () => number = () => 0;
  #timer: NodeJS.Timeout | null = null;

  constructor(options: CaptureWorkerOptions) {
    const { settings } = options;
    const zeroUs = wallUsAtMonoZero();
    this.#settings = settings;
    this.#inForce = settings.settings;
    this.#nowUs = options.nowUs;
    this.#ring = new RingConsumer(settings.ringMemory, settings.bounds.lookBytes);
    this.#cells = new SharedCells(settings.cellMemory);
    this.#outbox = new Outbox(
      {
        memoryBytes: settings.publishBufferBytes,
        spoolBytes: settings.spool?.maxBytes ?? 0,
        otherBytes: () => this.otherSpoolBytes(),
        nowMs: () => performance.now(),
      },
      this.#openBatcher(options),
    );
    this.#publisher = new Publisher(
      {
        topic: envelopesTopic(settings.source),
        origin: {
          source: settings.source,
          captureNode: settings.captureNode,
          incarnation: settings.incarnation,
          worker: settings.worker,
        },
        partitions: settings.partitions,
        recordBytes: settings.bounds.recordBytes,
        lingerUs: recordLingerUs,
        maxGapSessions: settings.bounds.gapSessions,
        maxPooledBytes: settings.bounds.recordPoolBytes,
        wallUsAtMonoZero: zeroUs,
      },
      this.#outbox,
      this.ledger,
    );
    this.#sessions = new SessionTable({
      incarnation: settings.incarnation,
      restarted: settings.restarted,
      partitions: settings.partitions,
      random: options.random,
      clock: { wallUsAtMonoZero: zeroUs },
      sequencer: this.#sequencer,
      limits: { ...settings.limits, ...answersOf(settings.settings) },
      emit: (owner, draft, monoUs) => this.#publisher.add(owner, draft, monoUs),
      onBug: options.onBug,
    });
  }

  start(): void {
    this.#poll();
  }

  useSpool(spool: Spool): void {
    this.#outbox.useSpool(spool);
  }

  /** In force on the forwarding thread already: what it forwarded before that still waits in the ring, and is taken as it was meant. */
  use(settings: SettingsInForce): void {
    for (let left = this.#ring.backlogBytes(); left > 0; ) {
      const taken = this.#ring.drain(this.#sessions);
      if (taken === 0) break;
      left -= taken;
    }
    this.#inForce = settings;
    this.#sessions.keepAnswers(answersOf(settings));
  }

  /** Records of the spool that cannot be read back. */
  unreadable(lost: { readonly transactions: number; readonly sizeBytes: number }): void {
    this.ledger.unreadable(lost, GapReason.SPOOL_FAILED);
    this.#publisher.missing(lost.transactions, lost.sizeBytes, GapReason.SPOOL_FAILED);
  }

  numbers(spool: Pick<SpoolAccess, 'sizeBytes' | 'failures'>): WorkerNumbers {
    return {
      buffers: {
        assembly: this.#sessions.bufferedBytes(),
        ...this.#sessions.contexts(),
        look: this.#ring.takeLargestLook(),
        gathering: this.#publisher.gatheringBytes,
        ...this.#outbox.memory,
        spool: spool.sizeBytes,
        earlierSpool: this.earlierSpoolBytes(),
        recordPool: this.#publisher.pooledBytes,
        requestPool: this.producer.pooledBytes,
      },
      sessions: this.#sessions.size,
      untoldGaps: this.#publisher.untoldGaps,
      diverted: this.#outbox.diverted ? 1 : 0,
      spoolFailures: spool.failures,
      lateCancels: this.#sessions.lateCancels,
      dropped: this.ledger.droppedByReason(),
    };
  }

  idleSessions(): IdleSession[] {
    return this.#ring.backlogBytes() === 0 ? this.#sessions.idle() : [];
  }

  /** Takes what is left in the ring and publishes all of it, or what can be by the deadline. */
  async stop(deadlineMs: number): Promise<void> {
    this.#stopping = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
    while (this.#ring.drain(this.#sessions) > 0);
    const nowUs = this.#nowUs();
    this.#sessions.closeAll(nowUs);
    this.#publisher.heartbeat({ monoUs: nowUs, doneSeq: this.#sequencer.lastDoneSeq }, nowUs, true);
    this.#publisher.flushAll(nowUs);
    for (const record of await this.#outbox.close(deadlineMs)) this.ledger.unreadable(record, GapReason.SHUTDOWN);
    if (this.#outbox.leftUnread) this.#leftOnDisk();
    // Gaps for what was refused meanwhile are not told any more: the counts are.
  }

  snapshot(atMs: number, final: boolean): CaptureSnapshot {
    const cells = this.#cells;
    const counted = this.ledger.snapshot({
      source: this.#settings.source,
      captureNode: this.#settings.captureNode,
      incarnation: this.#settings.incarnation,
      worker: this.#settings.worker,
      process: this.#identity,
      atMs,
      final: final && !this.#unfinished,
      sessions: { total: cells.get('sessionsTotal'), open: cells.get('sessionsOpen') },
      bytes: cells.get('bytes'),
      openTransactions: this.#sessions.openTransactions(),
      // Not told to any session yet, or of sessions that began and ended unseen. (The cells are shown a little later than the marks.)
      ringDroppedBytes: Math.max(0, cells.get('ringDroppedBytes') - this.#sessions.missedBytes),
      backlogBytes: this.#ring.backlogBytes() + this.#sessions.bufferedBytes(),
    });
    const { revision, capture, sampling, answers, answerCapBytes } = this.#inForce;
    return {
      ...counted,
      server: this.#settings.server,
      control: { revision, capture, sampling, answers, answerCapBytes },
      leftOut: {
        unsampled: { sessions: cells.get('unsampledSessions'), bytes: cells.get('unsampledBytes') },
        captureOff: { sessions: cells.get('captureOffSessions'), bytes: cells.get('captureOffBytes') },
      },
    };
  }

  #poll(): void {
    const taken = this.#pump();
    this.#sessions.bound(this.#settings.assemblyBytes, taken);
    this.#pollMs = taken >= busyBytes ? busyPollMs : Math.min(idlePollMs, this.#pollMs * pollGrowth);
    const nowUs = this.#nowUs();
    this.#outbox.tick();
    this.#publisher.tick(nowUs);
    if (nowUs - this.#agesCheckedUs >= ageCheckUs) {
      this.#agesCheckedUs = nowUs;
      this.#sessions.tick(nowUs);
    }
    const everyUs = this.#publisher.hadTraffic ? heartbeatUs : quietHeartbeatUs;
    if (nowUs - this.#heartbeatUs >= everyUs) this.#heartbeat(nowUs);
    if (this.#stopping) return;
    if (this.#ring.backlogBytes() > this.#ring.capacityBytes / 8) setImmediate(() => this.#pollAgain());
    else this.#timer = setTimeout(() => this.#poll(), this.#pollMs);
  }

  #heartbeat(nowUs: number): void {
    // First the cell, then the ring: if that is empty, all that was read up to then has been handled.
    const readUpToUs = this.#cells.get('readUpToUs');
    if (this.#ring.backlogBytes() === 0) this.#sessions.seenUs = Math.max(this.#sessions.seenUs, readUpToUs);
    const { seenUs } = this.#sessions;
    if (seenUs === 0) return; // only just started
    this.#heartbeatUs = nowUs;
    this.#publisher.heartbeat(watermarkOf(seenUs, this.#sequencer.lastDoneSeq, this.#sessions.held()), nowUs);
  }

  #pollAgain(): void {
    if (!this.#stopping) this.#poll();
  }

  #pump(): number {
    const until = performance.now() + sliceMs;
    let taken = 0;
    for (;;) {
      const bytes = this.#ring.drain(this.#sessions);
      taken += bytes;
      if (bytes === 0 || performance.now() >= until) return taken;
    }
  }

  #openBatcher(options: CaptureWorkerOptions): Batcher {
    const { publishBufferBytes, bounds } = options.settings;
    return createBatcher(
      this.producer,
      {
        maxBufferedBytes: publishBufferBytes,
        lingerMs: requestLingerMs,
        maxInFlightRequests: bounds.requests,
        maxRequestTotalBytes: bounds.requestBytes,
      },
      {
        onAcknowledged: (record: OutgoingRecord, offset) => {
          this.ledger.acknowledged(record as CaptureRecord, record.partition, offset);
          if (this.#outbox.settled(record as CaptureRecord)) this.#publisher.released(record as CaptureRecord);
        },
        onLost: (record: OutgoingRecord, reason, everSent) => this.#onLost(record as CaptureRecord, reason, everSent),
        onAvailability: options.onAvailability,
      },
    );
  }

  #onLost(record: CaptureRecord, reason: 'kafkaRefused' | 'closed', everSent: boolean): void {
    if (reason === 'kafkaRefused') {
      this.ledger.lost(record, record.partition, GapReason.RECORD_REFUSED);
      this.#publisher.lost(record, GapReason.RECORD_REFUSED);
      this.#outbox.settled(record);
    } else if (this.#outbox.keeps(record)) this.#leftOnDisk();
    else if (everSent) this.#unfinished = true;
    else this.ledger.unreadable(record, GapReason.SHUTDOWN);
  }

  #leftOnDisk(): void {
    this.leftOnDisk = true;
    this.#unfinished = true;
  }
}

const answersOf = ({ answers, answerCapBytes }: SettingsInForce): AnswerRule => ({ answers, answerCapBytes });
