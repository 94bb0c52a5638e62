// Reads a command line by a table of flags, and writes the help text from the same table.
import { MirrorstreamError, nearestWord } from '@mirrorstream/domain';

export interface CommandFlag {
  /** Without dashes. */
  readonly name: string;
  readonly short?: string;
  /** What stands for the value in the help; a flag without it takes no value. */
  readonly placeholder?: string;
  readonly repeatable?: boolean;
  /** Shown in the help; applying it is the command's business. */
  readonly defaultText?: string;
  readonly description: string;
}

export interface CommandSpec {
  readonly name: string;
  /** Words that come before the flags, as the help shows them. */
  readonly words?: string;
  readonly summary: string;
  readonly flags: readonly CommandFlag[];
  readonly examples: readonly { readonly command: string; readonly does: string }[];
  /** Where it has others than every command. */
  readonly exitCodes?: string;
}

/** What was given, by flag name, in the order given. A flag without value counts as `''`. */
export interface GivenFlags {
  has(name: string): boolean;
  last(name: string): string | undefined;
  all(name: string): readonly string[];
}

/** Throws `badInput` naming the flag. `help` is always known. */
export function parseCommandLine(spec: CommandSpec, argv: readonly string[]): GivenFlags {
  const given = new Map<string, string[]>();
  const known = [...spec.flags, helpFlag];
  for (let i = 0; i < argv.length; i++) {
    const { word, inline } = splitWord(argv[i] ?? '');
    const flag = known.find((one) => word === `--${one.name}` || (one.short !== undefined && word === `-${one.short}`));
    if (flag === undefined) throw unknownWord(spec, word, known);
    const values = given.get(flag.name) ?? [];
    if (values.length > 0 && flag.repeatable !== true && flag.placeholder !== undefined) {
      throw badFlag(spec, word, 'is given twice', 'Give it once.');
    }
    given.set(flag.name, values);
    if (flag.placeholder === undefined) {
      if (inline !== undefined) throw badFlag(spec, word, 'takes no value', `Write only ${word}.`);
      values.push('');
      continue;
    }
    const value = inline ?? argv[++i];
    if (value === undefined || value === '' || (inline === undefined && value.startsWith('--'))) {
      throw badFlag(spec, word, 'needs a value', `Write ${word} ${flag.placeholder}.`);
    }
    values.push(value);
  }
  return {
    has: (name) => given.has(name),
    last: (name) => given.get(name)?.at(-1),
    all: (name) => given.get(name) ?? [],
  };
}

/** An error about one flag, with what to do. Never quotes a value that may hold a password. */
export function badFlag(
  spec: Pick<CommandSpec, 'name'>,
  flag: string,
  message: string,
  hint: string,
): MirrorstreamError {
  return new MirrorstreamError('badInput', `${flag} ${message}`, { stage: spec.name, hint });
}

export function helpText(spec: CommandSpec): string {
  const rows = [...spec.flags, helpFlag].map((flag) => {
    const short = flag.short === undefined ? '    ' : `-${flag.short}, `;
    const value = flag.placeholder === undefined ? '' : ` ${flag.placeholder}`;
    return { head: `${short}--${flag.name}${value}`, flag };
  });
  const width = Math.max(...rows.map((row) => row.head.length)) + 2;
  const flags = rows.map(({ head, flag }) => {
    const extras = [
      ...(flag.repeatable === true ? ['repeatable'] : []),
      ...(flag.defaultText === undefined ? [] : [`default: ${flag.defaultText}`]),
    ];
    const text = extras.length === 0 ? flag.description : `${flag.description} (${extras.join('; ')})`;
    return wrapped(text, 100 - width).map((line, index) => `  ${(index === 0 ? head : '').padEnd(width)}${line}`);
  });
  return [
    `Usage: mirrorstream ${spec.name}${spec.words === undefined ? '' : ` ${spec.words}`} [flags]`,
    '',
    ...wrapped(spec.summary, 100),
    '',
    'Flags:',
    ...flags.flat(),
    '',
    'Examples:',
    ...spec.examples.flatMap(({ command, does }) => [`  # ${does}`, `  ${command}`]),
    '',
    ...wrapped(spec.exitCodes ?? exitCodeText, 100),
    '',
  ].join('\n');
}

export const exitCodeText =
  'Exit codes: 0 it ran and the accounting holds; 2 bad flags or configuration; 3 a part failed, is missing, or the numbers do not add up.';

const helpFlag: CommandFlag = { name: 'help', short: 'h', description: 'this text' };

function splitWord(argument: string): { word: string; inline: string | undefined } {
  const equals = argument.startsWith('--') ? argument.indexOf('=') : -1;
  return equals < 0
    ? { word: argument, inline: undefined }
    : { word: argument.slice(0, equals), inline: argument.slice(equals + 1) };
}

function unknownWord(spec: CommandSpec, word: string, known: readonly CommandFlag[]): MirrorstreamError {
  if (!word.startsWith('-')) {
    return new MirrorstreamError('badInput', `${spec.name} takes flags only, not a bare word`, {
      stage: spec.name,
      hint: `See mirrorstream ${spec.name} --help.`,
    });
  }
  const meant = nearestWord(
    word.replace(/^-+/, ''),
    known.map((flag) => flag.name),
  );
  const hint = meant === undefined ? `See mirrorstream ${spec.name} --help.` : `Did you mean --${meant}?`;
  return new MirrorstreamError('badInput', `unknown flag ${word}`, { stage: spec.name, hint });
}

function wrapped(text: string, width: number): string[] {
  return text.split('\n').flatMap((paragraph) => {
    const lines: string[] = [];
    let line = '';
    for (const word of paragraph.split(' ')) {
      if (line !== '' && line.length + 1 + word.length > width) {
        lines.push(line);
        line = word;
      } else line = line === '' ? word : `${line} ${word}`;
    }
    return [...lines, line];
  });
}
