// The coordinator's shell: looks again when something moved or time passed, and exchanges progress with the mirror's other replayers.
import type { RunCapture } from '@mirrorstream/domain';
import type { Envelope, EnvelopeBatch } from '@mirrorstream/envelope';
import {
  type CaptureOrigin,
  isUnexplained,
  type LaneResult,
  OrderCoordinator,
  type OrderGate,
  type OrderOptions,
} from '@mirrorstream/replay';
import type { Progress } from './progress.ts';

/** Bounds are looked at so often while somebody waits. */
const LOOK_EVERY_MS = 2;

export class OrderKeeper {
  readonly order: OrderCoordinator;
  readonly keeps: boolean;
  /** Transactions with a difference that were replayed out of order, or that a write of another session overlapped. */
  divergedByOrder = 0;
  readonly #nowUs: () => number;
  readonly #onLook: () => void;
  #progress: Progress | null = null;
  #looking = false;
  #timer: NodeJS.Timeout | null = null;

  /** `onLook`: every few ms while the order is kept. */
  constructor(partitionCount: number, options: OrderOptions, nowUs: () => number, onLook: () => void) {
    this.order = new OrderCoordinator(partitionCount, options);
    this.keeps = options.keeps;
    this.#nowUs = nowUs;
    this.#onLook = onLook;
  }

  start(progress: Progress | null): void {
    this.#progress = progress;
    if (!this.keeps) return;
    this.#timer = setInterval(() => {
      this.order.advance(this.#nowUs());
      this.#onLook();
    }, LOOK_EVERY_MS);
  }

  async stop(): Promise<void> {
    if (this.#timer !== null) clearInterval(this.#timer);
    await this.#progress?.stop();
  }

  assign(partitions: readonly number[]): void {
    this.order.assign(partitions);
    this.moved();
  }

  expect(origins: Iterable<CaptureOrigin>): void {
    for (const origin of origins) this.order.expect(origin);
  }

  /** Of a run: whom its window holds, and from when on. */
  begins(captures: Iterable<RunCapture>): void {
    for (const capture of captures)
      this.order.begins(capture, Number(capture.beginsAtUs), Number(capture.beginsAtMonoUs));
  }

  /** Envelopes of a batch that are to be played, and what it promises; before any lane has them. */
  read(batch: EnvelopeBatch, envelopes: readonly Envelope[]): void {
    for (const envelope of envelopes) this.order.read(batch, envelope);
    this.order.promise(batch);
    this.moved();
  }

  /** It will not be played after all. */
  drop(envelope: Envelope): void {
    this.order.settled(envelope);
    this.moved();
  }

  /** Of a result: whether it differs where order may be why. */
  count({ raced, order, statements }: LaneResult): void {
    const differs = raced || (order !== '' && statements.some(isUnexplained));
    if (differs) this.divergedByOrder += 1;
  }

  gate(wake: () => void): OrderGate {
    const gate = this.order.gate(wake);
    return {
      ...gate,
      answered: (exchange) => {
        gate.answered(exchange);
        this.moved();
      },
      awaitsWrite: (exchange, nowUs) => {
        const awaits = gate.awaitsWrite(exchange, nowUs);
        if (awaits) this.moved();
        return awaits;
      },
      retried: (exchange, yields) => {
        gate.retried(exchange, yields);
        this.moved();
      },
      settled: (envelope) => {
        const mark = gate.settled(envelope);
        this.moved();
        return mark;
      },
    };
  }

  /** Looks once all that happens in this turn has happened. */
  moved(): void {
    if (!this.keeps) return;
    this.#progress?.moved();
    if (this.#looking) return;
    this.#looking = true;
    queueMicrotask(() => {
      this.#looking = false;
      this.order.advance(this.#nowUs());
    });
  }
}
