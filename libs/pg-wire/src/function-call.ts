// Function call family: the old fast path that JDBC's large objects still use. It ends in ReadyForQuery.
import { decodeFormats, decodeValues, encodeFormats, encodeValues, type Format } from './extended-query.ts';
import { B, F } from './type-bytes.ts';
import type { WireReader } from './wire-reader.ts';
import type { WireWriter } from './wire-writer.ts';

export type FunctionCall = {
  readonly kind: 'functionCall';
  readonly functionOid: number;
  readonly argumentFormats: readonly Format[];
  /** Views of the input; null is SQL NULL. */
  readonly arguments: readonly (Uint8Array | null)[];
  readonly resultFormat: Format;
};
/** `value` is a view of the input; null is SQL NULL. */
export type FunctionCallResponse = { readonly kind: 'functionCallResponse'; readonly value: Uint8Array | null };

// FunctionCall: Byte1('F'), Int32 length, Int32 function OID,
//               Int16 count, then Int16 argument format each,
//               Int16 count, then Int32 length (-1: NULL) and Byten value of each argument,
//               Int16 result format
export function decodeFunctionCall(reader: WireReader): FunctionCall {
  return {
    kind: 'functionCall',
    functionOid: reader.uint32(),
    argumentFormats: decodeFormats(reader),
    arguments: decodeValues(reader),
    resultFormat: reader.int16(),
  };
}

export function encodeFunctionCall(message: FunctionCall, writer: WireWriter): void {
  writer.beginFrame(F.FunctionCall);
  writer.int32(message.functionOid);
  encodeFormats(message.argumentFormats, writer);
  encodeValues(message.arguments, writer);
  writer.int16(message.resultFormat);
  writer.endFrame();
}

// FunctionCallResponse: Byte1('V'), Int32 length, Int32 length of the result (-1: NULL), Byten result
export function decodeFunctionCallResponse(reader: WireReader): FunctionCallResponse {
  return { kind: 'functionCallResponse', value: reader.value() };
}

export function encodeFunctionCallResponse(message: FunctionCallResponse, writer: WireWriter): void {
  writer.beginFrame(B.FunctionCallResponse);
  writer.value(message.value);
  writer.endFrame();
}
