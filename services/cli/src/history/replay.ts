// `mirrorstream replay`: a window of the past, played to a mirror as a run of its own.
import { exitCodes, type RunSnapshot } from '@mirrorstream/domain';
import { helpText, parseCommandLine } from '../command-line.ts';
import { type StackScope, stackScope } from '../stack-scope.ts';
import { InterruptionWatch } from '../up/interruption.ts';
import { formatCount } from '../view/text.ts';
import { formatMoment } from './moment.ts';
import { ProgressBar } from './progress.ts';
import { type ReplayRequest, readReplayRequest, replayCommand } from './replay-request.ts';
import { planRun } from './run-plan.ts';
import { RunPlayer } from './run-player.ts';
import { divergent, type RunReport, reportRun, runJson, runText } from './run-report.ts';
import { type HistorySession, withHistory } from './session.ts';

export async function replay(argv: readonly string[]): Promise<number> {
  const flags = parseCommandLine(replayCommand, argv);
  if (flags.has('help')) {
    process.stdout.write(helpText(replayCommand));
    return exitCodes.ok;
  }
  const scope = await stackScope(replayCommand, flags, 'anySource');
  const request = await readReplayRequest(flags, scope.embeddedMirrors, Date.now(), process.env);
  const watch = new InterruptionWatch((code) => process.exit(code));
  try {
    return await withHistory(scope, 'source', (session) => playRun(request, scope, session, watch));
  } finally {
    watch.close();
  }
}

async function playRun(
  request: ReplayRequest,
  scope: StackScope,
  session: HistorySession,
  watch: InterruptionWatch,
): Promise<number> {
  const bar = new ProgressBar();
  const plannedAtMs = performance.now();
  const planning = planRun(request, {
    ...session,
    scope,
    onProgress: (done, total) =>
      bar.show({
        what: 'looking through the window',
        done,
        total,
        unit: 'records',
        doneBefore: 0,
        elapsedMs: performance.now() - plannedAtMs,
      }),
  });
  const run = await watch.unlessInterrupted(planning).catch((error: unknown) => {
    bar.end();
    if (watch.current?.kind === 'signal') return null;
    throw error;
  });
  if (run === null) {
    bar.say('stopped before anything was played');
    return exitCodes.stopped;
  }
  bar.say(announce(run));
  const dataDir = request.flags.last('data-dir');
  const player = new RunPlayer(run, { ...session, scope, watch, bar, dataDir, ...request });
  const failure = await player.play().then(
    () => null,
    (error: unknown) => error,
  );
  const report = await reportRun(session.client, session.admin, player.run, player.counts());
  process.stdout.write(`${request.flags.has('json') ? runJson(report) : runText(report)}\n`);
  if (player.run.state !== 'finished' && !player.readToEnd)
    bar.say(`Go on with: ${resumeCommand(request, player.run, scope)}`);
  if (player.run.state === 'failed') throw failure;
  return exitCodeOf(report, request.flags.has('strict'));
}

function announce({ run, captured, window, starts, outcomes }: RunSnapshot): string {
  const done = Object.values(outcomes).reduce((sum, count) => sum + count, 0);
  const what = `${formatCount(captured)} transactions of ${formatMoment(window.fromMs)} to ${formatMoment(window.toMs)}`;
  return `run ${run}: ${what}${starts > 1 ? `, going on after ${formatCount(done)}` : ''}`;
}

function exitCodeOf({ run, counts }: RunReport, strict: boolean): number {
  if (run.state === 'stopped') return exitCodes.stopped;
  return strict && (run.outcomes.failed > 0 || divergent(counts) > 0) ? exitCodes.found : exitCodes.ok;
}

/** What names no URL: it may hold a password. */
function resumeCommand({ flags }: ReplayRequest, run: RunSnapshot, scope: StackScope): string {
  const kept = ['target-env', 'target-file', 'file', 'data-dir', 'brokers', 'source-name', 'environment'];
  const given = kept.flatMap((name) => (flags.has(name) ? [`--${name} ${flags.last(name)}`] : []));
  const url = flags.last('mirror')?.includes('=') && scope.embeddedMirrors[run.mirror] === undefined ? '=URL' : '';
  return ['mirrorstream replay', `--mirror ${run.mirror}${url}`, `--run ${run.run}`, ...given].join(' ');
}
