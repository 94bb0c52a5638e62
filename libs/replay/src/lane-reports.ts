// What leaves a lane: one result for each part and for the session's end, in the order of the session.
import type { LaneClock } from './lane-clock.ts';
import type { LaneQueue } from './lane-queue.ts';
import { LaneResults } from './lane-results.ts';
import type { LaneEffect, LaneInput, LaneOptions, RecordPlace, ResultEffect } from './lane-types.ts';
import type { PartWork, SkippedWork } from './lane-work.ts';

export class LaneReports {
  readonly #options: LaneOptions;
  readonly #queue: LaneQueue;
  readonly #clock: LaneClock;
  readonly #out: (effect: LaneEffect) => void;
  readonly #results: LaneResults;
  /** Results that Kafka does not have yet. */
  #unacknowledged = 0;

  constructor(options: LaneOptions, queue: LaneQueue, clock: LaneClock, out: (effect: LaneEffect) => void) {
    this.#options = options;
    this.#queue = queue;
    this.#clock = clock;
    this.#out = out;
    this.#results = new LaneResults(options.sessionId);
  }

  /** Parts sent, or given up, whose result Kafka does not have. */
  get unsettled(): number {
    return this.#unacknowledged + this.#queue.unreported;
  }

  acknowledged(): void {
    this.#unacknowledged -= 1;
  }

  /** Taken in before: settled without a result. */
  duplicate({ place, envelope, sizeBytes }: Extract<LaneInput, { kind: 'envelope' }>): void {
    const transactions = envelope.lastPart ? 1 : 0;
    this.#options.order?.settled(envelope);
    this.#out({ kind: 'duplicate', offset: place.offset, transactions, releasedBytes: sizeBytes });
  }

  /** Reports what can be reported. True: the session has ended, and with it the lane. */
  publish(nothingUnderWay: boolean): boolean {
    for (let work = this.#queue.reportable(); work !== null; work = this.#queue.reportable()) {
      if (work.kind === 'sessionEnd') {
        const { pacing } = this.#options;
        if (!nothingUnderWay || !this.#clock.reached(pacing.dueAtUs(work.atUs, this.#clock.nowUs))) return false;
        this.#out(this.#results.ofSessionEnd(work));
        return true;
      }
      this.#out(this.#resultOf(work));
      this.#unacknowledged += 1;
      this.#queue.reported();
    }
    return false;
  }

  /** Everything that waits has failed, and so has what came in just now, unless the step that broke had settled it: see `said`. */
  surrender(input: LaneInput, said: readonly LaneEffect[]): void {
    if (input.kind === 'envelope' && !isSettled(input.place, said)) this.#queue.takeFailed(input, 'internal');
    for (const work of this.#queue.giveUp('internal'))
      this.#out(work.kind === 'sessionEnd' ? this.#results.ofSessionEnd(work) : this.#resultOf(work));
    for (const offset of this.#results.release(null))
      this.#out({ kind: 'duplicate', offset, transactions: 0, releasedBytes: 0 });
  }

  #resultOf(work: PartWork | SkippedWork): ResultEffect {
    if (work.kind === 'skipped') return this.#results.ofSkipped(work.place, work.facts, work.skip, work.sizeBytes);
    const order = this.#options.order?.settled(work.envelope) ?? '';
    return this.#results.ofPart(work, work.tally.outcome(), order);
  }
}

function isSettled({ offset, index }: RecordPlace, said: readonly LaneEffect[]): boolean {
  return said.some(
    (effect) =>
      (effect.kind === 'duplicate' && effect.offset === offset) ||
      (effect.kind === 'result' && effect.result.ref.offset === offset && effect.result.ref.index === index),
  );
}
