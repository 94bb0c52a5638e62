// Progress of something long, as a bar on a terminal and as a line now and then elsewhere.
import type { WriteStream } from 'node:tty';
import { formatDuration } from '../duration.ts';
import { fit, formatCount } from '../view/text.ts';

export interface Progress {
  readonly what: string;
  readonly done: number;
  readonly total: number;
  readonly unit: string;
  /** How much of `done` was there when this process began: no measure of its speed. */
  readonly doneBefore: number;
  readonly elapsedMs: number;
  /** Said behind it. */
  readonly more?: string;
}

const barColumns = 24;
const lineEveryMs = 5_000;
const redrawEveryMs = 100;

/** `replay incident  [######··················]  25 %  1 000 of 4 000 transactions · 250/s · 12.0 s left`. */
export function progressLine(progress: Progress, columns: number): string {
  const { what, done, total, unit, elapsedMs, more } = progress;
  const share = total === 0 ? 1 : Math.min(1, done / total);
  const filled = Math.floor(share * barColumns);
  const bar = `[${'#'.repeat(filled)}${'·'.repeat(barColumns - filled)}]`;
  const perMs = elapsedMs <= 0 ? 0 : Math.max(0, done - progress.doneBefore) / elapsedMs;
  const facts = [
    `${formatCount(done)} of ${formatCount(total)} ${unit}`,
    ...(perMs > 0 ? [`${formatCount(perMs * 1000)}/s`] : []),
    ...(perMs > 0 && done < total ? [`${formatDuration((total - done) / perMs)} left`] : []),
    ...(more === undefined ? [] : [more]),
  ];
  return fit(`${what}  ${bar} ${String(Math.floor(share * 100)).padStart(3)} %  ${facts.join(' · ')}`, columns);
}

/** Writes to stderr: stdout is for results. */
export class ProgressBar {
  readonly #terminal: Pick<WriteStream, 'write' | 'isTTY' | 'columns'>;
  #shownAtMs = Number.NEGATIVE_INFINITY;
  #open = false;

  constructor(terminal: Pick<WriteStream, 'write' | 'isTTY' | 'columns'> = process.stderr) {
    this.#terminal = terminal;
  }

  show(progress: Progress): void {
    const nowMs = performance.now();
    if (nowMs - this.#shownAtMs < (this.#terminal.isTTY ? redrawEveryMs : lineEveryMs)) return;
    this.#shownAtMs = nowMs;
    if (this.#terminal.isTTY) this.#terminal.write(`\r${progressLine(progress, this.#terminal.columns || 80)}\u001b[K`);
    else this.#terminal.write(`${progressLine(progress, 200)}\n`);
    this.#open = this.#terminal.isTTY === true;
  }

  /** A line of its own; the bar is gone until it is shown again. */
  say(text: string): void {
    this.end();
    this.#terminal.write(`${text}\n`);
  }

  end(): void {
    if (this.#open) this.#terminal.write('\r\u001b[K');
    this.#open = false;
    this.#shownAtMs = Number.NEGATIVE_INFINITY;
  }
}
