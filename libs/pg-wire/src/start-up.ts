// Start-up family: the packets without a type byte, and what the server tells about itself before the first ReadyForQuery.
import { CANCEL_REQUEST_CODE, GSSENC_REQUEST_CODE, SSL_REQUEST_CODE } from './start-up-codes.ts';
import { B } from './type-bytes.ts';
import type { WireReader } from './wire-reader.ts';
import type { WireWriter } from './wire-writer.ts';

export type StartupParameter = { readonly name: string; readonly value: string };
/** Parameters in the order sent, `_pq_.` options and repetitions included. */
export type StartupMessage = {
  readonly kind: 'startupMessage';
  readonly protocolVersion: number;
  readonly parameters: readonly StartupParameter[];
};
export type SSLRequest = { readonly kind: 'sslRequest' };
export type GSSENCRequest = { readonly kind: 'gssencRequest' };
export type CancelRequest = {
  readonly kind: 'cancelRequest';
  readonly processId: number;
  readonly secretKey: Uint8Array;
};
export type BackendKeyData = {
  readonly kind: 'backendKeyData';
  readonly processId: number;
  readonly secretKey: Uint8Array;
};
export type ParameterStatus = { readonly kind: 'parameterStatus'; readonly name: string; readonly value: string };
export type NegotiateProtocolVersion = {
  readonly kind: 'negotiateProtocolVersion';
  /** As sent: the manual speaks of the newest minor version, servers send the whole number (196610 for 3.2). */
  readonly newestMinorVersion: number;
  readonly unrecognizedOptions: readonly string[];
};
export type StartupPacket = StartupMessage | SSLRequest | GSSENCRequest | CancelRequest;

/** Bounds of the secret key: 4 bytes in 3.0, up to 256 in 3.2. */
const MIN_SECRET_BYTES = 4;
const MAX_SECRET_BYTES = 256;

/** The last value of a parameter, which is the one the server takes. */
export function startupParameter(message: StartupMessage, name: string): string | undefined {
  return message.parameters.findLast((parameter) => parameter.name === name)?.value;
}

// SSLRequest     Int32(8), Int32(80877103)
// GSSENCRequest  Int32(8), Int32(80877104)
// CancelRequest  Int32 length, Int32(80877102), Int32 process ID, Byten secret key
// StartupMessage Int32 length, Int32 protocol version, then pairs (String name, String value), then Byte1(0)
export function decodeStartupPacket(reader: WireReader): StartupPacket {
  const code = reader.int32();
  if (code === SSL_REQUEST_CODE) return { kind: 'sslRequest' };
  if (code === GSSENC_REQUEST_CODE) return { kind: 'gssencRequest' };
  if (code === CANCEL_REQUEST_CODE) {
    return { kind: 'cancelRequest', processId: reader.int32(), secretKey: decodeSecretKey(reader) };
  }
  return { kind: 'startupMessage', protocolVersion: code, parameters: decodeParameters(reader) };
}

function decodeParameters(reader: WireReader): StartupParameter[] {
  const parameters: StartupParameter[] = [];
  for (let name = reader.string(); name !== ''; name = reader.string()) {
    parameters.push({ name, value: reader.string() });
  }
  return parameters;
}

function decodeSecretKey(reader: WireReader): Uint8Array {
  const sizeBytes = reader.remainingBytes;
  if (sizeBytes < MIN_SECRET_BYTES || sizeBytes > MAX_SECRET_BYTES) reader.fail('invalidValue');
  return reader.rest();
}

export function encodeStartupMessage(message: StartupMessage, writer: WireWriter): void {
  writer.beginStartupPacket();
  writer.int32(message.protocolVersion);
  for (const { name, value } of message.parameters) {
    if (name === '') throw new RangeError('a start-up parameter without a name would end the list');
    writer.string(name);
    writer.string(value);
  }
  writer.byte(0);
  writer.endFrame();
}

export function encodeSSLRequest(_message: SSLRequest, writer: WireWriter): void {
  writer.beginStartupPacket();
  writer.int32(SSL_REQUEST_CODE);
  writer.endFrame();
}

export function encodeGSSENCRequest(_message: GSSENCRequest, writer: WireWriter): void {
  writer.beginStartupPacket();
  writer.int32(GSSENC_REQUEST_CODE);
  writer.endFrame();
}

export function encodeCancelRequest(message: CancelRequest, writer: WireWriter): void {
  writer.beginStartupPacket();
  writer.int32(CANCEL_REQUEST_CODE);
  writer.int32(message.processId);
  encodeSecretKey(message.secretKey, writer);
  writer.endFrame();
}

function encodeSecretKey(secretKey: Uint8Array, writer: WireWriter): void {
  if (secretKey.length < MIN_SECRET_BYTES || secretKey.length > MAX_SECRET_BYTES) {
    throw new RangeError(`a cancel key has ${MIN_SECRET_BYTES} to ${MAX_SECRET_BYTES} bytes`);
  }
  writer.bytes(secretKey);
}

// BackendKeyData: Byte1('K'), Int32 length, Int32 process ID, Byten secret key
export function decodeBackendKeyData(reader: WireReader): BackendKeyData {
  return { kind: 'backendKeyData', processId: reader.int32(), secretKey: decodeSecretKey(reader) };
}

export function encodeBackendKeyData(message: BackendKeyData, writer: WireWriter): void {
  writer.beginFrame(B.BackendKeyData);
  writer.int32(message.processId);
  encodeSecretKey(message.secretKey, writer);
  writer.endFrame();
}

// ParameterStatus: Byte1('S'), Int32 length, String name, String value
export function decodeParameterStatus(reader: WireReader): ParameterStatus {
  return { kind: 'parameterStatus', name: reader.string(), value: reader.string() };
}

export function encodeParameterStatus(message: ParameterStatus, writer: WireWriter): void {
  writer.beginFrame(B.ParameterStatus);
  writer.string(message.name);
  writer.string(message.value);
  writer.endFrame();
}

// NegotiateProtocolVersion: Byte1('v'), Int32 length, Int32 newest minor version, Int32 count, then String option each
export function decodeNegotiateProtocolVersion(reader: WireReader): NegotiateProtocolVersion {
  const newestMinorVersion = reader.int32();
  const count = reader.count32(1);
  const unrecognizedOptions: string[] = [];
  for (let i = 0; i < count && reader.ok; i++) unrecognizedOptions.push(reader.string());
  return { kind: 'negotiateProtocolVersion', newestMinorVersion, unrecognizedOptions };
}

export function encodeNegotiateProtocolVersion(message: NegotiateProtocolVersion, writer: WireWriter): void {
  writer.beginFrame(B.NegotiateProtocolVersion);
  writer.int32(message.newestMinorVersion);
  writer.int32(message.unrecognizedOptions.length);
  for (const option of message.unrecognizedOptions) writer.string(option);
  writer.endFrame();
}
