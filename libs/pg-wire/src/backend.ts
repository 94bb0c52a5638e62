// The backend direction as a whole: union of its messages, decoder by type byte, encoder by kind.
import { type AuthenticationMessage, decodeAuthentication, encodeAuthentication } from './authentication.ts';
import * as copy from './copy.ts';
import * as errors from './error-notice.ts';
import * as extended from './extended-query.ts';
import { decodeFunctionCallResponse, encodeFunctionCallResponse, type FunctionCallResponse } from './function-call.ts';
import { encodeUnknown, type MalformedMessage, type UnknownMessage } from './outcome.ts';
import * as rows from './rows.ts';
import * as simple from './simple-query.ts';
import * as startup from './start-up.ts';
import { B } from './type-bytes.ts';
import { openFrame, WireReader } from './wire-reader.ts';
import type { WireWriter } from './wire-writer.ts';

export type BackendMessage =
  | AuthenticationMessage
  | startup.BackendKeyData
  | startup.ParameterStatus
  | startup.NegotiateProtocolVersion
  | simple.EmptyQueryResponse
  | simple.CommandComplete
  | simple.ReadyForQuery
  | extended.ParseComplete
  | extended.BindComplete
  | extended.CloseComplete
  | extended.ParameterDescription
  | extended.NoData
  | extended.PortalSuspended
  | rows.RowDescription
  | rows.DataRow
  | copy.CopyInResponse
  | copy.CopyOutResponse
  | copy.CopyBothResponse
  | copy.CopyData
  | copy.CopyDone
  | errors.ErrorResponse
  | errors.NoticeResponse
  | errors.NotificationResponse
  | FunctionCallResponse;

export type DecodedBackend = BackendMessage | UnknownMessage | MalformedMessage;

/**
 * Decodes the frame `buffer[start, end)`, from its type byte to its last byte. Never throws. Byte-valued fields are views of `buffer`
 * and live as long as its owner leaves it alone; text is copied.
 */
export function decodeBackend(type: number, buffer: Uint8Array, start: number, end: number): DecodedBackend {
  const reader = openFrame(type, buffer, start, end);
  if (!(reader instanceof WireReader)) return reader;
  const decode = decoders.get(type);
  if (decode === undefined) return { kind: 'unknown', type, body: reader.wholeBody() };
  return reader.finish(type, decode(reader));
}

const decoders: ReadonlyMap<number, (reader: WireReader) => BackendMessage | UnknownMessage> = new Map<
  number,
  (reader: WireReader) => BackendMessage | UnknownMessage
>([
  [B.Authentication, decodeAuthentication],
  [B.BackendKeyData, startup.decodeBackendKeyData],
  [B.BindComplete, () => ({ kind: 'bindComplete' })],
  [B.CloseComplete, () => ({ kind: 'closeComplete' })],
  [B.CommandComplete, simple.decodeCommandComplete],
  [B.CopyBothResponse, (reader) => copy.decodeCopyResponse('copyBothResponse', reader)],
  [B.CopyData, copy.decodeCopyData],
  [B.CopyDone, copy.decodeCopyDone],
  [B.CopyInResponse, (reader) => copy.decodeCopyResponse('copyInResponse', reader)],
  [B.CopyOutResponse, (reader) => copy.decodeCopyResponse('copyOutResponse', reader)],
  [B.DataRow, rows.decodeDataRow],
  [B.EmptyQueryResponse, simple.decodeEmptyQueryResponse],
  [B.ErrorResponse, errors.decodeErrorResponse],
  [B.FunctionCallResponse, decodeFunctionCallResponse],
  [B.NegotiateProtocolVersion, startup.decodeNegotiateProtocolVersion],
  [B.NoData, () => ({ kind: 'noData' })],
  [B.NoticeResponse, errors.decodeNoticeResponse],
  [B.NotificationResponse, errors.decodeNotificationResponse],
  [B.ParameterDescription, extended.decodeParameterDescription],
  [B.ParameterStatus, startup.decodeParameterStatus],
  [B.ParseComplete, () => ({ kind: 'parseComplete' })],
  [B.PortalSuspended, () => ({ kind: 'portalSuspended' })],
  [B.ReadyForQuery, simple.decodeReadyForQuery],
  [B.RowDescription, rows.decodeRowDescription],
]);

type Encoders = {
  readonly [Kind in (BackendMessage | UnknownMessage)['kind']]: (
    message: Extract<BackendMessage | UnknownMessage, { kind: Kind }>,
    writer: WireWriter,
  ) => void;
};

const encoders: Encoders = {
  authenticationOk: encodeAuthentication,
  authenticationKerberosV5: encodeAuthentication,
  authenticationCleartextPassword: encodeAuthentication,
  authenticationMD5Password: encodeAuthentication,
  authenticationGSS: encodeAuthentication,
  authenticationGSSContinue: encodeAuthentication,
  authenticationSSPI: encodeAuthentication,
  authenticationSASL: encodeAuthentication,
  authenticationSASLContinue: encodeAuthentication,
  authenticationSASLFinal: encodeAuthentication,
  backendKeyData: startup.encodeBackendKeyData,
  parameterStatus: startup.encodeParameterStatus,
  negotiateProtocolVersion: startup.encodeNegotiateProtocolVersion,
  emptyQueryResponse: simple.encodeEmptyQueryResponse,
  commandComplete: simple.encodeCommandComplete,
  readyForQuery: simple.encodeReadyForQuery,
  parseComplete: extended.encodeBare,
  bindComplete: extended.encodeBare,
  closeComplete: extended.encodeBare,
  parameterDescription: extended.encodeParameterDescription,
  noData: extended.encodeBare,
  portalSuspended: extended.encodeBare,
  rowDescription: rows.encodeRowDescription,
  dataRow: rows.encodeDataRow,
  copyInResponse: copy.encodeCopyResponse,
  copyOutResponse: copy.encodeCopyResponse,
  copyBothResponse: copy.encodeCopyResponse,
  copyData: copy.encodeCopyData,
  copyDone: copy.encodeCopyDone,
  errorResponse: errors.encodeErrorResponse,
  noticeResponse: errors.encodeNoticeResponse,
  notificationResponse: errors.encodeNotificationResponse,
  functionCallResponse: encodeFunctionCallResponse,
  unknown: encodeUnknown,
};

/** Appends the message as one frame. Throws RangeError for what the wire cannot carry; the writer is then as it was before. */
export function encodeBackend(message: BackendMessage | UnknownMessage, writer: WireWriter): void {
  const before = writer.sizeBytes;
  try {
    // The table's type pairs each kind with its encoder; TypeScript cannot follow that through the lookup.
    (encoders[message.kind] as (message: BackendMessage | UnknownMessage, writer: WireWriter) => void)(message, writer);
  } catch (error) {
    writer.truncate(before);
    throw error;
  }
}
