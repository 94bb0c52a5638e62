// What the command line of `mirrorstream seed` asks for.
import { checkName, type MirrorstreamError } from '@mirrorstream/domain';
import { type DatabaseAddress, type HostPort, parseDatabaseUrl, parseHostPort, sameServer } from '../address.ts';
import { badFlag, type CommandSpec, type GivenFlags, parseCommandLine } from '../command-line.ts';
import { scopeFlags } from '../stack-scope.ts';

export const seedCommand: CommandSpec = {
  name: 'seed',
  summary:
    'Makes a mirror equal to the source without stopping it: copies one database from a snapshot that is taken through the capture ' +
    'proxy, and lets the mirror’s replayers begin exactly behind it. What had committed before the snapshot is not played again, what ' +
    'committed after it is, what was under way is sorted out one by one.\n' +
    'The proxy has to be running and capturing this database. The mirror needs the schema (pg_dump --schema-only … | psql …) and ' +
    'must not have a replayer yet: start it afterwards.',
  flags: [
    {
      name: 'source',
      placeholder: 'URL',
      description:
        'the database to copy, directly and not through the proxy; or the environment variable MIRRORSTREAM_SOURCE_URL. Its user may read every table, and should be in pg_read_all_stats',
    },
    {
      name: 'proxy',
      placeholder: 'HOST:PORT',
      description: 'the capture proxy in front of it; the same user connects through it for a moment',
    },
    {
      name: 'mirror',
      placeholder: 'NAME=URL',
      description:
        'the mirror, or its name only and its URL in the environment variable MIRRORSTREAM_TARGET_URL. Its user must be able to set session_replication_role',
    },
    { name: 'truncate', description: 'empty the mirror’s tables first; without it a table that has rows is refused' },
    { name: 'jobs', placeholder: 'N', defaultText: '2', description: 'tables copied at once' },
    {
      name: 'snapshots',
      placeholder: 'N',
      defaultText: '12',
      description:
        'taken a moment apart; one is used for which every commit is known to be in it or not. Busy sources need more',
    },
    {
      name: 'accept-unresolved',
      description:
        'go on although of some commits nobody can tell: they are named and not played, the mirror may lack them',
    },
    { name: 'json', description: 'print one JSON object (mirrorstream.seed/1)' },
    ...scopeFlags,
  ],
  examples: [
    {
      command:
        'mirrorstream seed --source postgres://admin@db:5432/shop --proxy proxy:6543 --mirror candidate=postgres://admin@pg18:5432/shop --brokers kafka1:9092 --source-name shop',
      does: 'copy the database shop, then start the replayer of candidate',
    },
  ],
};

export interface SeedRequest {
  readonly flags: GivenFlags;
  readonly source: DatabaseAddress;
  readonly proxy: HostPort;
  readonly mirror: string;
  readonly target: DatabaseAddress;
  readonly truncate: boolean;
  readonly jobs: number;
  readonly snapshots: number;
  readonly acceptUnresolved: boolean;
}

/** Null: only the help is wanted. Throws `badInput` naming the flag. */
export function readSeedRequest(
  argv: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
): SeedRequest | null {
  const flags = parseCommandLine(seedCommand, argv);
  if (flags.has('help')) return null;
  const sourceUrl = flags.last('source') ?? env['MIRRORSTREAM_SOURCE_URL'];
  if (sourceUrl === undefined)
    throw missing('--source', 'Name the database to copy: postgres://user@host:5432/database.');
  const proxy = flags.last('proxy');
  if (proxy === undefined) throw missing('--proxy', 'Name where the capture proxy of this source listens: HOST:PORT.');
  const source = parseDatabaseUrl(sourceUrl, '--source');
  if (databaseOf(source.url) === '') throw missing('--source: the database', 'Write postgres://host:port/database.');
  const { mirror, target } = mirrorOf(flags, env);
  if (databaseOf(target.url) === '')
    throw missing('--mirror: the database', 'Write NAME=postgres://host:port/database.');
  if (sameServer(source, target) && databaseOf(source.url) === databaseOf(target.url))
    throw badFlag(seedCommand, '--mirror', 'is the source itself', 'A mirror is another database.');
  return {
    flags,
    source,
    proxy: parseHostPort(proxy, '--proxy'),
    mirror,
    target,
    truncate: flags.has('truncate'),
    jobs: countOf(flags, 'jobs', 2, 16),
    snapshots: countOf(flags, 'snapshots', 12, 100),
    acceptUnresolved: flags.has('accept-unresolved'),
  };
}

export const databaseOf = (url: string): string => decodeURIComponent(new URL(url).pathname.slice(1));

function mirrorOf(
  flags: GivenFlags,
  env: Readonly<Record<string, string | undefined>>,
): { readonly mirror: string; readonly target: DatabaseAddress } {
  const text = flags.last('mirror');
  if (text === undefined)
    throw missing('--mirror', 'Name the mirror and its database: NAME=postgres://host:5432/database.');
  const equals = text.indexOf('=');
  const name = checkName('mirror', equals < 0 ? text : text.slice(0, equals));
  const url = equals < 0 ? env['MIRRORSTREAM_TARGET_URL'] : text.slice(equals + 1);
  if (url === undefined) throw missing('--mirror: the URL', 'Write NAME=URL, or set MIRRORSTREAM_TARGET_URL.');
  return { mirror: name, target: parseDatabaseUrl(url, '--mirror') };
}

function countOf(flags: GivenFlags, name: string, otherwise: number, most: number): number {
  const text = flags.last(name);
  if (text === undefined) return otherwise;
  if (/^\d{1,3}$/.test(text) && Number(text) >= 1 && Number(text) <= most) return Number(text);
  throw badFlag(seedCommand, `--${name}`, `is not a number from 1 to ${most}`, `Leave it out for ${otherwise}.`);
}

const missing = (what: string, hint: string): MirrorstreamError => badFlag(seedCommand, what, 'is missing', hint);
