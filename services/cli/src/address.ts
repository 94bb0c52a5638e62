// Addresses: HOST:PORT, and what a PostgreSQL URL says about where a server is. No message repeats a URL: it may hold a password.
import { MirrorstreamError } from '@mirrorstream/domain';

export interface HostPort {
  readonly host: string;
  readonly port: number;
}

export interface DatabaseAddress extends HostPort {
  /** The URL as given. A secret: it goes to a child by environment variable only. */
  readonly url: string;
}

export const formatHostPort = ({ host, port }: HostPort): string =>
  host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;

/** `place` says where it was given: `--listen`, `mirrorstream.yaml:3: listen`. Port 0 means any free one. */
export function parseHostPort(text: string, place: string): HostPort {
  const match = /^(?:\[([0-9a-fA-F:]+)\]|([^:[\]/@\s]+)):(\d{1,5})$/.exec(text);
  const host = match?.[1] ?? match?.[2];
  const port = Number(match?.[3]);
  if (host === undefined || port > 65_535) {
    throw bad(`${place} is not HOST:PORT`, 'For example 127.0.0.1:6543; IPv6 in brackets: [::1]:6543.');
  }
  return { host, port };
}

/** Throws `badInput` unless it is a URL of a PostgreSQL server. */
export function parseDatabaseUrl(url: string, place: string): DatabaseAddress {
  if (!URL.canParse(url)) throw bad(`${place} is not a URL`, 'For example postgres://user@host:5432/database.');
  const { protocol, hostname, port, searchParams } = new URL(url);
  if (protocol !== 'postgres:' && protocol !== 'postgresql:') {
    throw bad(`${place} has the scheme ${protocol.slice(0, -1)}, which is not supported`, 'Use postgres://host:port.');
  }
  const host = decodeURIComponent(hostname).replace(/^\[(.*)\]$/, '$1') || (searchParams.get('host') ?? '');
  if (host === '') throw bad(`${place} names no host`, 'For example postgres://user@host:5432/database.');
  if (host.startsWith('/')) {
    throw bad(
      `${place} names a Unix socket, which is not supported`,
      'Use the address of the server: postgres://host:5432.',
    );
  }
  return { url, host, port: port === '' ? 5432 : Number(port) };
}

/** Whether two addresses are certainly the same server. */
export function sameServer(a: HostPort, b: HostPort): boolean {
  return a.port === b.port && plainHost(a.host) === plainHost(b.host);
}

function plainHost(host: string): string {
  const lower = host.toLowerCase().replace(/\.$/, '');
  return lower === 'localhost' || lower === '::1' || /^127\./.test(lower) ? 'localhost' : lower;
}

function bad(message: string, hint: string): MirrorstreamError {
  return new MirrorstreamError('badInput', message, { stage: 'configuration', hint });
}
