// The forwarding thread's hand on the capture worker: starts it, starts it anew when it dies, drains and stops it.
import { randomBytes } from 'node:crypto';
import { Worker } from 'node:worker_threads';
import { samplingDrawOf } from '@mirrorstream/capture';
import { gapReasons } from '@mirrorstream/domain';
import { sessionIdOf } from './capture/session-id.ts';
import { createCellMemory, type SharedCell, SharedCells } from './capture/shared-cells.ts';
import {
  createNumberMemory,
  gatheringLimitBytes,
  readNumbers,
  type WorkerBuffer,
  type WorkerNumbers,
} from './capture/worker-numbers.ts';
import type { FromWorker, IdleSession, SettingsInForce, ToWorker, WorkerSettings } from './capture/worker-protocol.ts';
import { createMonoClock } from './forward/mono-clock.ts';
import type { ForwardCounts, Idleness } from './forward/tap.ts';
import { createRingMemory, emptyRing, RingProducer } from './ring.ts';
import { RingTap, type TapRule } from './ring-tap.ts';

export interface CaptureThreadOptions {
  readonly settings: Omit<
    WorkerSettings,
    'ringMemory' | 'cellMemory' | 'numberMemory' | 'incarnation' | 'restarted' | 'settings'
  >;
  readonly ringBytes: number;
  readonly counts: ForwardCounts;
  readonly onWorkerDied: (error: Error) => void;
  /** The control topic says something new, and it is in force. */
  readonly onSettings?: (settings: SettingsInForce) => void;
  /** The worker's module; tests give their own. */
  readonly entry?: URL;
}

/** The worker's heap: what it holds is bounded by configuration, this is for the case that it is not. */
const workerHeapMb = 1_024;
/** Drafts live for some milliseconds: room enough that they die young, and no old heap is searched for them. */
const workerYoungHeapMb = 96;
const cellsIntervalMs = 100;
const restartMinMs = 200;
const restartMaxMs = 30_000;
/** A worker that lived this long starts anew without much delay. */
const healthyAfterMs = 60_000;

/** What is counted from the start of the process, and shown to a worker from its own start. */
const countedCells = [
  'bytes',
  'sessionsTotal',
  'ringDroppedBytes',
  'ringOverflows',
  'unsampledSessions',
  'unsampledBytes',
  'captureOffSessions',
  'captureOffBytes',
] as const satisfies readonly SharedCell[];
type CountedCell = (typeof countedCells)[number];

export class CaptureThread {
  readonly tap: RingTap;
  readonly #options: CaptureThreadOptions;
  readonly #nowUs = createMonoClock();
  /** One for all workers: making it anew would hold up the traffic. */
  readonly #ringMemory: SharedArrayBuffer;
  readonly #idle = new Map<number, IdleSession>();
  readonly #controlKnown = Promise.withResolvers<void>();
  #settings: SettingsInForce;
  readonly #cellTimer: NodeJS.Timeout;
  #cells: SharedCells | null = null;
  /** What was counted before this worker began: that belongs to earlier incarnations. */
  #before: Readonly<Record<CountedCell, number>>;
  #worker: Worker | null = null;
  #ring: RingProducer | null = null;
  #numberMemory = createNumberMemory();
  /** What workers that died had counted. */
  #ended = readNumbers(this.#numberMemory);
  #stopping = false;
  #draining = false;
  #restartMs = restartMinMs;
  #restarts = 0;

  constructor(options: CaptureThreadOptions) {
    this.#options = options;
    this.#settings = { ...options.settings.flags, revision: null };
    this.tap = new RingTap(
      null,
      { idle: (session, pushed) => this.#idleness(session, pushed) },
      ruleOf(this.#settings),
    );
    this.#before = this.#counted();
    this.#ringMemory = createRingMemory(options.ringBytes);
    this.#startWorker();
    this.#cellTimer = setInterval(() => this.#showCounts(), cellsIntervalMs);
  }

  /** Resolves when the control topic's word is in force, or cannot be had within the deadline: then the flags' holds. */
  async controlKnown(deadlineMs: number): Promise<boolean> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<boolean>((resolve) => {
      timer = setTimeout(() => resolve(false), deadlineMs);
    });
    const known = await Promise.race([this.#controlKnown.promise.then(() => true), late]);
    clearTimeout(timer);
    return known;
  }

  get settings(): SettingsInForce {
    return this.#settings;
  }

  /** The worker's numbers, as of a second ago; counts are since the process began. */
  numbers(): WorkerNumbers {
    const now = readNumbers(this.#numberMemory);
    const dropped = { ...now.dropped };
    for (const reason of gapReasons) dropped[reason] += this.#ended.dropped[reason];
    const { spoolFailures, lateCancels } = this.#ended;
    return {
      ...now,
      dropped,
      spoolFailures: now.spoolFailures + spoolFailures,
      lateCancels: now.lateCancels + lateCancels,
    };
  }

  /** Bytes of the ring that wait for the worker. */
  ringUsedBytes(): number {
    return this.#ring === null ? 0 : this.#ring.capacityBytes - this.#ring.freeBytes();
  }

  /** What each buffer may hold. */
  limits(): Readonly<Record<WorkerBuffer | 'ring', number>> {
    const { assemblyBytes, publishBufferBytes, spool, partitions, limits, bounds } = this.#options.settings;
    const contextBytes = limits.maxSettingBytes + limits.maxStatementBytes;
    return {
      ring: this.#ring?.capacityBytes ?? 0,
      look: bounds.lookBytes,
      assembly: assemblyBytes,
      largestSession: limits.sessionBufferBytes + contextBytes,
      context: this.numbers().sessions * contextBytes,
      gathering: gatheringLimitBytes(partitions, bounds.recordBytes, limits.partBytes),
      publish: publishBufferBytes,
      requests: Math.min(publishBufferBytes, bounds.requests * bounds.requestBytes),
      earlierSpool: bounds.earlierSpoolBytes,
      recordPool: bounds.recordPoolBytes,
      requestPool: bounds.requestPoolBytes,
      spoolTail: spool === null ? 0 : publishBufferBytes / 2,
      spool: spool?.maxBytes ?? 0,
    };
  }

  /** Sessions whose gaps may wait to be told one by one. */
  get gapSessionsLimit(): number {
    return this.#options.settings.bounds.gapSessions * this.#options.settings.partitions;
  }

  /** A CancelRequest went by elsewhere at this time (the clock is the host's): noted here if its session is one of these. */
  cancelPassed(key: Uint8Array, monoUs: number): void {
    this.tap.cancel(key, monoUs);
  }

  /** From now on the tap knows which sessions are idle. */
  drain(): void {
    this.#draining = true;
    this.#tell({ kind: 'drain' });
  }

  /** Publishes what was captured, for at most deadlineMs. True: everything. */
  async stop(deadlineMs: number): Promise<boolean> {
    this.#stopping = true;
    clearInterval(this.#cellTimer);
    this.#showCounts();
    const worker = this.#worker;
    if (worker === null) return false;
    const stopped = new Promise<boolean>((resolve) => {
      worker.on('message', (message: FromWorker) => {
        if (message.kind === 'stopped') resolve(message.complete);
      });
      worker.once('exit', () => resolve(false));
    });
    this.#tell({ kind: 'stop', deadlineMs });
    // The worker keeps the deadline itself; this is for a worker that hangs.
    let timer: NodeJS.Timeout | undefined;
    const overdue = new Promise<boolean>((resolve) => {
      timer = setTimeout(() => resolve(false), deadlineMs + 5_000);
    });
    const complete = await Promise.race([stopped, overdue]);
    clearTimeout(timer);
    await worker.terminate();
    return complete;
  }

  #startWorker(): void {
    const ringMemory = this.#ringMemory;
    emptyRing(ringMemory);
    const cellMemory = createCellMemory();
    const numberMemory = createNumberMemory();
    const settings: WorkerSettings = {
      ...this.#options.settings,
      ringMemory,
      cellMemory,
      numberMemory,
      settings: this.#settings,
      restarted: this.#restarts > 0,
      incarnation: `${Date.now().toString(36)}${randomBytes(3).toString('hex')}`,
    };
    const { incarnation } = settings;
    const startedMs = performance.now();
    const worker = new Worker(this.#options.entry ?? new URL('./capture/worker.ts', import.meta.url), {
      name: 'capture',
      workerData: settings,
      resourceLimits: { maxOldGenerationSizeMb: workerHeapMb, maxYoungGenerationSizeMb: workerYoungHeapMb },
    });
    let failure: Error | null = null;
    worker.on('message', (message: FromWorker) => this.#onMessage(message));
    worker.on('error', (error) => {
      failure = error as Error;
    });
    worker.on('exit', (code) => this.#onExit(failure ?? new Error(`exit code ${code}`), startedMs));
    this.#worker = worker;
    this.#cells = new SharedCells(cellMemory);
    this.#idle.clear();
    const drawOf = (id: number): number => samplingDrawOf(sessionIdOf(incarnation, id));
    this.#ring = new RingProducer(ringMemory);
    this.#numberMemory = numberMemory;
    this.tap.useRing(this.#ring, this.#nowUs(), drawOf);
    if (this.#draining) this.#tell({ kind: 'drain' });
  }

  #onExit(error: Error, startedMs: number): void {
    this.#worker = null;
    if (this.#stopping) return;
    this.#cells = null;
    this.#before = this.#counted();
    this.#ended = this.numbers();
    this.#numberMemory = createNumberMemory();
    this.tap.useRing(null, this.#nowUs());
    this.#restarts += 1;
    this.#options.onWorkerDied(error);
    if (performance.now() - startedMs > healthyAfterMs) this.#restartMs = restartMinMs;
    setTimeout(() => {
      if (!this.#stopping) this.#startWorker();
    }, this.#restartMs);
    this.#restartMs = Math.min(restartMaxMs, this.#restartMs * 2);
  }

  #onMessage(message: FromWorker): void {
    switch (message.kind) {
      case 'idle':
        this.#idle.clear();
        for (const session of message.sessions) this.#idle.set(session[0], session);
        return;
      case 'control':
        this.#use(message.settings);
        return;
      case 'stopped':
        return;
      default:
        message satisfies never;
    }
  }

  #use(settings: SettingsInForce): void {
    const changed = JSON.stringify(settings) !== JSON.stringify(this.#settings);
    this.#settings = settings;
    this.tap.useRule(ruleOf(settings), this.#nowUs());
    this.#tell({ kind: 'settings', settings });
    if (changed) this.#options.onSettings?.(settings);
    this.#controlKnown.resolve();
  }

  #idleness(session: number, pushed: number): Idleness {
    const told = this.#idle.get(session);
    if (told === undefined || told[1] !== pushed) return 'no';
    return told[2] ? 'yes' : 'unknown';
  }

  #tell(message: ToWorker): void {
    this.#worker?.postMessage(message);
  }

  #showCounts(): void {
    this.#cells?.set('readUpToUs', this.#nowUs());
    this.#cells?.set('sessionsOpen', this.#options.counts.sessionsOpen);
    const counted = this.#counted();
    for (const cell of countedCells) this.#cells?.set(cell, counted[cell] - this.#before[cell]);
  }

  #counted(): Readonly<Record<CountedCell, number>> {
    const { bytes, sessionsTotal } = this.#options.counts;
    const { droppedBytes, overflows, unsampled, captureOff } = this.tap.counts;
    return {
      bytes,
      sessionsTotal,
      ringDroppedBytes: droppedBytes,
      ringOverflows: overflows,
      unsampledSessions: unsampled.sessions,
      unsampledBytes: unsampled.bytes,
      captureOffSessions: captureOff.sessions,
      captureOffBytes: captureOff.bytes,
    };
  }
}

const ruleOf = ({ capture, sampling }: SettingsInForce): TapRule => ({ capture: capture === 'on', sampling });
