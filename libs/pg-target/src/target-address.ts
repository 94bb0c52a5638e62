// Where a mirror's server is and how to log in: read from a URL that an environment variable or a file holds, never from argv.
import { readFile } from 'node:fs/promises';
import { MirrorstreamError } from '@mirrorstream/domain';

export const sslModes = ['disable', 'prefer', 'require', 'verify-ca', 'verify-full'] as const;
export type SslMode = (typeof sslModes)[number];

export interface TargetAddress {
  readonly host: string;
  readonly port: number;
  /** undefined: the captured session's. */
  readonly user: string | undefined;
  readonly password: string | undefined;
  /** undefined: the captured session's. */
  readonly database: string | undefined;
  readonly sslMode: SslMode;
  /** PEM file of the authority that signed the server's certificate. With `require` it is checked too, as libpq does. */
  readonly sslRootCertFile: string | undefined;
  /** PEM files of our own certificate and its key: both or neither. */
  readonly sslCertFile: string | undefined;
  readonly sslKeyFile: string | undefined;
}

/** Which place names the URL. */
export type TargetSource = { readonly env: string } | { readonly file: string };

const DEFAULT_PORT = 5432;
const stage = 'target';
const urlHint = `Use postgres://[user[:password]@]host[:port][,host[:port]…][/database][?sslmode=${sslModes.join('|')}].`;

/** One per host of the URL, in its order. Throws `badInput`; the message says where the URL came from and never shows it. */
export async function readTargetAddresses(
  source: TargetSource,
  env: Readonly<Record<string, string | undefined>>,
): Promise<readonly TargetAddress[]> {
  if ('env' in source) {
    const url = env[source.env];
    if (url !== undefined && url !== '') return parseTargetUrls(url, `environment variable ${source.env}`);
    throw badInput(`environment variable ${source.env} is not set`, `Set it to the mirror's URL. ${urlHint}`);
  }
  try {
    return parseTargetUrls((await readFile(source.file, 'utf8')).trim(), `file ${source.file}`);
  } catch (error) {
    if (error instanceof MirrorstreamError) throw error;
    throw badInput(`target file ${source.file} cannot be read`, 'It must hold the URL of the mirror.', error);
  }
}

/** A URL of several hosts, separated by commas as libpq has it, is that many addresses which differ in nothing else. */
export function parseTargetUrls(text: string, place: string): readonly TargetAddress[] {
  const parts = /^([a-z]+:\/\/(?:[^/?#]*@)?)([^/?#@]*)(.*)$/s.exec(text);
  if (parts === null) return [parseTargetUrl(text, place)];
  const [, before = '', hosts = '', after = ''] = parts;
  return hosts.split(',').map((host) => parseTargetUrl(`${before}${host}${after}`, place));
}

/** `place` names the URL's origin in errors, which must not show the URL itself: it may hold a password. */
export function parseTargetUrl(text: string, place: string): TargetAddress {
  const url = URL.canParse(text) ? new URL(text) : null;
  if (url === null) throw badInput(`${place} does not hold a URL`, urlHint);
  if (url.protocol !== 'postgres:' && url.protocol !== 'postgresql:')
    throw badInput(`${place}: scheme ${url.protocol.slice(0, -1)} is not supported`, urlHint);
  if (url.hostname === '') throw badInput(`${place}: the URL names no host`, urlHint);
  const query = readQuery(url, place);
  return {
    host: url.hostname.replace(/^\[(.*)\]$/, '$1'),
    port: url.port === '' ? DEFAULT_PORT : Number(url.port),
    user: decoded(url.username, place),
    password: decoded(url.password, place),
    database: decoded(url.pathname.slice(1), place),
    ...query,
  };
}

type Tls = Pick<TargetAddress, 'sslMode' | 'sslRootCertFile' | 'sslCertFile' | 'sslKeyFile'>;

function readQuery(url: URL, place: string): Tls {
  const known = ['sslmode', 'sslrootcert', 'sslcert', 'sslkey'];
  for (const name of url.searchParams.keys())
    if (!known.includes(name))
      throw badInput(`${place}: parameter ${name} is not supported`, `Known: ${known.join(', ')}.`);
  const value = (name: string): string | undefined => url.searchParams.get(name) ?? undefined;
  const mode = value('sslmode');
  const tls: Tls = {
    sslMode: mode === undefined ? 'prefer' : checkSslMode(mode, place),
    sslRootCertFile: value('sslrootcert'),
    sslCertFile: value('sslcert'),
    sslKeyFile: value('sslkey'),
  };
  if ((tls.sslCertFile === undefined) !== (tls.sslKeyFile === undefined))
    throw badInput(`${place}: sslcert and sslkey belong together`, 'Give both, or neither.');
  if (tls.sslMode === 'verify-ca' && tls.sslRootCertFile === undefined)
    throw badInput(`${place}: sslmode=verify-ca needs sslrootcert`, "Name the CA's certificate, or use verify-full.");
  return tls;
}

function checkSslMode(value: string, place: string): SslMode {
  const found = sslModes.find((mode) => mode === value);
  if (found !== undefined) return found;
  throw badInput(`${place}: sslmode is not one of ${sslModes.join(', ')}`, urlHint);
}

function decoded(part: string, place: string): string | undefined {
  if (part === '') return undefined;
  try {
    return decodeURIComponent(part);
  } catch {
    throw badInput(`${place}: a part of the URL is not percent-encoded properly`, urlHint);
  }
}

function badInput(message: string, hint: string, cause?: unknown): MirrorstreamError {
  return new MirrorstreamError('badInput', message, { stage, hint, cause });
}
