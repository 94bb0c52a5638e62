// What the command line of `mirrorstream dead-letter` asks for.
import { checkName, MirrorstreamError } from '@mirrorstream/domain';
import { badFlag, type CommandSpec, type GivenFlags, parseCommandLine } from '../command-line.ts';
import { scopeFlags } from '../stack-scope.ts';

export const deadLetterCommand: CommandSpec = {
  name: 'dead-letter',
  words: '[list|show|retry|settle] [OFFSET …]',
  summary:
    'Records that a replayer or a comparer could not decode are set aside, as they came, in the topic <environment>.<mirror>.dead-letter; ' +
    'their transactions count as failed, with the reason undecodable, and everything else goes on.\n' +
    '  list   where each came from, why, and how many transactions it stands for (the default)\n' +
    '  show   one of them: headers, what can be told of its structure, its first bytes\n' +
    '  retry  after an upgrade: decodes them again. Results that can be read now are counted for what they are, instead of ' +
    'failed, and once, however often you say it. Envelopes are not played: their sessions have gone on without them, and ' +
    'out of order they would make another mirror of it; you are told which transactions they are\n' +
    '  settle where results are set aside that do not say what they were about (of an early version), their transactions stay in flight: ' +
    'finds in the log which transactions have no other result, and counts them as failed, once, however often you say it',
  flags: [
    { name: 'mirror', placeholder: 'NAME', description: 'the mirror; needed' },
    { name: 'all', description: 'with retry: every letter' },
    {
      name: 'bytes',
      placeholder: 'N',
      defaultText: '256',
      description: 'with show: of the value, at most 65536; it may hold what the application sent. 0: none',
    },
    { name: 'json', description: 'with list: one JSON object per letter and line' },
    ...scopeFlags,
  ],
  examples: [
    {
      command: 'mirrorstream dead-letter list --mirror candidate',
      does: 'what was set aside, on the stack that runs here',
    },
    { command: 'mirrorstream dead-letter show 3 --mirror candidate', does: 'the letter at offset 3' },
    {
      command: 'mirrorstream dead-letter retry --all --mirror candidate --brokers kafka1:9092',
      does: 'after an upgrade',
    },
  ],
};

export type DeadLetterRequest = { readonly flags: GivenFlags; readonly mirror: string } & (
  | { readonly kind: 'help' | 'list' | 'settle' }
  | { readonly kind: 'show'; readonly offset: bigint; readonly bytes: number }
  /** `offsets` null: all. */
  | { readonly kind: 'retry'; readonly offsets: readonly bigint[] | null }
);

const defaultBytes = 256;
const maxBytes = 64 * 1024;

/** Throws `badInput` naming what is wrong. */
export function readDeadLetterRequest(argv: readonly string[]): DeadLetterRequest {
  const words = argv.slice(0, argv.findIndex((word) => word.startsWith('-')) >>> 0);
  const flags = parseCommandLine(deadLetterCommand, argv.slice(words.length));
  if (flags.has('help')) return { kind: 'help', flags, mirror: '' };
  const named = flags.last('mirror');
  if (named === undefined)
    throw badFlag(deadLetterCommand, '--mirror', 'is missing', 'Name the mirror whose dead letters you mean.');
  const common = { flags, mirror: checkName('mirror', named) };
  const [action = 'list', ...places] = words;
  const offsets = places.map(offsetOf);
  switch (action) {
    case 'list':
      if (places.length > 0) throw wrong('list takes no offsets', 'Write show in front of the offset.');
      return { kind: 'list', ...common };
    case 'settle':
      if (places.length > 0) throw wrong('settle takes no offsets', 'It looks at all letters.');
      return { kind: 'settle', ...common };
    case 'show': {
      const [offset] = offsets;
      if (offset === undefined || offsets.length > 1)
        throw wrong('show needs one offset', 'mirrorstream dead-letter list says which there are.');
      return { kind: 'show', offset, bytes: bytesOf(flags), ...common };
    }
    case 'retry':
      if (flags.has('all') === offsets.length > 0)
        throw wrong('retry needs offsets, or --all', 'mirrorstream dead-letter list says which there are.');
      return { kind: 'retry', offsets: flags.has('all') ? null : offsets, ...common };
    default:
      throw wrong(
        `it is list, show, retry or settle, not ${JSON.stringify(action.slice(0, 40))}`,
        'See mirrorstream dead-letter --help.',
      );
  }
}

function offsetOf(word: string): bigint {
  if (/^\d{1,18}$/.test(word)) return BigInt(word);
  throw wrong(
    `${JSON.stringify(word.slice(0, 40))} is no offset`,
    'Offsets are the numbers in the first column of the list.',
  );
}

function bytesOf(flags: GivenFlags): number {
  const given = Number(flags.last('bytes') ?? defaultBytes);
  if (Number.isInteger(given) && given >= 0 && given <= maxBytes) return given;
  throw badFlag(deadLetterCommand, '--bytes', `must be a whole number from 0 to ${maxBytes}`, 'The default is 256.');
}

function wrong(message: string, hint: string): MirrorstreamError {
  return new MirrorstreamError('badInput', message, { stage: deadLetterCommand.name, hint });
}
