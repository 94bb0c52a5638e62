// The only bytes the forwarding thread understands: what comes before the first message of a session.
//
//   packet        = Int32 length (counts itself), Int32 code, body
//   SSLRequest    = 8, 80877103            GSSENCRequest = 8, 80877104
//   CancelRequest = length, 80877102, Int32 pid, Byte* secret key
//   StartupMessage = length, protocol version, { String name, String value }*, NUL
//   direct TLS    = a TLS record of type handshake: 0x16 …      (PostgreSQL 17: sslnegotiation=direct)
// (PostgreSQL manual, "Message Formats"; the server refuses more than 10 000 bytes, MAX_STARTUP_PACKET_LENGTH.)
import { CANCEL_REQUEST_CODE, GSSENC_REQUEST_CODE, SSL_REQUEST_CODE } from '@mirrorstream/pg-wire';

export type StartupPacket =
  | { readonly kind: 'incomplete' }
  | { readonly kind: 'sslRequest' | 'gssencRequest' | 'cancelRequest'; readonly sizeBytes: number }
  | { readonly kind: 'startup'; readonly sizeBytes: number; readonly replication: boolean }
  | { readonly kind: 'directTls' }
  /** Nothing a client of protocol 3 would say (garbage, another protocol version, too long): the server shall answer it. */
  | { readonly kind: 'opaque' };

export const maxStartupBytes = 10_000;
const tlsHandshakeRecord = 0x16;
const incomplete: StartupPacket = { kind: 'incomplete' };
const opaque: StartupPacket = { kind: 'opaque' };
const directTls: StartupPacket = { kind: 'directTls' };

/** Looks at the packet that begins at `bytes[0]`. */
export function readStartupPacket(bytes: Buffer): StartupPacket {
  if (bytes.length >= 1 && bytes[0] === tlsHandshakeRecord) return directTls;
  if (bytes.length >= 1 && bytes[0] !== 0) return opaque; // a length of 16 MiB and more
  if (bytes.length < 4) return incomplete;
  const sizeBytes = bytes.readInt32BE(0);
  if (sizeBytes < 8 || sizeBytes > maxStartupBytes) return opaque;
  if (bytes.length < sizeBytes) return incomplete;
  const code = bytes.readInt32BE(4);
  if (code === SSL_REQUEST_CODE) return { kind: 'sslRequest', sizeBytes };
  if (code === GSSENC_REQUEST_CODE) return { kind: 'gssencRequest', sizeBytes };
  if (code === CANCEL_REQUEST_CODE) return { kind: 'cancelRequest', sizeBytes };
  if (code >> 16 !== 3) return opaque;
  return { kind: 'startup', sizeBytes, replication: asksForReplication(bytes.subarray(8, sizeBytes)) };
}

/** `replication` is a Boolean or `database` (server source: ProcessStartupPacket); only an explicit no is an ordinary session. */
function asksForReplication(parameters: Buffer): boolean {
  const strings = parameters.toString('latin1').split('\0');
  for (let i = 0; i + 1 < strings.length && strings[i] !== ''; i += 2) {
    if (strings[i] === 'replication') return !/^(0|f|fa|fal|fals|false|n|no|of|off)$/i.test(strings[i + 1] as string);
  }
  return false;
}
