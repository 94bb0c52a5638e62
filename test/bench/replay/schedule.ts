// How exactly `timed` keeps production's moments, at its pace and ten times as fast, and how fast it catches up when it was away.
import { runThrottled } from '../proxy/pgbench.ts';
import type { Load } from '../proxy/plan.ts';
import { median, percentile } from '../proxy/statistics.ts';
import type { Settings } from './flags.ts';
import { type Played, type ReplayRun, replayOnce } from './replay-run.ts';
import type { CatchUpSample, ScheduleSample } from './result.ts';
import { type Captured, capture, resetTables, type Stage } from './stage.ts';

type Say = (line: string) => void;

/** With think times: about 30 ms between the transactions of a session. */
export const load: Load = { workload: 'select', protocol: 'prepared', clients: 12 };
export const ratePerSecond = 400;
const speeds = [1, 10] as const;
/** From the moment the replayer is started to the first transaction's. */
const leadMs = 8_000;
/** Beyond its schedule a replay is given up. */
const graceMs = 300_000;

export interface PacedTraffic {
  readonly captured: Captured;
  readonly startedAtMs: number;
  readonly seconds: number;
}

export async function capturePaced(stage: Stage, { thinkSeconds }: Settings): Promise<PacedTraffic> {
  await resetTables(stage.source, stage.mirror);
  let startedAtMs = 0;
  const captured = await capture(stage, stage.source.port, (port) => {
    startedAtMs = Date.now();
    return runThrottled(port, load, ratePerSecond, thinkSeconds);
  });
  return { captured, startedAtMs, seconds: thinkSeconds };
}

export async function measureSchedule(stage: Stage, traffic: PacedTraffic, say: Say): Promise<ScheduleSample[]> {
  const samples: ScheduleSample[] = [];
  for (const speed of speeds) {
    const delayMs = Date.now() - traffic.startedAtMs + leadMs;
    const flags = ['--speed', String(speed), '--replay-delay-ms', String(delayMs)];
    const run = await play(stage, traffic, flags, leadMs + (traffic.seconds * 1000) / speed);
    const sample = scheduleOf(speed, traffic.seconds, run);
    samples.push(sample);
    const { p50Us, p99Us, driftUs, driftByMinuteUs } = sample;
    const byMinute =
      driftByMinuteUs.length === 0 ? '' : `; by minute ${driftByMinuteUs.map((it) => Math.round(it)).join(', ')} µs`;
    say(
      `speed ${speed}: error p50 ${Math.round(p50Us)} µs, p99 ${Math.round(p99Us)} µs, drift ${Math.round(driftUs)} µs${byMinute}`,
    );
  }
  return samples;
}

/** All of the traffic is overdue when the replayer starts, as after a pause that was as long as the traffic. */
export async function measureCatchUp(stage: Stage, traffic: PacedTraffic, say: Say): Promise<CatchUpSample> {
  const run = await play(stage, traffic, ['--replay-delay-ms', '0'], traffic.seconds * 1000);
  const sample = {
    pausedSeconds: traffic.seconds,
    capturedPerSecond: run.transactions / traffic.seconds,
    perSecond: run.wholePerSecond,
    caughtUpAfterSeconds: null,
  };
  say(`catching up: ${Math.round(sample.perSecond)} tx/s of ${Math.round(sample.capturedPerSecond)} captured a second`);
  return sample;
}

/** `lastsMs`: by its schedule. */
const play = (
  stage: Stage,
  { captured }: PacedTraffic,
  flags: readonly string[],
  lastsMs: number,
): Promise<ReplayRun> =>
  replayOnce(stage, {
    captured,
    targetPort: stage.mirror.port,
    flags: ['--pacing', 'timed', ...flags],
    deadlineMs: lastsMs + graceMs,
  });

function scheduleOf(speed: number, seconds: number, run: ReplayRun): ScheduleSample {
  const { scheduleErrorsUs } = run;
  return {
    speed,
    seconds,
    transactions: run.transactions,
    p50Us: percentile(scheduleErrorsUs, 0.5),
    p99Us: percentile(scheduleErrorsUs, 0.99),
    maxUs: scheduleErrorsUs.at(-1) ?? Number.NaN,
    driftUs: driftUs(run.played, speed),
    driftByMinuteUs: driftByMinuteUs(run.played, speed),
  };
}

const driftShare = 0.1;

/** By how much the distance between production's moments and ours grew, from the first tenth to the last. Ours scaled to production's. */
export function driftUs(played: readonly Played[], speed: number): number {
  const inOrder = [...played].sort((a, b) => a.capturedAtUs - b.capturedAtUs);
  const count = Math.max(1, Math.floor(inOrder.length * driftShare));
  const first = inOrder[0];
  if (first === undefined) return Number.NaN;
  const behind = (it: Played): number => it.sentAtUs - first.sentAtUs - (it.capturedAtUs - first.capturedAtUs) / speed;
  return median(inOrder.slice(-count).map(behind)) - median(inOrder.slice(0, count).map(behind));
}

const minuteUs = 60_000_000;

/** The same of each minute of production's against the first. Empty where there is but one. A last one that is no half is left out. */
export function driftByMinuteUs(played: readonly Played[], speed: number): number[] {
  const inOrder = [...played].sort((a, b) => a.capturedAtUs - b.capturedAtUs);
  const [first, last] = [inOrder[0], inOrder.at(-1)];
  if (first === undefined || last === undefined) return [];
  const minutes = Math.round((last.capturedAtUs - first.capturedAtUs) / minuteUs);
  const behind: number[][] = Array.from({ length: minutes }, () => []);
  for (const { capturedAtUs, sentAtUs } of inOrder) {
    const intoUs = capturedAtUs - first.capturedAtUs;
    behind[Math.floor(intoUs / minuteUs)]?.push(sentAtUs - first.sentAtUs - intoUs / speed);
  }
  const medians = behind.filter((each) => each.length > 0).map(median);
  return medians.length < 2 ? [] : medians.slice(1).map((each) => each - (medians[0] ?? 0));
}
