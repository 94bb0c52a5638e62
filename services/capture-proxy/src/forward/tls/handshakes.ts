// TLS over a TCP socket that is connected already: as the server for clients, as the client for the source.
//
// A TLS leg is a stream, on plain sockets beneath. `secure` is what Node's own tls.Server waits for; it comes once, after the handshake.
import { isIP, type Socket } from 'node:net';
import { type ConnectionOptions, connect, type PeerCertificate, TLSSocket } from 'node:tls';
import type { Credentials } from './credentials.ts';

/** PostgreSQL's name in application-layer protocol negotiation (IANA). */
const alpn = 'postgresql';

export interface AcceptTlsOptions {
  readonly credentials: Credentials;
  /** Without SSLRequest before it: PostgreSQL then insists on ALPN, so that no other protocol can be talked into it. */
  readonly direct: boolean;
}

/** Rejects with the handshake's error; the socket is destroyed then. Bytes in the socket's own buffer belong to the handshake. */
export async function acceptTls(socket: Socket, { credentials, direct }: AcceptTlsOptions): Promise<TLSSocket> {
  const mustShow = credentials.hasCa;
  const tls = new TLSSocket(socket, {
    isServer: true,
    secureContext: credentials.context,
    ALPNProtocols: [alpn],
    requestCert: mustShow,
    rejectUnauthorized: mustShow,
  });
  await untilSecure(socket, tls, 'secure');
  const refused = mustShow ? verifyError(tls) : null;
  const reason = refused ?? (direct && tls.alpnProtocol !== alpn ? 'NO_ALPN' : null);
  if (reason === null) return tls;
  socket.destroy();
  throw Object.assign(new Error('the client was refused after the TLS handshake'), { code: reason });
}

export interface OpenTlsOptions {
  readonly credentials: Credentials;
  /** `none`: any certificate. `ca`: signed by the CA. `full`: and for this host. */
  readonly verify: 'none' | 'ca' | 'full';
  /** What the server is called: its name or its address. */
  readonly host: string;
}

/** Rejects with the handshake's or the check's error; the socket is destroyed then. */
export async function openTls(socket: Socket, { credentials, verify, host }: OpenTlsOptions): Promise<TLSSocket> {
  const options: ConnectionOptions = {
    socket,
    secureContext: credentials.context,
    ALPNProtocols: [alpn],
    rejectUnauthorized: verify !== 'none',
    // Server Name Indication is for names; the certificate is checked against whichever was given.
    ...(isIP(host) === 0 ? { servername: host } : { host }),
    ...(verify === 'ca' ? { checkServerIdentity: anyHost } : {}),
  };
  const tls = connect(options);
  await untilSecure(socket, tls, 'secureConnect');
  return tls;
}

const anyHost = (_host: string, _certificate: PeerCertificate): undefined => undefined;

function untilSecure(socket: Socket, tls: TLSSocket, event: 'secure' | 'secureConnect'): Promise<void> {
  return new Promise((resolve, reject) => {
    const done = (error: Error | null): void => {
      tls.off(event, onSecure).off('error', onError).off('close', onClose).off('end', onClose);
      tls.on('error', ignore);
      if (error === null) {
        resolve();
        return;
      }
      // `tls` follows. Destroyed in this turn, too, it crashes Node (24.21) if a part of the handshake is being written.
      socket.destroy();
      reject(error);
    };
    const onSecure = (): void => done(null);
    const onError = (error: Error): void => done(error);
    const onClose = (): void => done(Object.assign(new Error('closed during the handshake'), { code: 'ECONNRESET' }));
    socket.on('error', ignore);
    tls.once(event, onSecure).once('error', onError).once('close', onClose).once('end', onClose);
  });
}

const ignore = (): void => undefined;

/**
 * What OpenSSL found wrong with the peer's certificate. In a server Node only notes it: its own tls.Server asks the same handle. An
 * unknown Node refuses everybody rather than nobody.
 */
function verifyError(tls: TLSSocket): string | null {
  const handle = (tls as unknown as { _handle: { verifyError?: () => { code?: string } | null } | null })._handle;
  if (typeof handle?.verifyError !== 'function') return 'UNVERIFIED';
  const error = handle.verifyError();
  return error === null || error === undefined ? null : (error.code ?? 'UNVERIFIED');
}
