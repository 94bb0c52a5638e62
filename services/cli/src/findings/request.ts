// What the command line of `mirrorstream findings` asks for.
import { checkName, liveRun, statementClasses } from '@mirrorstream/domain';
import type { StatusRecord, SuppressionScope } from '@mirrorstream/findings';
import { badFlag, type CommandSpec, type GivenFlags, parseCommandLine } from '../command-line.ts';
import { parseDuration } from '../duration.ts';
import { scopeFlags } from '../stack-scope.ts';

export const findingsCommand: CommandSpec = {
  name: 'findings',
  words: '[list | show|ack|resolve|reopen|suppress|unsuppress ID]',
  summary:
    'What would break on a mirror, what would be slower, what is only noise, and how sure that is: one finding for each shape of statement ' +
    'and class of difference, over all that was compared.\n' +
    '  list        findings, regressions and suppressions (the default)\n' +
    '  show        all about one finding, with its examples\n' +
    '  ack         somebody knows about it\n' +
    '  resolve     it is mended; if it is seen after this moment, it is reopened\n' +
    '  reopen      it is not\n' +
    '  suppress    hide it, or with --fingerprint, --class, --column, --table all that these name; with owner, reason and expiry\n' +
    '  unsuppress  take a suppression back\n' +
    'What is noise is found with control mirrors, which run what production runs: mirrorstream mirror set NAME --role control. What is ' +
    'suppressed is counted on, and what it hides is shown; an expired suppression hides nothing. docs/findings.md explains the rules.',
  flags: [
    { name: 'mirror', placeholder: 'NAME', description: 'the mirror' },
    { name: 'run', placeholder: 'NAME', defaultText: liveRun, description: 'a run of mirrorstream replay' },
    { name: 'all', description: 'with list: also noise, and what is acknowledged, resolved or suppressed' },
    { name: 'limit', placeholder: 'N', defaultText: '20', description: 'with list: of findings, and of regressions' },
    {
      name: 'by',
      placeholder: 'NAME',
      defaultText: 'the user of this shell',
      description: 'who says so; with suppress: who owns the suppression (also --owner)',
    },
    { name: 'owner', placeholder: 'NAME', description: 'with suppress: who owns it' },
    { name: 'reason', placeholder: 'TEXT', description: 'why; suppress needs one' },
    {
      name: 'expires',
      placeholder: 'DURATION|DATE',
      description:
        'with suppress: until when it hides anything: 14d, 12h, or 2026-12-31. Needed: nothing is hidden for ever',
    },
    { name: 'fingerprint', placeholder: 'HEX', description: 'with suppress: statements of this shape' },
    { name: 'class', placeholder: 'NAME', description: 'with suppress: differences of this class, e.g. value' },
    { name: 'column', placeholder: 'NAME', description: 'with suppress: differences in this column' },
    { name: 'table', placeholder: 'NAME', description: 'with suppress: statements on this table; NAME or SCHEMA.NAME' },
    { name: 'json', description: 'print one JSON object (mirrorstream.findings/1)' },
    ...scopeFlags.filter(({ name }) => name !== 'source-name'),
  ],
  examples: [
    {
      command: 'mirrorstream findings --mirror candidate',
      does: 'what is known of the mirror of the stack that runs here',
    },
    { command: 'mirrorstream findings show 3fa94c1b22d0 --mirror candidate', does: 'one finding, with examples' },
    {
      command: 'mirrorstream findings resolve 3fa94c1b22d0 --mirror candidate --reason "index rebuilt"',
      does: 'mended; reopened by itself if it is seen again',
    },
    {
      command:
        'mirrorstream findings suppress --mirror candidate --column updated_at --class value --owner ana --reason "trigger, known" --expires 14d',
      does: 'two weeks without differences in this column',
    },
  ],
};

type Scope = SuppressionScope;

export type FindingsAction =
  | { readonly kind: 'list'; readonly all: boolean; readonly limit: number }
  | { readonly kind: 'show'; readonly id: string }
  | {
      readonly kind: 'status';
      readonly id: string;
      readonly status: StatusRecord['status'];
      readonly by: string;
      readonly reason: string;
    }
  | {
      readonly kind: 'suppress';
      /** null: what the flags name. */
      readonly finding: string | null;
      readonly scope: Scope;
      readonly owner: string;
      readonly reason: string;
      readonly expiresAtMs: number;
    }
  | { readonly kind: 'unsuppress'; readonly id: string };

export interface FindingsRequest {
  readonly flags: GivenFlags;
  readonly mirror: string;
  readonly run: string;
  readonly action: FindingsAction;
}

export interface RequestSurroundings {
  readonly user: string;
  readonly nowMs: number;
}

const words = ['list', 'show', 'ack', 'resolve', 'reopen', 'suppress', 'unsuppress'] as const;
type Word = (typeof words)[number];
const idPattern = /^[0-9a-f]{12}$/;

/** null: help is asked for. Throws `badInput` naming what is wrong. */
export function readFindingsRequest(
  argv: readonly string[],
  surroundings: RequestSurroundings,
): FindingsRequest | null {
  const given = words.find((name) => name === argv[0]);
  const rest = given === undefined ? argv : argv.slice(1);
  const id = rest[0] === undefined || rest[0].startsWith('-') ? null : rest[0];
  const flags = parseCommandLine(findingsCommand, id === null ? rest : rest.slice(1));
  if (flags.has('help')) return null;
  const mirror = flags.last('mirror');
  if (mirror === undefined)
    throw badFlag(findingsCommand, '--mirror', 'is needed', 'Name the mirror: --mirror candidate.');
  const word = given ?? 'list';
  if (id !== null && (word === 'list' || !idPattern.test(id)))
    throw badFlag(
      findingsCommand,
      word,
      word === 'list' ? 'takes flags only, not a bare word' : 'needs an id of 12 hexadecimal digits',
      'mirrorstream findings list shows them.',
    );
  return {
    flags,
    mirror: checkName('mirror', mirror),
    run: checkName('run', flags.last('run') ?? liveRun),
    action: actionOf(word, id, flags, surroundings),
  };
}

function actionOf(word: Word, id: string | null, flags: GivenFlags, surroundings: RequestSurroundings): FindingsAction {
  const by = flags.last('by') ?? surroundings.user;
  const reason = flags.last('reason') ?? '';
  switch (word) {
    case 'list':
      return { kind: 'list', all: flags.has('all'), limit: limitOf(flags) };
    case 'show':
      return { kind: 'show', id: needed(word, id) };
    case 'ack':
      return { kind: 'status', id: needed(word, id), status: 'acknowledged', by, reason };
    case 'resolve':
      return { kind: 'status', id: needed(word, id), status: 'resolved', by, reason };
    case 'reopen':
      return { kind: 'status', id: needed(word, id), status: 'reopened', by, reason };
    case 'suppress':
      return suppressionOf(id, flags, surroundings);
    case 'unsuppress':
      return { kind: 'unsuppress', id: needed(word, id) };
    default:
      return word satisfies never;
  }
}

function suppressionOf(
  finding: string | null,
  flags: GivenFlags,
  { user, nowMs }: RequestSurroundings,
): FindingsAction {
  const scope = scopeOf(flags);
  if (finding === null && Object.keys(scope).length === 0)
    throw badFlag(
      findingsCommand,
      'suppress',
      'names nothing',
      'Name a finding, or --fingerprint, --class, --column, --table.',
    );
  const reason = flags.last('reason');
  if (reason === undefined) throw badFlag(findingsCommand, '--reason', 'is needed', 'Say why nobody needs to see it.');
  return {
    kind: 'suppress',
    finding,
    scope,
    owner: flags.last('owner') ?? flags.last('by') ?? user,
    reason,
    expiresAtMs: expiryOf(flags.last('expires'), nowMs),
  };
}

function scopeOf(flags: GivenFlags): Scope {
  const fingerprint = flags.last('fingerprint');
  const className = flags.last('class');
  const column = flags.last('column');
  const table = flags.last('table');
  if (fingerprint !== undefined && !/^[0-9a-f]{16}$/.test(fingerprint))
    throw badFlag(findingsCommand, '--fingerprint', 'is not 16 hexadecimal digits', 'show names it.');
  const known = statementClasses.find((name) => name === className);
  if (className !== undefined && known === undefined)
    throw badFlag(findingsCommand, '--class', 'is not a class', `One of ${statementClasses.join(', ')}.`);
  return {
    ...(fingerprint === undefined ? {} : { fingerprint }),
    ...(known === undefined ? {} : { class: known }),
    ...(column === undefined ? {} : { column }),
    ...(table === undefined ? {} : { table }),
  };
}

function expiryOf(text: string | undefined, nowMs: number): number {
  const hint = 'Write --expires 14d, or a date such as 2026-12-31.';
  if (text === undefined) throw badFlag(findingsCommand, '--expires', 'is needed', hint);
  const duration = parseDuration(text);
  const atMs =
    duration === undefined ? (/^\d{4}-\d\d-\d\d/.test(text) ? Date.parse(text) : Number.NaN) : nowMs + duration;
  if (!Number.isFinite(atMs)) throw badFlag(findingsCommand, '--expires', 'is neither a duration nor a date', hint);
  if (atMs <= nowMs) throw badFlag(findingsCommand, '--expires', 'lies in the past', hint);
  return atMs;
}

function needed(word: Word, id: string | null): string {
  if (id !== null) return id;
  throw badFlag(findingsCommand, word, 'needs an id', 'mirrorstream findings list shows them.');
}

function limitOf(flags: GivenFlags): number {
  const text = flags.last('limit') ?? '20';
  if (/^[1-9]\d{0,5}$/.test(text)) return Number(text);
  throw badFlag(findingsCommand, '--limit', 'is not a whole number from 1', 'Write for instance --limit 50.');
}
