// Error and asynchronous family: ErrorResponse, NoticeResponse, NotificationResponse.
import { B } from './type-bytes.ts';
import type { WireReader } from './wire-reader.ts';
import type { WireWriter } from './wire-writer.ts';

/**
 * Fields by code letter, as the manual's "Error and Notice Message Fields" lists them: S and V severity (V is never localized),
 * C SQLSTATE, M message, D detail, H hint, P position, p internal position, q internal query, W where, s schema, t table, c column,
 * d data type, n constraint, F file, L line, R routine. M, D, q and W can hold values of the application: not for log lines.
 * A repeated code, which no server sends, keeps the last value.
 */
export type ErrorFields = Readonly<Record<string, string>>;
export type ErrorResponse = { readonly kind: 'errorResponse'; readonly fields: ErrorFields };
export type NoticeResponse = { readonly kind: 'noticeResponse'; readonly fields: ErrorFields };
export type NotificationResponse = {
  readonly kind: 'notificationResponse';
  readonly processId: number;
  readonly channel: string;
  readonly payload: string;
};

// ErrorResponse 'E', NoticeResponse 'N': Byte1 type, Int32 length, then (Byte1 code, String value) each, then Byte1(0)
export function decodeErrorResponse(reader: WireReader): ErrorResponse {
  return { kind: 'errorResponse', fields: decodeFields(reader) };
}

export function decodeNoticeResponse(reader: WireReader): NoticeResponse {
  return { kind: 'noticeResponse', fields: decodeFields(reader) };
}

function decodeFields(reader: WireReader): ErrorFields {
  const fields: Record<string, string> = {};
  for (let code = reader.byte(); code !== 0; code = reader.byte()) fields[String.fromCharCode(code)] = reader.string();
  return fields;
}

export function encodeErrorResponse(message: ErrorResponse, writer: WireWriter): void {
  encodeFields(B.ErrorResponse, message.fields, writer);
}

export function encodeNoticeResponse(message: NoticeResponse, writer: WireWriter): void {
  encodeFields(B.NoticeResponse, message.fields, writer);
}

function encodeFields(type: number, fields: ErrorFields, writer: WireWriter): void {
  writer.beginFrame(type);
  for (const [code, value] of Object.entries(fields)) {
    if (code.length !== 1 || code === '\0') throw new RangeError('an error field code is one character');
    writer.byte(code.charCodeAt(0));
    writer.string(value);
  }
  writer.byte(0);
  writer.endFrame();
}

// NotificationResponse: Byte1('A'), Int32 length, Int32 process ID, String channel, String payload
export function decodeNotificationResponse(reader: WireReader): NotificationResponse {
  return {
    kind: 'notificationResponse',
    processId: reader.int32(),
    channel: reader.string(),
    payload: reader.string(),
  };
}

export function encodeNotificationResponse(message: NotificationResponse, writer: WireWriter): void {
  writer.beginFrame(B.NotificationResponse);
  writer.int32(message.processId);
  writer.string(message.channel);
  writer.string(message.payload);
  writer.endFrame();
}
