// What a run came to: its account, what differed, how punctual it was. As text for people, and as `mirrorstream.run/1`.
import {
  divergenceClasses,
  type RunSnapshot,
  resultsTopic,
  runInFlight,
  statementClasses,
  verdictsTopic,
} from '@mirrorstream/domain';
import { decodeResultBatch, decodeVerdictBatch } from '@mirrorstream/envelope';
import type { Admin, KafkaClient } from '@mirrorstream/kafka';
import { formatDuration } from '../duration.ts';
import { type Divergence, DivergenceGroups } from '../view/divergences.ts';
import { formatCount } from '../view/text.ts';
import { formatMoment } from './moment.ts';
import { inFlightBy, type RunCounts } from './run-counts.ts';
import { type ScheduleError, ScheduleErrors } from './schedule-error.ts';

export interface RunReport {
  readonly run: RunSnapshot;
  readonly counts: RunCounts;
  /** Null: not `timed`, or nothing was sent. */
  readonly scheduleError: ScheduleError | null;
  readonly divergences: readonly Divergence[];
}

const shownDivergences = 10;

/** Reads the run's results and verdicts once; they may be partly gone by retention, its counts are not. */
export async function reportRun(
  client: KafkaClient,
  admin: Admin,
  run: RunSnapshot,
  counts: RunCounts,
): Promise<RunReport> {
  const schedule = new ScheduleErrors();
  const groups = new DivergenceGroups();
  const { environment, mirror, run: name } = run;
  await readAll(client, admin, resultsTopic(environment, mirror, name), (value) => {
    for (const { ref, scheduledAtUs, sentAtUs } of decodeResultBatch(value).results)
      if (ref?.part === 0) schedule.add(scheduledAtUs, sentAtUs);
  });
  await readAll(client, admin, verdictsTopic(environment, mirror, name), (value) =>
    groups.add(decodeVerdictBatch(value)),
  );
  return {
    run,
    counts,
    scheduleError: run.settings.pacing === 'timed' ? schedule.summary() : null,
    divergences: groups.list(),
  };
}

/** What cannot be decoded is told by the comparer's counts. */
async function readAll(
  client: KafkaClient,
  admin: Admin,
  topic: string,
  onValue: (value: Uint8Array) => void,
): Promise<void> {
  if (!(await admin.partitionCounts([topic])).has(topic)) return;
  const ranges = (await admin.offsets(topic)).map(({ partition, low, high }) => ({ partition, from: low, to: high }));
  await client.readRange(topic, ranges, ({ records }) => {
    for (const { value } of records) {
      try {
        if (value !== null) onValue(value);
      } catch {
        // Counted as undecodable where it was read first.
      }
    }
  });
}

export function divergent({ statements }: RunCounts): number {
  return divergenceClasses.reduce((sum, name) => sum + statements[name], 0);
}

/** `mirrorstream.run/1`; docs/replay.md describes it. */
export function runJson({ run, counts, scheduleError, divergences }: RunReport): string {
  const { environment, mirror, source, state, detail, window, settings, captured, captureGaps } = run;
  return JSON.stringify({
    schema: 'mirrorstream.run/1',
    run: run.run,
    environment,
    mirror,
    source,
    state,
    ...(detail === undefined ? {} : { detail }),
    window: { from: formatMoment(window.fromMs), to: formatMoment(window.toMs) },
    settings,
    starts: run.starts,
    durationMs: durationMs(run),
    transactions: { captured, ...run.outcomes, inFlight: runInFlight(run) },
    inFlightByPartition: inFlightBy(run.ranges, counts),
    reasons: counts.reasons,
    statements: counts.statements,
    notCompared: counts.notCompared,
    duplicates: counts.duplicates,
    captureGaps,
    scheduleErrorMs: scheduleError,
    divergences: divergences.map(({ class: name, count, sql, detail: what }) => ({
      class: name,
      count,
      sql,
      detail: what,
    })),
  });
}

export function runText({ run, counts, scheduleError, divergences }: RunReport): string {
  const { window, settings, outcomes } = run;
  const speed = settings.pacing === 'timed' ? `timed, ${settings.speed} × production’s pace` : settings.pacing;
  const account = Object.entries(outcomes).map(([name, count]) => `${formatCount(count)} ${name}`);
  const lines = [
    `run ${run.run}: ${run.source} → ${run.mirror}, ${formatMoment(window.fromMs)} to ${formatMoment(window.toMs)}, ${speed}`,
    `  ${run.state}${run.detail === undefined ? '' : `: ${run.detail}`} after ${formatDuration(durationMs(run))}${run.starts > 1 ? ` (start ${run.starts})` : ''}`,
    `  transactions  ${formatCount(run.captured)} captured = ${account.join(' + ')} + ${formatCount(runInFlight(run))} in flight`,
    ...Object.entries(counts.reasons).map(([reason, count]) => `                ${formatCount(count)} ${reason}`),
    ...inFlightLines(run, counts),
    `  statements    ${statementClasses
      .filter((name) => counts.statements[name] > 0 || name === 'match')
      .map((name) => `${formatCount(counts.statements[name])} ${name}`)
      .join(' · ')}`,
  ];
  if (counts.duplicates > 0) lines.push(`  repeated      ${formatCount(counts.duplicates)} results, counted once`);
  if (run.captureGaps > 0)
    lines.push(
      `  capture gaps  at least ${formatCount(run.captureGaps)} transactions of the window were never captured`,
    );
  if (scheduleError !== null)
    lines.push(
      `  schedule      half within ${ms(scheduleError.p50Ms)}, 99 % within ${ms(scheduleError.p99Ms)}, the latest by ${ms(scheduleError.maxMs)}`,
    );
  for (const { class: name, count, sql, detail } of divergences.slice(0, shownDivergences))
    lines.push(`  ${name} × ${formatCount(count)}  ${sql}${detail === '' ? '' : `  (${detail})`}`);
  if (divergences.length > shownDivergences) lines.push(`  … and ${divergences.length - shownDivergences} shapes more`);
  return lines.join('\n');
}

/** Of a run that has come to its end nothing should be. */
function inFlightLines(run: RunSnapshot, counts: RunCounts): readonly string[] {
  const places = Object.entries(inFlightBy(run.ranges, counts)).map(
    ([partition, count]) => `${formatCount(count)} of partition ${partition}`,
  );
  return run.state === 'failed' && places.length > 0 ? [`                without a result: ${places.join(', ')}`] : [];
}

const ms = (value: number): string => (value < 1000 ? `${value.toPrecision(3)} ms` : formatDuration(value));

function durationMs({ startedAtMs, endedAtMs, atMs }: RunSnapshot): number {
  return Math.max(0, (endedAtMs ?? atMs) - startedAtMs);
}
