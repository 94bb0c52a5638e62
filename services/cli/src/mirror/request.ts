// What the command line of `mirrorstream mirror` asks for.
import {
  checkName,
  type Filters,
  filterFlags,
  type MirrorChange,
  type MirrorRole,
  mirrorRoles,
  neverShed,
  noFilters,
  type ShedSettings,
  type SideEffect,
  shedFlags,
  shedSchema,
  sideEffects,
} from '@mirrorstream/domain';
import { badFlag, type CommandSpec, type GivenFlags, parseCommandLine } from '../command-line.ts';
import { shareOf, waitMsOf } from '../control/change.ts';
import { givenFilters } from '../control/filters.ts';
import { scopeFlags } from '../stack-scope.ts';

export const mirrorCommand: CommandSpec = {
  name: 'mirror',
  words: '[status [NAME] | set|pause|resume|clear NAME]',
  summary:
    'Says what a mirror plays of the captured traffic, and changes it while its replayers run: none is restarted, no position is lost.\n' +
    '  status  what every replayer of the mirror, or of all mirrors, does now (the default)\n' +
    '  set     change exposure, filters or shedding; what is not named stays\n' +
    '  pause   finish the transactions under way and begin none; the mirror falls behind, nothing is lost\n' +
    '  resume  go on where it stopped\n' +
    '  clear   forget all that was said here but the role: the flags of each replayer hold again\n' +
    'It is written to the topic mirrorstream.control, which every replayer of the mirror follows, now and when it starts; the command ' +
    'then waits until every replayer that runs says that it does so. What is not played is counted: unexposed, filtered or shed, each ' +
    'transaction with its reason. docs/replay.md explains all of it.',
  flags: [
    {
      name: 'exposure',
      placeholder: 'SHARE',
      description:
        'with set: share of the sessions that is played, 0 to 1. A session keeps what it began with; a larger share keeps the ' +
        'sessions of a smaller one, on every mirror',
    },
    ...filterFlags.map(({ name, placeholder, description }) => ({
      name,
      placeholder,
      repeatable: true,
      description: `with set: ${description}`,
    })),
    {
      name: 'no-filters',
      description: 'with set: no filters but those named with it, whatever the flags of the replayers say',
    },
    ...shedFlags.map(({ name, placeholder, description }) => ({
      name,
      placeholder: `${placeholder}|off`,
      description: `with set: ${description}`,
    })),
    {
      name: 'no-shed',
      description: 'with set: no shedding but what is named with it, whatever the flags of the replayers say',
    },
    {
      name: 'allow-side-effect',
      placeholder: 'NAME',
      repeatable: true,
      description: `with set: what may happen on the mirror, too, and replaces what was allowed before: ${sideEffects.join(', ')}, all or none`,
    },
    {
      name: 'role',
      placeholder: 'candidate|control',
      description:
        'with set: control for a mirror that runs what production runs: what differs there is noise (docs/findings.md)',
    },
    {
      name: 'immediate',
      description:
        'with set: sessions under way follow exposure and session filters, too, from their next transaction on',
    },
    {
      name: 'wait',
      placeholder: 'SECONDS',
      defaultText: '20',
      description: 'how long to wait for the replayers to say so; 0: not at all',
    },
    { name: 'json', description: 'print one JSON object (mirrorstream.mirror/1)' },
    ...scopeFlags.filter(({ name }) => name !== 'source-name'),
  ],
  examples: [
    { command: 'mirrorstream mirror', does: 'what the mirrors of the stack that runs here play' },
    { command: 'mirrorstream mirror set candidate --exposure 0.05', does: 'begin with one session in twenty' },
    {
      command: 'mirrorstream mirror set candidate --exclude-class ddl --exclude-table audit,sessions',
      does: 'whole transactions stay away from the mirror when they change the schema, or name one of these tables',
    },
    {
      command: 'mirrorstream mirror set candidate --shed-reads-behind-ms 10000 --shed-skip-behind-ms 300000',
      does: 'ten seconds behind, leave out what only reads; five minutes behind, skip to now',
    },
    {
      command: 'mirrorstream mirror pause candidate --brokers kafka1:9092',
      does: 'hold on, for instance to restart it',
    },
  ],
};

/** `change` null: only look. `mirror` null: at all of them. */
export interface MirrorRequest {
  readonly flags: GivenFlags;
  readonly mirror: string | null;
  readonly change: MirrorChange | 'clear' | null;
  readonly waitMs: number;
}

const actions = ['status', 'set', 'pause', 'resume', 'clear'] as const;
type Action = (typeof actions)[number];

/** Throws `badInput` naming what is wrong. */
export function readMirrorRequest(argv: readonly string[]): MirrorRequest {
  const given = actions.find((name) => name === argv[0]);
  const rest = given === undefined ? argv : argv.slice(1);
  const [first] = rest;
  const name = first === undefined || first.startsWith('-') ? null : checkName('mirror', first);
  const flags = parseCommandLine(mirrorCommand, name === null ? rest : rest.slice(1));
  const action = given ?? 'status';
  if (name === null && action !== 'status' && !flags.has('help')) {
    throw badFlag(mirrorCommand, action, 'needs the name of a mirror', `Write mirrorstream mirror ${action} NAME.`);
  }
  return {
    flags,
    mirror: name,
    change: flags.has('help') ? null : changeOf(action, flags),
    waitMs: waitMsOf(mirrorCommand, flags),
  };
}

function changeOf(action: Action, flags: GivenFlags): MirrorRequest['change'] {
  const settings = settingsOf(flags);
  const named = Object.keys(settings).length > 0;
  if (action === 'set') {
    if (named) return { ...settings, immediate: flags.has('immediate') };
    throw badFlag(
      mirrorCommand,
      'set',
      'changes nothing',
      'Name --exposure, --role, a filter or a threshold of shedding.',
    );
  }
  if (named || flags.has('immediate')) {
    throw badFlag(mirrorCommand, 'exposure, role, filters and shedding:', `not with ${action}`, 'They go with set.');
  }
  switch (action) {
    case 'status':
      return null;
    case 'clear':
      return 'clear';
    case 'pause':
      return { replay: 'paused' };
    case 'resume':
      return { replay: 'on' };
    default:
      return action satisfies never;
  }
}

function settingsOf(flags: GivenFlags): MirrorChange {
  const exposure = flags.last('exposure');
  const filters = filtersOf(flags);
  const shed = shedOf(flags);
  const role = flags.last('role');
  return {
    ...(role === undefined ? {} : { role: roleOf(role) }),
    ...(exposure === undefined
      ? {}
      : { exposure: shareOf(mirrorCommand, '--exposure', exposure, 'Write 0.05 for one session in twenty.') }),
    ...(Object.keys(filters).length === 0 ? {} : { filters }),
    ...(Object.keys(shed).length === 0 ? {} : { shed }),
    ...(flags.has('allow-side-effect') ? { allowSideEffects: allowedOf(flags) } : {}),
  };
}

function roleOf(text: string): MirrorRole {
  const known = mirrorRoles.find((role) => role === text);
  if (known !== undefined) return known;
  throw badFlag(mirrorCommand, '--role', 'is neither candidate nor control', hint('role'));
}

function allowedOf(flags: GivenFlags): readonly SideEffect[] {
  const given = flags.all('allow-side-effect').flatMap((text) => text.split(','));
  if (given.includes('all')) return sideEffects;
  return given
    .filter((text) => text !== 'none')
    .map((text) => {
      const known = sideEffects.find((effect) => effect === text);
      if (known !== undefined) return known;
      throw badFlag(mirrorCommand, '--allow-side-effect', 'names no side effect', hint('allow-side-effect'));
    });
}

function filtersOf(flags: GivenFlags): Partial<Filters> {
  return { ...(flags.has('no-filters') ? noFilters : {}), ...givenFilters(mirrorCommand, flags) };
}

function shedOf(flags: GivenFlags): Partial<ShedSettings> {
  const found: Record<string, unknown> = flags.has('no-shed') ? { ...neverShed } : {};
  for (const { name, setting } of shedFlags) {
    const text = flags.last(name);
    if (text === undefined) continue;
    const parsed = shedSchema.shape[setting].safeParse(text === 'off' ? null : Number(text));
    if (!parsed.success)
      throw badFlag(mirrorCommand, `--${name}`, parsed.error.issues[0]?.message ?? 'is wrong', hint(name));
    found[setting] = parsed.data;
  }
  return found as Partial<ShedSettings>;
}

const hint = (name: string): string => `See --${name} in mirrorstream mirror --help.`;
