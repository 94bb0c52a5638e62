// CPU time of a process by thread, read again and again, so that the share of any moment can be told afterwards.
import { cpuTime } from '../proxy/process-usage.ts';

interface Reading {
  readonly atUs: number;
  readonly mainUs: number;
  readonly restUs: number;
}

const everyMs = 100;

export class ThreadUsage {
  readonly #pids: readonly number[];
  readonly #readings: Reading[] = [];
  readonly #timer: NodeJS.Timeout;

  constructor(pids: readonly number[]) {
    this.#pids = pids;
    this.#read();
    this.#timer = setInterval(() => this.#read(), everyMs);
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#read();
  }

  /** µs of CPU between two moments (µs since the epoch) on the threads the processes began with, and on all others. */
  between(fromUs: number, toUs: number): { readonly mainUs: number; readonly restUs: number } {
    const from = this.#at(fromUs);
    const to = this.#at(toUs);
    return { mainUs: to.mainUs - from.mainUs, restUs: to.restUs - from.restUs };
  }

  #read(): void {
    const atUs = (performance.timeOrigin + performance.now()) * 1000;
    const { forwarding, capture, rest } = cpuTime(this.#pids);
    this.#readings.push({ atUs, mainUs: forwarding, restUs: capture + rest });
  }

  /** Between two readings: in proportion. */
  #at(atUs: number): Reading {
    const after = this.#readings.findIndex((reading) => reading.atUs >= atUs);
    const last = this.#readings.at(-1) as Reading;
    if (after < 0) return last;
    const next = this.#readings[after] as Reading;
    const before = this.#readings[after - 1] ?? next;
    const share = next.atUs === before.atUs ? 1 : (atUs - before.atUs) / (next.atUs - before.atUs);
    return {
      atUs,
      mainUs: before.mainUs + share * (next.mainUs - before.mainUs),
      restUs: before.restUs + share * (next.restUs - before.restUs),
    };
  }
}
