// Shows the steps of starting and stopping on stderr: updated in place on a terminal, plain lines elsewhere.

import { formatDuration } from '../duration.ts';
import { fit } from '../view/text.ts';

export interface StepOutput {
  write(text: string): unknown;
  readonly isTTY?: boolean | undefined;
  readonly columns?: number | undefined;
}

interface Step {
  readonly title: string;
  readonly startedAtMs: number;
  note: string;
  saidAtMs: number;
}

const redrawEveryMs = 100;
const sayAgainAfterMs = 5000;
const spinner = ['⠋', '⠙', '⠹', '⠸', '⠼', '⠴', '⠦', '⠧', '⠇', '⠏'];

export class Steps {
  readonly #output: StepOutput;
  readonly #colour: boolean;
  readonly #active: Step[] = [];
  #drawnLines = 0;
  #timer: NodeJS.Timeout | undefined;
  #frame = 0;

  constructor(output: StepOutput, colour: boolean) {
    this.#output = output;
    this.#colour = colour;
  }

  /** Runs `work` as a step. `note` tells what it is doing; `done` makes the closing line from the result. */
  async run<T>(
    title: string,
    work: (note: (text: string) => void) => Promise<T>,
    done?: (result: T) => string,
  ): Promise<T> {
    const step: Step = { title, startedAtMs: performance.now(), note: '', saidAtMs: performance.now() };
    this.#active.push(step);
    this.#tick();
    try {
      const result = await work((text) => this.#note(step, text));
      this.#finish(step, this.#paint('32', '✔'), done?.(result) ?? title);
      return result;
    } catch (error) {
      this.#finish(step, this.#paint('31', '✘'), title);
      throw error;
    }
  }

  /** A line of its own. */
  say(text: string): void {
    this.#erase();
    this.#output.write(`${text}\n`);
    this.#draw();
  }

  /** Forgets steps under way: for leaving in the middle. */
  close(): void {
    this.#erase();
    this.#active.length = 0;
    clearInterval(this.#timer);
  }

  #note(step: Step, text: string): void {
    step.note = text;
    if (this.#output.isTTY) return;
    const nowMs = performance.now();
    if (nowMs - step.saidAtMs < sayAgainAfterMs) return;
    step.saidAtMs = nowMs;
    this.#output.write(`  ${step.title}: ${text}\n`);
  }

  #finish(step: Step, mark: string, text: string): void {
    const at = this.#active.indexOf(step);
    if (at < 0) return;
    this.#erase();
    this.#active.splice(at, 1);
    const took = formatDuration(performance.now() - step.startedAtMs);
    this.#output.write(`${mark} ${text} ${this.#paint('2', `(${took})`)}\n`);
    this.#draw();
    this.#tick();
  }

  #tick(): void {
    if (!this.#output.isTTY) return;
    clearInterval(this.#timer);
    if (this.#active.length === 0) return;
    this.#timer = setInterval(() => {
      this.#frame++;
      this.#erase();
      this.#draw();
    }, redrawEveryMs).unref();
  }

  #draw(): void {
    if (!this.#output.isTTY) return;
    const columns = this.#output.columns ?? 80;
    for (const { title, note, startedAtMs } of this.#active) {
      const mark = spinner[this.#frame % spinner.length] ?? '';
      const seconds = ((performance.now() - startedAtMs) / 1000).toFixed(0);
      this.#output.write(`${fit(`${mark} ${title} ${seconds} s${note === '' ? '' : ` · ${note}`}`, columns - 1)}\n`);
    }
    this.#drawnLines = this.#active.length;
  }

  #erase(): void {
    if (!this.#output.isTTY || this.#drawnLines === 0) return;
    // ECMA-48: cursor up n lines, to column 1; erase to the end of the screen.
    this.#output.write(`\u001b[${this.#drawnLines}F\u001b[J`);
    this.#drawnLines = 0;
  }

  #paint(code: string, text: string): string {
    return this.#colour ? `\u001b[${code}m${text}\u001b[0m` : text;
  }
}
