// What TLS each leg speaks, as the flags say it. The words for the source's leg are libpq's sslmode.
import type { CredentialFiles } from './credentials.ts';

/**
 * `off`: SSLRequest is answered N. `allow`: with or without TLS, as the client wants. `require`: only with TLS (cancel requests excepted,
 * which libpq before 17 never encrypts). `passthrough`: the source answers SSLRequest, and what follows passes unread.
 */
export type ClientTlsMode = 'off' | 'allow' | 'require' | 'passthrough';

export interface ClientTlsSettings {
  readonly mode: ClientTlsMode;
  /** Certificate and key of `allow` and `require`; a CA means that clients must show a certificate it signed. */
  readonly files: CredentialFiles;
}

export type SourceTlsMode = 'disable' | 'prefer' | 'require' | 'verify-ca' | 'verify-full';

export interface SourceTlsSettings {
  readonly mode: SourceTlsMode;
  /** The proxy's own certificate and key, if the server asks for one, and the CA that the server's is checked against. */
  readonly files: CredentialFiles;
  /** The name looked for in the server's certificate, if not the host of its address. */
  readonly serverName: string | null;
}
