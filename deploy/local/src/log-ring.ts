// Keeps the last lines of an output that arrives in chunks, within fixed bounds.

export interface LogRingLimits {
  /** Lines kept. */
  readonly lines: number;
  /** Longer lines are cut. */
  readonly lineLength: number;
}

export const defaultLogRingLimits: LogRingLimits = { lines: 40, lineLength: 2000 };

/** Splits chunks of text into lines, hands each to `onLine` and keeps the last ones. */
export class LogRing {
  readonly #limits: LogRingLimits;
  readonly #onLine: ((line: string) => void) | undefined;
  readonly #lines: string[] = [];

  constructor(limits: LogRingLimits = defaultLogRingLimits, onLine?: (line: string) => void) {
    this.#limits = limits;
    this.#onLine = onLine;
  }

  /** A reader for one stream: each has its own unfinished line. Call with the chunks, then with undefined at the end. */
  stream(): (chunk: string | undefined) => void {
    let rest = '';
    return (chunk) => {
      const text = rest + (chunk ?? '');
      const pieces = text.split('\n');
      // A line without end must not grow without bound: it is cut where it is too long anyway.
      rest = (pieces.pop() ?? '').slice(0, this.#limits.lineLength);
      for (const piece of pieces) this.#push(piece);
      if (chunk === undefined && rest !== '') {
        this.#push(rest);
        rest = '';
      }
    };
  }

  lines(): string[] {
    return [...this.#lines];
  }

  #push(text: string): void {
    const line = text.replace(/\r$/, '').slice(0, this.#limits.lineLength);
    this.#lines.push(line);
    if (this.#lines.length > this.#limits.lines) this.#lines.shift();
    this.#onLine?.(line);
  }
}
