// PostgreSQL wire protocol 3.0/3.2: frame splitter, both decoders, encoders, peeks. Opens nothing, depends on nothing.
export type {
  AuthenticationAnswer,
  AuthenticationCleartextPassword,
  AuthenticationGSS,
  AuthenticationGSSContinue,
  AuthenticationKerberosV5,
  AuthenticationMD5Password,
  AuthenticationMessage,
  AuthenticationOk,
  AuthenticationResponse,
  AuthenticationSASL,
  AuthenticationSASLContinue,
  AuthenticationSASLFinal,
  AuthenticationSSPI,
  ExpectedAnswer,
  GSSResponse,
  PasswordMessage,
  SASLInitialResponse,
  SASLResponse,
} from './authentication.ts';
export { expectedAnswer } from './authentication.ts';
export type { BackendMessage, DecodedBackend } from './backend.ts';
export { decodeBackend, encodeBackend } from './backend.ts';
export type { CopyBothResponse, CopyData, CopyDone, CopyFail, CopyInResponse, CopyOutResponse } from './copy.ts';
export type { ErrorFields, ErrorResponse, NoticeResponse, NotificationResponse } from './error-notice.ts';
export type {
  Bind,
  BindComplete,
  Close,
  CloseComplete,
  Describe,
  Execute,
  Flush,
  Format,
  NoData,
  ParameterDescription,
  Parse,
  ParseComplete,
  PortalSuspended,
  Sync,
  TargetKind,
} from './extended-query.ts';
export {
  FRAME_INCOMPLETE,
  FRAME_MALFORMED,
  frameEndAt,
  HEADER_BYTES,
  holdsWholeFrames,
  int32At,
  MAX_LENGTH,
  MAX_STARTUP_LENGTH,
  MIN_LENGTH,
  uint16At,
} from './frame-header.ts';
export type { FrameSplitterOptions, MalformedFrame, SplitterPhase } from './frame-splitter.ts';
export { DEFAULT_MAX_FRAME_BYTES, FrameEvent, FrameSplitter } from './frame-splitter.ts';
export type { DecodedFrontend, FrontendMessage } from './frontend.ts';
export { decodeFrontend, encodeFrontend } from './frontend.ts';
export type { FunctionCall, FunctionCallResponse } from './function-call.ts';
export type { MalformedMessage, MalformedReason, UnknownMessage } from './outcome.ts';
export {
  bindNames,
  bindPortal,
  bindStatement,
  closeName,
  closeTarget,
  columnCount,
  commandTag,
  commandTagRows,
  describeName,
  describeTarget,
  endsWithIdleReadyForQuery,
  errorField,
  errorSeverity,
  executeMaxRows,
  executePortal,
  parameterStatusName,
  parameterStatusValue,
  parseMessageBody,
  parseQueryStart,
  parseQueryText,
  parseStatementName,
  queryText,
  readyForQueryStatus,
  sqlState,
  stringEnd,
  TargetByte,
} from './peek.ts';
export type { DataRow, FieldDescription, RowDescription } from './rows.ts';
export type {
  CommandComplete,
  EmptyQueryResponse,
  Query,
  ReadyForQuery,
  Terminate,
  TransactionStatus,
} from './simple-query.ts';
export { TransactionStatusByte } from './simple-query.ts';
export type {
  BackendKeyData,
  CancelRequest,
  GSSENCRequest,
  NegotiateProtocolVersion,
  ParameterStatus,
  SSLRequest,
  StartupMessage,
  StartupPacket,
  StartupParameter,
} from './start-up.ts';
export { startupParameter } from './start-up.ts';
export {
  CANCEL_REQUEST_CODE,
  GSSENC_REQUEST_CODE,
  PROTOCOL_3_0,
  PROTOCOL_3_2,
  SSL_REQUEST_CODE,
} from './start-up-codes.ts';
export { decodeText } from './text.ts';
export type { TraceFrame } from './trace.ts';
export { formatTrace, traceFrames } from './trace.ts';
export type { Direction } from './type-bytes.ts';
export { B, F, isKnownType, STARTUP_PACKET } from './type-bytes.ts';
export { WireWriter } from './wire-writer.ts';
