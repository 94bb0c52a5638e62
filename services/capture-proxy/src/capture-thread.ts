// The forwarding thread's hand on the capture worker: starts it, starts it anew when it dies, drains and stops it.
import { randomBytes } from 'node:crypto';
import { Worker } from 'node:worker_threads';
import { createCellMemory, SharedCells } from './capture/shared-cells.ts';
import type { FromWorker, ToWorker, WorkerSettings } from './capture/worker-protocol.ts';
import { createMonoClock } from './forward/mono-clock.ts';
import type { ForwardCounts } from './forward/tap.ts';
import { createRingMemory, emptyRing, RingProducer } from './ring.ts';
import { RingTap } from './ring-tap.ts';

export interface CaptureThreadOptions {
  readonly settings: Omit<WorkerSettings, 'ringMemory' | 'cellMemory' | 'incarnation' | 'restarted'>;
  readonly ringBytes: number;
  readonly counts: ForwardCounts;
  readonly onWorkerDied: (error: Error) => void;
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

export class CaptureThread {
  readonly tap: RingTap;
  readonly #options: CaptureThreadOptions;
  readonly #nowUs = createMonoClock();
  /** One for all workers: making it anew would hold up the traffic. */
  readonly #ringMemory: SharedArrayBuffer;
  readonly #idle = new Map<number, number>();
  readonly #cellTimer: NodeJS.Timeout;
  #cells: SharedCells | null = null;
  /** What was counted before this worker began: that belongs to earlier incarnations. */
  #before = { bytes: 0, sessionsTotal: 0, ringDroppedBytes: 0, ringOverflows: 0 };
  #worker: Worker | null = null;
  #stopping = false;
  #draining = false;
  #restartMs = restartMinMs;
  #restarts = 0;

  constructor(options: CaptureThreadOptions) {
    this.#options = options;
    this.tap = new RingTap(null, { isIdle: (session, pushed) => this.#idle.get(session) === pushed });
    this.#ringMemory = createRingMemory(options.ringBytes);
    this.#startWorker();
    this.#cellTimer = setInterval(() => this.#showCounts(), cellsIntervalMs);
  }

  /** A CancelRequest went by elsewhere: noted here if its session is one of these. */
  cancelPassed(key: Uint8Array): void {
    this.tap.cancel(key, this.#nowUs());
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
    const settings: WorkerSettings = {
      ...this.#options.settings,
      ringMemory,
      cellMemory,
      restarted: this.#restarts > 0,
      incarnation: `${Date.now().toString(36)}${randomBytes(3).toString('hex')}`,
    };
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
    this.tap.useRing(new RingProducer(ringMemory), this.#nowUs());
    if (this.#draining) this.#tell({ kind: 'drain' });
  }

  #onExit(error: Error, startedMs: number): void {
    this.#worker = null;
    if (this.#stopping) return;
    this.#cells = null;
    const { bytes, sessionsTotal } = this.#options.counts;
    const { droppedBytes, overflows } = this.tap.counts;
    this.#before = { bytes, sessionsTotal, ringDroppedBytes: droppedBytes, ringOverflows: overflows };
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
    if (message.kind !== 'idle') return;
    this.#idle.clear();
    for (const [session, seen] of message.sessions) this.#idle.set(session, seen);
  }

  #tell(message: ToWorker): void {
    this.#worker?.postMessage(message);
  }

  #showCounts(): void {
    const { counts } = this.#options;
    const before = this.#before;
    this.#cells?.set('readUpToUs', this.#nowUs());
    this.#cells?.set('bytes', counts.bytes - before.bytes);
    this.#cells?.set('sessionsTotal', counts.sessionsTotal - before.sessionsTotal);
    this.#cells?.set('sessionsOpen', counts.sessionsOpen);
    this.#cells?.set('ringDroppedBytes', this.tap.counts.droppedBytes - before.ringDroppedBytes);
    this.#cells?.set('ringOverflows', this.tap.counts.overflows - before.ringOverflows);
  }
}
