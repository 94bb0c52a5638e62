// One timer for all lanes, exact to well below a millisecond: sleeps until shortly before, then looks again in each turn of the loop.
import { type Sleeper, WakeHeap } from './wake-heap.ts';

/** setTimeout is up to a millisecond late; closer than this the event loop is turned instead. */
const SPIN_US = 1_200;
const MAX_SLEEP_MS = 60_000;

export class Alarm<T extends Sleeper> {
  readonly #heap = new WakeHeap<T>();
  readonly #nowUs: () => number;
  readonly #wake: (sleeper: T) => void;
  #timer: NodeJS.Timeout | null = null;
  #timerAtUs = Number.POSITIVE_INFINITY;
  #spinning = false;
  #stopped = false;

  constructor(nowUs: () => number, wake: (sleeper: T) => void) {
    this.#nowUs = nowUs;
    this.#wake = wake;
  }

  set(sleeper: T, atUs: number): void {
    this.#heap.set(sleeper, atUs);
    if (atUs < this.#timerAtUs) this.#arm();
  }

  stop(): void {
    this.#stopped = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
  }

  #arm(): void {
    if (this.#stopped || this.#spinning) return;
    const atUs = this.#heap.nextAtUs();
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    this.#timerAtUs = atUs;
    if (atUs === Number.POSITIVE_INFINITY) return;
    const restUs = atUs - this.#nowUs();
    if (restUs <= SPIN_US) {
      this.#spinning = true;
      setImmediate(() => this.#ring());
      return;
    }
    const sleepMs = Math.min(MAX_SLEEP_MS, Math.floor((restUs - SPIN_US) / 1000) + 1);
    this.#timer = setTimeout(() => this.#ring(), sleepMs);
  }

  #ring(): void {
    this.#spinning = false;
    this.#timerAtUs = Number.POSITIVE_INFINITY;
    const nowUs = this.#nowUs();
    for (let due = this.#heap.takeDue(nowUs); due !== null && !this.#stopped; due = this.#heap.takeDue(nowUs))
      this.#wake(due);
    this.#arm();
  }
}
