// The flags about connections: TLS on either leg, time-outs, keep-alive and limits.
import { MirrorstreamError } from '@mirrorstream/domain';
import type { FlagTable, FlagValues } from '@mirrorstream/service-kit';
import { z } from 'zod';
import { integer, seconds } from './flag-types.ts';
import { defaultKeepAlive, type KeepAlive } from './forward/keep-alive.ts';
import type { CredentialFiles } from './forward/tls/credentials.ts';
import type { ClientTlsSettings, SourceTlsSettings } from './forward/tls/tls-settings.ts';

/** Plain data: it is sent to worker processes. */
export interface ConnectionConfig {
  readonly clientTls: ClientTlsSettings;
  readonly sourceTls: SourceTlsSettings;
  readonly connectTimeoutMs: number;
  readonly startupTimeoutMs: number;
  readonly keepAlive: KeepAlive;
  /** Null: no limit. */
  readonly maxSessions: number | null;
}

export const connectionFlags: FlagTable = [
  {
    name: 'client-tls',
    placeholder: 'off|allow|require|passthrough',
    description:
      'TLS with clients; allow when --tls-cert is given, else off. passthrough: clients and source speak TLS with each other, uncaptured',
  },
  { name: 'tls-cert', placeholder: 'FILE', description: 'certificate shown to clients (PEM), its chain after it' },
  { name: 'tls-key', placeholder: 'FILE', description: 'key of that certificate (PEM, unencrypted)' },
  {
    name: 'tls-ca',
    placeholder: 'FILE',
    description: 'TLS clients must show a certificate signed by this CA (PEM); the source never sees it',
  },
  {
    name: 'source-tls',
    placeholder: 'disable|prefer|require|verify-ca|verify-full',
    default: 'disable',
    description: "TLS with the source, as libpq's sslmode",
  },
  { name: 'source-tls-ca', placeholder: 'FILE', description: "CA that signed the source's certificate (PEM)" },
  { name: 'source-tls-cert', placeholder: 'FILE', description: "the proxy's own client certificate (PEM)" },
  { name: 'source-tls-key', placeholder: 'FILE', description: 'key of that certificate (PEM, unencrypted)' },
  {
    name: 'source-tls-server-name',
    placeholder: 'NAME',
    description: "name in the source's certificate, if not its host",
  },
  {
    name: 'connect-timeout',
    placeholder: 'SECONDS',
    default: '10',
    description: 'for each address of the source: name, connection and TLS handshake',
  },
  {
    name: 'startup-timeout',
    placeholder: 'SECONDS',
    default: '60',
    description: 'how long a client may take until its start-up packet is there, TLS handshake included',
  },
  {
    name: 'keepalives-idle',
    placeholder: 'SECONDS',
    default: String(defaultKeepAlive.idleMs / 1000),
    description: 'a connection so long idle is probed, on both legs; 0: never',
  },
  {
    name: 'keepalives-interval',
    placeholder: 'SECONDS',
    default: String(defaultKeepAlive.intervalMs / 1000),
    description: 'between probes that are not answered',
  },
  {
    name: 'keepalives-count',
    placeholder: 'COUNT',
    default: String(defaultKeepAlive.count),
    description: 'unanswered probes after which the connection is dead',
  },
  {
    name: 'max-sessions',
    placeholder: 'COUNT',
    default: '0',
    description: 'more are refused with 53300, of each worker; 0: no limit',
  },
];

const file = z.string().min(1).optional();
const schema = z.object({
  'client-tls': z.enum(['off', 'allow', 'require', 'passthrough']).optional(),
  'tls-cert': file,
  'tls-key': file,
  'tls-ca': file,
  'source-tls': z.enum(['disable', 'prefer', 'require', 'verify-ca', 'verify-full']),
  'source-tls-ca': file,
  'source-tls-cert': file,
  'source-tls-key': file,
  'source-tls-server-name': z.string().min(1).optional(),
  'connect-timeout': seconds(0.1),
  'startup-timeout': seconds(0.1),
  'keepalives-idle': integer(0, 32_767),
  'keepalives-interval': integer(1, 32_767),
  'keepalives-count': integer(1, 127), // the kernel's own bounds (tcp(7))
  'max-sessions': integer(0, 1_000_000),
});
type Values = z.infer<typeof schema>;
type FileFlag = 'tls-cert' | 'tls-key' | 'tls-ca' | 'source-tls-ca' | 'source-tls-cert' | 'source-tls-key';

/** Throws a ZodError or `badInput`, naming the flag. That the files can be used is found out when they are read. */
export function parseConnections(values: FlagValues): ConnectionConfig {
  const flag = schema.parse(values);
  return {
    clientTls: clientTls(flag),
    sourceTls: sourceTls(flag),
    connectTimeoutMs: flag['connect-timeout'],
    startupTimeoutMs: flag['startup-timeout'],
    keepAlive: {
      idleMs: flag['keepalives-idle'] * 1000,
      intervalMs: flag['keepalives-interval'] * 1000,
      count: flag['keepalives-count'],
    },
    maxSessions: flag['max-sessions'] === 0 ? null : flag['max-sessions'],
  };
}

function clientTls(flag: Values): ClientTlsSettings {
  const mode = flag['client-tls'] ?? (flag['tls-cert'] === undefined ? 'off' : 'allow');
  const files = credentialFiles(flag, 'tls-cert', 'tls-key', 'tls-ca');
  if (mode === 'allow' || mode === 'require') {
    if (files.cert === undefined)
      throw bad(
        `--client-tls ${mode} needs --tls-cert and --tls-key`,
        'Name the PEM files of a certificate and its key.',
      );
    return { mode, files };
  }
  const given = files.cert ?? files.key ?? files.ca;
  if (given !== undefined)
    throw bad(`${given.flag} is given, but --client-tls is ${mode}`, 'Use --client-tls allow or require.');
  return { mode, files };
}

function sourceTls(flag: Values): SourceTlsSettings {
  const mode = flag['source-tls'];
  const files = credentialFiles(flag, 'source-tls-cert', 'source-tls-key', 'source-tls-ca');
  const serverName = flag['source-tls-server-name'] ?? null;
  const given =
    (files.cert ?? files.key ?? files.ca)?.flag ?? (serverName === null ? null : '--source-tls-server-name');
  if (mode === 'disable' && given !== null)
    throw bad(`${given} is given, but --source-tls is disable`, 'Use --source-tls verify-full.');
  if (mode === 'verify-ca' && files.ca === undefined)
    throw bad('--source-tls verify-ca needs --source-tls-ca', "Name the CA's certificate, or use verify-full.");
  return { mode, files, serverName };
}

function credentialFiles(flag: Values, cert: FileFlag, key: FileFlag, ca: FileFlag): CredentialFiles {
  if ((flag[cert] === undefined) !== (flag[key] === undefined)) {
    const [given, missing] = flag[cert] === undefined ? [key, cert] : [cert, key];
    throw bad(`--${given} is given without --${missing}`, 'A certificate and its key belong together.');
  }
  const named = (name: FileFlag) => {
    const path = flag[name];
    return path === undefined ? undefined : { flag: `--${name}`, path };
  };
  const files = { cert: named(cert), key: named(key), ca: named(ca) };
  return {
    ...(files.cert && { cert: files.cert }),
    ...(files.key && { key: files.key }),
    ...(files.ca && { ca: files.ca }),
  };
}

function bad(message: string, hint: string): MirrorstreamError {
  return new MirrorstreamError('badInput', message, { stage: 'flags', hint });
}
