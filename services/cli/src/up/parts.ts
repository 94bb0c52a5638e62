// The parts of a running stack: each is watched for an unexpected end, and can be stopped within a time.
import { MirrorstreamError } from '@mirrorstream/domain';
import { exitError, type ProcessExit } from '@mirrorstream/local';
import { logPath } from './log-files.ts';

/** What the servers of @mirrorstream/local and tied processes have in common. */
export interface Part {
  readonly name: string;
  readonly pid: number;
  readonly exited: Promise<ProcessExit>;
  stop(): Promise<ProcessExit>;
  kill9(): Promise<ProcessExit>;
}

export class Parts {
  readonly #parts: Part[] = [];
  readonly #starting = new Set<Promise<Part>>();
  readonly #stopping = new Set<string>();
  readonly #logsDir: string;
  readonly #onStarted: (part: Part) => void;
  readonly #onFailure: (error: Error) => void;

  constructor(logsDir: string, onStarted: (part: Part) => void, onFailure: (error: Error) => void) {
    this.#logsDir = logsDir;
    this.#onStarted = onStarted;
    this.#onFailure = onFailure;
  }

  /** Registers what is being started, so that it is stopped even if the start is given up half-way. */
  async start<T extends Part>(starting: Promise<T>): Promise<T> {
    this.#starting.add(starting);
    try {
      const part = await starting;
      this.#parts.push(part);
      this.#onStarted(part);
      void part.exited.then((exit) => {
        if (!exit.expected && !this.#stopping.has(part.name)) this.#onFailure(endedError(exit, this.#logsDir));
      });
      return part;
    } finally {
      this.#starting.delete(starting);
    }
  }

  /** Whether anything runs or is being started. */
  get any(): boolean {
    return this.#parts.length + this.#starting.size > 0;
  }

  /** Stops the parts of these names together; what is not done after `graceMs` is killed. */
  async stop(wanted: (name: string) => boolean, graceMs: number): Promise<void> {
    const chosen = this.#parts.filter((part) => wanted(part.name));
    await Promise.all(
      chosen.map(async (part) => {
        this.#stopping.add(part.name);
        const late = Symbol('late');
        const first = await Promise.race([part.stop(), timer(graceMs, late)]);
        if (first === late) await part.kill9();
      }),
    );
  }

  /** Kills what is left, and what is still being started as soon as it can be taken hold of, waiting no longer than `graceMs`. */
  async killRest(graceMs: number): Promise<void> {
    const rest = this.#parts.map((part) => {
      this.#stopping.add(part.name);
      return part.kill9();
    });
    const started = [...this.#starting].map((starting) =>
      starting.then(
        (part) => part.kill9(),
        () => {},
      ),
    );
    // Whatever outlasts this is killed by its guardian when this process ends.
    await Promise.race([Promise.all([...rest, ...started]), timer(graceMs, undefined)]);
  }
}

/** The error for a part that ended by itself: its name, its last lines, and where its log is. */
export function endedError(exit: ProcessExit, logsDir: string): MirrorstreamError {
  const { code, message, stage } = exitError(exit);
  return new MirrorstreamError(code, message, { stage, hint: `The whole log is ${logPath(logsDir, exit.name)}` });
}

function timer<T>(ms: number, value: T): Promise<T> {
  return new Promise((resolve) => setTimeout(resolve, ms, value).unref());
}
