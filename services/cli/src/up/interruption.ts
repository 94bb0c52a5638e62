// What can end a run before its time: a signal from outside, or a part that failed. The first one wins.
import { exitCodes } from '@mirrorstream/domain';

export type Interruption =
  | { readonly kind: 'signal'; readonly signal: NodeJS.Signals }
  | { readonly kind: 'failed'; readonly error: Error };

/** Thrown by `unlessInterrupted`. */
export class Interrupted extends Error {
  readonly interruption: Interruption;
  constructor(interruption: Interruption) {
    super('interrupted');
    this.interruption = interruption;
  }
}

const signals: readonly NodeJS.Signals[] = ['SIGINT', 'SIGTERM', 'SIGHUP'];
/** One Ctrl-C can arrive twice: from the terminal, and passed on by npm. Later ones are meant. */
const sameKeystrokeMs = 700;

export class InterruptionWatch {
  readonly interrupted: Promise<Interruption>;
  #resolve: (interruption: Interruption) => void = () => {};
  #firstAtMs: number | undefined;
  #current: Interruption | undefined;
  readonly #onSignal: (signal: NodeJS.Signals) => void;

  /** `leaveAtOnce` is called on a second signal: it must end the process. */
  constructor(leaveAtOnce: (exitCode: number) => void) {
    this.interrupted = new Promise((resolve) => {
      this.#resolve = resolve;
    });
    this.#onSignal = (signal) => {
      const nowMs = performance.now();
      if (this.#firstAtMs === undefined) {
        this.#firstAtMs = nowMs;
        this.#set({ kind: 'signal', signal });
      } else if (nowMs - this.#firstAtMs > sameKeystrokeMs) leaveAtOnce(exitCodes.componentFailed);
    };
    for (const signal of signals) process.on(signal, this.#onSignal);
  }

  get current(): Interruption | undefined {
    return this.#current;
  }

  fail(error: Error): void {
    this.#set({ kind: 'failed', error });
  }

  /** The result of `work`, or Interrupted as soon as there is an interruption. `work` itself goes on. */
  async unlessInterrupted<T>(work: Promise<T>): Promise<T> {
    work.catch(() => {}); // If it fails after an interruption nobody waits for it any more.
    const interrupted = this.interrupted.then((interruption) => {
      throw new Interrupted(interruption);
    });
    if (this.#current !== undefined) throw new Interrupted(this.#current);
    return Promise.race([work, interrupted]);
  }

  close(): void {
    for (const signal of signals) process.off(signal, this.#onSignal);
  }

  #set(interruption: Interruption): void {
    if (this.#current !== undefined) return;
    this.#current = interruption;
    this.#resolve(interruption);
  }
}
