// `mirrorstream runs`: which runs there are, what each came to, and how to be rid of one.
import { exitCodes, liveRun, MirrorstreamError, type RunSnapshot, runInFlight } from '@mirrorstream/domain';
import { badFlag, type CommandSpec, type GivenFlags, helpText, parseCommandLine } from '../command-line.ts';
import { scopeFlags, stackScope } from '../stack-scope.ts';
import { formatCount, padTo } from '../view/text.ts';
import { formatMoment } from './moment.ts';
import { runCounts } from './run-counts.ts';
import { reportRun, runJson, runText } from './run-report.ts';
import { deleteRun } from './run-store.ts';
import { type HistorySession, withHistory } from './session.ts';

export const runsCommand: CommandSpec = {
  name: 'runs',
  words: '[list|show NAME|delete NAME]',
  summary:
    'Runs over windows of the past, as mirrorstream replay made them.\n' +
    '  list         all of the environment, the newest first (the default)\n' +
    '  show NAME    the report of one\n' +
    '  delete NAME  its record, results, verdicts and positions; the captured traffic stays',
  flags: [
    {
      name: 'mirror',
      placeholder: 'NAME',
      description: 'of this mirror only; needed where two have a run of that name',
    },
    { name: 'json', description: 'one JSON object per run and line (show: mirrorstream.run/1)' },
    ...scopeFlags,
  ],
  examples: [
    { command: 'mirrorstream runs', does: 'of the stack that runs here' },
    { command: 'mirrorstream runs show incident --brokers kafka1:9092', does: 'what came of one' },
    { command: 'mirrorstream runs delete incident --brokers kafka1:9092', does: 'forget it' },
  ],
};

const actions = ['list', 'show', 'delete'] as const;
/** A run that says nothing for so long is not being played any more. */
const silentAfterMs = 15_000;

export async function runs(argv: readonly string[]): Promise<number> {
  const action = actions.find((name) => name === argv[0]) ?? 'list';
  const words = argv[0] === action ? argv.slice(1) : argv;
  const name = action !== 'list' && words[0]?.startsWith('-') === false ? words[0] : null;
  const flags = parseCommandLine(runsCommand, name === null ? words : words.slice(1));
  if (flags.has('help')) {
    process.stdout.write(helpText(runsCommand));
    return exitCodes.ok;
  }
  if (action !== 'list' && name === null)
    throw badFlag(runsCommand, action, 'needs the name of a run', 'mirrorstream runs lists them.');
  const scope = await stackScope(runsCommand, flags);
  return withHistory(scope, 'status', async (session) => {
    if (name === null) list(session, flags);
    else if (action === 'show') await show(session, find(session, flags, name), flags);
    else await remove(session, find(session, flags, name));
    return exitCodes.ok;
  });
}

function list({ store }: HistorySession, flags: GivenFlags): void {
  const found = ofMirror(store.runs(), flags);
  if (flags.has('json')) {
    for (const run of found) process.stdout.write(`${JSON.stringify(withState(run))}\n`);
    return;
  }
  if (found.length === 0) {
    process.stdout.write('no runs; mirrorstream replay makes one\n');
    return;
  }
  const rows = [
    ['RUN', 'MIRROR', 'STATE', 'WINDOW', 'PACING', 'TRANSACTIONS', 'STARTED'],
    ...found.map((run) => [
      run.run,
      run.mirror,
      withState(run).state,
      `${formatMoment(run.window.fromMs)} – ${formatMoment(run.window.toMs)}`,
      run.settings.pacing === 'timed' ? `timed × ${run.settings.speed}` : run.settings.pacing,
      `${formatCount(run.captured - runInFlight(run))} of ${formatCount(run.captured)}`,
      formatMoment(Math.trunc(run.startedAtMs / 1000) * 1000),
    ]),
  ];
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  for (const row of rows)
    process.stdout.write(
      `${row
        .map((cell, column) => padTo(cell, widths[column] ?? 0))
        .join('  ')
        .trimEnd()}\n`,
    );
}

async function show({ client, admin, store }: HistorySession, run: RunSnapshot, flags: GivenFlags): Promise<void> {
  const report = await reportRun(client, admin, run, runCounts(store.of(run.mirror, run.run)));
  process.stdout.write(`${flags.has('json') ? runJson(report) : runText(report)}\n`);
}

async function remove({ store, admin, producer }: HistorySession, run: RunSnapshot): Promise<void> {
  if (withState(run).state === 'running')
    throw new MirrorstreamError('badInput', `run ${run.run} is being played`, {
      stage: 'runs',
      hint: 'Stop it first.',
    });
  await deleteRun(store, admin, producer, run);
  process.stdout.write(`run ${run.run} of mirror ${run.mirror} is deleted\n`);
}

/** `running` is what the record says until somebody writes another; a process that was killed never does. */
function withState(run: RunSnapshot): Omit<RunSnapshot, 'state'> & { readonly state: string } {
  return run.state === 'running' && Date.now() - run.atMs > silentAfterMs ? { ...run, state: 'interrupted' } : run;
}

function find({ store }: HistorySession, flags: GivenFlags, name: string): RunSnapshot {
  const found = ofMirror(store.runs(), flags).filter(({ run }) => run === name);
  const [first, ...others] = found;
  if (first !== undefined && others.length === 0) return first;
  if (first !== undefined) {
    const mirrors = found.map(({ mirror }) => mirror).join(', ');
    throw badFlag(runsCommand, name, `is a run of several mirrors: ${mirrors}`, 'Say which with --mirror.');
  }
  const hint = name === liveRun ? 'mirrorstream status shows the live replay.' : 'mirrorstream runs lists them.';
  throw badFlag(runsCommand, JSON.stringify(name.slice(0, 64)), 'is no run here', hint);
}

function ofMirror(all: readonly RunSnapshot[], flags: GivenFlags): RunSnapshot[] {
  const mirror = flags.last('mirror');
  return all.filter((run) => mirror === undefined || run.mirror === mirror);
}
