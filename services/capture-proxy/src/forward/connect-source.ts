// Connects to the source: names resolved each time, addresses in order, TLS where it is wanted.
import { lookup } from 'node:dns/promises';
import { connect, isIP, type Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { type KeepAlive, keepAlive } from './keep-alive.ts';
import type { Address } from './listener.ts';
import { failureCode, nextBytes } from './socket-bytes.ts';
import type { Credentials } from './tls/credentials.ts';
import { openTls } from './tls/handshakes.ts';
import type { SourceTlsMode } from './tls/tls-settings.ts';

/** One server: an address as configured, and what its name resolved to. */
export interface Route {
  readonly address: Address;
  readonly ip: string;
}

export interface SourceSocket {
  readonly socket: Socket;
  /** Around `socket`; null: this leg is not encrypted. */
  readonly tls: TLSSocket | null;
  readonly route: Route;
}

export interface SourceOptions {
  /** Tried in this order. */
  readonly addresses: readonly Address[];
  /** For each address that a name resolves to: resolving, connecting and the handshake. */
  readonly connectTimeoutMs: number;
  readonly keepAlive: KeepAlive;
  readonly tls: {
    readonly mode: SourceTlsMode;
    readonly serverName: string | null;
    readonly credentials: () => Credentials;
  } | null;
  /** Once for an address, whatever it resolves to. */
  readonly onAttemptFailed: (address: Address, code: string) => void;
  readonly onHandshake: (outcome: 'done' | 'failed', code: string) => void;
}

/** `plain`: without TLS whatever the options say: it is the client's to begin. */
export type SourceEncryption = 'asConfigured' | 'plain';

/** Rejects with the last failure when no address answers. With a route, only that one is tried. */
export async function connectSource(
  options: SourceOptions,
  encryption: SourceEncryption,
  only: Route | null,
): Promise<SourceSocket> {
  let last: unknown = null;
  for (const address of only === null ? options.addresses : [only.address]) {
    try {
      return await connectAddress(address, only?.ip ?? null, options, encryption);
    } catch (error) {
      last = error;
      options.onAttemptFailed(address, failureCode(error));
    }
  }
  throw last;
}

/** A name may have addresses that nobody listens at (localhost is ::1, too): it has failed when all have. */
async function connectAddress(
  address: Address,
  only: string | null,
  options: SourceOptions,
  encryption: SourceEncryption,
): Promise<SourceSocket> {
  let last: unknown = null;
  for (const ip of only === null ? await resolve(address, options.connectTimeoutMs) : [only]) {
    try {
      return await connectTo({ address, ip }, options, encryption);
    } catch (error) {
      last = error;
    }
  }
  throw last;
}

/** All addresses of a name, in the resolver's order. */
async function resolve({ host }: Address, timeoutMs: number): Promise<readonly string[]> {
  if (isIP(host) !== 0) return [host];
  const found = await withDeadline(lookup(host, { all: true }), timeoutMs, () => undefined);
  return found.map(({ address }) => address);
}

async function connectTo(route: Route, options: SourceOptions, encryption: SourceEncryption): Promise<SourceSocket> {
  const socket = connect({ host: route.ip, port: route.address.port, allowHalfOpen: true, noDelay: true });
  socket.on('error', ignore);
  socket.pause();
  const connecting = async (): Promise<SourceSocket> => {
    await connected(socket);
    keepAlive(socket, options.keepAlive);
    const wanted = encryption === 'asConfigured' && options.tls !== null && options.tls.mode !== 'disable';
    return { socket, tls: wanted ? await encrypt(socket, route, options) : null, route };
  };
  try {
    return await withDeadline(connecting(), options.connectTimeoutMs, () => socket.destroy());
  } catch (error) {
    socket.destroy();
    throw error;
  }
}

function connected(socket: Socket): Promise<void> {
  return new Promise((resolve, reject) => {
    socket.once('connect', () => {
      socket.off('error', reject);
      resolve();
    });
    socket.once('error', reject);
  });
}

/** Int32 8, Int32 80877103. */
export const sslRequest = Buffer.from([0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f]);
const yes = 0x53; // 'S'
const no = 0x4e; // 'N'

/** Null: the server speaks no TLS, and need not. */
async function encrypt(socket: Socket, { address }: Route, options: SourceOptions): Promise<TLSSocket | null> {
  const { tls } = options;
  if (tls === null) return null;
  const answer = await askForTls(socket);
  if (answer === 'no' && tls.mode === 'prefer') return null;
  try {
    if (answer !== 'yes') throw coded(answer === 'no' ? 'TLS_REFUSED_BY_SOURCE' : 'NO_ANSWER_TO_SSLREQUEST');
    const credentials = tls.credentials();
    const secured = await openTls(socket, {
      credentials,
      verify: verification(tls.mode, credentials.hasCa),
      host: tls.serverName ?? address.host,
    });
    options.onHandshake('done', '');
    return secured;
  } catch (error) {
    options.onHandshake('failed', failureCode(error));
    throw error;
  }
}

/** `other`: not one byte S or N. More than that byte could have been put there by somebody in between (CVE-2021-23222). */
async function askForTls(socket: Socket): Promise<'yes' | 'no' | 'other'> {
  socket.write(sslRequest);
  const answer = await nextBytes(socket);
  if (answer?.length !== 1 || socket.readableLength > 0) return 'other';
  return answer[0] === yes ? 'yes' : answer[0] === no ? 'no' : 'other';
}

/** As in libpq, a CA given with `require` is used. */
function verification(mode: SourceTlsMode, hasCa: boolean): 'none' | 'ca' | 'full' {
  if (mode === 'verify-full') return 'full';
  return mode === 'verify-ca' || (mode === 'require' && hasCa) ? 'ca' : 'none';
}

export async function withDeadline<T>(work: Promise<T>, timeoutMs: number, abandon: () => void): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => {
      abandon();
      reject(coded('ETIMEDOUT'));
    }, timeoutMs);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
    work.catch(ignore); // What is abandoned may still fail.
  }
}

const coded = (code: string): Error => Object.assign(new Error(code), { code });
const ignore = (): void => undefined;
