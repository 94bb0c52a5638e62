// Which legs of a proxy are encrypted, who ends the TLS, and both ends of it as the tests play them.
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
import { createSecureContext, type SecureContext, TLSSocket } from 'node:tls';
import { type CertificateFiles, createCertificateAuthority } from '@mirrorstream/testkit';
import { handshake, requestTls, sslRequest } from '../proxy-scene.ts';

/** `asked`: SSLRequest first; `direct`: TLS from the first byte (libpq's sslnegotiation=direct). */
export type Encryption = 'plain' | 'asked' | 'direct';

export interface Legs {
  readonly name: string;
  readonly client: Encryption;
  /** What the server is spoken to with; it takes `asked` and `direct`. */
  readonly server: 'plain' | 'tls';
  /** The client's TLS is the server's: the proxy reads none of it. */
  readonly passedThrough: boolean;
}

export const plainLegs: Legs = { name: 'plain', client: 'plain', server: 'plain', passedThrough: false };

export const encryptedLegs: readonly Legs[] = [
  { name: 'TLS with clients', client: 'asked', server: 'plain', passedThrough: false },
  { name: 'TLS with the server', client: 'plain', server: 'tls', passedThrough: false },
  { name: 'TLS with both', client: 'asked', server: 'tls', passedThrough: false },
  { name: 'direct TLS with clients', client: 'direct', server: 'tls', passedThrough: false },
  { name: 'TLS passed through', client: 'asked', server: 'tls', passedThrough: true },
  { name: 'direct TLS passed through', client: 'direct', server: 'tls', passedThrough: true },
];

/** A connection, and the TCP socket beneath it: the same when it is not encrypted. */
export interface Connection {
  readonly stream: Socket;
  readonly tcp: Socket;
}

const certificates = ((): (() => Promise<Readonly<Record<'proxy' | 'server', CertificateFiles>>>) => {
  let issued: Promise<Record<'proxy' | 'server', CertificateFiles>> | undefined;
  const issue = async () => {
    const authority = await createCertificateAuthority();
    return { proxy: await authority.issue(), server: await authority.issue() };
  };
  return () => {
    issued ??= issue();
    return issued;
  };
})();

/** What a proxy between such legs is started with. */
export async function flagsOf({ client, server, passedThrough }: Legs): Promise<string[]> {
  if (passedThrough) return ['--client-tls', 'passthrough'];
  const { certFile, keyFile } = (await certificates()).proxy;
  return [
    ...(client === 'plain' ? [] : ['--tls-cert', certFile, '--tls-key', keyFile]),
    ...(server === 'plain' ? [] : ['--source-tls', 'require']),
  ];
}

const alpn = { ALPNProtocols: ['postgresql'] };

/** As a client does. Each end of it closes by itself. */
export async function connectTo(
  target: { readonly host: string; readonly port: number },
  encryption: Encryption,
): Promise<Connection> {
  const tcp = connect({ ...target, allowHalfOpen: true, noDelay: true });
  await once(tcp, 'connect');
  if (encryption === 'plain') return { stream: tcp, tcp };
  tcp.on('error', ignore);
  const trusting = { ...alpn, rejectUnauthorized: false };
  return { stream: await (encryption === 'asked' ? requestTls : handshake)(tcp, trusting), tcp };
}

export type Acceptor = (tcp: Socket) => Promise<Connection>;

/** As a server does: takes TLS in both ways, and nothing else. The acceptor rejects when no handshake comes about. */
export async function acceptorOf({ server }: Pick<Legs, 'server'>): Promise<Acceptor> {
  if (server === 'plain') return async (tcp) => ({ stream: tcp, tcp });
  const { certFile, keyFile } = (await certificates()).server;
  const secureContext = createSecureContext({ cert: await readFile(certFile), key: await readFile(keyFile) });
  return (tcp) => acceptTls(tcp, secureContext);
}

async function acceptTls(tcp: Socket, secureContext: SecureContext): Promise<Connection> {
  tcp.on('error', ignore);
  const gone = new AbortController();
  const onGone = (): void => gone.abort();
  // A peer that half-closes before the handshake is over will never finish it, and the socket would not close by itself.
  tcp.once('close', onGone).once('end', onGone);
  const { signal } = gone;
  let first: Buffer | null = null;
  while (first === null) {
    await once(tcp, 'readable', { signal });
    first = tcp.read() as Buffer | null;
  }
  if (first.equals(sslRequest)) tcp.write('S');
  else tcp.unshift(first);
  const stream = new TLSSocket(tcp, { isServer: true, secureContext, ...alpn });
  stream.on('error', ignore);
  stream.once('end', onGone);
  await once(stream, 'secure', { signal });
  return { stream, tcp };
}

/** With a reset, so that the peer does not take it for an end. The TLS around it goes with it: destroyed in the same turn, it crashes Node. */
export function reset({ tcp }: Connection): void {
  tcp.resetAndDestroy();
}

const ignore = (): void => undefined;
