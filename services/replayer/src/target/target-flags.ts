// The flags that say where the mirror is, who logs in there, and how its connections are kept.
import { MirrorstreamError } from '@mirrorstream/domain';
import { type CredentialOptions, defaultKeepAlive, type KeepAlive, type TargetSource } from '@mirrorstream/pg-target';
import type { FlagTable, FlagValues } from '@mirrorstream/service-kit';
import { z } from 'zod';

export interface TargetConfig {
  /** Who names the URL. */
  readonly url: TargetSource;
  readonly credentials: CredentialOptions;
  /** pooled: sessions share connections. */
  readonly lanes: 'session' | 'pooled';
  /** Writes are refused by the server. */
  readonly readOnly: boolean;
  /** The server's statement_timeout where the session asks for none; 0: its own. */
  readonly statementTimeoutMs: number;
  readonly keepAlive: KeepAlive;
}

export interface TargetLimits {
  readonly maxConnections: number;
  /** Connections being made at once. */
  readonly maxConnecting: number;
  readonly connectTimeoutMs: number;
  /** A mirror that has been away for so long fails transactions; until then they wait. */
  readonly connectGiveUpMs: number;
  /** A mirror that is up and has no connection left: a session waits so long for one. */
  readonly connectionWaitMs: number;
  /** Wait between tries of an address that is away: doubles from min to max. */
  readonly retryMinMs: number;
  readonly retryMaxMs: number;
  /** After the mirror had no connection to give: until one more is asked for; doubles from min to max. */
  readonly regrowMinMs: number;
  readonly regrowMaxMs: number;
  /** With pooled lanes: a session with more to do keeps its connection for so long while others wait. */
  readonly sliceMs: number;
}

export const targetFlags: FlagTable = [
  {
    name: 'target-env',
    description: "environment variable that holds the mirror's URL; several hosts, with commas, are tried in order",
    default: 'MIRRORSTREAM_TARGET_URL',
    placeholder: 'NAME',
  },
  { name: 'target-file', description: "file that holds the mirror's URL, instead", placeholder: 'FILE' },
  { name: 'target-password-env', description: 'environment variable that holds the password', placeholder: 'NAME' },
  {
    name: 'target-password-file',
    description: 'file that holds the password, read for each connection',
    placeholder: 'FILE',
  },
  {
    name: 'user-map',
    description: 'a captured user is another one on the mirror; wins over the user of the URL',
    multiple: true,
    placeholder: 'CAPTURED=USER',
  },
  {
    name: 'user-password-env',
    description: "variable with the password of one of the mirror's users",
    multiple: true,
    placeholder: 'USER=NAME',
  },
  {
    name: 'user-password-file',
    description: "file with the password of one of the mirror's users",
    multiple: true,
    placeholder: 'USER=FILE',
  },
  {
    name: 'read-only',
    description: 'the mirror refuses writes (25006): its transactions are read-only unless they say otherwise',
    boolean: true,
  },
  {
    name: 'lanes',
    description: 'session: a connection for each session; pooled: sessions share them, for a mirror that has few',
    default: 'session',
    placeholder: 'session|pooled',
  },
  { name: 'max-connections', description: "the mirror's connections at most", default: '200', placeholder: 'N' },
  { name: 'connect-timeout-ms', description: 'for one connection to the mirror', default: '5000', placeholder: 'MS' },
  {
    name: 'connect-give-up-ms',
    description: 'transactions wait so long for a mirror that is away, then fail',
    default: '10000',
    placeholder: 'MS',
  },
  {
    name: 'connection-wait-ms',
    description: 'and so long for one that is up and has no connection left',
    default: '60000',
    placeholder: 'MS',
  },
  {
    name: 'retry-max-ms',
    description: 'longest wait between two tries of an address that is away; the first is 100 ms',
    default: '2000',
    placeholder: 'MS',
  },
  {
    name: 'statement-timeout-ms',
    description: "the server's statement_timeout where the session sets none; 0: the server's own",
    default: '0',
    placeholder: 'MS',
  },
  {
    name: 'keepalives-idle-ms',
    description: 'an idle connection is probed after so long; 0: never',
    default: String(defaultKeepAlive.idleMs),
    placeholder: 'MS',
  },
  {
    name: 'keepalives-interval-ms',
    description: 'between two probes that are not answered',
    default: String(defaultKeepAlive.intervalMs),
    placeholder: 'MS',
  },
  {
    name: 'keepalives-count',
    description: 'unanswered probes after which the connection is lost',
    default: String(defaultKeepAlive.count),
    placeholder: 'N',
  },
];

const whole = (least: number) => z.coerce.number().int().min(least);
const list = z.array(z.string()).default([]);

const valuesSchema = z.object({
  'target-env': z.string().min(1),
  'target-file': z.string().min(1).optional(),
  'target-password-env': z.string().min(1).optional(),
  'target-password-file': z.string().min(1).optional(),
  'user-map': list,
  'user-password-env': list,
  'user-password-file': list,
  'read-only': z.boolean(),
  lanes: z.enum(['session', 'pooled']),
  'max-connections': whole(1),
  'connect-timeout-ms': whole(1),
  'connect-give-up-ms': whole(0),
  'connection-wait-ms': whole(0),
  'retry-max-ms': whole(100),
  'statement-timeout-ms': whole(0).max(2_147_483_647),
  'keepalives-idle-ms': whole(0),
  'keepalives-interval-ms': whole(1000),
  'keepalives-count': whole(1).max(100),
});
type Values = z.infer<typeof valuesSchema>;

/** Throws `badInput` or a ZodError, which the lifecycle reports by flag. */
export function parseTarget(flagValues: FlagValues): { readonly target: TargetConfig; readonly limits: TargetLimits } {
  const values = valuesSchema.parse(flagValues);
  const file = values['target-file'];
  return {
    target: {
      url: file === undefined ? { env: values['target-env'] } : { file },
      credentials: credentialsOf(values),
      lanes: values.lanes,
      readOnly: values['read-only'],
      statementTimeoutMs: values['statement-timeout-ms'],
      keepAlive: {
        idleMs: values['keepalives-idle-ms'],
        intervalMs: values['keepalives-interval-ms'],
        count: values['keepalives-count'],
      },
    },
    limits: {
      maxConnections: values['max-connections'],
      maxConnecting: 16,
      connectTimeoutMs: values['connect-timeout-ms'],
      connectGiveUpMs: values['connect-give-up-ms'],
      connectionWaitMs: values['connection-wait-ms'],
      retryMinMs: 100,
      retryMaxMs: values['retry-max-ms'],
      regrowMinMs: 1_000,
      regrowMaxMs: 30_000,
      sliceMs: 20,
    },
  };
}

function credentialsOf(values: Values): CredentialOptions {
  const env = values['target-password-env'];
  const file = values['target-password-file'];
  if (env !== undefined && file !== undefined)
    throw bad('--target-password-env and --target-password-file are both given', 'Give one of them.');
  const userPasswords = new Map<string, TargetSource>();
  for (const [flag, kind] of [
    ['user-password-env', 'env'],
    ['user-password-file', 'file'],
  ] as const) {
    for (const [user, place] of pairsOf(flag, values[flag])) {
      if (userPasswords.has(user)) throw bad(`--${flag}: a user has two passwords`, 'Give each user one place.');
      userPasswords.set(user, kind === 'env' ? { env: place } : { file: place });
    }
  }
  const mappings = pairsOf('user-map', values['user-map']).map(([captured, user]) => ({ captured, user }));
  if (new Set(mappings.map(({ captured }) => captured)).size < mappings.length)
    throw bad('--user-map names a captured user twice', 'Give each captured user one user of the mirror.');
  const ownPassword = env !== undefined ? { env } : file !== undefined ? { file } : null;
  return { mappings, userPasswords, password: ownPassword };
}

function pairsOf(flag: string, texts: readonly string[]): readonly (readonly [string, string])[] {
  return texts.map((text) => {
    const equals = text.indexOf('=');
    if (equals <= 0 || equals === text.length - 1)
      throw bad(`--${flag} is not NAME=VALUE`, 'The password itself is never a flag: name its variable or file.');
    return [text.slice(0, equals), text.slice(equals + 1)];
  });
}

function bad(message: string, hint: string): MirrorstreamError {
  return new MirrorstreamError('badInput', message, { stage: 'flags', hint });
}
