// The frontend direction as a whole: union of its messages, decoder by type byte, encoder by kind.
import {
  type AuthenticationAnswer,
  decodeAuthenticationAnswer,
  type ExpectedAnswer,
  encodeAuthenticationAnswer,
} from './authentication.ts';
import {
  type CopyData,
  type CopyDone,
  type CopyFail,
  decodeCopyData,
  decodeCopyDone,
  decodeCopyFail,
  encodeCopyData,
  encodeCopyDone,
  encodeCopyFail,
} from './copy.ts';
import * as extended from './extended-query.ts';
import { decodeFunctionCall, encodeFunctionCall, type FunctionCall } from './function-call.ts';
import { encodeUnknown, type MalformedMessage, type UnknownMessage } from './outcome.ts';
import {
  decodeQuery,
  decodeTerminate,
  encodeQuery,
  encodeTerminate,
  type Query,
  type Terminate,
} from './simple-query.ts';
import {
  decodeStartupPacket,
  encodeCancelRequest,
  encodeGSSENCRequest,
  encodeSSLRequest,
  encodeStartupMessage,
  type StartupPacket,
} from './start-up.ts';
import { F, STARTUP_PACKET } from './type-bytes.ts';
import { openFrame, WireReader } from './wire-reader.ts';
import type { WireWriter } from './wire-writer.ts';

export type FrontendMessage =
  | StartupPacket
  | AuthenticationAnswer
  | Query
  | extended.Parse
  | extended.Bind
  | extended.Describe
  | extended.Execute
  | extended.Close
  | extended.Flush
  | extended.Sync
  | FunctionCall
  | CopyData
  | CopyDone
  | CopyFail
  | Terminate;

export type DecodedFrontend = FrontendMessage | UnknownMessage | MalformedMessage;

/**
 * Decodes the frame `buffer[start, end)`, from its type byte to its last byte (type STARTUP_PACKET: from the length). Never
 * throws. Byte-valued fields are views of `buffer` and live as long as its owner leaves it alone; text is copied. `expected` says what
 * a `p` message is; without it, it stays opaque bytes.
 */
export function decodeFrontend(
  type: number,
  buffer: Uint8Array,
  start: number,
  end: number,
  expected: ExpectedAnswer = 'authenticationResponse',
): DecodedFrontend {
  const reader = openFrame(type, buffer, start, end);
  if (!(reader instanceof WireReader)) return reader;
  return reader.finish(type, decodeBody(type, reader, expected));
}

function decodeBody(type: number, reader: WireReader, expected: ExpectedAnswer): FrontendMessage | UnknownMessage {
  switch (type) {
    case STARTUP_PACKET:
      return decodeStartupPacket(reader);
    case F.Bind:
      return extended.decodeBind(reader);
    case F.Close:
      return extended.decodeClose(reader);
    case F.CopyData:
      return decodeCopyData(reader);
    case F.CopyDone:
      return decodeCopyDone();
    case F.CopyFail:
      return decodeCopyFail(reader);
    case F.Describe:
      return extended.decodeDescribe(reader);
    case F.Execute:
      return extended.decodeExecute(reader);
    case F.Flush:
      return { kind: 'flush' };
    case F.FunctionCall:
      return decodeFunctionCall(reader);
    case F.Parse:
      return extended.decodeParse(reader);
    case F.PasswordMessage:
      return decodeAuthenticationAnswer(reader, expected);
    case F.Query:
      return decodeQuery(reader);
    case F.Sync:
      return { kind: 'sync' };
    case F.Terminate:
      return decodeTerminate();
    default:
      return { kind: 'unknown', type, body: reader.wholeBody() };
  }
}

type Encoders = {
  readonly [Kind in (FrontendMessage | UnknownMessage)['kind']]: (
    message: Extract<FrontendMessage | UnknownMessage, { kind: Kind }>,
    writer: WireWriter,
  ) => void;
};

const encoders: Encoders = {
  startupMessage: encodeStartupMessage,
  sslRequest: encodeSSLRequest,
  gssencRequest: encodeGSSENCRequest,
  cancelRequest: encodeCancelRequest,
  passwordMessage: encodeAuthenticationAnswer,
  saslInitialResponse: encodeAuthenticationAnswer,
  saslResponse: encodeAuthenticationAnswer,
  gssResponse: encodeAuthenticationAnswer,
  authenticationResponse: encodeAuthenticationAnswer,
  query: encodeQuery,
  parse: extended.encodeParse,
  bind: extended.encodeBind,
  describe: extended.encodeDescribe,
  execute: extended.encodeExecute,
  close: extended.encodeClose,
  flush: extended.encodeBare,
  sync: extended.encodeBare,
  functionCall: encodeFunctionCall,
  copyData: encodeCopyData,
  copyDone: encodeCopyDone,
  copyFail: encodeCopyFail,
  terminate: encodeTerminate,
  unknown: encodeUnknown,
};

/** Appends the message as one frame. Throws RangeError for what the wire cannot carry; the writer is then as it was before. */
export function encodeFrontend(message: FrontendMessage | UnknownMessage, writer: WireWriter): void {
  const before = writer.sizeBytes;
  try {
    // The table's type pairs each kind with its encoder; TypeScript cannot follow that through the lookup.
    (encoders[message.kind] as (message: FrontendMessage | UnknownMessage, writer: WireWriter) => void)(
      message,
      writer,
    );
  } catch (error) {
    writer.truncate(before);
    throw error;
  }
}
