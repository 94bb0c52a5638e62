// Where a run plays to: a URL on the command line, in the configuration file, or in a variable or file that is only named.
import type { ConfigFile } from '@mirrorstream/domain';
import { parseDatabaseUrl } from '../address.ts';
import { badFlag, type CommandFlag, type CommandSpec, type GivenFlags } from '../command-line.ts';
import { readConfigFile } from '../config-file.ts';
import type { StackScope } from '../stack-scope.ts';

type Mirrors = NonNullable<ConfigFile['mirrors']>;

export interface RunTarget {
  readonly mirror: string;
  /** Of the replayer, to name where the URL is. */
  readonly arguments: readonly string[];
  /** Of the replayer; the URL may hold a password. */
  readonly env: Readonly<Record<string, string>>;
  /** What the file says about the mirror. */
  readonly config: Mirrors[string] | undefined;
}

const targetVariable = 'MIRRORSTREAM_TARGET_URL';
const mirrorName = /^[a-z0-9][a-z0-9-]{0,62}$/;

export const targetFlags: readonly CommandFlag[] = [
  {
    name: 'mirror',
    placeholder: 'NAME[=URL]',
    description: 'the mirror to play to; with a URL, or one of --target-env, --target-file and -f says where it is',
  },
  { name: 'target-env', placeholder: 'NAME', description: 'environment variable that holds the mirror’s URL' },
  { name: 'target-file', placeholder: 'FILE', description: 'file that holds the mirror’s URL' },
  {
    name: 'file',
    short: 'f',
    placeholder: 'FILE',
    description: 'configuration file: its entry under `mirrors` says where the mirror is, and its filters',
  },
];

/** Throws `badInput`; never quotes a URL. `embedded`: mirrors that a running stack brought along. */
export async function readTarget(
  command: CommandSpec,
  flags: GivenFlags,
  env: Readonly<Record<string, string | undefined>>,
  embedded: StackScope['embeddedMirrors'],
): Promise<RunTarget> {
  const text = flags.last('mirror');
  if (text === undefined) throw badFlag(command, '--mirror', 'is missing', 'Name the mirror to play to.');
  const equals = text.indexOf('=');
  const mirror = equals < 0 ? text : text.slice(0, equals);
  if (!mirrorName.test(mirror))
    throw badFlag(command, '--mirror', 'is not NAME or NAME=URL', 'NAME: lower-case letters, digits, hyphens.');
  const file = flags.last('file');
  const config = file === undefined ? undefined : (await readConfigFile(file)).config.mirrors?.[mirror];
  const given = ['target-env', 'target-file', 'file'].some((name) => flags.has(name));
  const url = equals < 0 ? (given ? undefined : embedded[mirror]) : text.slice(equals + 1);
  return { mirror, config, ...placeOfUrl(command, flags, env, mirror, url, config) };
}

function placeOfUrl(
  command: CommandSpec,
  flags: GivenFlags,
  env: Readonly<Record<string, string | undefined>>,
  mirror: string,
  url: string | undefined,
  config: RunTarget['config'],
): Pick<RunTarget, 'arguments' | 'env'> {
  const variable = flags.last('target-env') ?? config?.urlEnv;
  const file = flags.last('target-file');
  if (url === undefined && flags.has('target-file') && file !== undefined)
    return { arguments: ['--target-file', file], env: {} };
  const said = url ?? (flags.has('target-env') ? undefined : config?.url);
  if (said !== undefined) {
    parseDatabaseUrl(said, url === undefined ? `mirrors.${mirror}.url` : `--mirror ${mirror}`);
    return { arguments: ['--target-env', targetVariable], env: { [targetVariable]: said } };
  }
  const name = variable ?? targetVariable;
  if (env[name]) return { arguments: ['--target-env', name], env: {} };
  if (variable !== undefined)
    throw badFlag(command, '--target-env', `names ${name}, which is not set`, 'Set it to a postgres:// URL.');
  throw badFlag(
    command,
    `--mirror ${mirror}`,
    'does not say where the mirror is',
    'Write --mirror NAME=postgres://host:5432, or give --target-env, --target-file, or -f with a mirror of this name.',
  );
}
