// Which code ran since it was last asked, by V8's own counters: tells the fuzzer which cases reach something new.
import { Session } from 'node:inspector/promises';

export class Coverage {
  readonly #session = new Session();
  readonly #seen = new Set<string>();

  static async start(): Promise<Coverage> {
    const coverage = new Coverage();
    coverage.#session.connect();
    await coverage.#session.post('Profiler.enable');
    await coverage.#session.post('Profiler.startPreciseCoverage', { callCount: true, detailed: true });
    return coverage;
  }

  get size(): number {
    return this.#seen.size;
  }

  /** Blocks of this repository's code that ran for the first time. */
  async news(): Promise<Set<string>> {
    const fresh = new Set<string>();
    for (const block of await this.#ran()) if (!this.#seen.has(block)) fresh.add(block);
    for (const block of fresh) this.#seen.add(block);
    return fresh;
  }

  /** Whether one of the wanted blocks ran since the last question; it is wanted no more then. */
  async reached(wanted: Set<string>): Promise<boolean> {
    const before = wanted.size;
    for (const block of await this.#ran()) wanted.delete(block);
    return wanted.size < before;
  }

  /** V8 counts from zero after each question. */
  async #ran(): Promise<string[]> {
    const { result } = await this.#session.post('Profiler.takePreciseCoverage');
    const blocks: string[] = [];
    for (const { url, functions } of result) {
      if (!/\/libs\/(capture|pg-wire|compare|envelope)\/src\//.test(url)) continue;
      for (const { ranges } of functions) {
        for (const { startOffset, endOffset, count } of ranges) {
          if (count > 0) blocks.push(`${url}:${startOffset}:${endOffset}`);
        }
      }
    }
    return blocks;
  }

  stop(): void {
    this.#session.disconnect();
  }
}
