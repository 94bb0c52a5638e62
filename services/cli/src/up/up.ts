// Runs a whole stack, shows it, and ends it in order.
import {
  accountingProblems,
  exitCodeOf,
  exitCodes,
  MirrorstreamError,
  type Status,
  statusSchema,
} from '@mirrorstream/domain';
import { dataDirLayout, openDataDir, wipeDataDir } from '@mirrorstream/local';
import { formatDuration } from '../duration.ts';
import { printError } from '../print-error.ts';
import type { Phase, ViewModel } from '../view/model.ts';
import { renderSummary } from '../view/render.ts';
import { reportLine } from '../view/report-line.ts';
import { openScreen, type Screen, wantsColour } from '../view/screen.ts';
import { Interrupted, InterruptionWatch } from './interruption.ts';
import { awaitEarlierRun, RunClaim } from './run-file.ts';
import { Stack } from './stack.ts';
import type { StackPlan } from './stack-plan.ts';
import { Steps } from './steps.ts';

const limits = { drainProxyMs: 30_000, drainMs: 60_000, reportEveryMs: 5000 };

/** Resolves with the exit code when all of it has ended. */
export async function runStack(plan: StackPlan): Promise<number> {
  const watch = new InterruptionWatch((code) => process.exit(code));
  try {
    if (plan.fresh) {
      await awaitEarlierRun(dataDirLayout(plan.dataDir));
      await wipeDataDir(plan.dataDir);
    }
    const layout = await openDataDir(plan.dataDir);
    const about = {
      source: plan.sourceName,
      environment: plan.environment,
      mirrors: plan.mirrors.map((one) => one.name),
    };
    const claim = await RunClaim.take(layout, about, Date.now());
    try {
      const steps = new Steps(process.stderr, wantsColour(process.env, process.stderr.isTTY));
      return await new Run(plan, new Stack({ plan, layout, claim, steps, watch }), steps, watch).whole();
    } finally {
      await claim.release();
    }
  } finally {
    watch.close();
  }
}

class Run {
  readonly #plan: StackPlan;
  readonly #stack: Stack;
  readonly #steps: Steps;
  readonly #watch: InterruptionWatch;
  #phase: Phase = 'running';
  #startedAtMs = 0;
  #problems: string[] = [];

  constructor(plan: StackPlan, stack: Stack, steps: Steps, watch: InterruptionWatch) {
    this.#plan = plan;
    this.#stack = stack;
    this.#steps = steps;
    this.#watch = watch;
  }

  /** From nothing to nothing; resolves with the exit code. */
  async whole(): Promise<number> {
    let error: unknown;
    let last: ViewModel | undefined;
    try {
      await this.#watch.unlessInterrupted(this.#stack.start());
      await this.#showWhile(() => this.#flow());
    } catch (caught) {
      error = caught;
    }
    try {
      this.#phase = 'stopping';
      this.#steps.close();
      const drained = error === undefined;
      const catchUp = error instanceof Interrupted && error.interruption.kind === 'signal';
      // After a drain nothing can change any more: what is reported is what was checked.
      if (this.#stack.begun && drained) last = this.#model();
      await this.#stopStep('services', () => this.#stack.stop({ catchUp }));
      if (this.#stack.begun) last ??= this.#model();
      await this.#stopStep('servers', () => this.#stack.stopServers());
    } catch (caught) {
      error ??= caught;
    }
    return this.#report(error, last);
  }

  /** Shown only when there is something to stop. */
  async #stopStep(what: string, stop: () => Promise<void>): Promise<void> {
    if (!this.#stack.hasParts) return stop();
    await this.#steps.run(`Stopping the ${what}`, stop, () => `All ${what} stopped`);
  }

  /** Traffic until the time is over or somebody stops it; then, after a time that was set, the drain. */
  async #flow(): Promise<void> {
    this.#startedAtMs = Date.now();
    this.#stack.startWorkload();
    if (this.#plan.forMs === null) {
      await this.#watch.unlessInterrupted(new Promise<never>(() => {}));
      return;
    }
    await this.#watch.unlessInterrupted(pause(this.#plan.forMs));
    this.#phase = 'draining';
    await this.#watch.unlessInterrupted(this.#drain());
  }

  /** Waits until every captured transaction is accounted for on every mirror. */
  async #drain(): Promise<void> {
    await this.#stack.stopWorkload(5000);
    await this.#stack.drainProxy(limits.drainProxyMs);
    const delayMs = Math.max(...this.#plan.mirrors.map((mirror) => this.#drainAllowanceMs(mirror)));
    const deadlineMs = limits.drainMs + delayMs;
    await this.#stack.untilDrained(deadlineMs);
    const { observer } = this.#stack;
    const status = observer.status(Date.now());
    this.#problems = accountingProblems(status, { drained: true }).map((problem) => problem.message);
    if (!observer.captureEnded()) this.#problems.push('capture did not publish its final count');
    if (this.#problems.length > 0)
      this.#problems.push(`waited ${formatDuration(deadlineMs)} for the mirrors to finish`);
  }

  /** A mirror lags by its delay, and a slow one by what slowness adds to the whole run. */
  #drainAllowanceMs({ replayDelayMs, speed }: StackPlan['mirrors'][number]): number {
    return replayDelayMs + (speed < 1 ? (this.#plan.forMs ?? 0) * (1 / speed - 1) : 0);
  }

  async #showWhile(work: () => Promise<void>): Promise<void> {
    const { stdout, stderr } = process;
    const screen: Screen =
      stdout.isTTY && !this.#plan.json
        ? openScreen(stdout, () => this.#model(), wantsColour(process.env, true))
        : reportLines(
            (text) => this.#steps.say(text),
            () => this.#model(),
          );
    try {
      if (!stdout.isTTY && !this.#plan.json) stderr.write(`Proxy ready: ${this.#stack.connectWith}\n`);
      await work();
    } finally {
      screen.close();
    }
  }

  #model(): ViewModel {
    const nowMs = Date.now();
    return this.#stack.observer.view({
      phase: this.#phase,
      nowMs,
      startedAtMs: this.#startedAtMs === 0 ? nowMs : this.#startedAtMs,
      listen: this.#stack.listen,
      connectWith: this.#stack.connectWith,
      notes: [...this.#stack.workloadNotes, ...this.#problems],
    });
  }

  #report(error: unknown, last: ViewModel | undefined): number {
    const interruption = error instanceof Interrupted ? error.interruption : undefined;
    const failure =
      interruption?.kind === 'failed' ? interruption.error : interruption === undefined ? error : undefined;
    if (last !== undefined) this.#print(last);
    else if (failure === undefined) process.stderr.write('Stopped before anything ran.\n');
    if (failure !== undefined) {
      printError(failure);
      return Math.max(exitCodeOf(failure), failure instanceof MirrorstreamError ? 0 : exitCodes.componentFailed);
    }
    const broken =
      last === undefined ? [] : accountingProblems(last.status, { drained: false }).map((one) => one.message);
    const problems = [
      ...this.#problems,
      ...broken,
      ...(last === undefined ? [] : this.#stack.observer.problems(last.nowMs).map((one) => one.message)),
    ];
    if (problems.length === 0) return exitCodes.ok;
    printError(
      new MirrorstreamError('accountingViolated', `the accounting does not hold:\n${problems.join('\n')}`, {
        stage: 'up',
        hint: `See the logs in ${this.#plan.dataDir}/logs.`,
      }),
    );
    return exitCodes.componentFailed;
  }

  #print(last: ViewModel): void {
    const final: ViewModel = { ...last, phase: 'stopped' };
    if (this.#plan.json) {
      const status: Status = statusSchema.parse(final.status);
      process.stdout.write(`${JSON.stringify(status)}\n`);
      return;
    }
    const columns = process.stdout.columns ?? 100;
    const lines = renderSummary(final, columns, wantsColour(process.env, process.stdout.isTTY));
    process.stdout.write(`\n${lines.join('\n')}\n`);
  }
}

/** Where no view can be drawn: a line every few seconds. */
function reportLines(say: (text: string) => void, model: () => ViewModel): Screen {
  const timer = setInterval(() => say(reportLine(model())), limits.reportEveryMs);
  return { close: () => clearInterval(timer) };
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
