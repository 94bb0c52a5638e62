// What the command line of `mirrorstream replay` asks for.
import { checkName, filterFlags, filtersSchema, liveRun, noFilters, type RunSettings } from '@mirrorstream/domain';
import type { ReplayWindow } from '@mirrorstream/envelope';
import { badFlag, type CommandSpec, type GivenFlags } from '../command-line.ts';
import type { StackScope } from '../stack-scope.ts';
import { type RunTarget, readTarget, targetFlags } from './target.ts';
import { readLateMs, readWindow, windowFlags, windowScopeFlags } from './window-flags.ts';

export const replayCommand: CommandSpec = {
  name: 'replay',
  summary:
    'Plays a window of the past to a mirror, as a run of its own: the live replay and other runs are not touched. A transaction belongs ' +
    'to the window in which it started, whole, also of sessions that were open already: they are rebuilt from what their first ' +
    'transaction in the window brings along. The run ends when every transaction of the window is accounted for, and prints a report.\n' +
    'Ctrl-C stops it in order; the same command with --run NAME goes on where it stopped, also after a crash. --repeat NAME plays the ' +
    'same window with the same settings again, as a new run. mirrorstream runs lists them.',
  flags: [
    ...targetFlags,
    ...windowFlags,
    {
      name: 'run',
      placeholder: 'NAME',
      defaultText: 'from the clock',
      description: 'name of the run; one that exists is gone on with',
    },
    { name: 'repeat', placeholder: 'NAME', description: 'play the window of that run once more, as a new run' },
    {
      name: 'pacing',
      placeholder: 'KIND',
      defaultText: 'timed',
      description:
        'timed: at production’s pace; asap: in each session’s order only; ordered: in production’s order across sessions',
    },
    {
      name: 'speed',
      placeholder: 'FACTOR',
      defaultText: '1',
      description: 'with timed: times as fast as production, 0.1 to 100',
    },
    { name: 'exposure', placeholder: 'SHARE', defaultText: '1', description: 'share of the sessions, 0 to 1' },
    ...filterFlags.map(({ name, description, placeholder }) => ({ name, description, placeholder, repeatable: true })),
    { name: 'replayers', placeholder: 'N', defaultText: '1', description: 'replayer processes to start' },
    { name: 'strict', description: 'exit code 1 when a transaction failed or an answer differed' },
    { name: 'json', description: 'print the report as one JSON object (mirrorstream.run/1); progress goes to stderr' },
    ...windowScopeFlags,
  ],
  exitCodes:
    'Exit codes: 0 finished, every transaction of the window accounted for; 1 the same, with --strict, but something failed or differed; ' +
    '2 bad flags, or a window that is not there any more; 3 a part failed or the numbers do not add up; 5 stopped before the end.',
  examples: [
    {
      command: 'mirrorstream replay --mirror candidate=postgres://replayer@pg18:5432 --from -15m --speed 4',
      does: 'the last quarter of an hour of the stack that runs here, four times as fast',
    },
    {
      command:
        'mirrorstream replay --mirror candidate --target-env PG18_URL --from 2026-11-20T14:00:00Z --to 2026-11-20T15:00:00Z ' +
        '--run incident --pacing asap --brokers kafka1:9092 --source-name shop',
      does: 'an hour of yesterday, as fast as the mirror can',
    },
    {
      command: 'mirrorstream replay --mirror candidate --target-env PG18_URL --run incident',
      does: 'go on with a run that was stopped',
    },
    {
      command: 'mirrorstream replay --mirror candidate --target-env PG18_URL --repeat incident',
      does: 'once more, after an index was added',
    },
  ],
};

/** What is not given is null: a run that exists knows it. */
export interface ReplayRequest {
  readonly flags: GivenFlags;
  readonly target: RunTarget;
  readonly run: string | null;
  readonly repeat: string | null;
  readonly window: ReplayWindow | null;
  readonly settings: RunSettings;
  /** Settings that were given, by flag: none fits a run that exists already. */
  readonly given: readonly string[];
  readonly lateMs: number;
  readonly replayers: number;
}

/** Throws `badInput` naming the flag. */
export async function readReplayRequest(
  flags: GivenFlags,
  embedded: StackScope['embeddedMirrors'],
  nowMs: number,
  env: Readonly<Record<string, string | undefined>>,
): Promise<ReplayRequest> {
  const target = await readTarget(replayCommand, flags, env, embedded);
  const run = nameOf(flags, 'run');
  const repeat = nameOf(flags, 'repeat');
  const window = readWindow(replayCommand, flags, nowMs);
  const given = ['from', 'to', 'pacing', 'speed', 'exposure', ...filterFlags.map(({ name }) => name)].filter((name) =>
    flags.has(name),
  );
  if (repeat !== null && given.length > 0)
    throw badFlag(
      replayCommand,
      `--${given[0]}`,
      'does not go with --repeat',
      'A repetition has the same window and settings.',
    );
  return {
    flags,
    target,
    run,
    repeat,
    window,
    settings: settingsOf(flags, target),
    given,
    lateMs: readLateMs(replayCommand, flags),
    replayers: wholeOf(flags, 'replayers', 1, 64),
  };
}

function nameOf(flags: GivenFlags, flag: string): string | null {
  const name = flags.last(flag);
  if (name === undefined) return null;
  if (name === liveRun) throw badFlag(replayCommand, `--${flag}`, 'is the live replay’s name', 'Choose another one.');
  return checkName('run', name);
}

/** Flags win over the file. */
function settingsOf(flags: GivenFlags, { config }: RunTarget): RunSettings {
  const filters = filtersSchema.safeParse({
    ...noFilters,
    ...config?.filters,
    ...Object.fromEntries(
      filterFlags.flatMap(({ name, filter }) => (flags.has(name) ? [[filter, flags.all(name)]] : [])),
    ),
  });
  if (!filters.success) {
    const [issue] = filters.error.issues;
    const flag = filterFlags.find(({ filter }) => filter === issue?.path[0])?.name ?? 'filters';
    throw badFlag(replayCommand, `--${flag}`, `is not usable: ${issue?.message}`, 'See mirrorstream replay --help.');
  }
  const pacing = flags.last('pacing') ?? 'timed';
  if (pacing !== 'timed' && pacing !== 'asap' && pacing !== 'ordered')
    throw badFlag(replayCommand, '--pacing', 'is neither timed, asap nor ordered', 'Write one of these.');
  return {
    pacing,
    speed: numberOf(flags, 'speed', 1, (value) => value >= 0.1 && value <= 100, 'from 0.1 to 100'),
    exposure: numberOf(flags, 'exposure', config?.exposure ?? 1, (value) => value >= 0 && value <= 1, 'from 0 to 1'),
    filters: filters.data,
  };
}

function numberOf(
  flags: GivenFlags,
  flag: string,
  fallback: number,
  fits: (value: number) => boolean,
  range: string,
): number {
  const text = flags.last(flag);
  if (text === undefined) return fallback;
  const value = /^\d+(\.\d+)?$/.test(text) ? Number(text) : Number.NaN;
  if (!fits(value))
    throw badFlag(replayCommand, `--${flag}`, `is not a number ${range}`, `Write --${flag} 0.5, for instance.`);
  return value;
}

function wholeOf(flags: GivenFlags, flag: string, fallback: number, most: number): number {
  const text = flags.last(flag);
  if (text === undefined) return fallback;
  if (/^\d{1,3}$/.test(text) && Number(text) >= 1 && Number(text) <= most) return Number(text);
  throw badFlag(replayCommand, `--${flag}`, `is not a number from 1 to ${most}`, `Write --${flag} ${fallback}.`);
}

/** The same settings as flags of the replayer. */
export function settingsArguments(settings: RunSettings): string[] {
  return [
    ...['--pacing', settings.pacing],
    ...['--speed', String(settings.speed)],
    ...['--replay-delay-ms', '0'],
    ...['--exposure', String(settings.exposure)],
    ...filterFlags.flatMap(({ name, filter }) => settings.filters[filter].flatMap((value) => [`--${name}`, value])),
  ];
}
