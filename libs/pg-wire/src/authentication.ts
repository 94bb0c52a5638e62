// Authentication family: what the server asks for (`R`), and the four answers that share the type byte `p`.

import type { UnknownMessage } from './outcome.ts';
import { B, F } from './type-bytes.ts';
import type { WireReader } from './wire-reader.ts';
import type { WireWriter } from './wire-writer.ts';

export type AuthenticationOk = { readonly kind: 'authenticationOk' };
export type AuthenticationKerberosV5 = { readonly kind: 'authenticationKerberosV5' };
export type AuthenticationCleartextPassword = { readonly kind: 'authenticationCleartextPassword' };
/** `salt` has four bytes. */
export type AuthenticationMD5Password = { readonly kind: 'authenticationMD5Password'; readonly salt: Uint8Array };
export type AuthenticationGSS = { readonly kind: 'authenticationGSS' };
export type AuthenticationGSSContinue = { readonly kind: 'authenticationGSSContinue'; readonly data: Uint8Array };
export type AuthenticationSSPI = { readonly kind: 'authenticationSSPI' };
export type AuthenticationSASL = { readonly kind: 'authenticationSASL'; readonly mechanisms: readonly string[] };
export type AuthenticationSASLContinue = { readonly kind: 'authenticationSASLContinue'; readonly data: Uint8Array };
export type AuthenticationSASLFinal = { readonly kind: 'authenticationSASLFinal'; readonly data: Uint8Array };

export type AuthenticationMessage =
  | AuthenticationOk
  | AuthenticationKerberosV5
  | AuthenticationCleartextPassword
  | AuthenticationMD5Password
  | AuthenticationGSS
  | AuthenticationGSSContinue
  | AuthenticationSSPI
  | AuthenticationSASL
  | AuthenticationSASLContinue
  | AuthenticationSASLFinal;

export type PasswordMessage = { readonly kind: 'passwordMessage'; readonly password: string };
export type SASLInitialResponse = {
  readonly kind: 'saslInitialResponse';
  readonly mechanism: string;
  /** null: no initial response (length -1). */
  readonly data: Uint8Array | null;
};
export type SASLResponse = { readonly kind: 'saslResponse'; readonly data: Uint8Array };
export type GSSResponse = { readonly kind: 'gssResponse'; readonly data: Uint8Array };
/** A `p` message whose context is not known, or not wanted: secrets stay undecoded bytes. */
export type AuthenticationResponse = { readonly kind: 'authenticationResponse'; readonly data: Uint8Array };

export type AuthenticationAnswer =
  | PasswordMessage
  | SASLInitialResponse
  | SASLResponse
  | GSSResponse
  | AuthenticationResponse;

/** Which message a `p` is. The wire does not say; the last AuthenticationXxx does: see `expectedAnswer`. */
export type ExpectedAnswer = AuthenticationAnswer['kind'];

/** What the client will answer with, or null when the server expects no answer. */
export function expectedAnswer(request: AuthenticationMessage): ExpectedAnswer | null {
  switch (request.kind) {
    case 'authenticationCleartextPassword':
    case 'authenticationMD5Password':
      return 'passwordMessage';
    case 'authenticationSASL':
      return 'saslInitialResponse';
    case 'authenticationSASLContinue':
      return 'saslResponse';
    case 'authenticationGSS':
    case 'authenticationGSSContinue':
    case 'authenticationSSPI':
      return 'gssResponse';
    case 'authenticationOk':
    case 'authenticationKerberosV5':
    case 'authenticationSASLFinal':
      return null;
    default:
      request satisfies never;
      return null;
  }
}

const SALT_BYTES = 4;

const codes: { readonly [Kind in AuthenticationMessage['kind']]: number } = {
  authenticationOk: 0,
  authenticationKerberosV5: 2,
  authenticationCleartextPassword: 3,
  authenticationMD5Password: 5,
  authenticationGSS: 7,
  authenticationGSSContinue: 8,
  authenticationSSPI: 9,
  authenticationSASL: 10,
  authenticationSASLContinue: 11,
  authenticationSASLFinal: 12,
};
const kinds = new Map(Object.entries(codes).map(([kind, code]) => [code, kind as AuthenticationMessage['kind']]));

// AuthenticationXxx: Byte1('R'), Int32 length, Int32 code, then by code
//   0 Ok, 2 KerberosV5, 3 CleartextPassword, 7 GSS, 9 SSPI   nothing
//   5 MD5Password                                            Byte4 salt
//   8 GSSContinue, 11 SASLContinue, 12 SASLFinal             Byten data
//   10 SASL                                                  String mechanism each, then Byte1(0)
export function decodeAuthentication(reader: WireReader): AuthenticationMessage | UnknownMessage {
  const kind = kinds.get(reader.int32());
  switch (kind) {
    case undefined:
      return { kind: 'unknown', type: B.Authentication, body: reader.wholeBody() };
    case 'authenticationMD5Password':
      return { kind, salt: reader.bytes(SALT_BYTES) };
    case 'authenticationSASL':
      return { kind, mechanisms: decodeMechanisms(reader) };
    case 'authenticationGSSContinue':
    case 'authenticationSASLContinue':
    case 'authenticationSASLFinal':
      return { kind, data: reader.rest() };
    default:
      return { kind };
  }
}

function decodeMechanisms(reader: WireReader): string[] {
  const mechanisms: string[] = [];
  for (let name = reader.string(); name !== ''; name = reader.string()) mechanisms.push(name);
  return mechanisms;
}

export function encodeAuthentication(message: AuthenticationMessage, writer: WireWriter): void {
  writer.beginFrame(B.Authentication);
  writer.int32(codes[message.kind]);
  if (message.kind === 'authenticationMD5Password') {
    if (message.salt.length !== SALT_BYTES) throw new RangeError(`an MD5 salt has ${SALT_BYTES} bytes`);
    writer.bytes(message.salt);
  } else if (message.kind === 'authenticationSASL') {
    encodeMechanisms(message.mechanisms, writer);
  } else if ('data' in message) {
    writer.bytes(message.data);
  }
  writer.endFrame();
}

function encodeMechanisms(mechanisms: readonly string[], writer: WireWriter): void {
  for (const mechanism of mechanisms) {
    if (mechanism === '') throw new RangeError('a SASL mechanism without a name would end the list');
    writer.string(mechanism);
  }
  writer.byte(0);
}

// PasswordMessage      Byte1('p'), Int32 length, String password
// SASLInitialResponse  Byte1('p'), Int32 length, String mechanism, Int32 size of data or -1, Byten data
// SASLResponse         Byte1('p'), Int32 length, Byten data
// GSSResponse          Byte1('p'), Int32 length, Byten data
export function decodeAuthenticationAnswer(reader: WireReader, expected: ExpectedAnswer): AuthenticationAnswer {
  switch (expected) {
    case 'passwordMessage':
      return { kind: 'passwordMessage', password: reader.string() };
    case 'saslInitialResponse':
      return { kind: 'saslInitialResponse', mechanism: reader.string(), data: reader.value() };
    case 'saslResponse':
    case 'gssResponse':
    case 'authenticationResponse':
      return { kind: expected, data: reader.rest() };
    default:
      return expected satisfies never;
  }
}

export function encodeAuthenticationAnswer(message: AuthenticationAnswer, writer: WireWriter): void {
  writer.beginFrame(F.PasswordMessage);
  switch (message.kind) {
    case 'passwordMessage':
      writer.string(message.password);
      break;
    case 'saslInitialResponse':
      writer.string(message.mechanism);
      writer.value(message.data);
      break;
    case 'saslResponse':
    case 'gssResponse':
    case 'authenticationResponse':
      writer.bytes(message.data);
      break;
    default:
      message satisfies never;
  }
  writer.endFrame();
}
