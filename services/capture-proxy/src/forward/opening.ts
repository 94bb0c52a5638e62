// How a client's connection begins: its start-up packets are read and answered until it is clear what it wants.
//
//   GSSENCRequest ─► N, goes on            SSLRequest ─► N, goes on │ S, TLS handshake, goes on │ what the source answers (passthrough)
//   TLS at once ─► handshake, goes on      StartupMessage, CancelRequest, anything else ─► the end of this file's work
import type { Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { sslRequest, withDeadline } from './connect-source.ts';
import type { Refusal } from './refusals.ts';
import { bufferedBytes, failureCode, nextBytes } from './socket-bytes.ts';
import { readStartupPacket } from './startup-packet.ts';
import type { Credentials } from './tls/credentials.ts';
import { acceptTls } from './tls/handshakes.ts';
import type { ClientTlsMode } from './tls/tls-settings.ts';

export interface OpeningOptions {
  readonly mode: ClientTlsMode;
  /** Of `allow` and `require`. */
  readonly credentials: (() => Credentials) | null;
  /** Of `passthrough`. Rejects. */
  readonly askSource: () => Promise<SourceAnswer>;
  readonly onHandshake: (outcome: 'done' | 'failed', code: string) => void;
}

/** A connection to the source on which SSLRequest was sent, and the first bytes of what it said to that. */
export interface SourceAnswer {
  readonly server: Socket;
  readonly answer: Buffer;
}

export interface ClientEnd {
  readonly socket: Socket;
  /** Around `socket`; null: this leg is not encrypted. */
  readonly tls: TLSSocket | null;
  /** What the client was shown. */
  readonly credentials: Credentials | null;
}

export type Wish =
  | { readonly kind: 'startup'; readonly packetBytes: number; readonly replication: boolean }
  | { readonly kind: 'cancel'; readonly packetBytes: number }
  /** Not for us to understand: it passes. */
  | { readonly kind: 'opaque'; readonly why: 'encrypted' | 'unknownProtocol' }
  /** The source agreed to TLS: `server` is the connection, `answer` what it said. */
  | ({ readonly kind: 'passthrough' } & SourceAnswer)
  | { readonly kind: 'refused'; readonly refusal: Refusal }
  /** Nobody could be asked. */
  | { readonly kind: 'unreachable'; readonly code: string };

export interface Opening {
  readonly client: ClientEnd;
  readonly wish: Wish;
  /** All that the client has sent and nobody has answered yet. */
  readonly sent: Buffer;
}

const refuseEncryption = Buffer.from('N', 'latin1');
const agreeToEncryption = Buffer.from('S', 'latin1');
const no = 0x4e; // 'N'

/** Null: the connection ended, or is to be ended without a word. Rejects when it failed. */
export async function readOpening(socket: Socket, options: OpeningOptions): Promise<Opening | null> {
  let client: ClientEnd = { socket, tls: null, credentials: null };
  let bytes: Buffer = Buffer.alloc(0);
  for (;;) {
    const packet = readStartupPacket(bytes);
    switch (packet.kind) {
      case 'incomplete': {
        const more = await nextBytes(client.tls ?? socket);
        if (more === null) return null;
        bytes = bytes.length === 0 ? more : Buffer.concat([bytes, more]);
        continue;
      }
      case 'gssencRequest':
      case 'sslRequest': {
        const rest = bytes.subarray(packet.sizeBytes);
        const next = await answerRequest(packet.kind, client, rest, options);
        if (next === null || 'wish' in next) return next;
        client = next;
        bytes = rest;
        continue;
      }
      case 'directTls':
        if (client.tls !== null) return opening(client, { kind: 'opaque', why: 'unknownProtocol' }, bytes);
        if (options.credentials === null) return opening(client, { kind: 'opaque', why: 'encrypted' }, bytes);
        socket.unshift(bytes);
        client = await encrypt(socket, true, options.credentials(), options);
        bytes = Buffer.alloc(0);
        continue;
      case 'startup': {
        const { sizeBytes, replication } = packet;
        if (lacksTls(client, options)) return opening(client, refused('tlsRequired'), bytes);
        return opening(client, { kind: 'startup', packetBytes: sizeBytes, replication }, bytes);
      }
      case 'cancelRequest':
        return opening(client, { kind: 'cancel', packetBytes: packet.sizeBytes }, bytes);
      case 'opaque':
        if (lacksTls(client, options)) return opening(client, refused('tlsRequired'), bytes);
        return opening(client, { kind: 'opaque', why: 'unknownProtocol' }, bytes);
      default:
        return packet satisfies never;
    }
  }
}

const lacksTls = (client: ClientEnd, { mode }: OpeningOptions): boolean => mode === 'require' && client.tls === null;

/** The client's end as it is then; what it opens if that is clear; null: to be ended without a word. `rest`: what lies behind the request. */
async function answerRequest(
  request: 'sslRequest' | 'gssencRequest',
  client: ClientEnd,
  rest: Buffer,
  options: OpeningOptions,
): Promise<ClientEnd | Opening | null> {
  const { socket } = client;
  if (client.tls !== null) return opening(client, refused('protocolViolation'), rest);
  if (request === 'sslRequest' && options.mode === 'passthrough') {
    const wish = await passRequest(options);
    if (wish !== null) return opening(client, wish, rest);
  }
  if (request === 'gssencRequest' || options.credentials === null) {
    socket.write(refuseEncryption);
    return client;
  }
  if (rest.length > 0 || socket.readableLength > 0) {
    // Bytes from before the handshake would be taken for the client's own after it (CVE-2021-23214).
    options.onHandshake('failed', 'UNENCRYPTED_DATA_AFTER_SSLREQUEST');
    return null;
  }
  socket.write(agreeToEncryption);
  return await encrypt(socket, false, options.credentials(), options);
}

/** Null: the source declines. */
async function passRequest({ askSource }: OpeningOptions): Promise<Wish | null> {
  try {
    const { server, answer } = await askSource();
    if (answer.length !== 1 || answer[0] !== no) return { kind: 'passthrough', server, answer };
    server.destroy();
    return null;
  } catch (error) {
    return { kind: 'unreachable', code: failureCode(error) };
  }
}

/** What the source says to an SSLRequest. Rejects when it says nothing in time. */
export async function askSourceForTls(
  connectPlain: () => Promise<{ readonly socket: Socket }>,
  timeoutMs: number,
): Promise<SourceAnswer> {
  const { socket: server } = await connectPlain();
  const asking = async (): Promise<SourceAnswer> => {
    server.write(sslRequest);
    const answer = await nextBytes(server);
    return { server, answer: Buffer.concat([answer ?? Buffer.alloc(0), bufferedBytes(server)]) };
  };
  return await withDeadline(asking(), timeoutMs, () => server.destroy());
}

async function encrypt(
  socket: Socket,
  direct: boolean,
  credentials: Credentials,
  { onHandshake }: OpeningOptions,
): Promise<ClientEnd> {
  try {
    const tls = await acceptTls(socket, { credentials, direct });
    onHandshake('done', '');
    return { socket, tls, credentials };
  } catch (error) {
    onHandshake('failed', failureCode(error));
    throw error;
  }
}

/** What the socket has read in the meantime is part of it: nobody reads it in this form any more. */
function opening(client: ClientEnd, wish: Wish, bytes: Buffer): Opening {
  const more = bufferedBytes(client.tls ?? client.socket);
  return { client, wish, sent: more.length === 0 ? bytes : Buffer.concat([bytes, more]) };
}

function refused(kind: 'tlsRequired' | 'protocolViolation'): Wish {
  return { kind: 'refused', refusal: { kind } };
}
