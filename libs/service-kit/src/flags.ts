// The flag table: from argv and environment to named values, and the help text that describes them.
import { parseArgs } from 'node:util';
import { MirrorstreamError } from '@mirrorstream/domain';

export interface Flag {
  /** Without the leading dashes, e.g. `brokers`. Environment fallback: `MIRRORSTREAM_BROKERS`. */
  readonly name: string;
  readonly description: string;
  /** Shown in the help text and used when neither flag nor environment gives a value. */
  readonly default?: string;
  /** A flag without a value: `--name`, `--no-name`; in the environment on or off. */
  readonly boolean?: boolean;
  /** May be given several times; each value is split at commas, from the environment too. */
  readonly multiple?: boolean;
  /** What stands for the value in the help text, e.g. `HOST:PORT`. */
  readonly placeholder?: string;
  readonly required?: boolean;
}

export type FlagTable = readonly Flag[];

/** By flag name. Absent: not given, and no default. */
export type FlagValues = Readonly<Record<string, string | boolean | readonly string[] | undefined>>;

export const environmentName = (flag: string): string => `MIRRORSTREAM_${flag.toUpperCase().replaceAll('-', '_')}`;

function badFlag(message: string, hint: string): MirrorstreamError {
  return new MirrorstreamError('badInput', message, { stage: 'flags', hint });
}

/** `help`: --help was given, the values mean nothing. Throws `badInput` naming the flag. */
export function parseFlags(
  table: FlagTable,
  argv: readonly string[],
  environment: Readonly<Record<string, string | undefined>>,
): { readonly help: boolean; readonly values: FlagValues } {
  const given = readArguments(table, argv);
  if (given['help'] === true) return { help: true, values: {} };
  const values: Record<string, string | boolean | readonly string[] | undefined> = {};
  for (const flag of table) {
    const value = given[flag.name] ?? fromEnvironment(flag, environment) ?? fromDefault(flag);
    if (value === undefined && flag.required) {
      throw badFlag(`--${flag.name} is missing`, `Give it, or set ${environmentName(flag.name)}: ${flag.description}.`);
    }
    if (value !== undefined) values[flag.name] = flag.multiple ? splitAll(value) : value;
  }
  return { help: false, values };
}

type Given = Record<string, string | boolean | string[] | undefined>;

function readArguments(table: FlagTable, argv: readonly string[]): Given {
  const options: Record<string, { type: 'string' | 'boolean'; multiple?: boolean }> = { help: { type: 'boolean' } };
  for (const { name, boolean, multiple } of table) {
    options[name] = { type: boolean ? 'boolean' : 'string', multiple: multiple ?? false };
  }
  try {
    return parseArgs({ args: [...argv], options, strict: true, allowNegative: true }).values as Given;
  } catch (error) {
    // parseArgs names the flag and, for a wrong one, nothing that was given as a value.
    throw badFlag((error as Error).message.split(/\.( |$)/)[0] ?? 'bad flags', 'See --help for the flags there are.');
  }
}

function fromEnvironment(
  flag: Flag,
  environment: Readonly<Record<string, string | undefined>>,
): string | boolean | undefined {
  const name = environmentName(flag.name);
  const value = environment[name];
  if (value === undefined || value === '') return undefined;
  return flag.boolean ? readBoolean(value, name) : value;
}

function fromDefault(flag: Flag): string | boolean | undefined {
  if (!flag.boolean) return flag.default;
  return flag.default === undefined ? false : readBoolean(flag.default, `--${flag.name}`);
}

function readBoolean(value: string, where: string): boolean {
  if (/^(true|1|yes|on)$/i.test(value)) return true;
  if (/^(false|0|no|off)$/i.test(value)) return false;
  throw badFlag(`${where} is neither on nor off`, 'Write on or off.');
}

function splitAll(value: string | boolean | readonly string[]): readonly string[] {
  const list = Array.isArray(value) ? (value as string[]) : [String(value)];
  return list
    .flatMap((each) => each.split(','))
    .map((each) => each.trim())
    .filter((each) => each !== '');
}

/** What `--help` prints. */
export function helpText(name: string, summary: string, table: FlagTable): string {
  const entries = table.map((flag) => ({ left: usage(flag), right: remarks(flag) }));
  entries.push({ left: '--help', right: ['print this text'] });
  const width = Math.min(36, Math.max(...entries.map(({ left }) => left.length)));
  const lines = entries.flatMap(({ left, right }) => {
    const [first, ...rest] = right;
    const indented = rest.map((line) => `  ${' '.repeat(width)}  ${line}`);
    if (left.length > width) return [`  ${left}`, `  ${' '.repeat(width)}  ${first}`, ...indented];
    return [`  ${left.padEnd(width)}  ${first}`, ...indented];
  });
  return [`${name}: ${summary}`, '', `Usage: mirrorstream ${name} [flags]`, '', ...lines, ''].join('\n');
}

function usage({ name, boolean, placeholder }: Flag): string {
  return boolean ? `--${name}, --no-${name}` : `--${name} ${placeholder ?? 'VALUE'}`;
}

function remarks(flag: Flag): string[] {
  const about = [
    ...(flag.required ? ['required'] : []),
    ...(flag.default === undefined ? [] : [`default: ${flag.default}`]),
    ...(flag.multiple ? ['several: with commas, or the flag again'] : []),
    `env: ${environmentName(flag.name)}`,
  ];
  return [flag.description, about.join(' · ')];
}
