// The TLS of the capture proxy: what a source's URL and the configuration file say, as the proxy's flags.
import { type ConfigFile, MirrorstreamError } from '@mirrorstream/domain';
import type { DatabaseAddress } from '../address.ts';

const modes = ['disable', 'allow', 'prefer', 'require', 'verify-ca', 'verify-full'];

/** libpq's parameters of the source's URL. `place` says where that was given. Throws `badInput`. */
export function sourceTlsFlags({ url }: DatabaseAddress, place: string): string[] {
  const { searchParams } = new URL(url);
  const mode = searchParams.get('sslmode') ?? 'disable';
  if (!modes.includes(mode)) {
    throw new MirrorstreamError('badInput', `${place} has an sslmode that there is none of`, {
      stage: 'configuration',
      hint: `sslmode is one of ${modes.join(', ')}.`,
    });
  }
  // `allow` is plain first and TLS only if the server refuses that, which a proxy hears when the client has said who it is.
  if (mode === 'disable' || mode === 'allow') return [];
  const rootCert = searchParams.get('sslrootcert');
  return [
    ...['--source-tls', mode],
    // libpq's word for the certificates that the system trusts, which is what the proxy does without a file.
    ...flag('--source-tls-ca', rootCert === 'system' ? null : rootCert),
    ...flag('--source-tls-cert', searchParams.get('sslcert')),
    ...flag('--source-tls-key', searchParams.get('sslkey')),
  ];
}

/** `tls:` of the file. */
export function clientTlsFlags(tls: ConfigFile['tls']): string[] {
  return [
    ...flag('--client-tls', tls?.mode),
    ...flag('--tls-cert', tls?.certFile),
    ...flag('--tls-key', tls?.keyFile),
    ...flag('--tls-ca', tls?.caFile),
  ];
}

function flag(name: string, value: string | null | undefined): string[] {
  return value === null || value === undefined ? [] : [name, value];
}
